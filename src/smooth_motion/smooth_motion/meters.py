# SPDX-License-Identifier: Apache-2.0
"""The figures of `metrics` from a stream: samples in, one result when there is one.

No meter reads a clock; each is told the time of every sample. A sample that is not finite is
refused with an error, and what it would have spoilt starts again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smooth_motion.errors import MotionError
from smooth_motion.limits import FloatArray, IntArray, frozen_array, frozen_names
from smooth_motion.metrics import (
    BoundaryJerk,
    JerkStatistics,
    jerk_statistics,
)

# Samples that a window holds at first; it grows.
_ROOM = 1024


class RecentJerk:
    """RMS and peak jerk over the time just past."""

    def __init__(self, joint_names: Iterable[str], window_s: float = 1.0) -> None:
        """Start empty.

        Args:
            joint_names: J names.
            window_s: How far back it looks.

        Raises:
            MotionError: The window is not positive.
        """
        self.joint_names = frozen_names(joint_names)
        self._window_ns = round(positive(window_s, "window_s") * 1e9)
        # The window is the rows from `_first` to `_end`; behind them is room for more.
        self._times = np.zeros(_ROOM, dtype=np.int64)
        self._rows = np.zeros((_ROOM, len(self.joint_names)))
        self._first = self._end = 0

    def update(self, t_ns: int, jerk: FloatArray) -> None:
        """Take in one estimate (J,), rad/s^3. A time that does not increase starts anew.

        Raises:
            MotionError: The estimate is not finite or has the wrong shape.
        """
        self.extend([t_ns], [jerk])

    def extend(self, times_ns: Sequence[int], jerks: npt.ArrayLike) -> None:
        """Take in N estimates (N, J), rad/s^3, as `update` does one by one.

        Raises:
            MotionError: An estimate is not finite or the shape is wrong; none is taken in.
        """
        if not len(times_ns):
            return
        rows = frozen_array(jerks, "jerk", (len(times_ns), len(self.joint_names)))
        times = np.array(times_ns, dtype=np.int64)
        back = np.flatnonzero(times[1:] <= times[:-1])
        if back.size:
            times, rows = times[back[-1] + 1 :], rows[back[-1] + 1 :]
        if back.size or (self._end > self._first and times[0] <= self._times[self._end - 1]):
            self.clear()
        self._make_room(len(times))
        end = self._end + len(times)
        self._times[self._end : end], self._rows[self._end : end] = times, rows
        self._end = end
        since_ns = times[-1] - self._window_ns
        self._first += int(np.searchsorted(self._times[self._first : end], since_ns))

    def _make_room(self, count: int) -> None:
        if self._end + count <= len(self._times):
            return
        kept = slice(self._first, self._end)
        times, rows = self._times[kept], self._rows[kept]
        room = 2 * (len(times) + count)
        if room > len(self._times):
            self._times = np.zeros(room, dtype=np.int64)
            self._rows = np.zeros((room, rows.shape[1]))
        self._times[: len(times)], self._rows[: len(times)] = times, rows
        self._first, self._end = 0, len(times)

    def clear(self) -> None:
        """Forget every sample."""
        self._first = self._end = 0

    def statistics(self) -> JerkStatistics | None:
        """Return RMS and peak over the window, or None before the second sample."""
        if self._end - self._first < 2:
            return None
        duration_s = float(self._times[self._end - 1] - self._times[self._first]) * 1e-9
        return jerk_statistics(self._rows[self._first : self._end], duration_s)


class BoundaryMeter:
    """Jerk near the times at which one chunk takes over from another, and elsewhere."""

    def __init__(self, joint_names: Iterable[str], *, window_s: float = 0.1) -> None:
        """Start empty.

        Args:
            joint_names: J names.
            window_s: "Near" is less than this before or after a boundary.
        """
        self.joint_names = frozen_names(joint_names)
        self._window_s = positive(window_s, "window_s")
        self._window_ns = round(window_s * 1e9)
        joints = len(self.joint_names)
        self._squares, self._peak = np.zeros((2, joints)), np.zeros(joints)
        self._count, self._seconds = [0, 0], [0.0, 0.0]
        self._ahead: deque[int] = deque()
        self._boundaries = 0
        self._last_ns: int | None = None

    def boundary(self, t_ns: int) -> None:
        """Note when a chunk takes over. Call it before the samples near that time come in."""
        self._ahead.append(t_ns)
        self._boundaries += 1

    def update(self, t_ns: int, jerk: FloatArray) -> None:
        """Take in one estimate (J,), rad/s^3.

        Raises:
            MotionError: It is not finite, has the wrong shape, or its time does not increase.
        """
        self.extend([t_ns], [jerk])

    def extend(self, times_ns: Sequence[int], jerks: npt.ArrayLike) -> None:
        """Take in N estimates (N, J), rad/s^3, as `update` does one by one.

        Raises:
            MotionError: One is not finite, the shape is wrong, or the times do not increase; none
                is taken in.
        """
        if not len(times_ns):
            return
        rows = frozen_array(jerks, "jerk", (len(times_ns), len(self.joint_names)))
        times = np.array(times_ns, dtype=np.int64)
        begun_ns = int(times[0]) if self._last_ns is None else self._last_ns
        steps = np.diff(times, prepend=begun_ns)
        back = np.flatnonzero(steps[self._last_ns is None :] <= 0)
        if back.size:
            at = int(back[0]) + (self._last_ns is None)
            before_ns = int(times[at] - steps[at])
            raise MotionError(f"times must increase, but {times[at]} follows {before_ns}")
        self._last_ns = int(times[-1])
        near = np.zeros(times.size, dtype=np.bool_)
        for boundary_ns in self._ahead:
            near |= abs(times - boundary_ns) < self._window_ns
        while self._ahead and self._ahead[0] <= self._last_ns - self._window_ns:
            self._ahead.popleft()
        self._add(0, ~near, rows, steps)
        if near.any():
            self._add(1, near, rows, steps)
            self._peak = np.maximum(self._peak, np.abs(rows[near]).max(axis=0))

    def _add(
        self, kind: int, chosen: npt.NDArray[np.bool_], rows: FloatArray, steps: IntArray
    ) -> None:
        self._squares[kind] += (rows[chosen] ** 2).sum(axis=0)
        self._count[kind] += int(np.count_nonzero(chosen))
        self._seconds[kind] += float(steps[chosen].sum()) * 1e-9

    def result(self) -> BoundaryJerk:
        """Return the comparison up to now."""
        rms = [
            np.sqrt(squares / count) if count else np.full(squares.shape, np.nan)
            for squares, count in zip(self._squares, self._count, strict=True)
        ]
        peak = self._peak.copy() if self._count[1] else np.full(self._peak.shape, np.nan)
        return BoundaryJerk(
            self._boundaries, self._window_s, rms[1], rms[0], peak, *reversed(self._seconds)
        )


@dataclass(frozen=True)
class Interventions:
    """How often something stepped in between the policy and the arm.

    Attributes:
        by_reason: Count of each reason.
        elapsed_s: The time observed.
        active_s: The part of it in which an intervention was in force.
        longest_s: The longest one.
        path_deviation: Largest distance from the path that was asked for, rad.
    """

    by_reason: Mapping[str, int]
    elapsed_s: float
    active_s: float
    longest_s: float
    path_deviation: float

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.by_reason.values())

    @property
    def per_minute(self) -> float | None:
        """How many in a minute, or None before any time has passed."""
        return 60.0 * self.count / self.elapsed_s if self.elapsed_s > 0.0 else None

    @property
    def share(self) -> float | None:
        """Share of the time in which one was in force, or None before any time has passed."""
        return self.active_s / self.elapsed_s if self.elapsed_s > 0.0 else None


class InterventionMeter:
    """Counts interventions and the time that they last."""

    def __init__(self, start_ns: int) -> None:
        """Start to observe."""
        self._start_ns = start_ns
        self._counts: Counter[str] = Counter()
        self._active_ns = self._longest_ns = 0
        self._since_ns: int | None = None
        self._deviation = 0.0

    @property
    def active(self) -> bool:
        """Whether an intervention is in force."""
        return self._since_ns is not None

    def begin(self, t_ns: int, reason: str) -> None:
        """Note that one began. While it lasts, others count but do not add to its time."""
        self._counts[reason] += 1
        if self._since_ns is None:
            self._since_ns = t_ns

    def end(self, t_ns: int, *, path_deviation: float = 0.0) -> None:
        """Note that it ended, and how far from the path it led, rad.

        Raises:
            MotionError: None is in force, or the deviation is not a finite, positive number or 0.
        """
        if self._since_ns is None:
            raise MotionError("no intervention is in force; call begin first")
        if not (0.0 <= path_deviation < np.inf):
            raise MotionError(f"path_deviation must be finite, 0 or more: {path_deviation}")
        lasted = t_ns - self._since_ns
        self._active_ns += lasted
        self._longest_ns = max(self._longest_ns, lasted)
        self._deviation = max(self._deviation, path_deviation)
        self._since_ns = None

    def summary(self, now_ns: int) -> Interventions:
        """Return the count up to now; one in force counts with the time it has lasted."""
        running = 0 if self._since_ns is None else now_ns - self._since_ns
        return Interventions(
            dict(self._counts),
            (now_ns - self._start_ns) * 1e-9,
            (self._active_ns + running) * 1e-9,
            max(self._longest_ns, running) * 1e-9,
            self._deviation,
        )


def positive(value: float, name: str) -> float:
    """Return a number that is one and above 0; refuse any other by the name that it has."""
    if not (0.0 < value < np.inf):
        raise MotionError(f"{name} must be positive, but is {value}")
    return float(value)
