# SPDX-License-Identifier: Apache-2.0
"""Action clients."""

from __future__ import annotations

import threading
import uuid
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from action_msgs.msg import GoalStatus, GoalStatusArray
from action_msgs.srv import CancelGoal
from unique_identifier_msgs.msg import UUID

from embedded_ros2.wire import tokens
from rclpy._entity import Entity
from rclpy.callback_groups import CallbackGroup
from rclpy.client import Client
from rclpy.qos import (
    QoSProfile,
    qos_profile_action_status_default,
    qos_profile_default,
    qos_profile_services_default,
)
from rclpy.subscription import Subscription
from rclpy.task import Future
from rclpy.waitable import Waitable

if TYPE_CHECKING:
    from rclpy.node import Node

_ENDED = (
    GoalStatus.STATUS_SUCCEEDED,
    GoalStatus.STATUS_CANCELED,
    GoalStatus.STATUS_ABORTED,
)


class ClientGoalHandle:
    """A goal that was sent, accepted or not."""

    def __init__(self, action_client: ActionClient, goal_id: UUID, goal_response: Any) -> None:
        self._action_client = action_client
        self._goal_id = goal_id
        self._goal_response = goal_response
        self._status = GoalStatus.STATUS_UNKNOWN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientGoalHandle) and self._goal_id == other._goal_id

    __hash__ = None  # type: ignore[assignment]  # as in rclpy

    def __repr__(self) -> str:
        return (
            f"ClientGoalHandle <id={self.goal_id.uuid}, accepted={self.accepted}, "
            f"status={self.status}>"
        )

    @property
    def goal_id(self) -> UUID:
        """The goal's UUID message."""
        return self._goal_id

    @property
    def stamp(self) -> Any:
        """When the goal was accepted."""
        return self._goal_response.stamp

    @property
    def accepted(self) -> bool:
        """Whether the goal was accepted."""
        return self._goal_response.accepted  # type: ignore[no-any-return]

    @property
    def status(self) -> int:
        """The last status heard of, one of action_msgs/GoalStatus."""
        return self._status  # type: ignore[no-any-return]

    def cancel_goal(self) -> Any:
        """Ask for cancellation and wait for the response; another thread must spin."""
        return _wait(self.cancel_goal_async())

    def cancel_goal_async(self) -> Future:
        """Ask for cancellation; return the future of the response."""
        return self._action_client._cancel_goal_async(self)

    def get_result(self) -> Any:
        """Wait for the result; another thread must spin."""
        return _wait(self.get_result_async())

    def get_result_async(self) -> Future:
        """Return the future of the result, which has `status` and `result`."""
        return self._action_client._get_result_async(self)


def _wait(future: Future) -> Any:
    event = threading.Event()
    future._call_when_finished(event.set)
    event.wait()
    return future.result()


