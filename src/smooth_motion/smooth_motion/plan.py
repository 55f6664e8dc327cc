# SPDX-License-Identifier: Apache-2.0
"""Plans: trajectories whose jerk is constant between their knots.

A joint_trajectory_controller evaluates the quintic through the position, velocity and acceleration
of two neighbouring points. Where the knots of a constant-jerk motion are given, that quintic *is*
the cubic of constant jerk. So what holds for a plan's knots and intervals holds for what the
controller commands, at any rate.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from smooth_motion.errors import MotionError
from smooth_motion.limits import FloatArray, IntArray, State, frozen_array, frozen_names

# How far a knot may lie from the constant-jerk motion out of the knot before it. Rounding of
# float64 leaves about 4e-16 at 2 rad. A mismatch dp shows in the third difference of a command
# stream of period h as 8 dp / h^3: at 1 kHz and this tolerance 8e-5 rad/s^3 at most.
POSITION_RESIDUAL = 1e-14
VELOCITY_RESIDUAL = 1e-13

KnotsT = TypeVar("KnotsT", bound="Knots")


class Point(NamedTuple):
    """One point of a trajectory message, in plain Python numbers."""

    time_from_start_ns: int
    positions: list[float]
    velocities: list[float]
    accelerations: list[float]


class PlanSample(NamedTuple):
    """A plan at one time, each (J,), or at N times, each (N, J)."""

    position: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
    jerk: FloatArray


@dataclass(frozen=True, eq=False)
class Knots:
    """A trajectory as received: numbers without a promise. `check` judges it, `Plan` promises.

    Attributes:
        joint_names: J names.
        start_ns: Absolute time of the first knot; the trajectory's identity.
        times_ns: (K,) int64, from the start.
        positions: (K, J) float64, rad.
        velocities: (K, J) float64, rad/s.
        accelerations: (K, J) float64, rad/s^2.
    """

    joint_names: tuple[str, ...]
    start_ns: int
    times_ns: IntArray
    positions: FloatArray
    velocities: FloatArray
    accelerations: FloatArray

    @classmethod
    def from_points(
        cls: type[KnotsT],
        joint_names: Iterable[str],
        start_ns: int,
        points: Iterable[tuple[int, Sequence[float], Sequence[float], Sequence[float]]],
    ) -> KnotsT:
        """Build from the points of a trajectory message.

        Args:
            joint_names: J names.
            start_ns: The header's stamp.
            points: (time_from_start_ns, positions, velocities, accelerations) each, J values
                in every field.

        Raises:
            MotionError: There is no point, or a field of a point does not have J values.
        """
        names = tuple(joint_names)
        rows = [Point(t, list(p), list(v), list(a)) for t, p, v, a in points]
        if not rows:
            raise MotionError("the trajectory has no points; send at least one")
        for index, row in enumerate(rows):
            for field in ("positions", "velocities", "accelerations"):
                values: list[float] = getattr(row, field)
                if len(values) != len(names):
                    raise MotionError(
                        f"point {index} has {len(values)} {field} for {len(names)} joints; "
                        "every point needs positions, velocities and accelerations"
                    )
        times, positions, velocities, accelerations = zip(*rows, strict=True)
        return cls(
            names,
            start_ns,
            np.array(times, dtype=np.int64),
            np.array(positions, dtype=np.float64),
            np.array(velocities, dtype=np.float64),
            np.array(accelerations, dtype=np.float64),
        )

    def points(self) -> Iterator[Point]:
        """Yield the points of a trajectory message; the header's stamp is `start_ns`."""
        rows = zip(
            self.times_ns.tolist(),
            self.positions.tolist(),
            self.velocities.tolist(),
            self.accelerations.tolist(),
            strict=True,
        )
        return (Point(*row) for row in rows)

    @property
    def end_ns(self) -> int:
        """Absolute time of the last knot."""
        return self.start_ns + int(self.times_ns[-1])

    @property
    def knots_ns(self) -> IntArray:
        """Absolute times of the knots, (K,) int64."""
        return self.start_ns + self.times_ns

    def intervals_s(self) -> FloatArray:
        """Return the length of each interval in seconds, (K - 1,)."""
        return np.asarray((self.times_ns[1:] - self.times_ns[:-1]) * 1e-9)

    def segment_jerk(self) -> FloatArray:
        """Return the constant jerk of each interval, (K - 1, J), rad/s^3."""
        change = self.accelerations[1:] - self.accelerations[:-1]
        return np.asarray(change / self.intervals_s()[:, None])

    def residual(self) -> tuple[FloatArray, FloatArray]:
        """Return how far each knot lies from the constant-jerk motion out of the one before.

        Returns:
            |dp| in rad and |dv| in rad/s, each (K - 1, J).
        """
        dt = self.intervals_s()[:, None]
        jerk = self.segment_jerk()
        p, v, a = self.positions[:-1], self.velocities[:-1], self.accelerations[:-1]
        dp = np.abs(self.positions[1:] - cubic_position(p, v, a, jerk, dt))
        dv = np.abs(self.velocities[1:] - cubic_velocity(v, a, jerk, dt))
        return dp, dv


def cubic_position(
    p: FloatArray, v: FloatArray, a: FloatArray, j: FloatArray, dt: FloatArray | float
) -> FloatArray:
    """Return the position `dt` seconds after (p, v, a) under the constant jerk j."""
    return p + dt * (v + dt * (a / 2.0 + dt * (j / 6.0)))


def cubic_velocity(v: FloatArray, a: FloatArray, j: FloatArray, dt: FloatArray) -> FloatArray:
    """Return the velocity `dt` seconds after (v, a) under the constant jerk j."""
    return v + dt * (a + dt * (j / 2.0))


