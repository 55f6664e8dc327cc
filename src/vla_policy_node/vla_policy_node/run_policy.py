# SPDX-License-Identifier: Apache-2.0
"""The action `~/run_policy`: goals in, feedback and the reason for the end out."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from rclpy.task import Future
from vla_msgs.action import RunPolicy

from vla_policy_node import convert
from vla_policy_node.core.outputs import Status
from vla_policy_node.core.policy_runner import PolicyRunner
from vla_policy_node.core.session import Ended, Termination, goal_problem


class RunPolicyServer:
    """Begins a run for each goal and hands its end to the client. A newer run preempts."""

    def __init__(self, node: Node, runner: PolicyRunner, motion_ns: Callable[[], int]) -> None:
        """Offer the action.

        Args:
            node: Whose action it is.
            runner: Carries the instructions out.
            motion_ns: The clock of the motion.
        """
        self._motion_ns = motion_ns
        self._runner = runner
        self._log = node.get_logger()
        self._goals: dict[int, tuple[ServerGoalHandle, Future]] = {}
        self._server = ActionServer(
            node,
            RunPolicy,
            "~/run_policy",
            execute_callback=self._execute,
            goal_callback=self._on_goal,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def cancel_where_asked(self) -> None:
        """End the run whose client has asked for that."""
        if any(handle.is_cancel_requested for handle, _ in self._goals.values()):
            self._runner.cancel("the client asked to stop", self._motion_ns())

    def ended(self, ended: Ended) -> None:
        """Hand the end of a run to its client, if it has one."""
        if ended.run_id in self._goals:
            _, future = self._goals.pop(ended.run_id)
            future.set_result(ended)

    def feed_back(self, status: Status) -> None:
        """Tell the client how the run goes."""
        for handle, _ in self._goals.values():
            handle.publish_feedback(convert.from_progress(status))

    def _on_goal(self, goal: RunPolicy.Goal) -> GoalResponse:
        problem = goal_problem(goal.instruction, goal.max_duration)
        if problem:
            self._log.error(f"goal rejected: {problem}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    async def _execute(self, handle: ServerGoalHandle) -> RunPolicy.Result:
        goal, future = handle.request, Future()
        run_id = self._runner.begin(goal.instruction, goal.max_duration, self._motion_ns())
        self._goals[run_id] = (handle, future)
        ended: Ended = await future
        if ended.termination is Termination.DONE:
            handle.succeed()
        elif handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return convert.from_ended(ended)
