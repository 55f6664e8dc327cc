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
from scipy.interpolate import CubicSpline

from smooth_motion.errors import MotionError
from smooth_motion.limits import FloatArray, IntArray, frozen_array, frozen_names
from smooth_motion.metrics import (
    SHORTEST_MOVEMENT,
    BoundaryJerk,
    JerkStatistics,
    jerk_statistics,
    ldlj,
    sparc,
)

# Samples that a window holds at first; it grows.
_ROOM = 1024
# Spacing that differs less than this, relative, is even.
_EVEN = 1e-3


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
        self._window_ns = round(_positive(window_s, "window_s") * 1e9)
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


@dataclass(frozen=True)
class Segmentation:
    """Where one movement ends and the next begins, by the speed sqrt(sum of v^2) of all joints.

    A movement begins when the speed passes `start_speed` and ends when it stays below `rest_speed`
    for `rest_s`; then it is extended on both sides to where the speed stops falling, so that the
    thresholds cut nothing off a command that comes to rest.

    Attributes:
        start_speed: rad/s.
        rest_speed: rad/s, not above `start_speed`.
        rest_s: s.
        shortest_s: Anything shorter is no movement.
        longest_s: A movement that lasts longer is cut here, and has no smoothness.
        max_gap_s: So is one in which samples are missing for longer than this.
        min_dt_s: Samples closer than this are left out: SPARC looks at 10 Hz and below.

    Raises:
        MotionError: A value is not positive, or the speeds are the wrong way round.
    """

    start_speed: float = 0.05
    rest_speed: float = 0.02
    rest_s: float = 0.1
    shortest_s: float = 0.1
    longest_s: float = 60.0
    max_gap_s: float = 0.1
    min_dt_s: float = 0.004

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            _positive(value, name)
        if not (self.rest_speed <= self.start_speed):
            raise MotionError(
                f"rest_speed ({self.rest_speed}) must not be above start_speed "
                f"({self.start_speed})"
            )


@dataclass(frozen=True)
class Movement:
    """One movement from rest to rest.

    Attributes:
        start_ns: Its first sample.
        end_ns: Its last one.
        peak_speed: Largest speed of all joints together, rad/s.
        path: Length in joint space, rad.
        ldlj: Log dimensionless jerk of the joint velocities, or None where not defined.
        sparc: Spectral arc length of the joint speed, or None where not defined.
        undefined: Why there is no smoothness, or empty.
    """

    start_ns: int
    end_ns: int
    peak_speed: float
    path: float
    ldlj: float | None
    sparc: float | None
    undefined: str = ""

    @property
    def duration_s(self) -> float:
        """How long it took, s."""
        return (self.end_ns - self.start_ns) * 1e-9


