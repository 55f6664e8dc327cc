# SPDX-License-Identifier: Apache-2.0
"""Kinds of clocks."""

from enum import IntEnum


class ClockType(IntEnum):
    """Which time a clock tells: simulation's if there is one, the system's, or a steady one."""

    UNINITIALIZED = 0
    ROS_TIME = 1
    SYSTEM_TIME = 2
    STEADY_TIME = 3
