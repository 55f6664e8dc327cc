# SPDX-License-Identifier: Apache-2.0
"""Read the joints' motion out of a recording, whoever made it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from vla_recording.report.errors import ReportError

try:
    from rosbags.typesys import get_types_from_idl, get_types_from_msg
    from rosbags.typesys.store import Typestore
except ImportError as error:
    raise ReportError(f"reading bags needs rosbags: pip install rosbags ({error})") from None

from vla_recording.report import messages as kinds
from vla_recording.report.cdr import Bytes, LayoutError, Template, Types, take_apart
from vla_recording.report.files import Channel, Findings, messages, new_scratch, one_line
from vla_recording.report.intake import Intake
from vla_recording.report.layouts import TRAJECTORY, WANTED, typestores
from vla_recording.report.order import ordered
from vla_recording.report.series import FloatArray, IntArray
from vla_recording.report.streams import JointStream, Recording, Role

# Samples by field and joints.
_Parts = dict[tuple[str, tuple[str, ...]], list[tuple[IntArray, FloatArray, FloatArray]]]
# Messages of one topic that are taken apart together.
_BATCH, _BATCH_BYTES = 2048, 8 << 20
# Layouts of one topic that are remembered, and tried on messages of their length.
_KNOWN = 8
_MOST_STREAMS = 200
_LATEST_NS = 4_000_000_000_000_000_000


@dataclass(frozen=True)
class Selection:
    """What of a recording is looked at.

    Attributes:
        from_s: Since the first message of joints, by the time of reception.
        to_s: Likewise, or None for all.
        names: Joints of topics whose messages have no names; "" stands for every such topic.
        topics: Only these, or all where there is none.
        revolute: Joints that are known not to turn over.
    """

    from_s: float = 0.0
    to_s: float | None = None
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    topics: tuple[str, ...] = ()
    revolute: frozenset[str] = frozenset()


@contextmanager
def read_bag(path: Path, selection: Selection | None = None) -> Iterator[Recording]:
    """Read every topic that says something of joints; the samples are there until the end.

    Args:
        path: A rosbag2 folder, or one of its files (.mcap, .db3), or a ROS 1 bag.
        selection: What of it.

    Raises:
        ReportError: It is no bag, it cannot be read, or no sample comes of it.
    """
    with new_scratch() as scratch:
        yield _Reader(path, selection or Selection(), Path(scratch)).read()


class _Reader:
    def __init__(self, path: Path, selection: Selection, scratch: Path) -> None:
        self._path, self._selection, self._scratch = path, selection, scratch
        self._findings = Findings()
        self._intakes: dict[tuple[str, str], Intake] = {}
        self._topics: dict[int, _Topic] = {}
        # The channel that is read of each topic: files of a split bag have one each.
        self._current: dict[str, _Topic] = {}
        self._number = 0
        self._first: int | None = None
        self._seen = [_LATEST_NS, 0]
        self._outside = 0

    def read(self) -> Recording:
        chosen, findings = self._selection, self._findings
        until = np.inf if chosen.to_s is None else chosen.to_s * 1e9
        since = chosen.from_s * 1e9
        for channel, received, data in messages(self._path, WANTED, findings, self._scratch):
            if chosen.topics and channel.topic not in chosen.topics:
                continue
            received = min(received, _LATEST_NS)
            if self._first is None:
                self._first = received
            if not since <= received - self._first <= until:
                self._outside += 1
                continue
            self._seen = [min(self._seen[0], received), max(self._seen[1], received)]
            topic = self._topics.get(id(channel))
            if topic is None:
                topic = self._topics[id(channel)] = _Topic(channel, findings, self._intake, chosen)
            before = self._current.get(channel.topic)
            if before is not topic:
                if before is not None:
                    before.flush()
                self._current[channel.topic] = topic
            topic.take(self._number, received, data)
            self._number += 1
        for topic in self._topics.values():
            topic.flush()
        streams = self._streams()
        if not streams:
            raise ReportError(self._why_nothing())
        window = None
        if chosen.from_s or chosen.to_s is not None:
            window = chosen.from_s, (self._seen[1] - (self._first or 0)) * 1e-9
        return Recording(
            self._path,
            self._seen[0],
            self._seen[1],
            tuple(streams),
            tuple(findings.notes),
            findings.incomplete,
            window,
        )

    def _intake(self, channel: Channel, source: str, role: Role) -> Intake | None:
        key = channel.topic, source
        if key not in self._intakes:
            if len(self._intakes) >= _MOST_STREAMS:
                self._findings.lost(f"more than {_MOST_STREAMS} sources; the rest is left out")
                return None
            number = len(self._intakes)
            self._intakes[key] = Intake(channel.topic, source, role, self._scratch, number)
        return self._intakes[key]

    def _streams(self) -> list[JointStream]:
        streams: list[JointStream] = []
        for intake in self._intakes.values():
            intake.finish()
            for why, count in intake.malformed.items():
                name = f"{intake.topic}, {intake.field}" if intake.field else intake.topic
                self._findings.note(f"{name}: {count} messages left out: {why}")
            for group in intake.groups():
                if len(streams) >= _MOST_STREAMS:
                    self._findings.lost(f"more than {_MOST_STREAMS} groups of joints")
                    return streams
                path = self._scratch / f"stream_{len(streams)}"
                streams.append(ordered(intake, group, path, self._selection.revolute))
        return streams

    def _why_nothing(self) -> str:
        """Return what keeps a report from being made, topic by topic."""
        found, counts = self._findings.channels, self._findings.messages
        wanted = {t: c for t, c in found.items() if c.msgtype in WANTED}
        if not wanted:
            few = ", ".join(sorted({c.msgtype or c.encoding for c in found.values()})[:5])
            what = f" ({few})" if few else ""
            notes = "".join(f"; {note}" for note in self._findings.notes[:3])
            return (
                f"{self._path}: {len(found)} topics{what}, but none of joints: JointState, "
                "JointTrajectoryControllerState, DynamicJointState, JointTrajectory or "
                f"Float64MultiArray; record joint_states{notes}"
            )
        reasons = []
        for topic in sorted(wanted)[:5]:
            intakes = [i for (name, _), i in self._intakes.items() if name == topic]
            if self._selection.topics and topic not in self._selection.topics:
                continue
            why = " / ".join(i.why_nothing(counts.get(topic, 0)) for i in intakes)
            if not intakes:
                why = "nothing was readable" if counts.get(topic) else "no message was recorded"
                if self._outside:
                    why = "its messages lie outside of --from and --to"
            reasons.append(f"{topic}: {why}")
        reasons = reasons or [f"no topic is called {', '.join(self._selection.topics)}"]
        return f"{self._path}: nothing to report on: " + "; ".join(
            [*reasons, *self._findings.notes[:3]]
        )


class _Topic:
    """Takes the messages of one topic apart, many at a time."""

    def __init__(
        self, channel: Channel, findings: Findings, intake: Any, selection: Selection
    ) -> None:
        self._channel, self._findings, self._intake = channel, findings, intake
        self._selection = selection
        self._times: list[int] = []
        self._data: list[bytes] = []
        self._numbers: list[int] = []
        self._bytes = 0
        self._types: Types | None = None
        self._known: dict[int, list[Template]] = {}
        self._intakes: dict[str, Intake] = {}

    def take(self, number: int, received_ns: int, data: bytes) -> None:
        """Take in a message, the `number`th of the recording."""
        self._numbers.append(number)
        self._times.append(received_ns)
        self._data.append(data)
        self._bytes += len(data)
        if len(self._data) >= _BATCH or self._bytes > _BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Take apart what has come in."""
        times, data = np.array(self._times, dtype=np.int64), self._data
        numbers = np.array(self._numbers, dtype=np.int64)
        self._times, self._data, self._numbers, self._bytes = [], [], [], 0
        if self._channel.msgtype == TRAJECTORY:
            # In the order of their reception: a later one takes the place of an earlier one.
            for received_ns, one in zip(times.tolist(), data, strict=True):
                self._plan(received_ns, one)
            return
        lengths = np.array([len(one) for one in data], dtype=np.int64)
        parts: _Parts = {}
        for length in np.unique(lengths):
            index = np.flatnonzero(lengths == length)
            if length < 4:
                for k in index.tolist():
                    self._plan(int(times[k]), data[k])
                continue
            rows = np.frombuffer(b"".join([data[k] for k in index]), dtype=np.uint8)
            rows = rows.reshape(len(index), length)
            left = np.ones(len(index), dtype=bool)
            for template in list(self._known.get(int(length), ())):
                here = np.flatnonzero(left)[template.matches(rows[left])]
                left[here] = False
                self._collect(
                    parts, template, rows[here], times[index[here]], numbers[index[here]]
                )
            while left.any():
                k = int(np.argmax(left))
                made = self._template(rows[k].tobytes())
                if made is None:
                    left[k] = False
                    continue
                known = self._known.setdefault(int(length), [])
                here = np.array([k])
                if len(known) < _KNOWN:
                    known.append(made)
                    here = np.flatnonzero(left)[made.matches(rows[left])]
                left[here] = False
                own = index[here]
                self._collect(parts, made, rows[here], times[own], numbers[own])
        for (source, names), found in parts.items():
            whole, positions, velocities = (
                np.concatenate([part[k] for part in found]) for k in range(3)
            )
            order = np.argsort(whole[:, 0], kind="stable")
            intake = self._intakes[source]
            intake.add(names, whole[order], positions[order], velocities[order])

    def _collect(
        self, parts: _Parts, template: Template, rows: Bytes, times: IntArray, order: IntArray
    ) -> None:
        """Add what messages (N, L) of one layout say to the parts."""
        if not len(rows):
            return
        try:
            found = kinds.sources(
                self._channel.msgtype, self._channel.topic, template, self._selection.names
            )
        except LayoutError as error:
            self._findings.lost(f"{self._channel.topic}: {one_line(error)}")
            return
        for source in found:
            intake = self._intake(self._channel, source.field, source.role)
            if intake is None:
                continue
            self._intakes[source.field] = intake
            intake.received += len(rows)
            if source.problem:
                intake.malformed[source.problem] += len(rows)
                continue
            if not source.positions:
                intake.empty += len(rows)
                continue
            whole = np.zeros((len(rows), 4), dtype=np.int64)
            whole[:, 0], whole[:, 2] = order, times
            whole[:, 1] = kinds.nanoseconds(rows, source.stamp)
            whole[:, 3] = kinds.nanoseconds(rows, source.elapsed)
            positions = kinds.values(rows, source.positions)
            velocities = np.full(positions.shape, np.nan)
            if source.velocities:
                velocities = kinds.values(rows, source.velocities)
            parts.setdefault((source.field, source.names), []).append(
                (whole, positions, velocities)
            )

    def _plan(self, received_ns: int, data: bytes) -> None:
        """Take in a trajectory, or note what it is not."""
        template = self._template(data)
        if template is None:
            return
        intake = self._intake(self._channel, "", Role.COMMAND)
        if intake is None:
            return
        try:
            plan = kinds.plan(template)
        except LayoutError as error:
            self._findings.lost(f"{self._channel.topic}: {one_line(error)}")
            return
        if isinstance(plan, str):
            intake.malformed[plan] += 1
        elif plan is None:
            intake.empty += 1
        else:
            intake.add_plan(plan, received_ns)

    def _template(self, data: bytes) -> Template | None:
        """Return a message taken apart, or None where it cannot be (which is noted)."""
        ros1 = self._channel.encoding == "ros1"
        msgtype, topic = self._channel.msgtype, self._channel.topic
        if self._types is None:
            self._types = self._find(data, ros1)
        if self._types is None:
            return None
        try:
            return take_apart(self._types, msgtype, data, ros1=ros1)
        except LayoutError as error:
            # Numbers differ from message to message, the kind of damage hardly does.
            kind = re.sub(r"\d+", "N", one_line(error))
            self._findings.lost(f"messages on {topic} are damaged: {kind}")
            return None

    def _find(self, data: bytes, ros1: bool) -> Types | None:
        """Return the types that a topic's messages fit: the bag's own, else known ones."""
        msgtype, topic = self._channel.msgtype, self._channel.topic
        stores = _stores()
        if self._channel.definition and self._channel.definition_format:
            try:
                own = dict(_own_types(self._channel))
                if msgtype in own:
                    return {**stores[0].fielddefs, **own}
            except Exception as error:
                # A parser's errors are not its interface.
                self._findings.note(f"the definition of {msgtype} is unusable: {one_line(error)}")
        for store in stores:
            try:
                take_apart(store.fielddefs, msgtype, data, ros1=ros1)
            except LayoutError:
                continue
            return dict(store.fielddefs)
        self._findings.lost(f"{topic}: {msgtype} has a layout that is not known here")
        return None


@cache
def _stores() -> list[Typestore]:
    return typestores()


def _own_types(channel: Channel) -> Types:
    """Return the types that the bag defines for a topic."""
    text, types = channel.definition, {}
    if channel.definition_format == "msg":
        return dict(get_types_from_msg(text, channel.msgtype))
    for part in text.split("=" * 80 + "\n"):
        if part.startswith("IDL: "):
            part = part.split("\n", 1)[1]
        if part.strip():
            types.update(get_types_from_idl(part))
    return types
