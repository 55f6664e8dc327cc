# SPDX-License-Identifier: Apache-2.0
"""Sends what the core decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from smoothness_monitor import convert, qos
from smoothness_monitor.core.types import Call, Level, LogLine, Outputs, Trajectory
from smoothness_monitor.guard import Guard
from vla_contract.robot import Robot


class Outgoing:
    """The publishers on the controllers' topics, the ladder's calls and the log.

    Attributes:
        publishers: Of the arm's and of the gripper's controller.
    """

    def __init__(
        self, node: Node, guard: Guard, robot: Robot, make_call: Callable[[Call], None]
    ) -> None:
        """Create the publishers.

        Args:
            node: Whose they are.
            guard: Takes what goes wrong. Each thing is sent on its own: what one of them meets
                must not keep the next from going out.
            robot: Names the controllers.
            make_call: Carries out a call of the stop ladder.
        """
        self._node = node
        self._arm, self._gripper = (
            node.create_publisher(JointTrajectory, f"{name}/joint_trajectory", qos.TRAJECTORY)
            for name in (robot.arm_controller, robot.gripper.controller)
        )
        self.publishers = (self._arm, self._gripper)
        self._publish, self._call = guard.deciding(self._to_topic), guard.deciding(make_call)
        self._log = guard.telling(self._to_log)

    def send(self, outputs: Outputs) -> None:
        """Send everything: what stops the arm first, words last."""
        for trajectory in outputs.arm:
            self._publish(self._arm, trajectory)
        for trajectory in outputs.gripper:
            self._publish(self._gripper, trajectory)
        for call in outputs.calls:
            self._call(call)
        for line in outputs.log:
            self._log(line)

    def _to_topic(self, publisher: Any, trajectory: Trajectory) -> None:
        publisher.publish(convert.trajectory_to(trajectory))

    def _to_log(self, line: LogLine) -> None:
        # One call site a level, as rclpy demands.
        logger = self._node.get_logger()
        if line.level is Level.ERROR:
            logger.error(line.text)
        elif line.level is Level.WARN:
            logger.warning(line.text)
        else:
            logger.info(line.text)
