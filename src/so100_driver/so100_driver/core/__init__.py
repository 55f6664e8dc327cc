# SPDX-License-Identifier: Apache-2.0
"""What the driver knows without ROS and without a bus: registers, frames, calibration."""
