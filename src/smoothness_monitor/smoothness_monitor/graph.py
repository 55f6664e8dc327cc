# SPDX-License-Identifier: Apache-2.0
"""What the graph says: who else writes to the controllers, and why an input may be silent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# More publishers of one topic are not listed.
MOST_NAMES = 8


@dataclass(frozen=True)
class Input:
    """A topic that something is expected on.

    Attributes:
        topic: Its name, resolved.
        type: Of its messages, as in sensor_msgs/msg/JointState.
        qos: Of the subscription.
    """

    topic: str
    type: str
    qos: QoSProfile


def type_name(message: Any) -> str:
    """Return a message's type as the graph names it."""
    package, kind = message.__module__.split(".")[:2]
    return f"{package}/{kind}/{message.__name__}"


def others(node: Node, publishers: Iterable[Any], clock: str) -> tuple[str, ...]:
    """Return who publishes on the topics of a node's publishers besides it.

    Args:
        node: The node.
        publishers: Its publishers.
        clock: Topic of the simulated time, which may have one publisher; empty where time is real.
    """
    found: list[str] = []
    for publisher in publishers:
        topic = publisher.topic_name
        names = [_name(info) for info in node.get_publishers_info_by_topic(topic)]
        # One of them is this node's own; a second of the same name is not.
        own = node.get_fully_qualified_name()
        if own in names:
            names.remove(own)
        found += [f"{name} publishes on {topic}" for name in names[:MOST_NAMES]]
    return (*found, *_clocks(node, clock))


def _clocks(node: Node, topic: str) -> tuple[str, ...]:
    names = [_name(info) for info in node.get_publishers_info_by_topic(topic)] if topic else []
    if len(names) < 2:
        return ()
    listed = ", ".join(names[:MOST_NAMES])
    return (
        f"{len(names)} publish on {topic}: {listed}; time has one source only, end the others",
    )


def silences(node: Node, inputs: Mapping[str, Input]) -> dict[str, str]:
    """Return why inputs may be silent, by their names; those without a reason are left out."""
    found = {}
    for name, each in inputs.items():
        text = _silence(each, node.get_publishers_info_by_topic(each.topic))
        if text:
            found[name] = text
    return found


def _silence(wanted: Input, publishers: Iterable[Any]) -> str:
    publishers = list(publishers)[:MOST_NAMES]
    if not publishers:
        return f"nobody publishes on {wanted.topic}"
    reasons = []
    for info in publishers:
        why = _mismatch(wanted, info)
        if not why:
            # One that matches is enough: it has not sent anything yet.
            return f"{_name(info)} publishes on {wanted.topic} and has sent nothing"
        reasons.append(f"{_name(info)} publishes on {wanted.topic} {why}")
    return "; ".join(reasons)


def _mismatch(wanted: Input, info: Any) -> str:
    if info.topic_type != wanted.type:
        return f"another type, {info.topic_type}, not {wanted.type}"
    offered = info.qos_profile
    if (
        wanted.qos.reliability == ReliabilityPolicy.RELIABLE
        and offered.reliability == ReliabilityPolicy.BEST_EFFORT
    ):
        return "with an incompatible QoS: best effort, where reliable is asked for"
    if (
        wanted.qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
        and offered.durability == DurabilityPolicy.VOLATILE
    ):
        return "with an incompatible QoS: volatile, where transient local is asked for"
    return ""


def _name(info: Any) -> str:
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"