class MovementMeter:
    """Finds movements in a stream of velocities and measures their smoothness as they end.

    LDLJ is for commands; on measured velocities SPARC alone is meaningful.
    """

    def __init__(self, joint_names: Iterable[str], config: Segmentation | None = None) -> None:
        """Start at an unknown state: a movement under way is not measured.

        Args:
            joint_names: J names, of the joints that move together (leave a gripper out).
            config: Where movements begin and end.
        """
        self.joint_names = frozen_names(joint_names)
        self._config = config or Segmentation()
        self._min_ns = round(self._config.min_dt_s * 1e9)
        self._max_ns = round(self._config.max_gap_s * 1e9)
        self._restart()

    def _restart(self) -> None:
        self._times: list[int] = []
        self._velocities: list[FloatArray] = []
        self._speeds: list[float] = []
        self._moving = False
        self._cut = "it was under way when the data began"
        self._rest: int | None = None  # index at which the speed last fell below rest_speed

    def update(self, t_ns: int, velocity: FloatArray) -> Movement | None:
        """Take in one sample.

        Args:
            t_ns: Its time.
            velocity: (J,) rad/s.

        Returns:
            The movement that this sample ends, if one does.

        Raises:
            MotionError: The velocity is not finite or has the wrong shape; the meter restarts.
        """
        ended = self.extend([t_ns], [velocity])
        return ended[0] if ended else None

    def extend(self, times_ns: Sequence[int], velocities: npt.ArrayLike) -> list[Movement]:
        """Take in N samples (N, J), rad/s, as `update` does one by one.

        Returns:
            The movements that they end, in order.

        Raises:
            MotionError: A velocity is not finite or the shape is wrong; the meter restarts.
        """
        if not len(times_ns):
            return []
        try:
            rows = frozen_array(velocities, "velocity", (len(times_ns), len(self.joint_names)))
        except MotionError:
            self._restart()
            raise
        ended = []
        for t_ns, velocity in zip(times_ns, rows, strict=True):
            if self._times and 0 < t_ns - self._times[-1] < self._min_ns:
                continue
            movement = self._take(t_ns, velocity)
            if movement is not None:
                ended.append(movement)
        return ended

    def _take(self, t_ns: int, velocity: FloatArray) -> Movement | None:
        ended = None
        if self._times and not (0 < t_ns - self._times[-1] <= self._max_ns):
            ended = self.finish("samples are missing")
            self._cut = "samples are missing"
        self._times.append(t_ns)
        self._velocities.append(velocity)
        self._speeds.append(float(np.sqrt(velocity @ velocity)))
        return self._advance() or ended

    def finish(self, why: str = "the data end in it") -> Movement | None:
        """End the stream; return the movement under way, if there is one."""
        movement = None
        if self._moving:
            if self._rest is not None:
                movement = self._end(self._rest)
            else:
                self._cut = self._cut or why
                movement = self._measure(len(self._times))
        self._restart()
        return movement

    def _advance(self) -> Movement | None:
        config, speed, newest = self._config, self._speeds[-1], len(self._times) - 1
        if not self._moving:
            if speed <= config.rest_speed:
                self._cut = ""
            if speed > config.start_speed:
                self._moving, self._rest = True, None
                self._forget(self._descent(newest, -1))
            elif newest > 4 * SHORTEST_MOVEMENT and speed <= config.rest_speed:
                # The rest before a movement is of no use but for its last samples.
                self._forget(newest - 2 * SHORTEST_MOVEMENT)
            return None
        if speed > config.rest_speed:
            self._rest = None
        elif self._rest is None:
            self._rest = newest
        if self._rest is not None:
            if self._times[newest] - self._times[self._rest] >= round(config.rest_s * 1e9):
                return self._end(self._rest)
        elif self._times[newest] - self._times[0] > round(config.longest_s * 1e9):
            self._cut = self._cut or f"it lasts longer than {config.longest_s:g} s"
            movement = self._measure(newest + 1)
            self._forget(newest)
            return movement
        return None

    def _end(self, rest: int) -> Movement | None:
        last = self._descent(rest, 1)
        movement = self._measure(last + 1)
        self._forget(last)
        self._moving, self._rest, self._cut = False, None, ""
        return movement

    def _descent(self, index: int, step: int) -> int:
        """Return how far the speed falls from an index on, in the direction of `step`."""
        speeds = self._speeds
        while 0 <= index + step < len(speeds) and speeds[index + step] < speeds[index]:
            index += step
        return index

    def _forget(self, before: int) -> None:
        del self._times[:before], self._velocities[:before], self._speeds[:before]

    def _measure(self, count: int) -> Movement | None:
        """Return the movement made of the first `count` samples, unless it is none."""
        times = np.array(self._times[:count], dtype=np.int64)
        if count < 2 or times[-1] - times[0] < round(self._config.shortest_s * 1e9):
            return None
        seconds = (times - times[0]) * 1e-9
        velocities, speeds = np.array(self._velocities[:count]), np.array(self._speeds[:count])
        path = float(((speeds[1:] + speeds[:-1]) * np.diff(seconds)).sum() / 2.0)
        smoothness: tuple[float | None, float | None] = (None, None)
        undefined = self._cut
        if not undefined:
            dt_s, even = _evenly(seconds, velocities)
            smoothness = ldlj(even, dt_s), sparc(np.sqrt((even**2).sum(axis=1)), dt_s)
            if None in smoothness:
                undefined = f"it has only {count} samples"
        return Movement(
            int(times[0]), int(times[-1]), float(speeds.max()), path, *smoothness, undefined
        )


def movements(
    joint_names: Iterable[str],
    times_ns: npt.ArrayLike,
    velocities: npt.ArrayLike,
    config: Segmentation | None = None,
) -> list[Movement]:
    """Find the movements of a recording.

    Args:
        joint_names: J names.
        times_ns: (N,).
        velocities: (N, J) rad/s.
        config: Where movements begin and end.

    Raises:
        MotionError: A velocity is not finite or a shape is wrong.
    """
    meter = MovementMeter(joint_names, config)
    rows = np.asarray(velocities, dtype=np.float64)
    found = [meter.update(int(t), row) for t, row in zip(np.asarray(times_ns), rows, strict=True)]
    return [movement for movement in (*found, meter.finish()) if movement is not None]


class BoundaryMeter:
    """Jerk near the times at which one chunk takes over from another, and elsewhere."""

    def __init__(self, joint_names: Iterable[str], *, window_s: float = 0.1) -> None:
        """Start empty.

        Args:
            joint_names: J names.
            window_s: "Near" is less than this before or after a boundary.
        """
        self.joint_names = frozen_names(joint_names)
        self._window_s = _positive(window_s, "window_s")
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


def _evenly(seconds: FloatArray, values: FloatArray) -> tuple[float, FloatArray]:
    """Return the mean spacing and the values (N, J) at even times."""
    dt_s = float(seconds[-1]) / (len(seconds) - 1)
    even = np.arange(len(seconds)) * dt_s
    if np.abs(np.diff(seconds) - dt_s).max() > _EVEN * dt_s:
        values = CubicSpline(seconds, values)(even)
    return dt_s, values


def _positive(value: float, name: str) -> float:
    if not (0.0 < value < np.inf):
        raise MotionError(f"{name} must be positive, but is {value}")
    return float(value)
