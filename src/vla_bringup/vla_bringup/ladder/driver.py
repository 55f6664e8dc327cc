# SPDX-License-Identifier: Apache-2.0
"""A driver without servos, at the other end of ros2_control's topic-based hardware.

It does what a driver of position servos does: takes commands, reads joints in encoder ticks,
refuses what is not finite, holds on request. The joints follow their command with a lag, like
a hobby servo's.
"""

from __future__ import annotations

import math
import signal
import sys

import numpy as np
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from smooth_motion import load_robot

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
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._last_ns = self._steady.now().nanoseconds
        self._publisher = self.create_publisher(
            JointState, "joint_states_raw", QoSProfile(depth=10)
        )
        self.create_subscription(
            JointState, "joint_commands", self._on_command, QoSProfile(depth=1)
        )
        self.create_service(Trigger, "~/hold", self._on_hold)
        self.create_service(Trigger, "~/run_away", self._on_run_away)
        self.create_timer(PERIOD_S, self._on_period, clock=self._steady)

    def _on_command(self, msg: JointState) -> None:
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

    def _on_period(self) -> None:
        now_ns = self._steady.now().nanoseconds
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
    rclpy.init()
    try:
        rclpy.spin(TrialDriver())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        # Told to end within a callback, a node trips over what is gone.
        if rclpy.ok():
            raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
