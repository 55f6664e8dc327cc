# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that look at a message's size before anything else is done with it.

One thread serves everything here, the stop included. To read a trajectory of 60,000 points takes
it longer than a stop may, whoever sent it and whatever becomes of it afterwards. So a message is
taken as its bytes, which costs next to nothing, and read if there are few enough.

An executor takes one message of each topic in a round. Where its rounds are slower than the
messages, on a busy host, these wait in their queues, up to a second of them, and look fresh. So
whatever waits is taken at once, in its order, before anything is decided.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile

from node_kit.messages import read_message
from smooth_motion.check import MAX_KNOTS
from smoothness_monitor.graph import Input, type_name
from smoothness_monitor.guard import Guard

# Of joint_states, controller_state and the like: some 500 joints with long names.
STATE_BYTES = 1 << 16
DIAGNOSTICS_BYTES = 1 << 19
WARNING_S = 5.0
# A topic whose messages come faster than they can be read must not keep all others waiting.
AT_ONCE_S = 0.02


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
        self._waiting: list[Callable[[], None]] = []

    def take_waiting(self) -> None:
        """Take all that waits on the topics that tell of the arm, the reference first."""
        for take in self._waiting:
            take()

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
        at_once: bool = False,
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
            at_once: Whether all that waits is taken when one is, and by `take_waiting`; before a
                message of another topic is called back with.
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
                message = read_message(data, kind)
            except Exception as error:  # whatever it is, the next message may be sound
                drop(f"it cannot be read: {type(error).__name__}: {error}")
                return
            if not at_once:
                # What it is judged by may wait behind it.
                self.take_waiting()
            callback(message)

        def drop(why: str) -> None:
            if refused is not None:
                refused(why)
            now_s = time.monotonic()
            if now_s - self._warned_s.get(topic, -WARNING_S) >= WARNING_S:
                self._warned_s[topic] = now_s
                self._node.get_logger().warning(f"{topic}: a message was dropped: {why}")

        def take_all() -> None:
            # However many come, those of one queue; the rest is taken in the next round.
            until_s = time.monotonic() + AT_ONCE_S
            for _ in range(profile.depth):
                with subscription.handle:
                    taken = subscription.handle.take_message(kind, True)
                if not taken:
                    return
                take(taken[0])
                if time.monotonic() >= until_s:
                    return

        def take_with_all(data: bytes) -> None:
            take(data)
            take_all()

        first = take_with_all if at_once else take
        subscription = self._node.create_subscription(kind, topic, first, profile, raw=True)
        if at_once:
            self._waiting.append(take_all)
        if source:
            self.inputs[source] = Input(subscription.topic_name, type_name(kind), profile)
