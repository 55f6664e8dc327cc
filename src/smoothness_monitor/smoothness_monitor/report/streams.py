# SPDX-License-Identifier: Apache-2.0
"""What a recording holds: the motion of joints over time, one stream for each source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Stamp, time of reception, time since the trajectory's start, joints, positions, velocities.
_Row = tuple[int, int, int, tuple[str, ...], FloatArray, FloatArray]

# Two cycles of one trajectory have starts that differ by no more: a controller adds up periods.
SAME_START_NS = 1_000_000


class Role(Enum):
    """Whether a stream says what is asked of the joints or where they are."""

    COMMAND = "command"
    MEASURED = "measured"


@dataclass(frozen=True, eq=False)
class Stream:
    """Joints that are reported together.

    Attributes:
        topic: Where it was recorded.
        source: Field of the message, or empty.
        role: Command or measurement.
        joint_names: J names.
        times_ns: (N,) strictly increasing: trajectory time where the message has it, else its
            stamp, else when it was received.
        clock: Which of these, in words.
        positions: (N, J) rad (m for a sliding joint); NaN where a message lacks the joint.
        velocities: (N, J), NaN likewise, or None where none is reported.
        stamps_ns: (M,) of all messages, as recorded.
        lost_joints: How many values are missing.
        not_finite: How many are NaN or infinite as recorded.
        malformed: Messages whose fields do not have one value a joint.
        not_newer: Messages left out because their time does not follow the one before.
    """

    topic: str
    source: str
    role: Role
    joint_names: tuple[str, ...]
    times_ns: IntArray
    clock: str
    positions: FloatArray
    velocities: FloatArray | None
    stamps_ns: IntArray
    lost_joints: int
    not_finite: int
    malformed: int
    not_newer: int

    @property
    def name(self) -> str:
        """Topic and field."""
        return f"{self.topic}, {self.source}" if self.source else self.topic

    @property
    def duration_s(self) -> float:
        """From the first to the last sample."""
        return float(self.times_ns[-1] - self.times_ns[0]) * 1e-9

    @property
    def period_s(self) -> float:
        """Median time between samples."""
        return float(np.median(np.diff(self.times_ns))) * 1e-9


@dataclass(frozen=True)
class Recording:
    """What a bag holds.

    Attributes:
        path: The bag.
        start_ns: When the first message read was received.
        end_ns: Likewise the last.
        streams: One or more.
        notes: What was wrong with it, in words.
    """

    path: Path
    start_ns: int
    end_ns: int
    streams: tuple[Stream, ...]
    notes: tuple[str, ...]


class StreamBuilder:
    """Collects one source's messages; joints that never occur in one message are apart."""

    def __init__(self, topic: str, source: str, role: Role) -> None:
        self._topic, self._source, self._role = topic, source, role
        self._rows: list[_Row] = []
        self._malformed = 0
        self._joins: dict[tuple[str, ...], int] = {}

    def add(
        self,
        stamp_ns: int,
        received_ns: int,
        names: Sequence[str],
        positions: npt.ArrayLike,
        velocities: npt.ArrayLike,
        elapsed_ns: int = 0,
    ) -> None:
        """Add a message. One without positions says nothing here and is passed over."""
        joints = tuple(names)
        p, v = np.array(positions, dtype=np.float64), np.array(velocities, dtype=np.float64)
        if not p.size:
            return
        if p.size != len(joints) or v.size not in (0, len(joints)) or len(set(joints)) != p.size:
            self._malformed += 1
            return
        self._joins[joints] = self._joins.get(joints, 0) + 1
        self._rows.append((stamp_ns, received_ns, elapsed_ns, joints, p, v))

    def build(self) -> Iterator[Stream]:
        """Yield the streams."""
        for group in self._groups():
            rows = [row for row in self._rows if row[3][0] in group]
            yield self._stream(group, rows)

    def _groups(self) -> list[dict[str, int]]:
        """Return the columns of joints that belong together, by name."""
        groups: list[set[str]] = []
        order: dict[str, None] = {}
        for joints in sorted(self._joins, key=lambda names: -self._joins[names]):
            order.update(dict.fromkeys(joints))
            touched = [group for group in groups if group & set(joints)]
            groups = [group for group in groups if group not in touched]
            groups.append(set(joints).union(*touched))
        ordered = [[name for name in order if name in group] for group in groups]
        return [{name: column for column, name in enumerate(names)} for names in ordered]

    def _stream(self, columns: dict[str, int], rows: list[_Row]) -> Stream:
        positions = np.full((len(rows), len(columns)), np.nan)
        velocities = np.full_like(positions, np.nan)
        for k, (_, _, _, joints, p, v) in enumerate(rows):
            index = [columns[name] for name in joints]
            positions[k, index] = p
            if v.size:
                velocities[k, index] = v
        present = sum(len(row[3]) for row in rows)
        lost = positions.size - present
        finite = int(np.isfinite(positions).sum())
        stamps, received, elapsed = (
            np.array([row[i] for row in rows], dtype=np.int64) for i in range(3)
        )
        times, clock = _times(stamps, received, elapsed)
        newer = _newer(times)
        positions[~np.isfinite(positions)] = np.nan
        velocities[~np.isfinite(velocities)] = np.nan
        return Stream(
            self._topic,
            self._source,
            self._role,
            tuple(columns),
            times[newer],
            clock,
            positions[newer],
            velocities[newer] if np.isfinite(velocities).any() else None,
            stamps if stamps.any() else received,
            lost,
            present - finite,
            self._malformed,
            int((~newer).sum()),
        )


def _times(stamps: IntArray, received: IntArray, elapsed: IntArray) -> tuple[IntArray, str]:
    """Return the times of the samples, and what they are.

    A controller's stamp is when a cycle woke up; what it commands is that of trajectory time. A
    trajectory's start is its first cycle's stamp less the time elapsed then; later cycles wander.
    """
    if not stamps.any():
        return received, "time of reception (the messages have no stamps)"
    if not (np.diff(elapsed) > 0).any():
        return stamps, "stamp"
    starts = stamps - elapsed
    times = np.empty_like(stamps)
    start = starts[0]
    for k in range(len(stamps)):
        if abs(int(starts[k]) - int(start)) > SAME_START_NS:
            start = starts[k]
        times[k] = start + elapsed[k]
    return times, "trajectory time"


def _newer(times: IntArray) -> npt.NDArray[np.bool_]:
    """Return which samples are newer than all before them."""
    if times.size == 0:
        return np.zeros(0, dtype=bool)
    highest = np.maximum.accumulate(times)
    return np.concatenate(([True], times[1:] > highest[:-1]))
