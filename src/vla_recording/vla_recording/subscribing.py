# SPDX-License-Identifier: Apache-2.0
"""How to hear a topic as its publishers offer it, and what a bag says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from vla_recording.black_box.definitions import definition
from vla_recording.black_box.writer import Topic

# A duration without end, as bags have it.
_FOR_EVER = QosTime(9223372036, 854775807)


def profile_for(offers: Sequence[Any], depth: int) -> QoSProfile:
    """Return the quality of service that hears all of what is offered.

    Args:
        offers: Profiles of the publishers, at least one.
        depth: Messages that wait at most.
    """
    profile = QoSProfile(depth=depth)
    if not all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers):
        profile.reliability = ReliabilityPolicy.BEST_EFFORT
    if is_latched(offers):
        profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
    return profile


def is_latched(offers: Sequence[Any]) -> bool:
    """Say whether the newest message holds until the next one."""
    return all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)


def bag_topic(type_name: str, offers: Sequence[Any]) -> Topic:
    """Return what a bag says of a topic.

    Raises:
        ImportError, AttributeError: Its type is not installed.
    """
    return Topic(type_name, definition(type_name), tuple(map(_bag_qos, offers)))


def _bag_qos(profile: Any) -> Qos:
    return Qos(
        QosHistory[profile.history.name],
        profile.depth,
        QosReliability[profile.reliability.name],
        QosDurability[profile.durability.name],
        _FOR_EVER,
        _FOR_EVER,
        QosLiveliness[profile.liveliness.name],
        _FOR_EVER,
        False,
    )
