# SPDX-License-Identifier: Apache-2.0
"""MuJoCo world and the node that stands where ros2_control and the cameras stand."""
