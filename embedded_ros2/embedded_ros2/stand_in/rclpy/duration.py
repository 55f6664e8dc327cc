# SPDX-License-Identifier: Apache-2.0
"""Durations in nanoseconds."""

from __future__ import annotations

import functools

import builtin_interfaces.msg

from rclpy.constants import S_TO_NS


@functools.total_ordering
class Duration:
    """A period between two points in time; it may be negative."""

    __slots__ = ("_nanoseconds",)

    def __init__(self, *, seconds: int | float = 0, nanoseconds: int = 0) -> None:
        total = int(seconds * S_TO_NS) + int(nanoseconds)
        if not -(2**63) <= total < 2**63:
            raise OverflowError("Total nanoseconds value is too large to store in C duration.")
        self._nanoseconds = total

    @property
    def nanoseconds(self) -> int:
        """The duration in nanoseconds."""
        return self._nanoseconds

    def __repr__(self) -> str:
        return f"Duration(nanoseconds={self._nanoseconds})"

    def __str__(self) -> str:
        return "Infinite" if self == Infinite else f"{self._nanoseconds} nanoseconds"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Duration):
            return NotImplemented
        return self._nanoseconds == other._nanoseconds

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Duration):
            return NotImplemented
        return self._nanoseconds < other._nanoseconds

    __hash__ = None  # type: ignore[assignment]  # as in rclpy

    def to_msg(self) -> builtin_interfaces.msg.Duration:
        """Return the duration as a message."""
        seconds, nanoseconds = divmod(self._nanoseconds, S_TO_NS)
        return builtin_interfaces.msg.Duration(sec=seconds, nanosec=nanoseconds)

    @classmethod
    def from_msg(cls, msg: builtin_interfaces.msg.Duration) -> Duration:
        """Return the duration that a message holds."""
        if not isinstance(msg, builtin_interfaces.msg.Duration):
            raise TypeError("Must pass a builtin_interfaces.msg.Duration object")
        return cls(seconds=msg.sec, nanoseconds=msg.nanosec)


Infinite = Duration(nanoseconds=9223372036854775807)
