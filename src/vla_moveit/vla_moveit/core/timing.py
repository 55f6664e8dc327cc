# SPDX-License-Identifier: Apache-2.0
"""How fast a path is passed: time for each point of it, so that joints can follow.

The path's own measure is the time that it takes where each joint may go at its velocity limit. The
rate at which that time passes is at most 1; it is lower where the path turns, and rises and falls
no faster than the accelerations allow. The jerk is left to what follows the path.
"""

from __future__ import annotations

import numpy as np

from smooth_motion.limits import FloatArray, Limits

# Share of the acceleration limits: the rest is for what jerk-limited motion needs to follow.
ACCELERATION_SHARE = 0.5
# A corner is passed as if the path turned over this much of its own time, s, or over what is
# there between its points.
_TURN_S = 0.05
_STEP_S = 0.02
# Points closer together than this are one.
_SAME_RAD = 1e-9
MOST_STEPS = 20_000


def timed(
    points: FloatArray, limits: Limits, *, speed: float, ease: float
) -> tuple[FloatArray, FloatArray]:
    """Return when the path is where.

    Args:
        points: (N, J), rad; N at least 1.
        limits: Of the joints.
        speed: Share of the velocity limits, above 0 and at most 1.
        ease: Share of the acceleration that turns may take, above 0 and at most 1.

    Returns:
        Times (M,) from 0, s, and positions (M, J), rad, on the path.

    Raises:
        ValueError: The path takes more steps than `MOST_STEPS`.
    """
    moved = np.abs(np.diff(points, axis=0)).max(axis=1, initial=0.0) > _SAME_RAD
    points = points[np.concatenate([[True], moved])]
    if len(points) == 1:
        return np.zeros(1), points
    velocity = limits.velocity * speed
    acceleration = limits.acceleration * ACCELERATION_SHARE * speed**2
    lengths = (np.abs(np.diff(points, axis=0)) / velocity).max(axis=1)
    parts = np.maximum(np.ceil(lengths / _STEP_S).astype(np.int64), 2)
    if not parts.sum() <= MOST_STEPS:
        raise ValueError(f"the path takes {parts.sum()} steps, {MOST_STEPS} at most are taken")
    fine = np.vstack([points[:1], *map(_divided, points[:-1], points[1:], parts)])
    own = np.repeat(lengths / parts, parts)
    along = np.diff(fine, axis=0) / own[:, None]
    rates = _rates_at_turns(along, np.repeat(lengths, parts), ease * acceleration)
    with np.errstate(divide="ignore"):
        gain = (acceleration / np.abs(along)).min(axis=1)
    # The square of the rate changes by twice the acceleration along the path at most.
    squares = rates**2
    for step in range(len(own)):
        squares[step + 1] = min(squares[step + 1], squares[step] + 2.0 * gain[step] * own[step])
    for step in range(len(own) - 1, -1, -1):
        squares[step] = min(squares[step], squares[step + 1] + 2.0 * gain[step] * own[step])
    rates = np.sqrt(squares)
    return np.concatenate([[0.0], np.cumsum(2.0 * own / (rates[:-1] + rates[1:]))]), fine


def sampled(times: FloatArray, positions: FloatArray, dt_s: float) -> FloatArray:
    """Return positions (T, J) at a fixed rate; the last row is the path's end.

    Args:
        times: (M,), s, from 0.
        positions: (M, J), rad.
        dt_s: Time between rows, s.
    """
    count = int(np.ceil(times[-1] / dt_s - 1e-9)) + 1
    wanted = np.minimum(np.arange(count) * dt_s, times[-1])
    return np.column_stack([np.interp(wanted, times, column) for column in positions.T])


def _divided(begin: FloatArray, end: FloatArray, parts: int) -> FloatArray:
    return np.asarray(begin + np.arange(1, parts + 1)[:, None] / parts * (end - begin))


def _rates_at_turns(
    along: FloatArray, lengths: FloatArray, acceleration: FloatArray
) -> FloatArray:
    """Return the largest rate at each point (S + 1,), by how the path turns there.

    Args:
        along: Velocity in each step where the rate is 1 (S, J), rad/s.
        lengths: Time between the path's own points, of each step (S,), s.
        acceleration: That a turn may take (J,), rad/s^2.
    """
    turn = np.abs(np.diff(along, axis=0))
    over = np.minimum(np.maximum(lengths[:-1], lengths[1:]), _TURN_S)
    with np.errstate(divide="ignore"):
        squares = (acceleration / turn).min(axis=1) * over
    return np.concatenate([[0.0], np.minimum(np.sqrt(squares), 1.0), [0.0]])
