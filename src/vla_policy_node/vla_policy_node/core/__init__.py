# SPDX-License-Identifier: Apache-2.0
"""Everything the node decides. Imports no ROS and reads no clock: time is an argument."""
