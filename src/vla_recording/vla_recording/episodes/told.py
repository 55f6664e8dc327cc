# SPDX-License-Identifier: Apache-2.0
"""What the recorder says, as messages."""

from __future__ import annotations

import math
from dataclasses import dataclass

from std_msgs.msg import Header
from vla_msgs.action import RecordEpisode
from vla_msgs.msg import RecorderStatus

from node_kit.messages import to_time
from vla_recording.episodes.recorder import EndedEpisode, EpisodeRecorder
from vla_recording.episodes.words import EpisodeWords, Mark


@dataclass(frozen=True)
class Besides:
    """What the status says that the recorder itself does not know.

    Attributes:
        converting: Episodes whose rows are being made, or wait for it.
        episodes: In the dataset.
        last_conversion: What became of the newest conversion.
    """

    converting: int = 0
    episodes: int = 0
    last_conversion: str = ""


def status(recorder: EpisodeRecorder, besides: Besides, now_ns: int) -> RecorderStatus:
    """Return what the recorder does."""
    recording, inputs = recorder.current, recorder.inputs
    words = recorder.newest if recording is None else recording.words
    look = inputs.look(now_ns, "")
    skew_s = math.nan if isinstance(look, tuple) else look.assembled.skew_ns * 1e-9
    msg = RecorderStatus(
        header=Header(stamp=to_time(now_ns)),
        state=RecorderStatus.IDLE if recording is None else RecorderStatus.RECORDING,
        folder=str(recorder.folder.root),
        sources=list(recorder.sources.features),
        ages=inputs.ages_s(now_ns),
        skew=skew_s,
        missing=[str(problem) for problem in inputs.problems(now_ns)],
        holder=inputs.holder,
        intervention=bool(inputs.holder) and inputs.holder != inputs.policy_id,
        remembered=recorder.remembered_s(),
        converting=besides.converting,
        episodes=besides.episodes,
        last_conversion=besides.last_conversion,
    )
    if words is not None:
        msg.episode, msg.task, msg.operator_name = words.name, words.task, words.operator
        msg.policy_id, msg.fps, msg.mark = words.policy_id, words.fps, Mark[words.mark].value
        msg.rows, msg.elapsed = words.rows, words.rows / words.fps
        msg.messages, msg.messages_dropped = words.messages, sum(words.messages_dropped.values())
        msg.last_end = words.message
    if recording is not None:
        msg.rows, msg.last_end = recording.rows.made, ""
        msg.elapsed = (now_ns - recording.words.begin_ns) * 1e-9
        msg.messages = recording.bag.written
        msg.messages_dropped = recording.bag.lost
    return msg


def feedback_of_recording(
    now: RecorderStatus, recorder: EpisodeRecorder
) -> RecordEpisode.Feedback:
    """Return how the episode under way goes, by the status and its newest row."""
    recording = recorder.current
    ages, skew_s = [math.nan] * len(now.sources), math.nan
    if recording is not None and recording.rows.newest is not None:
        row = recording.rows.newest
        stamps = row.assembled.stamps_ns
        ages = [(row.now_ns - stamps[feature]) * 1e-9 for feature in now.sources]
        skew_s = row.assembled.skew_ns * 1e-9
    return RecordEpisode.Feedback(
        phase=RecordEpisode.Feedback.RECORDING,
        episode=now.episode if recording is not None else "",
        rows=now.rows if recording is not None else 0,
        elapsed=now.elapsed if recording is not None else 0.0,
        sources=now.sources,
        ages=ages,
        skew=skew_s,
        missing=now.missing,
        holder=now.holder,
        messages=now.messages if recording is not None else 0,
        messages_dropped=now.messages_dropped if recording is not None else 0,
    )


def feedback_of_conversion(words: EpisodeWords) -> RecordEpisode.Feedback:
    """Return that an episode is being converted."""
    return RecordEpisode.Feedback(
        phase=RecordEpisode.Feedback.CONVERTING,
        episode=words.name,
        rows=words.rows,
        elapsed=words.rows / words.fps,
        messages=words.messages,
        messages_dropped=sum(words.messages_dropped.values()),
    )


def result(ended: EndedEpisode, not_converted: str) -> RecordEpisode.Result:
    """Return how an episode ended.

    Args:
        ended: What is said of it.
        not_converted: Why no dataset has its rows; empty where one has.
    """
    msg = RecordEpisode.Result(
        reason=ended.reason.value, message=ended.message, not_converted=not_converted
    )
    msg.bag = str(ended.bag) if ended.bag is not None else ""
    words = ended.words
    if words is None:
        return msg
    msg.episode, msg.mark = words.name, Mark[words.mark].value
    msg.rows, msg.rows_cut, msg.duration = words.rows, words.rows_cut, words.rows / words.fps
    msg.messages, msg.messages_dropped = words.messages, sum(words.messages_dropped.values())
    msg.dataset, msg.episode_index = words.dataset, words.episode_index
    return msg
