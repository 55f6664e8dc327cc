# SPDX-License-Identifier: Apache-2.0
"""A driver without servos, at the other end of ros2_control's topic-based hardware.

It does what a driver of position servos does: takes commands, reads joints in encoder ticks,
refuses what is not finite, holds on request. The joints follow their command with a lag, like
a hobby servo's.
"""

from __future__ import annotations

import math
import sys
import time

import numpy as np
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from node_kit import qos
from node_kit.run import run
from vla_contract.robot import RobotConfigError, load_robot

PERIOD_S = 0.01
LAG_S = 0.03


class TrialDriver(Node):
    """Joints that follow `joint_commands` and are read on `joint_states_raw`."""

    def __init__(self) -> None:
        """Begin at the robot file's home."""
        super().__init__("trial_driver")
        robot = load_robot(str(self.declare_parameter("robot_file", "").value))
        self._names = [*robot.limits.joint_names, robot.gripper.joint]
        self._tick = 2.0 * math.pi / robot.ticks_per_turn
        self._position = np.array([robot.home[name] for name in self._names])
        self._velocity = np.zeros_like(self._position)
        self._goal = self._position.copy()
        self._held = self._runs_away = False
        self._last_ns = time.monotonic_ns()
        self._publisher = self.create_publisher(JointState, "joint_states_raw", qos.EACH)
        # Read once a period, as a driver does, and not by an executor: commands may come at 1 kHz.
        # So it is that of a node that nobody spins.
        self._reader = rclpy.create_node("trial_driver_reader")
        self._commands = self._reader.create_subscription(
            JointState, "joint_commands", lambda msg: None, qos.NEWEST
        )
        self.create_timer(PERIOD_S, self.step, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.create_service(Trigger, "~/hold", self._on_hold)
        self.create_service(Trigger, "~/run_away", self._on_run_away)

    def _read_command(self) -> None:
        with self._commands.handle:
            taken = self._commands.handle.take_message(self._commands.msg_type, False)
        if not taken:
            return
        msg = taken[0]
        goal = dict(zip(msg.name, msg.position, strict=True))
        if all(math.isfinite(goal.get(name, math.nan)) for name in self._names):
            self._goal = np.array([goal[name] for name in self._names])

    def _on_hold(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Stand where the joints are, whatever is commanded, until the driver is restarted."""
        self._held = True
        response.success, response.message = True, "holding; torque stays on"
        return response

    def _on_run_away(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Go on at the present velocity, whatever is commanded: servos that do not listen."""
        self._runs_away = True
        response.success = True
        return response

    def step(self) -> None:
        """Do what is due once a period."""
        self._read_command()
        now_ns = time.monotonic_ns()
        dt_s, self._last_ns = max((now_ns - self._last_ns) * 1e-9, 1e-6), now_ns
        if self._held:
            self._velocity[:] = 0.0
        elif not self._runs_away:
            share = -math.expm1(-dt_s / LAG_S)
            self._velocity = (self._goal - self._position) * share / dt_s
        self._position = self._position + self._velocity * dt_s
        msg = JointState(name=self._names, velocity=self._velocity.tolist())
        msg.header.stamp = self.get_clock().now().to_msg()
        msg.position = (np.round(self._position / self._tick) * self._tick).tolist()
        self._publisher.publish(msg)


def main() -> int:
    """Run the driver."""
    return run("trial_driver", TrialDriver, (RobotConfigError,))


if __name__ == "__main__":
    sys.exit(main())
