# SPDX-License-Identifier: Apache-2.0
"""The services of the recorder: finish, edit, keep the last seconds, delete the last episode."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rclpy.node import Node
from vla_msgs.srv import DeleteLast, EditEpisode, FinishEpisode, KeepLast

from node_kit.clock import MotionClock
from vla_recording.dataset import DatasetError
from vla_recording.episodes.changes import delete_newest, edit
from vla_recording.episodes.conversions import Conversions
from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.recorder import EpisodeGoal, EpisodeRecorder
from vla_recording.episodes.words import Mark, read_words

_PROBLEMS = (EpisodeError, DatasetError, OSError)


class EpisodeServices:
    """Answers what is asked of the recorder beside its action."""

    def __init__(
        self,
        node: Node,
        recorder: EpisodeRecorder,
        conversions: Conversions,
        motion: MotionClock,
        changed: Callable[[], None],
    ) -> None:
        """Offer the services.

        Args:
            node: Whose they are.
            recorder: That they are about.
            conversions: What has to wait for one is changed when it is over.
            motion: Tells the time.
            changed: Is called when the dataset may have changed.
        """
        self._recorder, self._conversions, self._motion = recorder, conversions, motion
        self._changed = changed
        self._later: dict[Path, tuple[Mark | None, str]] = {}
        node.create_service(FinishEpisode, "~/finish", self._on_finish)
        node.create_service(EditEpisode, "~/edit", self._on_edit)
        node.create_service(KeepLast, "~/keep_last", self._on_keep_last)
        node.create_service(DeleteLast, "~/delete_last", self._on_delete_last)

    def converted(self) -> list[str]:
        """Make the changes that waited for the end of a conversion; return what went wrong."""
        problems = []
        for bag in [bag for bag in self._later if not self._conversions.has(bag)]:
            mark, task = self._later.pop(bag)
            try:
                self._change(bag, mark, task)
            except _PROBLEMS as error:
                asked = " and ".join(filter(None, (mark and mark.name, task and f"task {task!r}")))
                problems.append(f"{bag.name} is not changed to {asked}: {error}")
        return problems

    def _on_finish(
        self, request: FinishEpisode.Request, response: FinishEpisode.Response
    ) -> FinishEpisode.Response:
        now_ns = self._motion.now().ros_ns
        try:
            mark = mark_of(request.mark)
            response.message = self._recorder.finish(mark, request.discard, now_ns)
        except EpisodeError as error:
            response.message = str(error)
        response.success = not response.message
        return response

    def _on_edit(
        self, request: EditEpisode.Request, response: EditEpisode.Response
    ) -> EditEpisode.Response:
        try:
            as_it_is = request.mark == EditEpisode.Request.AS_IT_IS
            mark = None if as_it_is else mark_of(request.mark)
            response.message = self._edit(request.episode, mark, request.task)
            response.success = True
        except _PROBLEMS as error:
            response.message = str(error)
        return response

    def _edit(self, name: str, mark: Mark | None, task: str) -> str:
        recorder = self._recorder
        current = recorder.current
        if current is not None and name in ("", current.words.name):
            current.words = current.words.changed(mark, task)
            return ""
        if current is not None:
            raise EpisodeError("while an episode is recorded only that one can be changed")
        names = recorder.folder.names()
        if not name and not names:
            raise EpisodeError("there is no episode yet")
        bag = recorder.folder.bag(name or names[-1])
        if self._has_to_wait(bag, task):
            read_words(bag).changed(mark, task)  # a task that is none is told at once
            mark_before, task_before = self._later.get(bag, (None, ""))
            self._later[bag] = (mark_before if mark is None else mark, task or task_before)
            return f"rows are being made; {bag.name} is changed when that is over"
        self._change(bag, mark, task)
        return ""

    def _change(self, bag: Path, mark: Mark | None, task: str) -> None:
        words, newest = edit(bag, mark, task), self._recorder.newest
        if newest is not None and newest.name == words.name:
            self._recorder.newest = words

    def _has_to_wait(self, bag: Path, task: str) -> bool:
        """Say whether a change is made after a conversion: tasks stand in the dataset's rows."""
        conversions = self._conversions
        return conversions.has(bag) or bag in self._later or bool(task and conversions.count)

    def _on_keep_last(
        self, request: KeepLast.Request, response: KeepLast.Response
    ) -> KeepLast.Response:
        recorder = self._recorder
        goal = EpisodeGoal(
            request.task or recorder.inputs.task,
            request.operator_name,
            recorder.inputs.policy_id,
            convert_later=request.convert_later,
        )
        seconds = request.duration if request.duration > 0.0 else recorder.remembered_s() + 1.0
        try:
            mark, now_ns = mark_of(request.mark), self._motion.now().ros_ns
            response.episode = recorder.keep_last(goal, mark, seconds, now_ns, time.time_ns())
            response.success = True
        except _PROBLEMS as error:
            response.message = str(error)
        return response

    def _on_delete_last(
        self, request: DeleteLast.Request, response: DeleteLast.Response
    ) -> DeleteLast.Response:
        if self._recorder.busy or self._conversions.count:
            response.message = "an episode is being recorded or converted; ask when that is over"
            return response
        try:
            response.message = delete_newest(self._recorder.folder, request.episode)
            response.success = True
        except _PROBLEMS as error:
            response.message = str(error)
        self._changed()
        return response


def mark_of(number: int) -> Mark:
    """Return the mark of a number.

    Raises:
        EpisodeError: It has none.
    """
    try:
        return Mark(number)
    except ValueError:
        known = ", ".join(f"{mark.value} ({mark.name.lower()})" for mark in Mark)
        raise EpisodeError(f"mark: is {number}; write {known}") from None
