# SPDX-License-Identifier: Apache-2.0
"""The action `~/move_to`: goals in, feedback and the reason for the end out."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from rclpy.task import Future
from vla_msgs.action import MoveTo

from vla_moveit import convert
from vla_moveit.core.goal import GoalError, MoveRequest
from vla_moveit.core.outcome import MoveEnd, MoveResult


class MoveServer:
    """Hands one goal after the other to who carries it out. One that comes meanwhile is refused.

    Attributes:
        waiting: A goal that waits to be begun; `begun` takes it.
        cancelled: Whether its client has asked to stop.
    """

    def __init__(
        self, node: Node, joints: tuple[str, ...], busy: Callable[[], str] = lambda: ""
    ) -> None:
        """Offer the action.

        Args:
            node: Whose action it is.
            joints: The arm's.
            busy: Says why no goal can be begun now, empty where one can.
        """
        self._log, self._joints, self._busy = node.get_logger(), joints, busy
        self._handle: ServerGoalHandle | None = None
        self._future: Future | None = None
        self.waiting: MoveRequest | None = None
        self._server = ActionServer(
            node,
            MoveTo,
            "~/move_to",
            execute_callback=self._execute,
            goal_callback=lambda _: GoalResponse.ACCEPT,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    @property
    def cancelled(self) -> bool:
        """Whether the client of the goal under way has asked to stop."""
        return self._handle is not None and bool(self._handle.is_cancel_requested)

    def begun(self) -> MoveRequest | None:
        """Return the goal that waits, and count it as begun."""
        request, self.waiting = self.waiting, None
        return request

    def ended(self, result: MoveResult) -> None:
        """Hand the end of the goal under way to its client."""
        self.waiting = None
        if self._future is not None and not self._future.done():
            self._future.set_result(result)

    def feed_back(self, feedback: MoveTo.Feedback) -> None:
        """Tell the client how it goes."""
        if self._handle is not None:
            self._handle.publish_feedback(feedback)

    async def _execute(self, handle: ServerGoalHandle) -> MoveTo.Result:
        busy = "another goal is carried out; wait for it, or cancel it" if self._handle else ""
        busy = busy or self._busy()
        if busy:
            return self._refused(handle, busy)
        try:
            request = convert.to_request(handle.request)
        except GoalError as error:
            return self._refused(handle, str(error))
        future = Future()
        self._handle, self._future, self.waiting = handle, future, request
        try:
            ended: MoveResult = await future
        finally:
            self._handle = self._future = None
        if ended.reason is MoveEnd.REACHED:
            self._log.info(ended.message)
            handle.succeed()
        else:
            self._log.warning(f"{ended.reason.name}: {ended.message}")
            if ended.reason is MoveEnd.CANCELED and handle.is_cancel_requested:
                handle.canceled()
            else:
                handle.abort()
        return convert.to_result(ended, self._joints)

    def _refused(self, handle: ServerGoalHandle, message: str) -> MoveTo.Result:
        self._log.warning(f"{MoveEnd.REFUSED.name}: {message}")
        handle.abort()
        return MoveTo.Result(reason=int(MoveEnd.REFUSED), message=message)
