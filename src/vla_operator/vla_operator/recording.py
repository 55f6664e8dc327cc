# SPDX-License-Identifier: Apache-2.0
"""What the page asks of the episode recorder, where there is one, and what it tells of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.task import Future
from vla_msgs.action import RecordEpisode
from vla_msgs.msg import RecorderStatus
from vla_msgs.srv import DeleteLast, EditEpisode, FinishEpisode, KeepLast

from node_kit import qos
from vla_operator.calls import Waiting, result_of
from vla_operator.core import told
from vla_operator.core.commands import Answer
from vla_operator.episodes import MARKS, Episodes, VideoAnswer

# Of the host's time: it speaks five times a second, and makes rows of bags meanwhile.
_SILENT_S = 3.0
_ANSWER_S = 10.0
_MOST_SOURCES = 16
_NUMBERS = {word: number for number, word in MARKS.items()}
_GONE = "the recorder is not there"
_SILENT = "the recorder does not answer"
_WAITS = "the recorder still waits for its inputs"


class EpisodeControls:
    """Connects pages with the episode recorder; nobody needs to be there."""

    def __init__(self, node: Node) -> None:
        """Connect."""
        self._waiting = Waiting()
        self._episodes = Episodes(node)
        self._status: RecorderStatus | None = None
        self._heard_s = float("-inf")
        self._last_end = ""
        recorder = "episode_recorder"
        node.create_subscription(
            RecorderStatus, f"{recorder}/status", self._on_status, qos.LATCHED
        )
        self._record = ActionClient(node, RecordEpisode, f"{recorder}/record_episode")
        self._finish = node.create_client(FinishEpisode, f"{recorder}/finish")
        self._edit = node.create_client(EditEpisode, f"{recorder}/edit")
        self._delete = node.create_client(DeleteLast, f"{recorder}/delete_last")
        self._keep = node.create_client(KeepLast, f"{recorder}/keep_last")

    def destroy(self) -> None:
        """Leave the graph. An episode that is recorded goes on."""
        self._record.destroy()

    def look(self, watched: bool) -> None:
        """Answer what is overdue, ask for what may be new; to be called now and then."""
        self._waiting.look()
        self._episodes.look(_about(self._status), watched)

    def episodes(self) -> dict[str, Any] | None:
        """Return what pages are told of the episodes, None where that is nothing new."""
        return self._episodes.news()

    def told(self) -> dict[str, Any] | None:
        """Return what the page shows; None where no recorder was ever heard."""
        status = self._status
        if status is None:
            return None
        ages = zip(status.sources[:_MOST_SOURCES], status.ages, strict=False)
        return {
            "gone": self._gone(status),
            "recording": status.state == RecorderStatus.RECORDING,
            "episode": told.text(status.episode),
            "task": told.text(status.task),
            "rows": int(status.rows),
            "elapsed_s": told.number(status.elapsed, 1),
            "dropped": int(status.messages_dropped),
            "ages": [[told.text(name), told.number(age, 3)] for name, age in ages],
            "skew_s": told.number(status.skew, 3),
            "missing": told.lines(status.missing),
            "holder": told.text(status.holder),
            "intervention": bool(status.intervention),
            "remembered_s": told.number(status.remembered, 1),
            "in_dataset": int(status.episodes),
            "converting": int(status.converting),
            "last_end": self._last_end,
            "last_conversion": told.text(status.last_conversion),
            "folder": told.text(status.folder),
        }

    def _gone(self, status: RecorderStatus) -> str:
        """Say that the recorder is gone, and what that costs; empty where it is there."""
        silent_s = time.monotonic() - self._heard_s
        if silent_s <= _SILENT_S:
            return ""
        words = f"The recorder has been silent for {silent_s:.0f} s: nothing is recorded."
        if status.state == RecorderStatus.RECORDING:
            words += (
                f" What it had written of {told.text(status.episode)} is kept; "
                f"`vla-record convert {told.text(status.folder)}` makes rows of it."
            )
        return words

    # -- what pages ask for, in the server's thread -----------------------------------------------

    def video(self, name: str, answer: VideoAnswer) -> None:
        """Hand out the video of an episode."""
        self._episodes.video(name, answer)

    def ask(self, do: str, given: Mapping[str, Any], answer: Answer) -> None:
        """Carry out what the page that is in control asks for."""
        if do == "record":
            self._begin(given["task"], given["operator"], answer)
        elif do == "finish":
            mark = _NUMBERS[given["mark"]]
            request = FinishEpisode.Request(mark=mark, discard=given["discard"])
            self._call(self._finish, request, answer)
        elif do == "keep":
            request = KeepLast.Request(
                task=given["task"], operator_name=given["operator"], duration=given["seconds"]
            )
            self._call(self._keep, request, answer, lambda reply: f"kept as {reply.episode}")
        elif do == "mark":
            mark = _NUMBERS[given["mark"]]
            self._call(
                self._edit, EditEpisode.Request(episode=given["episode"], mark=mark), answer
            )
        elif do == "retask":
            request = EditEpisode.Request(
                episode=given["episode"], task=given["task"], mark=EditEpisode.Request.AS_IT_IS
            )
            self._call(self._edit, request, answer)
        else:
            # By its name: another one may have become the newest since the page showed it.
            self._call(self._delete, DeleteLast.Request(episode=given["episode"]), answer)

    def _begin(self, task: str, operator: str, answer: Answer) -> None:
        if not self._record.server_is_ready():
            answer(False, _GONE)
            return
        number = self._waiting.add(_ANSWER_S, _WAITS, answer)
        if number is None:
            answer(False, "too much is under way")
            return

        def on_feedback(msg: Any) -> None:
            # Before its first row it waits for its inputs, and may be refused.
            if msg.feedback.episode:
                name = told.text(msg.feedback.episode)
                self._waiting.answer(number, True, f"recording {name}")

        def on_goal(future: Future) -> None:
            handle = result_of(future)
            if handle is None or not handle.accepted:
                self._waiting.answer(number, False, "the recorder refused")
                return
            handle.get_result_async().add_done_callback(on_end)

        def on_end(future: Future) -> None:
            reply = result_of(future)
            if reply is not None and reply.result.message:
                self._last_end = told.text(reply.result.message)
                self._waiting.answer(number, bool(reply.result.episode), self._last_end)

        goal = RecordEpisode.Goal(task=task, operator_name=operator)
        self._record.send_goal_async(goal, on_feedback).add_done_callback(on_goal)

    def _call(
        self,
        client: Any,
        request: Any,
        answer: Answer,
        done: Callable[[Any], str] = lambda reply: str(reply.message),
    ) -> None:
        if not client.service_is_ready():
            answer(False, _GONE)
            return
        number = self._waiting.add(_ANSWER_S, _SILENT, answer)
        if number is None:
            answer(False, "too much is under way")
            return

        def on_answer(future: Future) -> None:
            reply = result_of(future)
            if reply is None:
                self._waiting.answer(number, False, _SILENT)
                return
            words = done(reply) if reply.success else reply.message
            self._episodes.changed()
            self._waiting.answer(number, bool(reply.success), told.text(words))

        future = client.call_async(request)
        self._waiting.drops_with(number, lambda: client.remove_pending_request(future))
        future.add_done_callback(on_answer)

    # -- in the node's thread ---------------------------------------------------------------------

    def _on_status(self, msg: RecorderStatus) -> None:
        before, self._status = self._status, msg
        self._heard_s = time.monotonic()
        # What was refused never was an episode, so the status does not tell of it: the newest
        # end is what is shown.
        if before is None or (msg.episode, msg.last_end) != (before.episode, before.last_end):
            self._last_end = told.text(msg.last_end) or self._last_end


def _about(status: RecorderStatus | None) -> object:
    """Return what of a status says that the list of episodes may be another one."""
    if status is None:
        return None
    return (
        status.state,
        status.episode,
        status.mark,
        status.task,
        status.converting,
        status.episodes,
        status.last_end,
        status.last_conversion,
        # Of one that is over: its bag is complete.
        0 if status.state == RecorderStatus.RECORDING else status.messages,
    )
