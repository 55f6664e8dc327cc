# SPDX-License-Identifier: Apache-2.0
"""Action servers."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any

from action_msgs.msg import GoalInfo, GoalStatus, GoalStatusArray
from action_msgs.srv import CancelGoal

from rclpy._entity import Entity
from rclpy._rclpy_pybind11 import RCLError
from rclpy.action._goal_handle import GoalEvent, ServerGoalHandle
from rclpy.callback_groups import CallbackGroup
from rclpy.executors import await_or_execute
from rclpy.qos import (
    QoSProfile,
    qos_profile_action_status_default,
    qos_profile_default,
    qos_profile_services_default,
)
from rclpy.service import RequestHeader, Service
from rclpy.waitable import Waitable

if TYPE_CHECKING:
    from rclpy.node import Node

_ZERO_ID = bytes(16)


class GoalResponse(Enum):
    """Whether a goal is taken on."""

    REJECT = 1
    ACCEPT = 2


class CancelResponse(Enum):
    """Whether a cancellation is taken on."""

    REJECT = 1
    ACCEPT = 2


def default_handle_accepted_callback(goal_handle: ServerGoalHandle) -> None:
    """Execute the goal."""
    goal_handle.execute()


def default_goal_callback(goal_request: Any) -> GoalResponse:
    """Accept the goal."""
    return GoalResponse.ACCEPT


def default_cancel_callback(cancel_request: Any) -> CancelResponse:
    """Reject the cancellation."""
    return CancelResponse.REJECT


class _ManualService(Service):
    """A service whose callback gets the request's header and answers when it likes."""

    def _answer(self, request: Any, header: RequestHeader) -> Any:
        return self.callback(request, header)


