# SPDX-License-Identifier: Apache-2.0
"""From a path to rows of chunks, and the motion that follows from them, known beforehand.

What the arm will do is what the chunk executor makes of the rows, so that is computed here, with
the same tracker: a motion within the limits that ends at rest and leaves the path by so much. It
is this motion, not the path, that has to stay clear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smooth_motion import Chunk, MotionError, Plan, State, TrackerConfig, track
from smooth_motion.limits import FloatArray, Limits
from vla_moveit.core.planning import NoPathError
from vla_moveit.core.timing import sampled, timed

SECOND_NS = 1_000_000_000
# Rows as often as plans have knots, so that both mean the same.
ROW_NS = TrackerConfig().knot_dt_ns
LONGEST_S = 120.0
# Turns are passed the more slowly until the motion keeps to the path.
_EASES = (1.0, 0.5, 0.25, 0.1, 0.04, 0.01)
# The motion is looked at this often: the way between two looks is as good as straight.
_LOOK_NS = 20_000_000
_AT_ONCE = 256
# Places closer together than this are one.
_AS_NEAR_RAD = 2e-3
# A path slower than this does not tell how fast it is followed, and no arm is faster than this.
_SLOW_RAD_S, _FASTEST = 0.05, 1.5


@dataclass(frozen=True, eq=False)
class Schedule:
    """A path with its times.

    Attributes:
        points: The path (N, J), rad.
        rows: Positions (T, J), rad, each `ROW_NS` after the one before; held after the last.
        motion: What the arm will do, from time 0.
        deviation: Largest distance of a joint from the path, rad.
    """

    points: FloatArray
    rows: FloatArray
    motion: Plan
    deviation: float

    @property
    def end_ns(self) -> int:
        """When the path is over; the motion may take a little longer."""
        return (len(self.rows) - 1) * ROW_NS

    def at(self, times_ns: FloatArray) -> FloatArray:
        """Return where the path is (S, J), rad, at times (S,) from its start, ns."""
        index = np.clip(np.asarray(times_ns) / ROW_NS, 0.0, len(self.rows) - 1.0)
        own = np.arange(len(self.rows))
        return np.column_stack([np.interp(index, own, column) for column in self.rows.T])

    def nearest(
        self, position: FloatArray, from_ns: int, to_ns: int, due_ns: int
    ) -> tuple[int, float]:
        """Return when the path is nearest to a position, and how far a joint is off then, rad.

        A path may come by a place twice: of times that are as near, the one closest to when it is
        due counts.

        Args:
            position: (J,), rad.
            from_ns: The earliest time that is looked at.
            to_ns: The latest.
            due_ns: When the path is due there.
        """
        times = np.arange(max(0, from_ns), max(0, to_ns) + _LOOK_NS, _LOOK_NS)
        away = np.abs(self.at(times.astype(np.float64)) - position).max(axis=1)
        near = np.flatnonzero(away <= away.min() + _AS_NEAR_RAD)
        best = int(near[np.argmin(np.abs(times[near] - due_ns))])
        return int(times[best]), float(away[best])

    def rate(self, at_ns: int, velocity: FloatArray, otherwise: float) -> float:
        """Return how fast the path's time passes for who goes along it at a velocity.

        Args:
            at_ns: The path's time.
            velocity: (J,), rad/s.
            otherwise: What to return where the path hardly moves, which tells nothing.

        Returns:
            1 for who is as fast as the path, from 0 to `_FASTEST`.
        """
        around = np.array([at_ns - _LOOK_NS, at_ns + _LOOK_NS], dtype=np.float64)
        before, after = self.at(np.clip(around, 0.0, self.end_ns))
        along = (after - before) / (2.0 * _LOOK_NS / SECOND_NS)
        square = float(along @ along)
        if not square > _SLOW_RAD_S**2:
            return otherwise
        return float(np.clip(velocity @ along / square, 0.0, _FASTEST))


def schedule(
    points: FloatArray, limits: Limits, *, speed: float, deviation_rad: float
) -> Schedule:
    """Return a path's rows, so slow that the motion keeps to the path.

    Args:
        points: The path (N, J), rad, from where the arm rests; N at least 1.
        limits: Of the joints.
        speed: Share of the velocity limits, above 0 and at most 1.
        deviation_rad: By which a joint may leave the path at the most.

    Raises:
        NoPathError: It takes too long, or no motion keeps to it.
    """
    closest = np.inf
    for ease in _EASES:
        try:
            times, positions = timed(points, limits, speed=speed, ease=ease)
        except ValueError as error:
            raise NoPathError(str(error)) from None
        if not times[-1] <= LONGEST_S:
            raise NoPathError(
                f"the path takes {times[-1]:.0f} s, {LONGEST_S:g} s at most are taken; ask for a "
                "nearer goal, or for more speed"
            )
        rows = sampled(times, positions, ROW_NS / SECOND_NS)
        motion = _followed(rows, limits)
        away = _distance(motion, points)
        if away <= deviation_rad:
            return Schedule(points, rows, motion, away)
        closest = min(closest, away)
    raise NoPathError(
        f"no motion within the limits keeps to the path: a joint leaves it by {closest:.4f} rad, "
        f"{deviation_rad:g} rad at most are allowed"
    )


def looks(motion: Plan) -> FloatArray:
    """Return where a motion leads (S, J), rad, so densely that it is straight in between."""
    times = np.arange(motion.start_ns, motion.end_ns + _LOOK_NS, _LOOK_NS)
    return motion.sample(times).position


def _followed(rows: FloatArray, limits: Limits) -> Plan:
    names = limits.joint_names
    config = TrackerConfig(max_knots=len(rows) + 1)
    try:
        chunk = Chunk(names, 0, ROW_NS, rows)
        return track(chunk, State.at_rest(rows[0]), limits, start_ns=0, config=config)
    except MotionError as error:
        raise NoPathError(f"no motion follows the path: {error}") from error


def _distance(motion: Plan, points: FloatArray) -> float:
    """Return how far a joint is from the path at the most, rad, where it is nearest to it."""
    seen = looks(motion)
    if len(points) == 1:
        return float(np.abs(seen - points[0]).max())
    begin, along = points[:-1], np.diff(points, axis=0)
    square = np.maximum((along**2).sum(axis=1), 1e-18)
    worst = 0.0
    for first in range(0, len(seen), _AT_ONCE):
        part = seen[first : first + _AT_ONCE, None]
        share = np.clip(((part - begin) * along).sum(axis=2) / square, 0.0, 1.0)
        away = np.abs(begin + share[..., None] * along - part).max(axis=2).min(axis=1)
        worst = max(worst, float(away.max()))
    return worst
