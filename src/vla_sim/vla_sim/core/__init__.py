# SPDX-License-Identifier: Apache-2.0
"""The simulated controllers and their clockwork: no ROS import, no clock."""
