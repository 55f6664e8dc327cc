# SPDX-License-Identifier: Apache-2.0
"""Wait for one message."""

from __future__ import annotations

import threading
import time
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile

# How often a wait looks whether the context was shut down by a signal.
_LOOK_S = 0.2


def wait_for_message(
    msg_type: Any,
    node: Node,
    topic: str,
    *,
    qos_profile: QoSProfile | int = 1,
    time_to_wait: float = -1,
) -> tuple[bool, Any]:
    """Return (whether a message came, the message or None); no callback runs meanwhile.

    Args:
        msg_type: The class of the message.
        node: The node.
        topic: The topic's name.
        qos_profile: The quality of service.
        time_to_wait: Seconds; negative for no limit.
    """
    arrived = threading.Event()
    received: list[Any] = []
    # A group of its own, and taken here: the node's executor never runs the callback.
    group = MutuallyExclusiveCallbackGroup()
    group.beginning_execution(arrived)
    subscription = node.create_subscription(
        msg_type, topic, received.append, qos_profile, callback_group=group
    )
    subscription._notify = arrived.set  # type: ignore[method-assign]
    deadline = None if time_to_wait < 0 else time.monotonic() + time_to_wait
    try:
        while node.context.ok():
            arrived.clear()
            work = subscription._take()
            if work is not None:
                work()
                return True, received[0]
            left_s = _LOOK_S if deadline is None else min(_LOOK_S, deadline - time.monotonic())
            if left_s <= 0:
                break
            arrived.wait(left_s)
        return False, None
    finally:
        node.destroy_subscription(subscription)