@dataclass(frozen=True, eq=False)
class Plan(Knots):
    """A motion with constant jerk between its knots that ends at rest.

    Construction holds: J distinct joint names; integer times, the first 0, strictly increasing;
    finite (K, J) arrays; each knot within `POSITION_RESIDUAL` (times the position's size, if
    above 1 rad) and `VELOCITY_RESIDUAL` (likewise) of the constant-jerk motion out of the knot
    before it; velocity and acceleration exactly zero at the end. Arrays are read-only.

    Raises:
        MotionError: One of these does not hold; the line names it.
    """

    def __post_init__(self) -> None:
        names = frozen_names(self.joint_names)
        times = np.array(self.times_ns)
        if times.ndim != 1 or times.size == 0 or not np.issubdtype(times.dtype, np.integer):
            raise MotionError("times_ns must be one or more integers (nanoseconds)")
        times = times.astype(np.int64)
        if times[0] != 0 or not (np.diff(times) > 0).all():
            raise MotionError("times_ns must start at 0 and increase strictly")
        times.setflags(write=False)
        object.__setattr__(self, "joint_names", names)
        object.__setattr__(self, "start_ns", int(self.start_ns))
        object.__setattr__(self, "times_ns", times)
        shape = (times.size, len(names))
        for field in ("positions", "velocities", "accelerations"):
            object.__setattr__(self, field, frozen_array(getattr(self, field), field, shape))
        if self.velocities[-1].any() or self.accelerations[-1].any():
            raise MotionError("the last knot must be at rest: velocity and acceleration exactly 0")
        self._require_constant_jerk()

    @cached_property
    def _jerk(self) -> FloatArray:
        """The jerk of each interval and, after the last, none, (K, J)."""
        jerk = np.zeros((self.times_ns.size, len(self.joint_names)))
        jerk[:-1] = Knots.segment_jerk(self)
        jerk.setflags(write=False)
        return jerk

    @cached_property
    def _pieces(self) -> tuple[list[int], list[tuple[FloatArray, ...]]]:
        """The knots' times and, for each, position, velocity, half the acceleration, jerk / 6."""
        rows = (self.positions, self.velocities, self.accelerations / 2.0, self._jerk / 6.0)
        return self.times_ns.tolist(), list(zip(*rows, strict=True))

    def segment_jerk(self) -> FloatArray:
        """Return the constant jerk of each interval, (K - 1, J), rad/s^3, read-only."""
        return self._jerk[:-1]

    def _require_constant_jerk(self) -> None:
        dp, dv = self.residual()
        wrong = ~(dp <= POSITION_RESIDUAL * np.maximum(1.0, np.abs(self.positions[1:])))
        wrong |= ~(dv <= VELOCITY_RESIDUAL * np.maximum(1.0, np.abs(self.velocities[1:])))
        if wrong.any():
            k, j = (int(i) for i in np.argwhere(wrong)[0])
            joint = self.joint_names[j]
            raise MotionError(
                f"the jerk of {joint} is not constant between knots {k} and {k + 1}: "
                f"knot {k + 1} is off by {dp[k, j]:.1e} rad and {dv[k, j]:.1e} rad/s"
            )

    @classmethod
    def of(cls, knots: Knots) -> Plan:
        """Return the plan that knots are.

        Raises:
            MotionError: They are none.
        """
        return cls(*(getattr(knots, each.name) for each in fields(Knots)))

    @classmethod
    def hold(cls, joint_names: Iterable[str], position: npt.ArrayLike, start_ns: int) -> Plan:
        """Return the plan of one knot that rests at `position` (J,) rad."""
        row = np.array([position], dtype=np.float64)
        zero = np.zeros_like(row)
        return cls(tuple(joint_names), start_ns, np.zeros(1, dtype=np.int64), row, zero, zero)

    def sample(self, t_ns: npt.ArrayLike) -> PlanSample:
        """Evaluate the plan, exactly, from the knot on the left of each time.

        Before the start the first knot's position is held at rest, after the end the last one's.
        The jerk at a knot is that of the interval to its right.

        Args:
            t_ns: Absolute times, an integer or (N,) integers.

        Returns:
            Arrays (J,) for one time, (N, J) for N times.
        """
        t = np.asarray(t_ns, dtype=np.int64)
        since = t - self.start_ns
        left = np.maximum(np.searchsorted(self.times_ns, since, side="right") - 1, 0)
        moving = (since >= 0) & (since < self.times_ns[-1])
        dt = np.where(moving, since - self.times_ns[left], 0)[..., None] * 1e-9
        inside = moving[..., None]
        p, j = self.positions[left], np.where(inside, self._jerk[left], 0.0)
        v = np.where(inside, self.velocities[left], 0.0)
        a = np.where(inside, self.accelerations[left], 0.0)
        return PlanSample(
            cubic_position(p, v, a, j, dt), cubic_velocity(v, a, j, dt), a + dt * j, j
        )

    def position_at(self, t_ns: int) -> FloatArray:
        """Return `sample(t_ns).position`, (J,) rad, bit by bit, at a fifth of its price."""
        since = t_ns - self.start_ns
        if since <= 0:
            return np.asarray(self.positions[0])
        times, polynomials = self._pieces
        if since >= times[-1]:
            return np.asarray(self.positions[-1])
        left = bisect_right(times, since) - 1
        p, v, half_a, sixth_j = polynomials[left]
        dt = (since - times[left]) * 1e-9
        # The order of `cubic_position`, so that the bits are the same.
        return np.asarray(p + dt * (v + dt * (half_a + dt * sixth_j)))

    def state(self, t_ns: int) -> State:
        """Return the commanded state at one absolute time."""
        sample = self.sample(t_ns)
        return State(sample.position, sample.velocity, sample.acceleration)
