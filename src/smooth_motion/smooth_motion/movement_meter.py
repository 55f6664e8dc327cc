# SPDX-License-Identifier: Apache-2.0
"""Movements in a stream of velocities: where they begin and end, and how smooth each is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from smooth_motion.errors import MotionError
from smooth_motion.limits import FloatArray, frozen_array, frozen_names
from smooth_motion.meters import positive
from smooth_motion.metrics import (
    SHORTEST_MOVEMENT,
    ldlj,
    sparc,
)

# Spacing that differs less than this, relative, is even.
_EVEN = 1e-3


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
            positive(value, name)
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


def _evenly(seconds: FloatArray, values: FloatArray) -> tuple[float, FloatArray]:
    """Return the mean spacing and the values (N, J) at even times."""
    dt_s = float(seconds[-1]) / (len(seconds) - 1)
    even = np.arange(len(seconds)) * dt_s
    if np.abs(np.diff(seconds) - dt_s).max() > _EVEN * dt_s:
        values = CubicSpline(seconds, values)(even)
    return dt_s, values
