# SPDX-License-Identifier: Apache-2.0
"""Sees that a plugin shows the joints where they were read, before a controller is activated.

Ends with 0 where it does, else with one line and 2.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from rclpy.node import Node
from sensor_msgs.msg import JointState

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.declare import declare
from node_kit.parameters import ParameterError, parameter
from node_kit.run import run
from so100_driver.connection import DriverError
from so100_driver.feetech_plugin import disagreement


@dataclass(frozen=True)
class CheckParameters:
    """All parameters are read once, at the start."""

    pose: str = parameter("", "Where each joint was read: `name=rad`, by commas.", required=True)
    timeout_s: float = parameter(30.0, "How long joint_states is waited for.", "s", 1.0, 600.0)


class FeetechCheck(Node):
    """Hears `joint_states` once.

    Raises:
        ParameterError: A parameter is missing or wrong.
        DriverError: Later, where the plugin shows a joint elsewhere, or nothing.
    """

    def __init__(self) -> None:
        super().__init__("feetech_check")
        given = declare(self, CheckParameters)
        try:
            pairs = (word.split("=") for word in given.pose.split(","))
            self._expected = {name: float(angle) for name, angle in pairs}
        except ValueError:
            raise ParameterError(f"pose: {given.pose!r}; write name=rad,name=rad") from None
        self._timeout_s = given.timeout_s
        self._motion = MotionClock(self)
        self._began_ns = self._motion.elapsed_ns()
        self.create_subscription(JointState, "joint_states", self._on_states, qos.SENSED)
        self.create_timer(0.2, self._on_time, clock=self._motion.timers)

    def _on_states(self, msg: JointState) -> None:
        self._end(disagreement(self._expected, dict(zip(msg.name, msg.position, strict=False))))

    def _on_time(self) -> None:
        if self._motion.elapsed_ns() - self._began_ns > self._timeout_s * 1e9:
            self._end(f"nothing on {self.resolve_topic_name('joint_states')}")

    def _end(self, problem: str) -> None:
        if problem:
            raise DriverError(f"{problem}; no controller is activated")
        self.get_logger().info("the plugin shows every joint where it was read")
        self.context.shutdown()


def main(args: list[str] | None = None) -> int:
    """Run the node until it knows.

    Returns:
        0 where the plugin's zeros are right, 2 where not.
    """
    return run("feetech_check", FeetechCheck, (ParameterError, DriverError), args)


if __name__ == "__main__":
    sys.exit(main())
