# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that look at a message's size before anything else is done with it.

One thread serves everything here, the stop included. To read a trajectory of 60,000 points takes
it longer than a stop may, whoever sent it and whatever becomes of it afterwards. So a message is
taken as its bytes, which costs next to nothing, and read if there are few enough.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message

from smooth_motion.check import MAX_KNOTS
from smoothness_monitor.graph import Input, type_name
from smoothness_monitor.guard import Guard

# Of joint_states, controller_state and the like: some 500 joints with long names.
STATE_BYTES = 1 << 16
DIAGNOSTICS_BYTES = 1 << 19
WARNING_S = 5.0


def trajectory_bytes(joints: int) -> int:
    """Return how many bytes a trajectory may have for a number of joints."""
    # A point: three fields of doubles, five lengths, a time, and what aligns them.
    return 8192 + 256 * joints + MAX_KNOTS * (24 * joints + 72)


class Bounded:
    """Makes a node's subscriptions.

    Attributes:
        inputs: Those that have a source, by its name.
    """

    def __init__(self, node: Node, guard: Guard) -> None:
        """Begin without subscriptions.

        Args:
            node: The node whose they are.
            guard: Takes what a callback cannot cope with.
        """
        self.inputs: dict[str, Input] = {}
        self._node, self._guard = node, guard
        self._warned_s: dict[str, float] = {}

    def subscribe(
        self,
        kind: Any,
        topic: str,
        callback: Callable[[Any], None],
        profile: QoSProfile,
        *,
        most_bytes: int,
        refused: Callable[[str], None] | None = None,
        source: str = "",
    ) -> None:
        """Subscribe to a topic.

        Args:
            kind: Type of its messages.
            topic: Its name.
            callback: Is called with each message that can be read.
            profile: Quality of service.
            most_bytes: A message with more of them is dropped unread.
            refused: Is called with what is wrong with a message that was dropped.
            source: Name among the inputs, empty where nobody asks why nothing comes.
        """
        callback = self._guard.deciding(callback)
        if refused is not None:
            refused = self._guard.deciding(refused)

        def take(data: bytes) -> None:
            size = len(data)
            if not (size <= most_bytes):
                drop(f"it has {size} bytes, {most_bytes} are allowed")
                return
            try:
                message = deserialize_message(data, kind)
            except Exception as error:  # whatever it is, the next message may be sound
                drop(f"it cannot be read: {type(error).__name__}: {error}")
                return
            callback(message)

        def drop(why: str) -> None:
            if refused is not None:
                refused(why)
            now_s = time.monotonic()
            if now_s - self._warned_s.get(topic, -WARNING_S) >= WARNING_S:
                self._warned_s[topic] = now_s
                self._node.get_logger().warning(f"{topic}: a message was dropped: {why}")

        subscription = self._node.create_subscription(kind, topic, take, profile, raw=True)
        if source:
            self.inputs[source] = Input(subscription.topic_name, type_name(kind), profile)
