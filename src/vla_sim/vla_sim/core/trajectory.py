# SPDX-License-Identifier: Apache-2.0
"""A joint trajectory and its interpolation, as the joint_trajectory_controller does it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def _absent() -> FloatArray:
    return np.empty(0)


@dataclass(frozen=True)
class TrajectoryPoint:
    """One point of a trajectory, or a state. An array of length 0 means "not given".

    Attributes:
        time_from_start_ns: Time since the start of the trajectory.
        positions: (J,) rad.
        velocities: (J,) rad/s, or (0,).
        accelerations: (J,) rad/s^2, or (0,).
        effort: (J,) N m, or (0,).
    """

    time_from_start_ns: int
    positions: FloatArray
    velocities: FloatArray = field(default_factory=_absent)
    accelerations: FloatArray = field(default_factory=_absent)
    effort: FloatArray = field(default_factory=_absent)


@dataclass(frozen=True)
class JointTrajectory:
    """Points for the named joints; `stamp_ns` 0 means "start at the next control cycle"."""

    stamp_ns: int
    joint_names: tuple[str, ...]
    points: tuple[TrajectoryPoint, ...]


@dataclass(frozen=True)
class TrajectorySample:
    """A trajectory at one instant, with the part of the trajectory the instant lies in.

    Attributes:
        position: (J,) rad.
        velocity: (J,) rad/s.
        acceleration: (J,) rad/s^2.
        segment: Index of the point that begins the segment; 0 also before the first point.
        at_end: The last point has been reached.
    """

    position: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
    segment: int
    at_end: bool


class _Spline:
    """The polynomial between two points; its degree follows from what both points give.

    Positions only: 1. Also velocities: 3. Also accelerations: 5. Accelerations without velocities
    match no case of the controller, which then commands 0 rad to every joint; so does this class.
    """

    def __init__(
        self, start: TrajectoryPoint, end: TrajectoryPoint, start_ns: int, end_ns: int
    ) -> None:
        self._start_ns = start_ns
        duration = (end_ns - start_ns) / 1e9
        with_velocity = start.velocities.size > 0 and end.velocities.size > 0
        with_acceleration = start.accelerations.size > 0 and end.accelerations.size > 0
        zero = np.zeros(start.positions.size)
        p0, step = start.positions, end.positions - start.positions
        if with_velocity and with_acceleration:
            self._coefficients = _quintic(
                p0,
                step,
                start.velocities,
                end.velocities,
                start.accelerations,
                end.accelerations,
                duration,
            )
        elif with_velocity:
            self._coefficients = _cubic(p0, step, start.velocities, end.velocities, duration)
        elif with_acceleration:
            self._coefficients = (zero, zero)
        else:
            self._coefficients = (p0, step / duration)

    def at(self, time_ns: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return position, velocity and acceleration, each (J,)."""
        t = (time_ns - self._start_ns) / 1e9
        if len(self._coefficients) == 2:
            c0, c1 = self._coefficients
            return c0 + t * c1, c1, np.zeros(c0.size)
        if len(self._coefficients) == 4:
            c0, c1, c2, c3 = self._coefficients
            return (
                c0 + t * (c1 + t * (c2 + t * c3)),
                c1 + t * (2.0 * c2 + t * (3.0 * c3)),
                2.0 * c2 + t * (6.0 * c3),
            )
        c0, c1, c2, c3, c4, c5 = self._coefficients
        return (
            c0 + t * (c1 + t * (c2 + t * (c3 + t * (c4 + t * c5)))),
            c1 + t * (2.0 * c2 + t * (3.0 * c3 + t * (4.0 * c4 + t * (5.0 * c5)))),
            2.0 * c2 + t * (6.0 * c3 + t * (12.0 * c4 + t * (20.0 * c5))),
        )


def _cubic(
    p0: FloatArray, step: FloatArray, v0: FloatArray, v1: FloatArray, duration: float
) -> tuple[FloatArray, ...]:
    c2 = (3.0 * step - (2.0 * v0 + v1) * duration) / duration**2
    c3 = ((v0 + v1) * duration - 2.0 * step) / duration**3
    return p0, v0, c2, c3