class ActionServer(Waitable):
    """Serves an action.

    Args:
        node: The node.
        action_type: The class of the action.
        action_name: Its name.
        execute_callback: Takes a `ServerGoalHandle` and returns the result; it runs as a task
            of the node's executor, outside of the callback group.
        callback_group: The group of the other callbacks.
        goal_callback: Takes a goal message and returns a `GoalResponse`.
        handle_accepted_callback: Takes the handle of a goal just accepted; executes it unless
            told otherwise.
        cancel_callback: Takes a goal's handle and returns a `CancelResponse`.
        goal_service_qos_profile, result_service_qos_profile, cancel_service_qos_profile,
        feedback_pub_qos_profile, status_pub_qos_profile: Qualities of service.
        result_timeout: Seconds for which a result is kept after the goal has ended.
    """

    def __init__(
        self,
        node: Node,
        action_type: Any,
        action_name: str,
        execute_callback: Callable[[ServerGoalHandle], Any],
        *,
        callback_group: CallbackGroup | None = None,
        goal_callback: Callable[[Any], Any] = default_goal_callback,
        handle_accepted_callback: Callable[
            [ServerGoalHandle], Any
        ] = default_handle_accepted_callback,
        cancel_callback: Callable[[Any], Any] = default_cancel_callback,
        goal_service_qos_profile: QoSProfile = qos_profile_services_default,
        result_service_qos_profile: QoSProfile = qos_profile_services_default,
        cancel_service_qos_profile: QoSProfile = qos_profile_services_default,
        feedback_pub_qos_profile: QoSProfile = qos_profile_default,
        status_pub_qos_profile: QoSProfile = qos_profile_action_status_default,
        result_timeout: float = 900,
    ) -> None:
        group = node.default_callback_group if callback_group is None else callback_group
        super().__init__(group)
        self.register_handle_accepted_callback(handle_accepted_callback)
        self.register_goal_callback(goal_callback)
        self.register_cancel_callback(cancel_callback)
        self.register_execute_callback(execute_callback)
        self._node = node
        self._action_type = action_type
        self._result_timeout_s = result_timeout
        self._lock = threading.RLock()
        self._goals: dict[bytes, ServerGoalHandle] = {}
        self._logger = node.get_logger().get_child("action_server")
        # The services last: with them the server is complete for whoever waits for it.
        self._feedback_publisher = node.create_publisher(
            action_type.Impl.FeedbackMessage,
            f"{action_name}/_action/feedback",
            feedback_pub_qos_profile,
        )
        self._status_publisher = node.create_publisher(
            GoalStatusArray, f"{action_name}/_action/status", status_pub_qos_profile
        )
        self._services: list[Service] = []
        for service_type, name, callback, profile in (
            (CancelGoal, "cancel_goal", self._on_cancel, cancel_service_qos_profile),
            (
                action_type.Impl.GetResultService,
                "get_result",
                self._on_get_result,
                result_service_qos_profile,
            ),
            (
                action_type.Impl.SendGoalService,
                "send_goal",
                self._on_send_goal,
                goal_service_qos_profile,
            ),
        ):
            service_name = f"{action_name}/_action/{name}"
            self._services.append(
                _ManualService(
                    node._token,
                    service_type,
                    service_name,
                    node.resolve_service_name(service_name),
                    callback,
                    group,
                    profile,
                )
            )
        node.add_waitable(self)
        for service in self._services:
            service._open()

    @property
    def action_type(self) -> Any:
        """The class of the action."""
        return self._action_type

    def _entities(self) -> Iterable[Entity]:
        return self._services

    # --- requests ---

    async def _on_send_goal(self, request: Any, header: RequestHeader) -> None:
        identity = request.goal_id.uuid.tobytes()
        self._forget_old_goals()
        accepted = False
        if identity not in self._goals:
            response = await await_or_execute(self._goal_callback, request.goal)
            if isinstance(response, GoalResponse):
                accepted = response is GoalResponse.ACCEPT
            else:
                self._logger.warning(
                    "Goal request callback did not return a GoalResponse type. Rejecting goal."
                )
        info = GoalInfo(goal_id=request.goal_id)
        if accepted:
            info.stamp = self._node.get_clock().now().to_msg()
            goal_handle = ServerGoalHandle(self, info, request.goal)
            with self._lock:
                self._goals[identity] = goal_handle
        self._services[2].send_response(
            self._action_type.Impl.SendGoalService.Response(accepted=accepted, stamp=info.stamp),
            header,
        )
        if accepted:
            await await_or_execute(self._handle_accepted_callback, goal_handle)

    async def _on_cancel(self, request: Any, header: RequestHeader) -> None:
        response = CancelGoal.Response()
        identity = request.goal_info.goal_id.uuid.tobytes()
        named = self._goals.get(identity)
        if identity != _ZERO_ID and named is None:
            response.return_code = CancelGoal.Response.ERROR_UNKNOWN_GOAL_ID
        elif named is not None and not named.is_active:
            response.return_code = CancelGoal.Response.ERROR_GOAL_TERMINATED
        else:
            for goal_handle in self._goals_to_cancel(identity, request.goal_info.stamp):
                if not await self._cancel(goal_handle):
                    continue
                response.goals_canceling.append(goal_handle._goal_info)
        self._services[0].send_response(response, header)

    def _goals_to_cancel(self, identity: bytes, stamp: Any) -> list[ServerGoalHandle]:
        """Return the active goals that a request means: by name, by age, or all."""
        limit = (stamp.sec, stamp.nanosec)
        with self._lock:
            active = {key: goal for key, goal in self._goals.items() if goal.is_active}
        return [
            goal
            for key, goal in active.items()
            if key == identity
            or (identity == _ZERO_ID and limit == (0, 0))
            or (
                limit != (0, 0)
                and (goal._goal_info.stamp.sec, goal._goal_info.stamp.nanosec) <= limit
            )
        ]

    async def _cancel(self, goal_handle: ServerGoalHandle) -> bool:
        response = await await_or_execute(self._cancel_callback, goal_handle)
        if response is not CancelResponse.ACCEPT:
            return False
        try:
            goal_handle._update_state(GoalEvent.CANCEL_GOAL)
        except RCLError:
            return False  # it has ended meanwhile
        return True

    def _on_get_result(self, request: Any, header: RequestHeader) -> None:
        goal_handle = self._goals.get(request.goal_id.uuid.tobytes())
        service = self._services[1]
        if goal_handle is None:
            unknown = self._action_type.Impl.GetResultService.Response(
                status=GoalStatus.STATUS_UNKNOWN
            )
            service.send_response(unknown, header)
            return
        result = goal_handle._result
        result._call_when_finished(lambda: service.send_response(result.result(), header))

    # --- execution ---

    def notify_execute(
        self,
        goal_handle: ServerGoalHandle,
        execute_callback: Callable[[ServerGoalHandle], Any] | None,
    ) -> None:
        """Schedule the execution of a goal."""
        executor = self._node.executor
        if executor is None:
            raise RuntimeError("a goal cannot be executed: its node is in no executor")
        executor.create_task(
            self._execute_goal, execute_callback or self._execute_callback, goal_handle
        )

    async def _execute_goal(
        self, execute_callback: Callable[[ServerGoalHandle], Any], goal_handle: ServerGoalHandle
    ) -> None:
        try:
            result = await await_or_execute(execute_callback, goal_handle)
        except Exception as error:
            # The client must get an answer whatever happens.
            result = self._action_type.Result()
            self._logger.error(f"Error raised in execute callback: {error}")
            traceback.print_exc()
        if goal_handle.is_active:
            self._logger.warning(
                "Goal state not set, assuming aborted. "
                f"Goal ID: {goal_handle.goal_id.uuid.tobytes().hex()}"
            )
            goal_handle.abort()
        if result is None:
            result = self._action_type.Result()
        goal_handle._result.set_result(
            self._action_type.Impl.GetResultService.Response(
                status=goal_handle.status, result=result
            )
        )

    def _publish_status(self) -> None:
        if not self._node.context.ok() or self._status_publisher._destroyed:
            return
        with self._lock:
            goals = list(self._goals.values())
        self._status_publisher.publish(
            GoalStatusArray(
                status_list=[
                    GoalStatus(goal_info=goal._goal_info, status=goal.status) for goal in goals
                ]
            )
        )

    def _publish_feedback(self, message: Any) -> None:
        if self._node.context.ok() and not self._feedback_publisher._destroyed:
            self._feedback_publisher.publish(message)

    def _forget_old_goals(self) -> None:
        limit = time.monotonic() - self._result_timeout_s
        with self._lock:
            for identity, goal in list(self._goals.items()):
                if goal._ended_at is not None and goal._ended_at < limit:
                    del self._goals[identity]

    # --- callbacks ---

    def register_handle_accepted_callback(
        self, handle_accepted_callback: Callable[[ServerGoalHandle], Any] | None
    ) -> None:
        """Set the callback for goals just accepted; None for the default."""
        self._handle_accepted_callback = (
            handle_accepted_callback or default_handle_accepted_callback
        )

    def register_goal_callback(self, goal_callback: Callable[[Any], Any] | None) -> None:
        """Set the callback that accepts or rejects goals; None for the default."""
        self._goal_callback = goal_callback or default_goal_callback

    def register_cancel_callback(self, cancel_callback: Callable[[Any], Any] | None) -> None:
        """Set the callback that accepts or rejects cancellations; None for the default."""
        self._cancel_callback = cancel_callback or default_cancel_callback

    def register_execute_callback(
        self, execute_callback: Callable[[ServerGoalHandle], Any]
    ) -> None:
        """Set the callback that executes goals.

        Raises:
            TypeError: If it cannot be called.
        """
        if not callable(execute_callback):
            raise TypeError("Failed to register goal execution callback: not callable")
        self._execute_callback = execute_callback

    def destroy(self) -> None:
        """Withdraw the server."""
        super().destroy()
        if self in self._node._waitables:
            self._node.remove_waitable(self)
        self._node.destroy_publisher(self._feedback_publisher)
        self._node.destroy_publisher(self._status_publisher)
