# SPDX-License-Identifier: Apache-2.0
"""Remembers the last seconds, records episodes, and says what becomes of them.

No ROS here, and no clock: time is told.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vla_recording.black_box.ring import Record, Ring
from vla_recording.black_box.writer import Topic
from vla_recording.dataset import IMAGE
from vla_recording.dataset.errors import DatasetError
from vla_recording.episodes.bag import EpisodeBag, no_room
from vla_recording.episodes.convert import kind_of_pictures, misfit
from vla_recording.episodes.decode import Decoder
from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.holding import EpisodeHold
from vla_recording.episodes.inputs import SECOND_NS, EpisodeSources, Inputs
from vla_recording.episodes.reading import TEXT_DEFINITION, TEXT_TYPE, text_message
from vla_recording.episodes.recording import Recording
from vla_recording.episodes.store import EpisodeFolder
from vla_recording.episodes.words import (
    MAX_DURATION_S,
    MAX_FPS,
    EndReason,
    EpisodeWords,
    Mark,
    text_problem,
    write_words,
)

TEXT_TOPIC = Topic(TEXT_TYPE, TEXT_DEFINITION)
# Of what was heard before an episode this much more than the oldest input that is allowed.
BEFORE_S = 0.5


@dataclass(frozen=True)
class RecorderSettings:
    """How it records.

    Attributes:
        fps: Rows a second, where nobody says otherwise.
        max_duration_s: Of an episode, likewise.
        wait_s: For how long an episode waits for its inputs.
        remember_s: How far back it remembers.
        remember_bytes: How much it remembers at most.
        queue_bytes: Of messages that wait for the disk, at most.
        compressed: Bags are.
        pictures: How the dataset has them: `video`, `image`, or empty for what is there.
    """

    fps: int = 30
    max_duration_s: float = 600.0
    wait_s: float = 2.0
    remember_s: float = 30.0
    remember_bytes: int = 512 << 20
    queue_bytes: int = 256 << 20
    compressed: bool = True
    pictures: str = ""


@dataclass(frozen=True)
class EpisodeGoal:
    """What is asked for, as the action RecordEpisode says it; `ticket` tells goals apart."""

    task: str
    operator: str = ""
    policy_id: str = ""
    fps: int = 0
    max_duration_s: float = 0.0
    convert_later: bool = False
    ticket: int = 0


@dataclass(frozen=True)
class _Pending:
    """A goal that waits for its inputs: since when and until when (ROS time)."""

    goal: EpisodeGoal
    since_ns: int
    until_ns: int
    wall_ns: int


@dataclass(frozen=True)
class EndedEpisode:
    """An episode that is over, and whose bag is finished.

    Attributes:
        goal: What was asked for.
        words: What is said of it; None where it never began.
        reason: Why it ended.
        message: The same in words.
        bag: Its folder; None where there is none.
    """

    goal: EpisodeGoal
    words: EpisodeWords | None
    reason: EndReason
    message: str
    bag: Path | None


class EpisodeRecorder:
    """Takes in every message, and records one episode at a time.

    Attributes:
        current: The episode under way; None where there is none.
        newest: What is said of the newest one; None before there is one.
    """

    def __init__(
        self,
        folder: EpisodeFolder,
        sources: EpisodeSources,
        files: Sequence[tuple[str, str]],
        settings: RecorderSettings,
    ) -> None:
        """Begin to remember.

        Args:
            folder: Where episodes go.
            sources: What their rows are made of.
            files: Topic and text of the contract and of the robot file, for the bags.
            settings: How it records.
        """
        self.folder, self.sources, self._files, self._settings = folder, sources, files, settings
        self._ring = Ring(settings.remember_s, settings.remember_bytes)
        self._inputs = Inputs(sources)
        self._decoder = Decoder()
        self._topics: dict[str, Topic] = {name: TEXT_TOPIC for name, _ in files}
        # The contract's name of a topic that rows are made of, and its latched ones.
        self._names: dict[str, str] = {}
        self._latched: set[str] = set()
        self._pending: _Pending | None = None
        self._never_began: list[EndedEpisode] = []
        self._goals: dict[str, EpisodeGoal] = {}
        self._holds: dict[str, EpisodeHold] = {}
        self._discard: set[str] = set()
        self._closing: list[Recording] = []
        # When an input failed for good while nothing was recorded.
        self._anew_ns = 0
        self.current: Recording | None = None
        self.newest: EpisodeWords | None = None
        ages = [s.max_age_s for s in (*sources.contract.sources, *sources.commands)]
        self._before_ns = round((max(ages) + BEFORE_S) * SECOND_NS)

    @property
    def inputs(self) -> Inputs:
        """What is heard now."""
        return self._inputs if self.current is None else self.current.inputs

    @property
    def busy(self) -> bool:
        """Whether an episode is recorded, or waits for its inputs."""
        return self.current is not None or self._pending is not None

    @property
    def unfinished(self) -> list[EpisodeBag]:
        """Bags that are still written."""
        recordings = [*self._closing, *([self.current] if self.current is not None else [])]
        return [recording.bag for recording in recordings]

    def add_topic(self, topic: str, told: Topic, name: str | None, *, latched: bool) -> None:
        """Take note of a topic that will be heard.

        Args:
            topic: Its name.
            told: What a bag says of it.
            name: Of it in the contract; None for one that no row is made of.
            latched: Its newest message holds until the next one.

        Raises:
            EpisodeError: Its definition cannot be read.
        """
        if name is not None:
            self._decoder.learn(told.type_name, told.definition)
            self._names[topic] = name
        self._topics[topic] = told
        if latched:
            self._latched.add(topic)
        if self.current is not None:
            self.current.bag.add_topic(topic, told)

    def hear(self, topic: str, data: bytes, received_ns: int, steady_ns: int) -> None:
        """Take in a message.

        Args:
            topic: Its name.
            data: As it came.
            received_ns: ROS time now.
            steady_ns: The clock that durations are measured with.
        """
        name = self._names.get(topic)
        message = None if name is None else self._read(topic, data)
        if self.current is not None and not self.current.over:
            self.current.hear(name, topic, message, received_ns, data)
        elif name is not None:
            self._inputs.hear(name, message, received_ns)
            if self._inputs.fault is not None:
                # Nothing is recorded: from here on it is another beginning.
                self._inputs, self._anew_ns = self._inputs.anew(), received_ns
        self._ring.add(received_ns, topic, data, steady_ns, latched=topic in self._latched)

    def lose(self, topic: str, count: int) -> None:
        """Count messages of a topic that were lost on their way here."""
        if self.current is not None:
            self.current.bag.lose(topic, count)

    def begin(self, goal: EpisodeGoal, now_ns: int, wall_ns: int) -> str:
        """Begin an episode as soon as every input is there; say why not, empty where it will be.

        Args:
            goal: What is asked for.
            now_ns: ROS time.
            wall_ns: The host's clock, which names the episode.
        """
        if self.busy:
            return "an episode is being recorded; finish it first"
        settings = self._settings
        goal = replace(
            goal,
            task=goal.task or self._inputs.task,
            fps=goal.fps or settings.fps,
            max_duration_s=goal.max_duration_s or settings.max_duration_s,
        )
        problem = goal_problem(goal) or self._no_place() or self._misfit(goal)
        if problem:
            return problem
        wait_ns = round(settings.wait_s * SECOND_NS)
        self._pending = _Pending(goal, now_ns, now_ns + wait_ns, wall_ns)
        return ""

    def finish(self, mark: Mark, discard: bool, now_ns: int) -> str:
        """End the episode under way, or that is to be; say why not, empty where it is ended."""
        if self._pending is not None:
            said = "was ended before its inputs were there"
            self._never_began += self.cancel(EndReason.REFUSED, said, now_ns)
            return ""
        if self.current is None:
            return "no episode is being recorded"
        self.current.words = self.current.words.changed(mark)
        if discard:
            self._discard.add(self.current.words.name)
            self.current.end(EndReason.DISCARDED, "nothing of it is kept", now_ns)
        else:
            self.current.end(EndReason.FINISHED, f"finished as {mark.name.lower()}", now_ns)
        return ""

    def cancel(self, reason: EndReason, message: str, now_ns: int) -> list[EndedEpisode]:
        """End the episode under way, or the one that waits for its inputs."""
        if self.current is not None:
            self.current.end(reason, message, now_ns)
        elif self._pending is not None:
            goal, self._pending = self._pending.goal, None
            return [EndedEpisode(goal, None, EndReason.REFUSED, message, None)]
        return []

    def tick(self, now_ns: int) -> list[EndedEpisode]:
        """Begin, end and finish what is due; return the episodes whose bags are finished."""
        found, self._never_began = self._never_began, []
        if self._pending is not None:
            found += self._begin_pending(now_ns)
        if self.current is not None:
            self.current.tick(now_ns)
            if self.current.over:
                self.newest = self.current.words
                # A fault is of the episode that it ended.
                self._inputs = self.current.inputs.anew()
                self._closing.append(self.current)
                self.current = None
        for recording in [each for each in self._closing if each.closed()]:
            self._closing.remove(recording)
            found.append(self._ended(recording))
        return found

    def keep_last(
        self, goal: EpisodeGoal, mark: Mark, seconds: float, now_ns: int, wall_ns: int
    ) -> str:
        """Make an episode of what is remembered, and return its name.

        Args:
            goal: What is said of it.
            mark: How it went.
            seconds: How far back it reaches, s.
            now_ns: ROS time.
            wall_ns: The host's clock.

        Raises:
            EpisodeError, DatasetError, OSError: It cannot be made.
        """
        if self.busy:
            raise EpisodeError("an episode is being recorded; what is remembered is in it")
        goal = replace(goal, fps=goal.fps or self._settings.fps, max_duration_s=MAX_DURATION_S)
        records = self._ring.all()
        problem = goal_problem(goal) or self._no_place() or self._misfit(goal)
        if problem or not records:
            raise EpisodeError(problem or "nothing is remembered yet")
        reach_ns = round(min(seconds, MAX_DURATION_S) * SECOND_NS)
        since_ns = max(records[0].received_ns, now_ns - reach_ns)
        words = replace(self._words(goal, since_ns, wall_ns), highlight=True, mark=mark.name)
        recording = self._open(goal, words, MAX_DURATION_S, sum(len(r.data) for r in records))
        for record in self._from(records, since_ns):
            recording.bag.put(record.topic, record.received_ns, record.data)
        recording.over = True
        recording.words = replace(
            words, reason=EndReason.FINISHED.name, message="what was remembered was kept"
        )
        recording.bag.end({"episode": words.name, "task": words.task})
        self._closing.append(recording)
        self.newest = recording.words
        return words.name

    def remembered_s(self) -> float:
        """Return how far back it remembers, s."""
        return self._ring.span_s

    # -- inside ----------------------------------------------------------------------------------

    def _no_place(self) -> str:
        """Say why no bag can be written, empty where one can."""
        try:
            # It may have been taken away since the last one.
            self.folder.make()
        except OSError as error:
            return f"{self.folder.bags}: nothing can be written ({error.strerror})"
        return no_room(self.folder.bags)

    def _misfit(self, goal: EpisodeGoal) -> str:
        """Say why the dataset will not take the rows, empty where it will, or need not."""
        folder, pictures = self.folder.dataset, self._settings.pictures
        problem = "" if goal.convert_later else misfit(folder, self.sources, goal.fps, pictures)
        return f"{problem}; record into another folder, or with convert_later" if problem else ""

    def _read(self, topic: str, data: bytes) -> Any:
        try:
            return self._decoder.decode(self._topics[topic].type_name, data)
        except EpisodeError as error:
            return error

    def _begin_pending(self, now_ns: int) -> list[EndedEpisode]:
        assert self._pending is not None
        pending, goal = self._pending, self._pending.goal
        problems = self._inputs.problems(now_ns)
        if problems and pending.since_ns <= now_ns < pending.until_ns:
            return []
        self._pending = None
        if problems:
            text = f"row 0: {'; '.join(map(str, problems))}"
            return [EndedEpisode(goal, None, EndReason.INPUT_REFUSED, text, None)]
        goal = replace(goal, policy_id=goal.policy_id or self._inputs.policy_id)
        # Behind what was heard up to now, also at this very moment of a simulation.
        words = self._words(goal, now_ns + 1, pending.wall_ns)
        try:
            self.current = self._open(goal, words, goal.max_duration_s, 0)
        except (OSError, DatasetError) as error:
            text = f"the bag cannot be begun: {error}"
            return [EndedEpisode(goal, None, EndReason.WRITING_FAILED, text, None)]
        for record in self._from(self._ring.all(), now_ns, self._anew_ns):
            name = self._names.get(record.topic)
            message = None if name is None else self._read(record.topic, record.data)
            self.current.remember(name, record.topic, message, record.received_ns, record.data)
        return []

    def _from(self, records: list[Record], since_ns: int, after_ns: int = 0) -> list[Record]:
        """Return what was heard since a little before a time, and what holds from before.

        Args:
            records: What is remembered.
            since_ns: The time.
            after_ns: When there was a fault that is nothing to an episode that begins now.
        """
        first_ns = max(since_ns - self._before_ns, after_ns + 1)
        holds: dict[str, Record] = {}
        found = []
        for record in records:
            if record.received_ns >= first_ns:
                found.append(record)
            elif record.topic in self._latched:
                holds[record.topic] = replace(record, received_ns=first_ns)
        return [*holds.values(), *found]

    def _words(self, goal: EpisodeGoal, begin_ns: int, wall_ns: int) -> EpisodeWords:
        when = datetime.fromtimestamp(wall_ns * 1e-9, tz=timezone.utc)
        size = self.sources.picture_size
        return EpisodeWords(
            name=self.folder.free_name(f"{when:%Y-%m-%dT%H-%M-%S}Z"),
            task=goal.task,
            fps=goal.fps,
            begin_ns=begin_ns,
            operator=goal.operator,
            policy_id=goal.policy_id,
            robot=self.sources.robot.name,
            started=f"{when:%Y-%m-%dT%H:%M:%SZ}",
            topics={name: topic for topic, name in self._names.items()},
            picture_size=size or (),
        )

    def _open(
        self, goal: EpisodeGoal, words: EpisodeWords, max_duration_s: float, more_bytes: int
    ) -> Recording:
        settings = self._settings
        kind = kind_of_pictures(self.folder.dataset, settings.pictures)
        bag = EpisodeBag(
            self.folder.bags / words.name,
            self._topics,
            settings.queue_bytes + more_bytes,
            compressed=settings.compressed,
            custom={"task": words.task, "operator": words.operator, "policy": words.policy_id},
        )
        # Before there are words in it, without which it is no episode to others.
        hold = EpisodeHold(bag.folder, wait=True)
        try:
            write_words(bag.folder, words)
        except DatasetError:
            hold.release()
            bag.end()
            bag.done.wait()
            shutil.rmtree(bag.folder, ignore_errors=True)
            raise
        for topic, text in self._files:
            bag.put(topic, max(words.begin_ns - self._before_ns, 0), text_message(text))
        self._goals[words.name], self._holds[words.name] = goal, hold
        # What is converted later may become another dataset, of videos.
        png = kind == IMAGE and not goal.convert_later
        return Recording(bag, words, self.sources, max_duration_s, png=png)

    def _ended(self, recording: Recording) -> EndedEpisode:
        with self._holds.pop(recording.words.name):
            return self._settled(recording)

    def _settled(self, recording: Recording) -> EndedEpisode:
        words, bag = recording.words, recording.bag.folder
        goal = self._goals.pop(words.name)
        if words.name in self._discard:
            self._discard.remove(words.name)
            shutil.rmtree(bag, ignore_errors=True)
            return EndedEpisode(goal, words, EndReason.DISCARDED, words.message, None)
        reason = EndReason[words.reason]
        if not bag.is_dir():
            return EndedEpisode(goal, words, reason, words.message, None)
        try:
            write_words(bag, words)
        except DatasetError as error:
            words = replace(words, message=f"{words.message} ({error})")
        if self.newest is not None and self.newest.name == words.name:
            self.newest = words
        return EndedEpisode(goal, words, reason, words.message, bag)


def goal_problem(goal: EpisodeGoal) -> str:
    """Say why no episode can be recorded so, empty where one can."""
    for name in ("operator", "policy_id"):
        problem = text_problem(name, getattr(goal, name), needed=False)
        if problem:
            return problem
    if not 1 <= goal.fps <= MAX_FPS:
        return f"fps: is {goal.fps}; write 1 to {MAX_FPS}"
    if not 0.0 < goal.max_duration_s <= MAX_DURATION_S:
        return f"max_duration: is {goal.max_duration_s:g} s; write up to {MAX_DURATION_S:g} s"
    return text_problem("task", goal.task)
