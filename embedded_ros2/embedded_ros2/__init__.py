# SPDX-License-Identifier: Apache-2.0
"""ROS 2 nodes and launch files on a machine that has Python and no ROS 2."""

__version__ = "0.1.0"
