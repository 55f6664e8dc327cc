# SPDX-License-Identifier: Apache-2.0
"""The clock of the motion: what a node measures durations with, and what its timers follow.

Where `use_sim_time` is set that is simulated time: it stands where the simulation stands. On a
robot it is the steady clock, which goes as ROS time does and cannot be set.
"""

from __future__ import annotations

import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rosgraph_msgs.msg import Clock as ClockMsg
from std_msgs.msg import Header

from smoothness_monitor import qos
from smoothness_monitor.core.types import Now

# Two clocks cannot be read at one moment; apart by more than this, they are read once more.
_TOGETHER_NS = 200_000
_READINGS = 3


class MotionClock:
    """Tells the time, and tells a simulation how far this node is.

    Attributes:
        simulated: The node follows `/clock`.
        timers: For the timers of everything that moves or watches the arm.
    """

    def __init__(self, node: Node) -> None:
        """Look up once whether time is simulated, and connect if it is."""
        self._name = node.get_fully_qualified_name()
        self._ros = node.get_clock()
        self.simulated = bool(node.get_parameter("use_sim_time").value)
        self.timers = self._ros if self.simulated else Clock(clock_type=ClockType.STEADY_TIME)
        self._heard_ns = time.monotonic_ns()
        if self.simulated:
            self._acknowledgement = node.create_publisher(
                Header, "clock_acknowledgement", qos.ACKNOWLEDGEMENT
            )
            node.create_subscription(ClockMsg, "/clock", self._on_clock, qos.CLOCK)

    def now(self) -> Now:
        """Read ROS time, and the clock that durations are measured with."""
        if self.simulated:
            simulated_ns = self._ros.now().nanoseconds
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
            now = self._ros.now()
            if now.nanoseconds:
                self._acknowledgement.publish(Header(stamp=now.to_msg(), frame_id=self._name))

    @property
    def silent_s(self) -> float:
        """For how long nobody has told the time, of the host's time; 0 on a robot."""
        return (time.monotonic_ns() - self._heard_ns) * 1e-9 if self.simulated else 0.0

    def _on_clock(self, _: ClockMsg) -> None:
        self._heard_ns = time.monotonic_ns()
