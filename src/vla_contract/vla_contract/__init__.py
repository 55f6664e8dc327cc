# SPDX-License-Identifier: Apache-2.0
"""What is agreed on between a robot, its topics and a policy. Needs no ROS and reads no clock."""
