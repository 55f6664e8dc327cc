# SPDX-License-Identifier: Apache-2.0
"""The node: parameters, messages in, messages out. What it decides is decided in `core`."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path

from control_msgs.msg import JointTrajectoryControllerState
from rclpy.node import Node
from rclpy.task import Future
from vla_msgs.msg import ActionChunk, ExecutorStatus, MonitorStatus
from vla_msgs.srv import AcquireArm, ReleaseArm

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.declare import declare
from node_kit.parameters import ParameterError
from node_kit.run import run
from vla_contract.robot import RobotConfigError, load_robot
from vla_contract.workspace import FILE as WORKSPACE_FILE
from vla_contract.workspace import WorkspaceError, load_workspace
from vla_moveit import convert
from vla_moveit.core.arm_view import ArmView
from vla_moveit.core.goal import GoalError, NamedPoses, resolve
from vla_moveit.core.home_wish import HomeWish
from vla_moveit.core.move import SOURCE, Move
from vla_moveit.core.moveit_model import ModelError
from vla_moveit.core.outcome import MoveEnd, MoveSettings, MoveStep, StampedRows
from vla_moveit.core.planning import PathPlanner
from vla_moveit.core.straight import StraightPlanner
from vla_moveit.move_server import MoveServer
from vla_moveit.moveit_planner import PlannerError
from vla_moveit.moveit_setup import start_moveit
from vla_moveit.params import MotionPlannerParameters

NAME = SOURCE
TICK_S, FEEDBACK_S = 0.01, 0.1


class MotionPlannerNode(Node):
    """Moves the arm to a pose along a path that was planned.

    Raises:
        ParameterError: A parameter is missing or wrong.
        RobotConfigError: The robot file is.
        WorkspaceError: The workspace file is.
        GoalError: The file of named poses is.
        ModelError: The description is.
        PlannerError: MoveIt is not installed.
    """

    def __init__(self) -> None:
        super().__init__(NAME)
        given = declare(self, MotionPlannerParameters)
        self._robot = load_robot(given.robot_file)
        self._joints = self._robot.limits.joint_names
        self._poses = NamedPoses.of(self._robot, given.robot_file)
        self._settings = MoveSettings(given.speed, given.path_deviation_rad, given.planning_time_s)
        self._planner = self._make_planner(given)
        self._motion, self._arm = MotionClock(self), ArmView()
        self._move: Move | None = None
        self._begun_ns, self._lease, self._count = 0, 0, 0
        self._chunks = self.create_publisher(ActionChunk, "arm/action_chunk", qos.EACH)
        self._acquire = self.create_client(AcquireArm, "arm/acquire")
        self._release = self.create_client(ReleaseArm, "arm/release")
        self._hear()
        self._wish = HomeWish()
        if given.home_when_done:
            self.create_subscription(
                ActionChunk, "vla_policy_node/action_chunk", self._on_policy, qos.EACH
            )
        self._server = MoveServer(self, self._joints, self._wish.busy)
        self.create_timer(TICK_S, self._tick, clock=self._motion.timers)
        self.create_timer(FEEDBACK_S, self._feed_back, clock=self._motion.timers)
        known = ", ".join(self._poses.positions)
        self.get_logger().info(f"plans by `{given.planner}`; named poses: {known}")

    def destroy_node(self) -> None:
        """Let the arm come to rest, and end the planner."""
        if self._move is not None and self._lease:
            # Nothing after this: without a usable chunk the arm is soon nobody's.
            self._move.cancel(MoveEnd.SHUT_DOWN, "the node was told to end")
            self._do(self._move, self._move.step(self._motion.now(), self._host_ns(), self._arm))
        self._planner.close()
        super().destroy_node()

    # -- set-up -----------------------------------------------------------------------------------

    def _make_planner(self, given: MotionPlannerParameters) -> PathPlanner:
        beside = Path(given.robot_file).with_name(WORKSPACE_FILE)
        file = Path(given.workspace_file) if given.workspace_file else beside
        if not file.is_file():
            raise WorkspaceError(
                f"{file}: there is no such file, and without it nobody knows what is in the way; "
                "give workspace_file"
            )
        workspace = load_workspace(file, self._joints)
        if given.planner == "moveit":
            return start_moveit(self, given, self._robot, workspace, self._poses)
        return StraightPlanner(workspace)

    def _hear(self) -> None:
        subscribe, view = self.create_subscription, self._arm
        state = f"{self._robot.arm_controller}/controller_state"
        subscribe(JointTrajectoryControllerState, state, self._on_arm, qos.SENSED)
        executor, monitor = "arm/executor_status", "smoothness_monitor/state"
        subscribe(ExecutorStatus, executor, partial(convert.take_executor, view), qos.LATCHED)
        subscribe(MonitorStatus, monitor, partial(convert.take_monitor, view), qos.LATCHED)

    # -- what arrives -----------------------------------------------------------------------------

    def _on_arm(self, msg: JointTrajectoryControllerState) -> None:
        led = convert.to_led(msg, self._joints)
        if led is not None:
            self._arm.lead(led, self._motion.elapsed_ns())

    def _on_policy(self, msg: ActionChunk) -> None:
        self._wish.hear(msg.done, self._motion.elapsed_ns())

    def _on_granted(self, move: Move, future: Future) -> None:
        answer = None if future.exception() else future.result()
        if answer is None:
            return
        lease = int(answer.lease) if answer.granted else 0
        if move is self._move:
            self._lease = lease
        self._do(move, move.granted(lease, answer.message, answer.holder, self._motion.now()))

    # -- what is due ------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._motion.now()
        request = self._server.begun() or self._wish.due(now.steady_ns, self._arm)
        if request is not None:
            goal = partial(resolve, request, self._robot, self._poses)
            self._begun_ns, self._lease = now.steady_ns, 0
            self._move = Move(
                request, goal, self._robot.limits, self._planner, self._settings, now
            )
        if self._move is not None:
            if self._server.cancelled:
                self._move.cancel(MoveEnd.CANCELED, "the client asked to stop")
            self._do(self._move, self._move.step(now, self._host_ns(), self._arm))
        self._motion.acknowledge()

    def _do(self, move: Move, step: MoveStep) -> None:
        """Do what a move says, also one that is over."""
        if step.ask:
            source, take_over = SOURCE, move.request.take_over
            request = AcquireArm.Request(source=source, take_over=take_over)
            answer = self._acquire.call_async(request)
            answer.add_done_callback(partial(self._on_granted, move))
        if step.rows is not None:
            self._send(step.rows)
        if step.release:
            self._release.call_async(ReleaseArm.Request(lease=step.release))
        if step.result is not None and move is self._move:
            self._move, self._lease = None, 0
            if self._wish.ended():
                end = step.result
                self.get_logger().info(f"home after the policy: {end.reason.name}, {end.message}")
            else:
                self._server.ended(step.result)

    def _send(self, rows: StampedRows) -> None:
        self._count += 1
        self._chunks.publish(
            convert.to_message(rows, SOURCE, self._lease, self._count, self._joints)
        )

    def _feed_back(self) -> None:
        if self._move is not None:
            elapsed_s = (self._motion.elapsed_ns() - self._begun_ns) / convert.SECOND_NS
            self._server.feed_back(convert.to_feedback(self._move, elapsed_s))

    @staticmethod
    def _host_ns() -> int:
        return time.monotonic_ns()


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to end.

    Returns:
        0 after a shutdown, 2 when its configuration cannot be used.
    """
    errors = (RobotConfigError, WorkspaceError, GoalError, ModelError, PlannerError)
    return run(NAME, MotionPlannerNode, (ParameterError, *errors), args)


if __name__ == "__main__":
    sys.exit(main())
