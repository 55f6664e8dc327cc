# SPDX-License-Identifier: Apache-2.0
"""Times and names, between ROS messages and what computes with them."""

from __future__ import annotations

from builtin_interfaces.msg import Duration, Time

SECOND_NS = 1_000_000_000


def to_ns(value: Time | Duration) -> int:
    """Return nanoseconds."""
    return int(value.sec) * SECOND_NS + int(value.nanosec)


def to_time(ns: int) -> Time:
    """Return a time."""
    sec, nanosec = divmod(ns, SECOND_NS)
    return Time(sec=sec, nanosec=nanosec)


def distinct(namespace: str, name: str) -> str:
    """Return a name as /diagnostics has it: with its namespace, for that topic has none."""
    return f"{namespace}/{name}".strip("/")
