# SPDX-License-Identifier: Apache-2.0
"""Points in time."""

from __future__ import annotations

import functools
import operator

import builtin_interfaces.msg

from rclpy.clock_type import ClockType
from rclpy.constants import S_TO_NS
from rclpy.duration import Duration


@functools.total_ordering
class Time:
    """Nanoseconds since the epoch of a kind of clock; times of different kinds do not compare."""

    __slots__ = ("_clock_type", "_nanoseconds")

    def __init__(
        self,
        *,
        seconds: int | float = 0,
        nanoseconds: int = 0,
        clock_type: ClockType = ClockType.SYSTEM_TIME,
    ) -> None:
        if not isinstance(clock_type, ClockType):
            raise TypeError("Clock type must be a ClockType enum")
        if seconds < 0:
            raise ValueError("Seconds value must not be negative")
        if nanoseconds < 0:
            raise ValueError("Nanoseconds value must not be negative")
        total = int(seconds * S_TO_NS) + int(nanoseconds)
        if total >= 2**63:
            raise OverflowError("Total nanoseconds value is too large to store in C time point.")
        self._nanoseconds = total
        self._clock_type = clock_type

    nanoseconds = property(operator.attrgetter("_nanoseconds"), doc="Since the clock's epoch.")

    @property
    def clock_type(self) -> ClockType:
        """The kind of clock this time is of."""
        return self._clock_type

    def seconds_nanoseconds(self) -> tuple[int, int]:
        """Return (whole seconds, remaining nanoseconds)."""
        return divmod(self._nanoseconds, S_TO_NS)

    def __repr__(self) -> str:
        return f"Time(nanoseconds={self._nanoseconds}, clock_type={self._clock_type.name})"

    def __add__(self, other: Duration) -> Time:
        if not isinstance(other, Duration):
            return NotImplemented
        return Time(nanoseconds=self._nanoseconds + other.nanoseconds, clock_type=self._clock_type)

    __radd__ = __add__

    def __sub__(self, other: Time | Duration) -> Time | Duration:
        if isinstance(other, Time):
            if self._clock_type != other._clock_type:
                raise TypeError("Can't subtract times with different clock types")
            return Duration(nanoseconds=self._nanoseconds - other._nanoseconds)
        if isinstance(other, Duration):
            nanoseconds = self._nanoseconds - other.nanoseconds
            if nanoseconds < 0:
                raise ValueError("Subtraction leads to negative time.")
            return Time(nanoseconds=nanoseconds, clock_type=self._clock_type)
        return NotImplemented

    def _comparable(self, other: Time) -> int:
        if self._clock_type != other._clock_type:
            raise TypeError("Can't compare times with different clock types")
        return other._nanoseconds

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Time):
            return NotImplemented
        return self._nanoseconds == self._comparable(other)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Time):
            return NotImplemented
        return self._nanoseconds < self._comparable(other)

    __hash__ = None  # type: ignore[assignment]  # as in rclpy

    def to_msg(self) -> builtin_interfaces.msg.Time:
        """Return the time as a message."""
        seconds, nanoseconds = self.seconds_nanoseconds()
        return builtin_interfaces.msg.Time(sec=seconds, nanosec=nanoseconds)

    @classmethod
    def from_msg(
        cls, msg: builtin_interfaces.msg.Time, clock_type: ClockType = ClockType.ROS_TIME
    ) -> Time:
        """Return the time that a message holds."""
        if not isinstance(msg, builtin_interfaces.msg.Time):
            raise TypeError("Must pass a builtin_interfaces.msg.Time object")
        return cls(seconds=msg.sec, nanoseconds=msg.nanosec, clock_type=clock_type)
