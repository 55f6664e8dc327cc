# SPDX-License-Identifier: Apache-2.0
"""A spectator's part in simulated time: the simulation waits until it has seen everything."""

from __future__ import annotations

import threading
import time

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock as ClockMsg
from std_msgs.msg import Header

# As rclpy's own subscription of it: a time that came too late is of no use.
CLOCK = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
PERIOD_S = 0.01
# The latest second that a stamp can hold: everything up to there is dealt with.
LAST_S = 2**31 - 1


class Spectator:
    """Acknowledges simulated time. Without `use_sim_time` it does nothing.

    Make it after the subscriptions: what came before a time is then taken in before its word.
    """

    def __init__(self, node: Node) -> None:
        """Connect, if the node follows `/clock`."""
        self._clock = node.get_clock()
        self._word = Header(frame_id=node.get_fully_qualified_name())
        self._heard_s = time.monotonic()
        self._speaking, self._left = threading.Lock(), False
        self.simulated = bool(node.get_parameter("use_sim_time").value)
        if self.simulated:
            self._acknowledgement = node.create_publisher(
                Header, "clock_acknowledgement", QoSProfile(depth=10)
            )
            node.create_subscription(ClockMsg, "/clock", self._on_clock, CLOCK)
            node.create_timer(PERIOD_S, self._acknowledge, clock=self._clock)

    @property
    def silent_s(self) -> float:
        """For how long nobody has told the time, of the host's time; 0 where it is real."""
        return time.monotonic() - self._heard_s if self.simulated else 0.0

    def leave(self) -> None:
        """Be waited for no more."""
        with self._speaking:
            self._left = True
            if self.simulated:
                self._word.stamp.sec = LAST_S
                self._acknowledgement.publish(self._word)

    def _on_clock(self, _: ClockMsg) -> None:
        self._heard_s = time.monotonic()

    def _acknowledge(self) -> None:
        now = self._clock.now()
        with self._speaking:
            if now.nanoseconds and not self._left:
                self._word.stamp = now.to_msg()
                self._acknowledgement.publish(self._word)
