# SPDX-License-Identifier: Apache-2.0
"""Put a source's samples in order of time: which clock they have, where it jumps, what wraps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vla_recording.report.intake import ELAPSED, RECEIVED, STAMP, Intake
from vla_recording.report.series import FloatArray, IntArray, SeriesSample
from vla_recording.report.spool import Spool
from vla_recording.report.streams import LOOSE, PIECE, STEP, TIME, JointStream, Stamps

_SECOND = 1_000_000_000
# Two cycles of one trajectory have starts that differ by no more: a controller adds up periods.
SAME_START_NS = 1_000_000
# A trajectory whose time and stamps part by more, in more than this share of the samples, does
# not run at the pace of its time: it is scaled, as by a speed slider.
_PARTED_NS = 5_000_000
_PARTED_SHARE = 0.01
# Nothing that moves is further out, rad or m; beyond, third differences are not numbers any more.
LARGEST = 1e6
# A step this near a whole turn is a continuous joint's wrap, rad.
_NEAR_TURN = 0.7
_SAMPLE_ROWS = 60_000


class _Trajectory:
    """Follows the time of trajectories through a stream."""

    def __init__(self) -> None:
        self._last: tuple[int, int, int] | None = None  # stamp, elapsed, start
        self.running = self.parted = 0
        self.wander = SeriesSample()

    def times(self, stamps: IntArray, elapsed: IntArray) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        """Return the samples' trajectory times, and which of them begin a run by a wake-up."""
        starts = stamps - elapsed
        stamp, at, held = self._last or (int(stamps[0]), int(elapsed[0]), int(starts[0]))
        ds = np.diff(stamps, prepend=stamp)
        de = np.diff(elapsed, prepend=at)
        new = (de <= 0) | (np.abs(ds - de) > _SECOND // 2)
        index = np.flatnonzero(new)
        anchors = [held]
        for start in starts[index].tolist():
            # A trajectory that is sent again, or the next one of a plan, keeps the start.
            anchors.append(start if abs(start - anchors[-1]) > SAME_START_NS else anchors[-1])
        known = np.array(anchors, dtype=np.int64)
        anchor = known[np.cumsum(new)]
        loose = np.zeros(len(stamps), dtype=bool)
        loose[index[np.diff(known) != 0]] = True
        inside = ~new
        drift = np.abs(starts - anchor)[inside]
        self.running += int(inside.sum())
        self.parted += int((drift > _PARTED_NS).sum())
        self.wander.add(np.minimum(drift, _PARTED_NS) * 1e-9)
        self._last = int(stamps[-1]), int(elapsed[-1]), int(anchor[-1])
        return anchor + elapsed, loose


def ordered(
    intake: Intake, group: tuple[str, ...], path: Path, revolute: frozenset[str]
) -> JointStream:
    """Return the stream of a group of joints that share messages.

    Args:
        intake: What was read.
        group: J joints.
        path: Of the table to write.
        revolute: Joints that are known not to turn over: a step of a whole turn is a step.
    """
    stamped, survey, advancing, repeats, total = False, _Trajectory(), False, 0, 0
    last_stamp: int | None = None
    reception: list[int] = []
    for whole, _ in intake.rows(group):
        stamps = whole[:, STAMP]
        stamped = stamped or bool(stamps.any())
        advancing = advancing or bool((np.diff(whole[:, ELAPSED]) > 0).any())
        survey.times(stamps, whole[:, ELAPSED])
        steps = np.diff(stamps, prepend=stamps[0] if last_stamp is None else last_stamp)
        repeats += int((steps == 0).sum()) - (last_stamp is None)
        last_stamp, total = int(stamps[-1]), total + len(stamps)
        reception += [int(whole[:, RECEIVED].min()), int(whole[:, RECEIVED].max())]
        reception = [min(reception), max(reception)]
    scaled = survey.parted > _PARTED_SHARE * max(1, survey.running)
    clock, by = "stamp", "stamp"
    if intake.knots:
        clock = "time along the trajectory"
    elif not stamped:
        clock, by = "time of reception (the messages have no stamps)", "received"
    elif total > 2 and repeats > 0.5 * (total - 1):
        clock, by = "time of reception (most stamps are repeated)", "received"
    elif advancing and not scaled:
        clock, by = "trajectory time", "trajectory"
    elif advancing:
        clock = "stamp (the trajectory's time runs at another pace: it is scaled)"
    stream = JointStream(
        intake.topic,
        intake.field,
        intake.role,
        group,
        Spool(path, 4, 2 * len(group)),
        clock,
        by == "trajectory" or intake.knots,
    )
    stream.knots, stream.curve_jerk = intake.knots, intake.curve_jerk
    stream.received_s = (reception[1] - reception[0]) * 1e-9
    stream.stamps = Stamps(messages=total)
    wander = survey.wander.values()
    if by == "trajectory" and wander.size:
        stream.stamps.looseness_s = float(wander.max())
    stream.joined, stream.unjoined = intake.joined, intake.unjoined
    stream.malformed = sum(intake.malformed.values())
    stream.lost_joints = total * len(group) - intake.present(group)
    _Writer(stream, by, revolute, intake.present(group)).write(intake)
    return stream


class _Writer:
    def __init__(
        self, stream: JointStream, by: str, revolute: frozenset[str], present: int
    ) -> None:
        joints = len(stream.joint_names)
        self._stream, self._by, self._present = stream, by, present
        self._trajectory = _Trajectory()
        self._raw: tuple[int, int, int] | None = None  # time, reception, stamp of the last row
        self._time = self._piece = 0
        self._turns = np.zeros(joints)
        self._at = np.full(joints, np.nan)
        self._may_wrap = np.array([name not in revolute for name in stream.joint_names])
        self._seen_at = np.zeros(joints, dtype=np.int64)
        self._finite = 0
        self._piece_rows: list[FloatArray] = []

    def write(self, intake: Intake) -> None:
        stream = self._stream
        joints = len(stream.joint_names)
        stream.steps = [SeriesSample() for _ in range(joints + 1)]
        stream.extremes = np.vstack((np.full(joints, np.inf), np.full(joints, -np.inf)))
        for whole, floats in intake.rows(stream.joint_names):
            self._block(whole, floats)
        stream.not_finite += self._present - self._finite
        stream.piece = np.concatenate([np.zeros((0, joints + 1)), *self._piece_rows])

    def _block(self, whole: IntArray, floats: FloatArray) -> None:
        stream = self._stream
        joints = len(stream.joint_names)
        loose = np.zeros(len(whole), dtype=bool)
        times = whole[:, RECEIVED if self._by == "received" else STAMP].copy()
        if self._by == "trajectory":
            times, loose = self._trajectory.times(whole[:, STAMP], whole[:, ELAPSED])
        stamps = times if self._by == "received" else whole[:, STAMP]
        self._extremes(floats[:, :joints])
        first = self._raw is None
        before = self._raw or (int(times[0]), int(whole[0, RECEIVED]), int(stamps[0]))
        stamp_steps = np.diff(stamps, prepend=before[2])
        repeated = stamp_steps == 0
        repeated[0] &= not first
        stream.stamps.repeated += int(repeated.sum())
        kept = np.diff(times, prepend=before[0]) != 0
        kept[0] |= first
        times, received = times[kept], whole[kept, RECEIVED]
        if not len(times):
            return
        steps = np.diff(times, prepend=before[0])
        passed = np.diff(received, prepend=before[1])
        back = steps < 0
        ahead = (steps > _SECOND) & (steps - passed > _SECOND)
        stream.stamps.backwards += int(back.sum())
        stream.stamps.forwards += int(ahead.sum())
        # Where the clock jumps, the time of reception says best how much time passed.
        counted = np.where(back | ahead, np.clip(passed, 1_000_000, None), steps)
        if first:
            counted[0], self._time = 0, int(times[0])
            stream.start_ns = self._time
        shown = self._time + np.cumsum(counted)
        jumped = np.flatnonzero(back | ahead)
        if jumped.size and stream.stamps.first_jump_s is None:
            stream.stamps.first_jump_s = float(shown[jumped[0]] - stream.start_ns) * 1e-9
        rows = np.zeros((len(times), 4), dtype=np.int64)
        rows[:, TIME], rows[:, PIECE] = shown, self._piece + np.cumsum(back | ahead)
        rows[:, LOOSE], rows[:, STEP] = loose[kept], stamp_steps[kept]
        values = self._usable(floats[kept], rows[:, PIECE])
        stream.samples.append(rows, values)
        self._steps(shown, counted, values[:, :joints], first)
        self._raw = int(times[-1]), int(received[-1]), int(stamps[-1])
        self._time, self._piece = int(shown[-1]), int(rows[-1, PIECE])
        stream.end_ns = self._time

    def _extremes(self, positions: FloatArray) -> None:
        finite = np.isfinite(positions)
        self._finite += int(finite.sum())
        low, high = self._stream.extremes
        np.minimum(low, np.where(finite, positions, np.inf).min(axis=0), out=low)
        np.maximum(high, np.where(finite, positions, -np.inf).max(axis=0), out=high)

    def _usable(self, values: FloatArray, pieces: IntArray) -> FloatArray:
        """Return the values with wraps taken out and NaN for what cannot be reckoned with."""
        stream = self._stream
        joints = len(stream.joint_names)
        with np.errstate(invalid="ignore"):
            too_large = np.abs(values) > LARGEST
            too_large &= np.isfinite(values)
        stream.not_finite += int(too_large[:, :joints].sum())
        values[~(np.abs(values) <= LARGEST)] = np.nan
        for j in np.flatnonzero(self._may_wrap):
            column = values[:, j]
            seen = np.flatnonzero(np.isfinite(column))
            if not seen.size or stream.unit != "rad":
                continue
            p = column[seen]
            steps = np.diff(p, prepend=p[0] if np.isnan(self._at[j]) else self._at[j])
            wraps = (np.abs(np.abs(steps) - 2.0 * np.pi) < _NEAR_TURN) & (np.abs(p) < 6.5)
            if wraps.any() or self._turns[j]:
                turns = self._turns[j] - np.cumsum(np.where(wraps, np.sign(steps), 0.0))
                values[seen, j] = p + 2.0 * np.pi * turns
                self._turns[j] = turns[-1]
                name = stream.joint_names[j]
                stream.wraps[name] = stream.wraps.get(name, 0) + int(wraps.sum())
            self._at[j] = p[-1]
        return values

    def _steps(
        self, shown: IntArray, counted: IntArray, positions: FloatArray, first: bool
    ) -> None:
        stream = self._stream
        stream.steps[-1].add(counted[1:] if first else counted)
        finite = np.isfinite(positions)
        whole = bool(finite.all())
        for j in range(positions.shape[1]):
            if whole and self._seen_at[j] == (shown[0] - counted[0]) and not first:
                stream.steps[j].add(counted)
                self._seen_at[j] = shown[-1]
                continue
            times = shown[finite[:, j]]
            if times.size:
                if self._seen_at[j]:
                    stream.steps[j].add(np.diff(times, prepend=self._seen_at[j]))
                else:
                    stream.steps[j].add(np.diff(times))
                self._seen_at[j] = times[-1]
        if sum(map(len, self._piece_rows)) < _SAMPLE_ROWS:
            moves = bool((np.diff(positions, axis=0) != 0.0).any())
            if moves or not self._piece_rows:
                self._piece_rows.append(np.column_stack((shown * 1e-9, positions)))
