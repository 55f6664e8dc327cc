# SPDX-License-Identifier: Apache-2.0
"""A goal as its action server sees it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from action_msgs.msg import GoalInfo, GoalStatus

from rclpy._rclpy_pybind11 import RCLError
from rclpy.task import Future

if TYPE_CHECKING:
    from rclpy.action.server import ActionServer


class GoalEvent(IntEnum):
    """What happens to a goal."""

    EXECUTE = 0
    CANCEL_GOAL = 1
    SUCCEED = 2
    ABORT = 3
    CANCELED = 4


_NEXT_STATUS = {
    (GoalStatus.STATUS_ACCEPTED, GoalEvent.EXECUTE): GoalStatus.STATUS_EXECUTING,
    (GoalStatus.STATUS_ACCEPTED, GoalEvent.CANCEL_GOAL): GoalStatus.STATUS_CANCELING,
    (GoalStatus.STATUS_EXECUTING, GoalEvent.CANCEL_GOAL): GoalStatus.STATUS_CANCELING,
    (GoalStatus.STATUS_EXECUTING, GoalEvent.SUCCEED): GoalStatus.STATUS_SUCCEEDED,
    (GoalStatus.STATUS_EXECUTING, GoalEvent.ABORT): GoalStatus.STATUS_ABORTED,
    (GoalStatus.STATUS_CANCELING, GoalEvent.SUCCEED): GoalStatus.STATUS_SUCCEEDED,
    (GoalStatus.STATUS_CANCELING, GoalEvent.ABORT): GoalStatus.STATUS_ABORTED,
    (GoalStatus.STATUS_CANCELING, GoalEvent.CANCELED): GoalStatus.STATUS_CANCELED,
}
_ACTIVE = (
    GoalStatus.STATUS_ACCEPTED,
    GoalStatus.STATUS_EXECUTING,
    GoalStatus.STATUS_CANCELING,
)


class ServerGoalHandle:
    """A goal that the server has accepted."""

    def __init__(
        self, action_server: ActionServer, goal_info: GoalInfo, goal_request: Any
    ) -> None:
        self._action_server = action_server
        self._goal_info = goal_info
        self.request = goal_request
        self._status = GoalStatus.STATUS_ACCEPTED
        self._ended_at: float | None = None
        self._lock = threading.RLock()
        self._result = Future()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ServerGoalHandle) and self.goal_id == other.goal_id

    __hash__ = None  # type: ignore[assignment]  # as in rclpy

    @property
    def goal_id(self) -> Any:
        """The goal's UUID message."""
        return self._goal_info.goal_id

    @property
    def status(self) -> int:
        """The status, one of action_msgs/GoalStatus."""
        return self._status  # type: ignore[no-any-return]

    @property
    def is_active(self) -> bool:
        """Whether the goal has not ended."""
        return self._status in _ACTIVE

    @property
    def is_cancel_requested(self) -> bool:
        """Whether the goal shall be, and is not yet, cancelled."""
        return self._status == GoalStatus.STATUS_CANCELING

    def _update_state(self, event: GoalEvent) -> None:
        with self._lock:
            status = _NEXT_STATUS.get((self._status, event))
            if status is None:
                raise RCLError(
                    f"Failed to update goal state with event: goal handle in status "
                    f"{self._status} takes no {event.name}"
                )
            self._status = status
            if status not in _ACTIVE:
                self._ended_at = time.monotonic()
        self._action_server._publish_status()

    def execute(self, execute_callback: Callable[[ServerGoalHandle], Any] | None = None) -> None:
        """Start to execute: by the server's callback unless another one is given."""
        if not self.is_cancel_requested:
            self._update_state(GoalEvent.EXECUTE)
        self._action_server.notify_execute(self, execute_callback)

    def publish_feedback(self, feedback: Any) -> None:
        """Publish feedback.

        Raises:
            TypeError: If the message is of another type.
        """
        action_type = self._action_server.action_type
        if not isinstance(feedback, action_type.Feedback):
            raise TypeError(f"Expected {action_type.Feedback}, got {type(feedback)}")
        self._action_server._publish_feedback(
            action_type.Impl.FeedbackMessage(goal_id=self.goal_id, feedback=feedback)
        )

    def succeed(self) -> None:
        """End the goal as succeeded."""
        self._update_state(GoalEvent.SUCCEED)

    def abort(self) -> None:
        """End the goal as aborted."""
        self._update_state(GoalEvent.ABORT)

    def canceled(self) -> None:
        """End the goal as cancelled."""
        self._update_state(GoalEvent.CANCELED)

    def destroy(self) -> None:
        """Do nothing: the server forgets goals by itself."""
