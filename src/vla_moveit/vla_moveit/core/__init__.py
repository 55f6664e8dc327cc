# SPDX-License-Identifier: Apache-2.0
"""From a goal to a path, and from a path to chunks. Imports no ROS and reads no clock."""
