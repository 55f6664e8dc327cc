# SPDX-License-Identifier: Apache-2.0
"""The action `~/record_episode`: goals in, feedback and the reason for the end out."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from rclpy.task import Future
from vla_msgs.action import RecordEpisode

from vla_recording.episodes import told
from vla_recording.episodes.recorder import EndedEpisode, EpisodeGoal
from vla_recording.episodes.words import EndReason

# Such an episode went as it was meant to.
_SUCCEEDED = (EndReason.FINISHED, EndReason.TIMED_OUT, EndReason.DISCARDED)
_Ended = tuple[EndedEpisode, str]


class RecordEpisodeServer:
    """Hands goals to the recorder, and their ends to the clients."""

    def __init__(self, node: Node, begin: Callable[[EpisodeGoal], str]) -> None:
        """Offer the action.

        Args:
            node: Whose action it is.
            begin: Begins an episode, or says why not.
        """
        self._begin, self._number, self._taken = begin, 0, 0
        self._goals: dict[int, tuple[ServerGoalHandle, Future]] = {}
        self._server = ActionServer(
            node,
            RecordEpisode,
            "~/record_episode",
            execute_callback=self._execute,
            # Whoever is refused gets a reason, which a rejection has not.
            goal_callback=lambda _: GoalResponse.ACCEPT,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def asked_to_cancel(self, ticket: int) -> bool:
        """Say whether the client of a goal wants it to end."""
        return ticket in self._goals and self._goals[ticket][0].is_cancel_requested

    def feed_back(self, ticket: int, feedback: RecordEpisode.Feedback) -> None:
        """Tell the client of a goal how it goes, if there is one."""
        if ticket in self._goals:
            self._goals[ticket][0].publish_feedback(feedback)

    def ended(self, ended: EndedEpisode, not_converted: str) -> None:
        """Hand the end of an episode to its client, if it has one."""
        found = self._goals.pop(ended.goal.ticket, None)
        if found is not None:
            found[1].set_result((ended, not_converted))

    @property
    def newest(self) -> int:
        """Ticket of the newest goal that the recorder took."""
        return self._taken

    async def _execute(self, handle: ServerGoalHandle) -> RecordEpisode.Result:
        asked = handle.request
        self._number += 1
        ticket = self._number
        goal = EpisodeGoal(
            asked.task,
            asked.operator_name,
            asked.policy_id,
            asked.fps,
            asked.max_duration,
            asked.convert_later,
            ticket,
        )
        future = Future()
        self._goals[ticket] = handle, future
        problem = self._begin(goal)
        if problem:
            del self._goals[ticket]
            handle.abort()
            refused = EndedEpisode(goal, None, EndReason.REFUSED, problem, None)
            return told.result(refused, "it was not recorded")
        self._taken = ticket
        found: _Ended = await future
        ended, not_converted = found
        if handle.is_cancel_requested:
            handle.canceled()
        elif ended.reason in _SUCCEEDED:
            handle.succeed()
        else:
            handle.abort()
        return told.result(ended, not_converted)
