# SPDX-License-Identifier: Apache-2.0
"""QoS on the command line, and QoS that suits the publishers of a topic."""

from __future__ import annotations

import argparse
from typing import Any, cast

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSPresetProfiles,
    QoSProfile,
    ReliabilityPolicy,
)

_POLICIES = {
    "history": HistoryPolicy,
    "reliability": ReliabilityPolicy,
    "durability": DurabilityPolicy,
    "liveliness": LivelinessPolicy,
}


def add_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the QoS arguments; ``default`` is the name of the profile to start from."""
    parser.add_argument(
        "--qos-profile",
        choices=QoSPresetProfiles.short_keys(),
        default=default,
        help=f"profile to start from (default: {default})",
    )
    parser.add_argument("--qos-depth", metavar="N", type=int, help="queue size")
    for name, policy in _POLICIES.items():
        parser.add_argument(f"--qos-{name}", choices=policy.short_keys(), help=f"{name} policy")
    parser.add_argument(
        "--qos-liveliness-lease-duration-seconds", metavar="S", type=float, help="lease duration"
    )


def _is_given(args: argparse.Namespace) -> bool:
    names = [*_POLICIES, "depth", "liveliness_lease_duration_seconds"]
    return any(getattr(args, f"qos_{name}") is not None for name in names)


def from_arguments(args: argparse.Namespace) -> QoSProfile:
    """Return the profile that the arguments ask for."""
    profile: Any = QoSPresetProfiles.get_from_short_key(args.qos_profile)
    for name, policy in _POLICIES.items():
        given = getattr(args, f"qos_{name}")
        if given is not None:
            setattr(profile, name, policy.get_from_short_key(given))
    if args.qos_liveliness_lease_duration_seconds is not None:
        profile.liveliness_lease_duration = Duration(
            seconds=args.qos_liveliness_lease_duration_seconds
        )
    if args.qos_depth is not None:
        profile.depth = args.qos_depth
    elif profile.durability == DurabilityPolicy.TRANSIENT_LOCAL and profile.depth == 0:
        profile.depth = 1
    return cast(QoSProfile, profile)


def for_subscription(own: Node, topic: str, args: argparse.Namespace) -> QoSProfile:
    """Return the profile asked for, or one that connects to all publishers there are."""
    profile = from_arguments(args)
    return profile if _is_given(args) else adapted(own, topic, profile)


def adapted(own: Node, topic: str, profile: QoSProfile) -> QoSProfile:
    """Return the profile with reliability and durability set to suit all publishers."""
    offered = [info.qos_profile for info in own.get_publishers_info_by_topic(topic)]
    if not offered:
        return profile
    for name, strict, lax in (
        ("reliability", ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT),
        ("durability", DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE),
    ):
        count = sum(getattr(one, name) == strict for one in offered)
        setattr(profile, name, strict if count == len(offered) else lax)
        if 0 < count < len(offered):
            print(
                f"Some, but not all, publishers are offering {strict.name}. "
                f"Falling back to {lax.name} as it will connect to all publishers"
            )
    return profile
