# SPDX-License-Identifier: Apache-2.0
"""Parts of rclpy that programs import by their inner names."""
