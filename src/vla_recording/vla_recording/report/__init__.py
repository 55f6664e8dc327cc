# SPDX-License-Identifier: Apache-2.0
"""`smoothness report BAG`: how smooth the motion in a recording was. Needs no ROS."""
