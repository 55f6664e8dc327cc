# SPDX-License-Identifier: Apache-2.0
"""Decisions of the monitor. No ROS import, no clock: time is an argument."""
