# SPDX-License-Identifier: Apache-2.0
"""The action server in front of a trajectory controller."""

from __future__ import annotations

import threading
from collections.abc import Callable

from control_msgs.action import FollowJointTrajectory
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from vla_sim import convert
from vla_sim.core.trajectory_controller import (
    CycleOutcome,
    GoalEnd,
    GoalStatus,
    TrajectoryController,
)

# In which results and feedback leave, as from the original, and how often that is looked at. The
# node that makes the time does not listen to it: it looks at the host's pace.
MONITOR_PERIOD_NS = 50_000_000
LOOK_S = 0.005


class TrajectoryActionServer:
    """Serves `follow_joint_trajectory` of one controller.

    Goals, results and feedback are handled in the executor's thread; `report` may be called in the
    thread of the control ticks.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        controller: TrajectoryController,
        lock: threading.Lock,
        now_ns: Callable[[], int],
    ) -> None:
        """Serve `<name>/follow_joint_trajectory`.

        Args:
            node: The node that serves.
            name: The controller's name.
            controller: The controller.
            lock: Held for every use of the controller.
            now_ns: Simulated time.
        """
        self._now_ns, self._delivered_ns = now_ns, 0
        self._node, self._controller, self._lock = node, controller, lock
        self._joint_names = controller.config.joint_names
        self._handles: dict[bytes, ServerGoalHandle] = {}
        self._ended: dict[bytes, GoalEnd] = {}
        self._newest: CycleOutcome | None = None
        self._server = ActionServer(
            node,
            FollowJointTrajectory,
            f"{name}/follow_joint_trajectory",
            execute_callback=self._finish,
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel,
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(LOOK_S, self._look, clock=steady)

    def report(self, cycle: CycleOutcome) -> None:
        """Take note of a control cycle."""
        if cycle.goal_id is not None:
            self._newest = cycle
        if cycle.ended is not None:
            self._note(cycle.ended)

    def _note(self, ended: GoalEnd) -> None:
        self._ended[_as_bytes(ended)] = ended

    def _on_goal(self, goal: FollowJointTrajectory.Goal) -> GoalResponse:
        rejection = self._controller.check(convert.to_trajectory(goal.trajectory), self._now_ns())
        if rejection is None:
            return GoalResponse.ACCEPT
        self._node.get_logger().error(f"goal rejected: its trajectory {rejection.detail}")
        return GoalResponse.REJECT

    def _on_accepted(self, handle: ServerGoalHandle) -> None:
        goal_id = bytes(handle.goal_id.uuid)
        self._handles[goal_id] = handle
        with self._lock:
            preempted = self._controller.accept(convert.to_goal(goal_id, handle.request))
        if preempted is not None:
            self._note(preempted)
            self._deliver()

    def _on_cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        with self._lock:
            ended = self._controller.cancel(bytes(handle.goal_id.uuid))
        if ended is not None:
            self._note(ended)
        return CancelResponse.ACCEPT

    def _look(self) -> None:
        if self._now_ns() - self._delivered_ns >= MONITOR_PERIOD_NS:
            self._delivered_ns = self._now_ns()
            self._deliver()

    def _deliver(self) -> None:
        for goal_id in list(self._ended):
            handle = self._handles.pop(goal_id, None)
            if handle is not None:
                # Only now: an execute callback that waits would keep rclpy's executor spinning.
                handle.execute()
        cycle, self._newest = self._newest, None
        if cycle is None:
            return
        handle = self._handles.get(cycle.goal_id)  # type: ignore[call-overload]
        if handle is not None:
            handle.publish_feedback(convert.from_feedback(self._joint_names, cycle.state))

    def _finish(self, handle: ServerGoalHandle) -> FollowJointTrajectory.Result:
        ended = self._ended.pop(bytes(handle.goal_id.uuid))
        finish: Callable[[], None] = {
            GoalStatus.SUCCEEDED: handle.succeed,
            GoalStatus.ABORTED: handle.abort,
            GoalStatus.CANCELED: handle.canceled,
        }[ended.status]
        finish()
        return FollowJointTrajectory.Result(
            error_code=int(ended.error_code), error_string=ended.message
        )


def _as_bytes(ended: GoalEnd) -> bytes:
    assert isinstance(ended.goal_id, bytes)
    return ended.goal_id
