# SPDX-License-Identifier: Apache-2.0
"""What the page decides: who may, what a message says, what is told. No ROS and no clock here."""