def _quintic(
    p0: FloatArray,
    step: FloatArray,
    v0: FloatArray,
    v1: FloatArray,
    a0: FloatArray,
    a1: FloatArray,
    duration: float,
) -> tuple[FloatArray, ...]:
    # What remains to be covered once the start state's own motion is taken away: with it the
    # end conditions read dp, dv, da and the coefficients do not cancel against large positions.
    dp = step - v0 * duration - 0.5 * a0 * duration**2
    dv = (v1 - v0 - a0 * duration) * duration
    da = (a1 - a0) * duration**2
    c3 = (10.0 * dp - 4.0 * dv + 0.5 * da) / duration**3
    c4 = (-15.0 * dp + 7.0 * dv - da) / duration**4
    c5 = (6.0 * dp - 3.0 * dv + 0.5 * da) / duration**5
    return p0, v0, 0.5 * a0, c3, c4, c5


class RunningTrajectory:
    """A trajectory in execution: where it started, and which segment was reached.

    The trajectory's joints must already be in the controller's order, and valid.
    """

    def __init__(self, trajectory: JointTrajectory, *, interpolates: bool = True) -> None:
        """Begin before the first call of `sample`.

        Args:
            trajectory: The trajectory.
            interpolates: False jumps from point to point instead.
        """
        self._interpolates = interpolates
        self.points = trajectory.points
        self.start_ns = trajectory.stamp_ns
        self.started = False
        self._before: TrajectoryPoint | None = None
        self._before_ns = 0
        self._reached = 0
        self._splines: dict[int, _Spline] = {}

    def start(self, time_ns: int, state: TrajectoryPoint) -> None:
        """Fix the state from which the first point is approached.

        Args:
            time_ns: When the joints are in that state.
            state: What the first point gives and `state` lacks is taken as zero.
        """
        first = self.points[0]
        zero = np.zeros(state.positions.size)
        self._before_ns = time_ns
        self._before = TrajectoryPoint(
            0,
            state.positions,
            zero if first.velocities.size and not state.velocities.size else state.velocities,
            zero
            if first.accelerations.size and not state.accelerations.size
            else state.accelerations,
        )

    def sample(self, time_ns: int, *, advance: bool = True) -> TrajectorySample | None:
        """Evaluate the trajectory.

        The first call starts a trajectory without a stamp. Segments that were left are not
        searched again.

        Args:
            time_ns: Absolute time.
            advance: Whether later calls may begin their search at this call's segment.

        Returns:
            None for a time before the state given to `start`.
        """
        if not self.started:
            if self.start_ns == 0:
                self.start_ns = time_ns
            self.started = True
        if self._before is None or time_ns < self._before_ns:
            return None
        if time_ns < self.start_ns + self.points[0].time_from_start_ns:
            if not self._interpolates:
                return _standing(self._before, segment=0, at_end=False)
            return TrajectorySample(*self._spline(-1).at(time_ns), segment=0, at_end=False)
        last = len(self.points) - 1
        for index in range(self._reached, last):
            if self._knot_ns(index) <= time_ns < self._knot_ns(index + 1):
                if advance:
                    self._reached = index
                if not self._interpolates:
                    return _standing(self.points[index + 1], segment=index, at_end=False)
                return TrajectorySample(
                    *self._spline(index).at(time_ns), segment=index, at_end=False
                )
        self._reached = last
        return _standing(self.points[last], segment=last, at_end=True)

    def _knot_ns(self, index: int) -> int:
        return self.start_ns + self.points[index].time_from_start_ns

    def _spline(self, index: int) -> _Spline:
        """Return the spline from point `index` to the next; -1 is the approach to the first."""
        spline = self._splines.get(index)
        if spline is None:
            if index < 0:
                assert self._before is not None
                start, start_ns = self._before, self._before_ns
            else:
                start, start_ns = self.points[index], self._knot_ns(index)
            spline = _Spline(start, self.points[index + 1], start_ns, self._knot_ns(index + 1))
            self._splines[index] = spline
        return spline


def _standing(point: TrajectoryPoint, *, segment: int, at_end: bool) -> TrajectorySample:
    """Return what a point says; what it does not give is zero."""
    zero = np.zeros(point.positions.size)
    return TrajectorySample(
        point.positions,
        point.velocities if point.velocities.size else zero,
        point.accelerations if point.accelerations.size else zero,
        segment=segment,
        at_end=at_end,
    )
