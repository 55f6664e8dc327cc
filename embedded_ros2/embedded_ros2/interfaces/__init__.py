# SPDX-License-Identifier: Apache-2.0
"""ROS 2 message, service and action types made from their definitions when they are imported."""
