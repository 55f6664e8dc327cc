# SPDX-License-Identifier: Apache-2.0
"""Sends what the core decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from node_kit import log, qos
from node_kit.log import LogLine
from node_kit.messages import trajectory_to
from smooth_motion.clocks import Now
from smoothness_monitor.core.types import Call, MonitorOutputs
from smoothness_monitor.guard import Guard
from vla_contract.robot import Robot

# So often what brings the arm to rest is made anew where this process was held up; then it goes.
_TRIES = 3


class Outgoing:
    """The publishers on the controllers' topics, the ladder's calls and the log.

    Attributes:
        publishers: Of the arm's and of the gripper's controller.
    """

    def __init__(
        self,
        node: Node,
        guard: Guard,
        robot: Robot,
        make_call: Callable[[Call], None],
        held_up: Callable[[MonitorOutputs, Now], MonitorOutputs | None],
        now: Callable[[], Now],
    ) -> None:
        """Create the publishers.

        Args:
            node: Whose they are.
            guard: Takes what goes wrong. Each thing is sent on its own: what one of them meets
                must not keep the next from going out.
            robot: Names the controllers.
            make_call: Carries out a call of the stop ladder.
            held_up: Says what to send in place of outputs that are late, None for themselves.
            now: Reads the clocks.
        """
        self._node = node
        self._arm, self._gripper = (
            node.create_publisher(JointTrajectory, f"{name}/joint_trajectory", qos.TRAJECTORY)
            for name in (robot.arm_controller, robot.gripper.controller)
        )
        self.publishers = (self._arm, self._gripper)
        self._make, self._publish = (
            guard.deciding(trajectory_to),
            guard.deciding(self._to_topic),
        )
        self._call, self._held_up = guard.deciding(make_call), guard.deciding(held_up)
        self._now = now
        self._sent = 0
        self._log = guard.telling(self._to_log)

    def send(self, outputs: MonitorOutputs) -> None:
        """Send everything: what stops the arm first, words last."""
        self._send_trajectories(outputs, _TRIES)
        self._send_rest(outputs)

    def _send_rest(self, outputs: MonitorOutputs) -> None:
        for call in outputs.calls:
            self._call(call)
        for line in outputs.log:
            self._log(line)

    def _send_trajectories(self, outputs: MonitorOutputs, tries: int) -> None:
        # A long message takes its time to make, so the clock is looked at after that.
        messages = [(self._arm, each) for each in map(self._make, outputs.arm)]
        messages += [(self._gripper, each) for each in map(self._make, outputs.gripper)]
        if messages and outputs.made_ns and tries:
            sent = self._sent
            others = self._held_up(outputs, self._now())
            if others is None and self._sent != sent:
                # That ended in an exception, for which the arm is being stopped. A plan of before
                # must not follow the brake: it would replace that.
                return
            if others is not None:
                self._send_trajectories(others, tries - 1)
                self._send_rest(others)
                return
        for publisher, message in messages:
            if message is not None:
                self._sent += 1
                self._publish(publisher, message)

    def _to_topic(self, publisher: Any, message: JointTrajectory) -> None:
        publisher.publish(message)

    def _to_log(self, line: LogLine) -> None:
        log.write(self._node.get_logger(), line)