class ActionClient(Waitable):
    """Sends goals to an action server.

    Args:
        node: The node.
        action_type: The class of the action.
        action_name: Its name.
        callback_group: The group of the callbacks.
        goal_service_qos_profile, result_service_qos_profile, cancel_service_qos_profile,
        feedback_sub_qos_profile, status_sub_qos_profile: Qualities of service.
    """

    def __init__(
        self,
        node: Node,
        action_type: Any,
        action_name: str,
        *,
        callback_group: CallbackGroup | None = None,
        goal_service_qos_profile: QoSProfile = qos_profile_services_default,
        result_service_qos_profile: QoSProfile = qos_profile_services_default,
        cancel_service_qos_profile: QoSProfile = qos_profile_services_default,
        feedback_sub_qos_profile: QoSProfile = qos_profile_default,
        status_sub_qos_profile: QoSProfile = qos_profile_action_status_default,
    ) -> None:
        group = node.default_callback_group if callback_group is None else callback_group
        super().__init__(group)
        self._node = node
        self._action_type = action_type
        self._action_name = action_name
        self._lock = threading.RLock()
        self._goal_handles: dict[bytes, weakref.ref[ClientGoalHandle]] = {}
        self._feedback_callbacks: dict[bytes, Callable[[Any], Any]] = {}
        prefix = f"{action_name}/_action"

        def client(service_type: Any, name: str, profile: QoSProfile) -> Client:
            service_name = f"{prefix}/{name}"
            return Client(
                node._token,
                node.context,
                service_type,
                service_name,
                node.resolve_service_name(service_name),
                profile,
                group,
            )

        def subscription(
            message_type: Any, name: str, callback: Any, profile: QoSProfile
        ) -> Subscription:
            topic = f"{prefix}/{name}"
            full_name = node.resolve_topic_name(topic)
            return Subscription(
                node._token, message_type, topic, full_name, callback, group, profile, False
            )

        implementation = action_type.Impl
        self._goal_client = client(
            implementation.SendGoalService, "send_goal", goal_service_qos_profile
        )
        self._result_client = client(
            implementation.GetResultService, "get_result", result_service_qos_profile
        )
        self._cancel_client = client(CancelGoal, "cancel_goal", cancel_service_qos_profile)
        self._feedback_subscription = subscription(
            implementation.FeedbackMessage, "feedback", self._on_feedback, feedback_sub_qos_profile
        )
        self._status_subscription = subscription(
            GoalStatusArray, "status", self._on_status, status_sub_qos_profile
        )
        node.add_waitable(self)
        for entity in self._entities():
            entity._open()  # type: ignore[attr-defined]

    def _entities(self) -> Iterable[Entity]:
        return (
            self._goal_client,
            self._result_client,
            self._cancel_client,
            self._feedback_subscription,
            self._status_subscription,
        )

    # --- what arrives ---

    def _on_feedback(self, message: Any) -> Any:
        callback = self._feedback_callbacks.get(message.goal_id.uuid.tobytes())
        return None if callback is None else callback(message)

    def _on_status(self, message: GoalStatusArray) -> None:
        with self._lock:
            for item in message.status_list:
                identity = item.goal_info.goal_id.uuid.tobytes()
                reference = self._goal_handles.get(identity)
                goal_handle = None if reference is None else reference()
                if goal_handle is not None:
                    goal_handle._status = item.status
                if reference is not None and (goal_handle is None or item.status in _ENDED):
                    del self._goal_handles[identity]

    def _follow(self, request: Future, transform: Callable[[Any], Any]) -> Future:
        """Return a future that gets a transformed response, on the executor's thread."""
        future = Future()

        def finish() -> None:
            if request.cancelled():
                return
            future._set_executor(self._node.executor)
            error = request.exception()
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(transform(request.result()))

        request._call_when_finished(finish)
        return future

    # --- goals ---

    def send_goal(self, goal: Any, **kwargs: Any) -> Any:
        """Send a goal and wait for its result; another thread must spin."""
        goal_handle = _wait(self.send_goal_async(goal, **kwargs))
        return goal_handle.get_result()

    def send_goal_async(
        self,
        goal: Any,
        feedback_callback: Callable[[Any], Any] | None = None,
        goal_uuid: UUID | None = None,
    ) -> Future:
        """Send a goal; return the future of its `ClientGoalHandle`.

        Args:
            goal: The goal message.
            feedback_callback: Takes feedback messages: `goal_id` and `feedback`.
            goal_uuid: The goal's id; a random one by default.

        Raises:
            TypeError: If the message is of another type.
        """
        if not isinstance(goal, self._action_type.Goal):
            raise TypeError(f"Expected {self._action_type.Goal}, got {type(goal)}")
        if goal_uuid is None:
            goal_uuid = UUID(uuid=np.frombuffer(uuid.uuid4().bytes, np.uint8).copy())
        identity = goal_uuid.uuid.tobytes()
        if feedback_callback is not None:
            self._feedback_callbacks[identity] = feedback_callback

        def take(response: Any) -> ClientGoalHandle:
            goal_handle = ClientGoalHandle(self, goal_uuid, response)
            if goal_handle.accepted:
                with self._lock:
                    self._goal_handles[identity] = weakref.ref(goal_handle)
            else:
                self._feedback_callbacks.pop(identity, None)
            return goal_handle

        request_type = self._action_type.Impl.SendGoalService.Request
        request = self._goal_client.call_async(request_type(goal_id=goal_uuid, goal=goal))
        return self._follow(request, take)

    def _cancel_goal_async(self, goal_handle: ClientGoalHandle) -> Future:
        request = CancelGoal.Request()
        request.goal_info.goal_id = goal_handle.goal_id
        return self._follow(self._cancel_client.call_async(request), lambda response: response)

    def _get_result_async(self, goal_handle: ClientGoalHandle) -> Future:
        def take(response: Any) -> Any:
            self._feedback_callbacks.pop(goal_handle.goal_id.uuid.tobytes(), None)
            return response

        request_type = self._action_type.Impl.GetResultService.Request
        request = self._result_client.call_async(request_type(goal_id=goal_handle.goal_id))
        return self._follow(request, take)

    # --- the server ---

    def server_is_ready(self) -> bool:
        """Return whether there is a server."""
        graph = self._node._graph
        return all(
            client.service_is_ready()
            for client in (self._goal_client, self._result_client, self._cancel_client)
        ) and all(
            graph.endpoints(tokens.PUBLISHER, subscription.topic_name)
            for subscription in (self._feedback_subscription, self._status_subscription)
        )

    def wait_for_server(self, timeout_sec: float | None = None) -> bool:
        """Wait until there is a server; return whether there is one."""
        return self._node._graph.wait_for(self.server_is_ready, timeout_sec, self._node.context.ok)

    def destroy(self) -> None:
        """Withdraw the client."""
        super().destroy()
        if self in self._node._waitables:
            self._node.remove_waitable(self)
