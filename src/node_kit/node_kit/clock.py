# SPDX-License-Identifier: Apache-2.0
"""The clock of the motion: what a node measures durations with, and what its timers follow.

Where `use_sim_time` is set that is simulated time: it stands where the simulation stands. On a
robot it is the steady clock, which goes as ROS time does and cannot be set.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rosgraph_msgs.msg import Clock as ClockMsg
from std_msgs.msg import Header

from node_kit import qos
from node_kit.messages import to_ns, to_time
from node_kit.simulated_time import SimulatedTime
from smooth_motion.clocks import Now

# Two clocks cannot be read at one moment; apart by more than this, they are read once more.
_TOGETHER_NS = 200_000
_READINGS = 3
# How often a simulation that waits is told that it does not wait in vain.
_HOLD_NS = 200_000_000
# The latest second that a stamp can hold: everything up to there is dealt with.
_LAST_S = 2**31 - 1


def spare_from_impossible_times(node: Node) -> None:
    """Keep a node's clock from messages on `/clock` that rclpy raises on, which end the node."""
    name = node.resolve_topic_name("/clock")
    for subscription in node.subscriptions:
        if subscription.topic_name == name:
            subscription.callback = _only_times(subscription.callback)


def _only_times(callback: Callable[[ClockMsg], None]) -> Callable[[ClockMsg], None]:
    def on_clock(msg: ClockMsg) -> None:
        if msg.clock.sec >= 0:
            callback(msg)

    return on_clock


class MotionClock:
    """Tells the time, and tells a simulation how far this node is.

    Attributes:
        simulated: The node follows `/clock`.
        topic: Name of that topic here, empty where time is real.
        timers: For the timers of everything that moves or watches the arm.
    """

    def __init__(self, node: Node, on_doubt: Callable[[str], None] | None = None) -> None:
        """Look up once whether time is simulated, and connect if it is.

        Args:
            node: The node.
            on_doubt: Is called with what is wrong with a message on `/clock`.
        """
        self._ros = node.get_clock()
        self.simulated = bool(node.get_parameter("use_sim_time").value)
        self.timers = self._ros if self.simulated else Clock(clock_type=ClockType.STEADY_TIME)
        self._heard_ns = time.monotonic_ns()
        self._simulation, self._on_doubt = SimulatedTime(), on_doubt
        self._told, self._told_ns = Header(frame_id=node.get_fully_qualified_name()), 0
        self._doubted = False
        # Whether everything was dealt with at its newest word; not every node speaks.
        self._ready = False
        self._speaking, self._left = threading.Lock(), False
        self.topic = ""
        if self.simulated:
            self._acknowledgement = node.create_publisher(
                Header, "clock_acknowledgement", qos.EACH
            )
            heard = node.create_subscription(ClockMsg, "/clock", self._on_clock, qos.CLOCK_HEARD)
            self.topic = heard.topic_name

    def now(self) -> Now:
        """Read ROS time, and the clock that durations are measured with."""
        if self.simulated:
            simulated_ns = self._simulated_ns()
            return Now(simulated_ns, simulated_ns)
        best_ns = -1
        for _ in range(_READINGS):
            before_ns = time.monotonic_ns()
            ros_ns = self._ros.now().nanoseconds
            took_ns = time.monotonic_ns() - before_ns
            if best_ns < 0 or took_ns < best_ns:
                best_ns, now = took_ns, Now(ros_ns, before_ns)
            if took_ns <= _TOGETHER_NS:
                break
        return now

    def acknowledge(self) -> None:
        """Tell a simulation that everything up to now is dealt with."""
        if self.simulated:
            now_ns, self._ready = self._simulated_ns(), True
            with self._speaking:
                if now_ns and not self._left:
                    self._told.stamp, self._told_ns = to_time(now_ns), time.monotonic_ns()
                    self._acknowledgement.publish(self._told)

    def leave(self) -> None:
        """Be waited for no more, from now on, whatever this node still does; in any thread."""
        with self._speaking:
            self._left = True
            if self.simulated:
                self._told.stamp.sec = _LAST_S
                self._acknowledgement.publish(self._told)

    def hold(self) -> None:
        """Keep a simulation from going on, and tell it now and then that this node is at work."""
        self._ready = False
        steady_ns = time.monotonic_ns()
        if self._told.stamp.sec and steady_ns - self._told_ns >= _HOLD_NS:
            self._told_ns = steady_ns
            self._acknowledgement.publish(self._told)

    def elapsed_ns(self) -> int:
        """Return the clock that durations are measured with, ns."""
        return self._simulated_ns() if self.simulated else time.monotonic_ns()

    @property
    def silent_s(self) -> float:
        """For how long nobody has told the time, of the host's time; 0 on a robot."""
        return (time.monotonic_ns() - self._heard_ns) * 1e-9 if self.simulated else 0.0

    def _simulated_ns(self) -> int:
        return self._simulation.look(int(self._ros.now().nanoseconds), time.monotonic_ns())

    def _on_clock(self, msg: ClockMsg) -> None:
        self._heard_ns = time.monotonic_ns()
        doubt = self._simulation.hear(to_ns(msg.clock), self._heard_ns)
        if self._doubted and not doubt and self._ready:
            # A timer that was called at the other time waits for a whole period from now on, which
            # may be for longer than a simulation goes on without this word.
            self.acknowledge()
        self._doubted = bool(doubt)
        if doubt and self._on_doubt is not None:
            self._on_doubt(doubt)
