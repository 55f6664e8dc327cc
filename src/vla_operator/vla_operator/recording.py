# SPDX-License-Identifier: Apache-2.0
"""What the page asks of the episode recorder, where there is one, and what it tells of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger
from vla_msgs.action import RecordEpisode
from vla_msgs.msg import RecorderStatus
from vla_msgs.srv import EditEpisode, FinishEpisode

from node_kit import qos
from vla_operator.calls import Waiting, result_of
from vla_operator.core import told
from vla_operator.core.commands import Answer

_ANSWER_S = 10.0
_MOST_EPISODES = 20
_MOST_SOURCES = 16
_MARKS = {"unmarked": RecorderStatus.UNMARKED, "success": RecorderStatus.SUCCESS}
_MARKS["failure"] = RecorderStatus.FAILURE
_MARK_WORDS = {number: word for word, number in _MARKS.items()}
_GONE = "the recorder is not there"
_SILENT = "the recorder does not answer"


class EpisodeControls:
    """Connects pages with the episode recorder; nobody needs to be there."""

    def __init__(self, node: Node) -> None:
        """Connect."""
        self._waiting = Waiting()
        self._status: RecorderStatus | None = None
        # Episodes that were seen, by name, newest last.
        self._episodes: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._last_end = ""
        recorder = "episode_recorder"
        node.create_subscription(
            RecorderStatus, f"{recorder}/status", self._on_status, qos.LATCHED
        )
        self._record = ActionClient(node, RecordEpisode, f"{recorder}/record_episode")
        self._finish = node.create_client(FinishEpisode, f"{recorder}/finish")
        self._edit = node.create_client(EditEpisode, f"{recorder}/edit")
        self._delete = node.create_client(Trigger, f"{recorder}/delete_last")

    def destroy(self) -> None:
        """Leave the graph. An episode that is recorded goes on."""
        self._record.destroy()

    def look(self) -> None:
        """Answer what is overdue; to be called now and then."""
        self._waiting.look()

    def told(self) -> dict[str, Any] | None:
        """Return what the page shows; None where there is no recorder."""
        status = self._status
        if status is None or not self._finish.service_is_ready():
            return None
        ages = zip(status.sources[:_MOST_SOURCES], status.ages, strict=False)
        return {
            "recording": status.state == RecorderStatus.RECORDING,
            "episode": told.text(status.episode),
            "rows": int(status.rows),
            "elapsed_s": told.number(status.elapsed, 1),
            "dropped": int(status.messages_dropped),
            "ages": [[told.text(name), told.number(age, 3)] for name, age in ages],
            "skew_s": told.number(status.skew, 3),
            "missing": told.lines(status.missing),
            "in_dataset": int(status.episodes),
            "converting": int(status.converting),
            "last_end": told.text(status.last_end) or self._last_end,
            "last_conversion": told.text(status.last_conversion),
            "folder": told.text(status.folder),
            "episodes": list(reversed(self._episodes.values())),
        }

    # -- what pages ask for, in the server's thread -----------------------------------------------

    def ask(self, do: str, given: Mapping[str, Any], answer: Answer) -> None:
        """Carry out what the page that is in control asks for."""
        if do == "record":
            self._begin(given["task"], given["operator"], answer)
        elif do == "finish":
            request = FinishEpisode.Request(mark=_MARKS[given["mark"]], discard=given["discard"])
            self._call(self._finish, request, answer)
        elif do == "mark":
            mark = _MARKS[given["mark"]]
            request = EditEpisode.Request(episode=given["episode"], mark=mark)
            self._call(self._edit, request, answer)
        else:
            self._call(self._delete, Trigger.Request(), answer)

    def _begin(self, task: str, operator: str, answer: Answer) -> None:
        if not self._record.server_is_ready():
            answer(False, _GONE)
            return
        number = self._waiting.add(_ANSWER_S, _SILENT, answer)
        if number is None:
            answer(False, "too much is under way")
            return

        def on_goal(future: Future) -> None:
            handle = result_of(future)
            if handle is None or not handle.accepted:
                self._waiting.answer(number, False, "the recorder refused")
                return
            self._waiting.answer(number, True, "recording")
            handle.get_result_async().add_done_callback(self._on_end)

        goal = RecordEpisode.Goal(task=task, operator_name=operator)
        self._record.send_goal_async(goal).add_done_callback(on_goal)

    def _call(self, client: Any, request: Any, answer: Answer) -> None:
        if not client.service_is_ready():
            answer(False, _GONE)
            return
        number = self._waiting.add(_ANSWER_S, _SILENT, answer)
        if number is None:
            answer(False, "too much is under way")
            return

        def on_answer(future: Future) -> None:
            reply = result_of(future)
            ok, text = (False, _SILENT) if reply is None else (reply.success, reply.message)
            self._waiting.answer(number, bool(ok), told.text(text))

        future = client.call_async(request)
        self._waiting.drops_with(number, lambda: client.remove_pending_request(future))
        future.add_done_callback(on_answer)

    # -- in the node's thread ---------------------------------------------------------------------

    def _on_end(self, future: Future) -> None:
        reply = result_of(future)
        if reply is not None:
            self._last_end = told.text(reply.result.message)

    def _on_status(self, msg: RecorderStatus) -> None:
        self._status = msg
        if msg.episode:
            name = told.text(msg.episode)
            self._episodes[name] = {
                "name": name,
                "task": told.text(msg.task),
                "mark": _MARK_WORDS.get(int(msg.mark), "unmarked"),
                "rows": int(msg.rows),
                "elapsed_s": told.number(msg.elapsed, 1),
            }
            while len(self._episodes) > _MOST_EPISODES:
                self._episodes.popitem(last=False)
