# SPDX-License-Identifier: Apache-2.0
"""Quality of service as liveliness tokens carry it.

The form is ``reliability:durability:history,depth:deadline:lifespan:liveliness,lease`` where a
duration is ``seconds,nanoseconds`` and a value equal to rmw_zenoh's default is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

RELIABLE, BEST_EFFORT = 1, 2
TRANSIENT_LOCAL, VOLATILE = 1, 2
KEEP_LAST, KEEP_ALL = 1, 2
AUTOMATIC, MANUAL_BY_TOPIC = 1, 3
DEFAULT_DEPTH = 42
_INFINITE_S, _INFINITE_NS = 9223372036, 854775807
INFINITE_NS = _INFINITE_S * 10**9 + _INFINITE_NS


@dataclass(frozen=True)
class WireQos:
    """A QoS profile in rmw's numbers; durations are nanoseconds."""

    reliability: int = RELIABLE
    durability: int = VOLATILE
    history: int = KEEP_LAST
    depth: int = DEFAULT_DEPTH
    deadline_ns: int = INFINITE_NS
    lifespan_ns: int = INFINITE_NS
    liveliness: int = AUTOMATIC
    lease_ns: int = INFINITE_NS


def _number(value: int, default: int) -> str:
    return "" if value == default else str(value)


def _duration(value_ns: int) -> str:
    return "," if value_ns == INFINITE_NS else f"{value_ns // 10**9},{value_ns % 10**9}"


def encode(qos: WireQos) -> str:
    """Return the profile's wire form; the default profile gives ``::,:,:,:,,``."""
    return ":".join(
        (
            _number(qos.reliability, RELIABLE),
            _number(qos.durability, VOLATILE),
            f"{_number(qos.history, KEEP_LAST)},{_number(qos.depth, DEFAULT_DEPTH)}",
            _duration(qos.deadline_ns),
            _duration(qos.lifespan_ns),
            f"{_number(qos.liveliness, AUTOMATIC)},{_duration(qos.lease_ns)}",
        )
    )


def _parse(text: str, default: int) -> int:
    return int(text) if text else default


def _parse_duration(seconds: str, nanoseconds: str) -> int:
    if not seconds and not nanoseconds:
        return INFINITE_NS
    return _parse(seconds, _INFINITE_S) * 10**9 + _parse(nanoseconds, _INFINITE_NS)


def decode(text: str) -> WireQos:
    """Read the wire form.

    Raises:
        ValueError: If `text` is not of that form.
    """
    parts = text.split(":")
    if len(parts) != 6:
        raise ValueError(f"'{text}' is not a QoS profile")
    history, depth = parts[2].split(",")
    liveliness, lease_s, lease_ns = parts[5].split(",")
    deadline_s, deadline_ns = parts[3].split(",")
    lifespan_s, lifespan_ns = parts[4].split(",")
    return WireQos(
        _parse(parts[0], RELIABLE),
        _parse(parts[1], VOLATILE),
        _parse(history, KEEP_LAST),
        _parse(depth, DEFAULT_DEPTH),
        _parse_duration(deadline_s, deadline_ns),
        _parse_duration(lifespan_s, lifespan_ns),
        _parse(liveliness, AUTOMATIC),
        _parse_duration(lease_s, lease_ns),
    )
