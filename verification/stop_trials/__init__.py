# SPDX-License-Identifier: Apache-2.0
"""The stop ladder tried rung by rung on a running ros2_control, and what was measured."""
