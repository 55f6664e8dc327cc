# SPDX-License-Identifier: Apache-2.0
"""The node: hears the contract's topics, records episodes, and has them converted."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import replace
from pathlib import Path

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import String
from vla_msgs.msg import RecorderStatus

from node_kit import log, qos
from node_kit.clock import MotionClock
from node_kit.declare import declare
from node_kit.parameters import ParameterError
from node_kit.run import run
from vla_recording.dataset import DatasetError
from vla_recording.dataset.catalogue import load
from vla_recording.dataset.files import INFO
from vla_recording.episodes import told
from vla_recording.episodes.action import RecordEpisodeServer
from vla_recording.episodes.conversions import Conversions
from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.listening import TopicListener
from vla_recording.episodes.params import EpisodeRecorderParams
from vla_recording.episodes.reading import CONTRACT_TOPIC, ROBOT_TOPIC, load_sources
from vla_recording.episodes.recorder import (
    EndedEpisode,
    EpisodeGoal,
    EpisodeRecorder,
    RecorderSettings,
)
from vla_recording.episodes.services import EpisodeServices
from vla_recording.episodes.showing import EpisodeShowing
from vla_recording.episodes.store import EpisodeFolder
from vla_recording.episodes.words import EndReason, read_words

TICK_S, STATUS_S, CLOSE_S = 0.01, 0.2, 5.0
# When the disk is this much behind, a simulation waits for it.
HOLD_SHARE = 0.5
MEGABYTE = 1 << 20


class EpisodeRecorderNode(Node):
    """Connects the recorder with its topics, action and services."""

    def __init__(self) -> None:
        """Read the configuration and begin to remember.

        Raises:
            ParameterError: A parameter is wrong, or the folder cannot be written to.
            EpisodeError: The contract or the robot file cannot be used.
        """
        super().__init__("episode_recorder")
        given = declare(self, EpisodeRecorderParams)
        texts = [_text(given, name) for name in ("contract_file", "robot_file")]
        sources = load_sources(texts[0], texts[1], given.size or ())
        folder = EpisodeFolder(Path(given.folder).expanduser().absolute())
        try:
            folder.make()
        except OSError as error:
            raise ParameterError(
                f"parameter folder: in {folder.root} nothing can be written "
                f"({error.strerror}); choose another"
            ) from None
        self._motion = MotionClock(self)
        published = [self._publish(name, text) for name, text in
                     zip((CONTRACT_TOPIC, ROBOT_TOPIC), texts, strict=True)]  # fmt: skip
        settings = RecorderSettings(
            given.fps,
            given.max_duration_s,
            given.wait_s,
            given.remember_s,
            given.remember_megabytes * MEGABYTE,
            given.queue_megabytes * MEGABYTE,
            given.compressed,
            given.pictures,
        )
        self._recorder = EpisodeRecorder(folder, sources, published, settings)
        self._conversions = Conversions(folder.dataset, given.pictures)
        self._converting: dict[Path, EndedEpisode] = {}
        self._besides = told.Besides(episodes=_count(folder))
        more = given.more_topics.split()
        self._topics = TopicListener(self, self._recorder, self._motion, more)
        self._state = RecorderStatus.IDLE
        self._action = RecordEpisodeServer(self, self._on_goal)
        self._status = self.create_publisher(RecorderStatus, "~/status", qos.LATCHED)
        self._answers = EpisodeServices(
            self, self._recorder, self._conversions, self._motion, self._count_episodes
        )
        self._showing = EpisodeShowing(self, folder)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(TICK_S, self._on_tick, clock=self._motion.timers)
        # Simulated time may stand, or have ended, while a bag is finished or converted.
        self.create_timer(STATUS_S, self._on_status_due, clock=steady)
        self.get_logger().info(f"episodes go to {folder.root}")

    def destroy_node(self) -> None:
        """End the episode under way, and say what is not converted."""
        now_ns = self._motion.now().ros_ns
        recorder = self._recorder
        recorder.cancel(EndReason.SHUT_DOWN, "the recorder was told to end", now_ns)
        for unfinished in recorder.unfinished:
            unfinished.done.wait(CLOSE_S)
        left = [ended.bag for ended in recorder.tick(now_ns) if ended.bag is not None]
        left += self._conversions.close()
        self._make_changes()
        for bag in left:
            command = " ".join(self._conversions.command(bag))
            self.get_logger().warning(f"not converted yet: vla-record {command}")
        super().destroy_node()

    def survive(self, error: Exception) -> None:
        """Take in what escaped from a callback: the episode under way must outlive it."""
        text = f"internal error: {type(error).__name__}: {str(error)[:300]}"
        self.get_logger().error(text, throttle_duration_sec=10.0)

    def _publish(self, name: str, text: str) -> tuple[str, str]:
        publisher = self.create_publisher(String, f"~/{name}", qos.LATCHED)
        publisher.publish(String(data=text))
        return publisher.topic_name, text

    # -- what it is asked ------------------------------------------------------------------------

    def _on_goal(self, goal: EpisodeGoal) -> str:
        return self._recorder.begin(goal, self._motion.now().ros_ns, time.time_ns())

    # -- what it does ----------------------------------------------------------------------------

    def _on_tick(self) -> None:
        self._settle()
        self._pace()

    def _pace(self) -> None:
        """Let a simulation go on, or wait where the disk is behind."""
        recording = self._recorder.current
        if recording is not None and recording.bag.share > HOLD_SHARE:
            self._motion.hold()
        else:
            self._motion.acknowledge()

    def _settle(self) -> None:
        """Begin and end what is due, and hand out what is over."""
        now_ns = self._motion.now().ros_ns
        if self._action.asked_to_cancel(self._action.newest):
            for ended in self._recorder.cancel(EndReason.CANCELED, "the client cancelled", now_ns):
                self._over(ended)
        for ended in self._recorder.tick(now_ns):
            self._over(ended)
        for converted in self._conversions.poll():
            self._converted(converted.bag, converted.problem)
        recording = self._recorder.current
        state = RecorderStatus.IDLE if recording is None else RecorderStatus.RECORDING
        if state != self._state:
            self._state = state
            if recording is not None:
                self.get_logger().info(f"recording {recording.words.name}")
            self._report()

    def _over(self, ended: EndedEpisode) -> None:
        words = ended.words
        rows = f"{words.name}, {words.rows} rows" if words is not None else "no episode"
        line = f"{rows}: {ended.reason.name.lower()}: {ended.message}"
        usual = ended.reason.value <= EndReason.TIMED_OUT.value
        level = log.LogLevel.INFO if usual else log.LogLevel.WARN
        log.write(self.get_logger(), log.LogLine(level, line))
        if ended.bag is None or words is None:
            self._action.ended(ended, "it was not kept")
        elif ended.goal.convert_later:
            self._action.ended(ended, "it is to be converted later: vla-record convert")
        elif not words.rows and words.end_ns:
            self._action.ended(ended, "it has no rows")
        else:
            self._converting[ended.bag] = ended
            self._conversions.add(ended.bag)

    def _converted(self, bag: Path, problem: str) -> None:
        ended = self._converting.pop(bag)
        said = problem or f"{bag.name} is in {self._recorder.folder.dataset}"
        if problem:
            self.get_logger().error(f"{bag.name} is not converted: {problem}")
        else:
            self.get_logger().info(said)
        said = "; ".join([said, *self._make_changes()])
        with contextlib.suppress(EpisodeError):
            ended = replace(ended, words=read_words(bag))
        newest, words = self._recorder.newest, ended.words
        if newest is not None and words is not None and newest.name == words.name:
            self._recorder.newest = words
        self._count_episodes(said)
        self._action.ended(ended, problem)

    def _make_changes(self) -> list[str]:
        """Make the changes that waited for a conversion; return what went wrong."""
        problems = self._answers.converted()
        for problem in problems:
            self.get_logger().error(problem)
        return problems

    def _count_episodes(self, said: str | None = None) -> None:
        last = self._besides.last_conversion if said is None else said
        count = _count(self._recorder.folder)
        self._besides = replace(self._besides, episodes=count, last_conversion=last)

    def _on_status_due(self) -> None:
        self._settle()
        # Simulated time that waits for the disk makes no ticks.
        self._pace()
        self._report()

    def _report(self) -> None:
        self._besides = replace(self._besides, converting=self._conversions.count)
        now = told.status(self._recorder, self._besides, self._motion.now().ros_ns)
        self._status.publish(now)
        if self._recorder.busy:
            feedback = told.feedback_of_recording(now, self._recorder)
            self._action.feed_back(self._action.newest, feedback)
        for ended in self._converting.values():
            if ended.words is not None:
                feedback = told.feedback_of_conversion(ended.words)
                self._action.feed_back(ended.goal.ticket, feedback)


def _text(given: EpisodeRecorderParams, name: str) -> str:
    path = Path(getattr(given, name)).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", "") or "is no text"
        raise ParameterError(f"parameter {name}: {path}: {why}; give another") from None


def _count(folder: EpisodeFolder) -> int:
    if not (folder.dataset / INFO).is_file():
        return 0
    try:
        return len(load(folder.dataset).episodes)
    except DatasetError:
        return 0


def main() -> int:
    """Run the node; return 2 if its configuration cannot be used."""
    return run("episode_recorder", EpisodeRecorderNode, (ParameterError, EpisodeError))


if __name__ == "__main__":
    sys.exit(main())
