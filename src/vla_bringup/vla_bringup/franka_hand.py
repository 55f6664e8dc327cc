# SPDX-License-Identifier: Apache-2.0
"""A Franka hand goes where its controller's reference comes to rest.

The hand takes no positions at a rate: it is told where to go, and goes. The controller of the
finger leads a mock, so that plans, gate and recordings know the gripper as any other; this node
brings what it is led to to the hand, through the action of franka_gripper.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from control_msgs.action import GripperCommand
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.task import Future

from node_kit import qos
from node_kit.declare import declare
from node_kit.parameters import ParameterError, parameter
from node_kit.run import run
from vla_contract.robot import RobotConfigError, load_robot


@dataclass(frozen=True)
class FrankaHandParameters:
    """All parameters are read once, at the start."""

    robot_file: str = parameter(
        "", "Robot file: the gripper's joint, range and controller.", required=True
    )
    action: str = parameter(
        "franka_gripper/gripper_action", "Action of franka_gripper that moves the hand."
    )
    force_n: float = parameter(20.0, "With which it closes.", "N", 1.0, 70.0)
    step_m: float = parameter(
        0.001, "A finger is sent anew where it is to go this much further.", "m", 0.0001, 0.01
    )


class RestingPlaces:
    """Where a reference comes to rest, each place once."""

    def __init__(self, step_m: float) -> None:
        """Begin without having heard anything; the first place is no command.

        Args:
            step_m: Places closer together than this are one, m.
        """
        self._step_m = step_m
        self._last: float | None = None
        self._told: float | None = None

    def hear(self, position: float) -> float | None:
        """Take in where the reference is, m; return it where the hand is to go there now."""
        rests, self._last = position == self._last, position
        if not rests:
            return None
        if self._told is None:
            # Where the controllers begin was nobody's wish.
            self._told = position
        if not abs(position - self._told) >= self._step_m:
            return None
        self._told = position
        return position


class FrankaHandNode(Node):
    """Sends the hand where the finger's controller leads.

    Raises:
        ParameterError: A parameter is missing or wrong.
        RobotConfigError: The robot file is.
    """

    def __init__(self) -> None:
        super().__init__("franka_hand")
        parameters = declare(self, FrankaHandParameters)
        self._gripper = load_robot(parameters.robot_file).gripper
        self._force_n, self._action = parameters.force_n, parameters.action
        self._places = RestingPlaces(parameters.step_m)
        self._hand = ActionClient(self, GripperCommand, parameters.action)
        state = f"{self._gripper.controller}/controller_state"
        self.create_subscription(
            JointTrajectoryControllerState, state, self._on_state, qos.ALL_SENSED
        )

    def _on_state(self, msg: JointTrajectoryControllerState) -> None:
        led = dict(zip(msg.joint_names, msg.reference.positions, strict=False))
        position = led.get(self._gripper.joint)
        # NaN is in no range.
        if position is None or not (
            self._gripper.position_lower <= position <= self._gripper.position_upper
        ):
            return
        place = self._places.hear(float(position))
        if place is None:
            return
        if not self._hand.server_is_ready():
            self.get_logger().error(
                f"the hand is not moved to {place:.4f} m: nobody offers "
                f"{self._action}; is franka_gripper there?"
            )
            return
        goal = GripperCommand.Goal()
        goal.command.position, goal.command.max_effort = place, self._force_n
        self._hand.send_goal_async(goal).add_done_callback(self._on_answer)

    def _on_answer(self, answer: Future) -> None:
        handle = answer.result()
        if handle is None or not handle.accepted:
            self.get_logger().error("the hand refused where it was to go")


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to end.

    Returns:
        0 after a shutdown, 2 when the configuration is wrong.
    """
    return run("franka_hand", FrankaHandNode, (ParameterError, RobotConfigError), args)


if __name__ == "__main__":
    sys.exit(main())
