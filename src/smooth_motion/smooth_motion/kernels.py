# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of what is judged at every control cycle, compiled.

A robot has few joints, and on arrays of seven numpy spends its time on everything but the numbers.
Each function here is compiled for the types that its decorator names when this module is imported,
or loaded from what was compiled before: nothing compiles later. All arrays are float64 or int64,
contiguous and writable; shapes are those of J joints. Nothing here checks them.

Import this module only where it is needed: numba takes half a second to load.

Without numba the same functions run as they are written, about a hundred times slower (a cycle of
seven joints in 0.1 ms in place of 0.001), and a warning says so: enough at 100 Hz, too slow at
1 kHz.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from smooth_motion.limits import FloatArray, IntArray

try:
    from numba import njit
except ImportError as error:  # Also where it is there, and too old or too new for this numpy.
    njit = None  # type: ignore[assignment]
    warnings.warn(
        f"numba cannot be used ({error}): what is judged at every control cycle is not compiled "
        "and takes about a hundred times as long; install python3-numba 0.55 or newer",
        RuntimeWarning,
        stacklevel=2,
    )

COMPILED = njit is not None

# What `judge_reference` found.
POSITION, VELOCITY, ACCELERATION, JERK, DEVIATION = 1, 2, 4, 8, 16
WRONG = POSITION | VELOCITY | ACCELERATION | JERK | DEVIATION
HAS_JERK = 32
# No joint is beyond this in rad, m, rad/s or rad/s^2. What is larger is no measurement, and the
# squares and cubes of it would not be finite.
LARGEST = 1e6


def _compiled(signature: str) -> Callable[[Any], Any]:
    def compile_(function: Any) -> Any:
        if njit is None:

            @functools.wraps(function)
            def interpreted(*arguments: Any) -> Any:
                # As compiled code: an overflow is infinite, and nothing is printed about it.
                with np.errstate(all="ignore"):
                    return function(*arguments)

            return interpreted
        try:
            return njit(signature, cache=True, error_model="numpy")(function)
        except RuntimeError:
            # There is nowhere to keep it: it is compiled at each start.
            return njit(signature, error_model="numpy")(function)

    return compile_


@_compiled("int64(float64[:, ::1], int64[::1], float64[:, ::1])")
def gather(columns: FloatArray, index: IntArray, ordered: FloatArray) -> int:
    """Write the columns of some joints, (F, N), in another order, (F, J).

    Returns:
        -1, or where the first value was written that is not a number of `LARGEST` at most:
        field x J + joint.
    """
    bad = -1
    for field in range(columns.shape[0]):
        for joint in range(index.size):
            value = columns[field, index[joint]]
            ordered[field, joint] = value
            if bad < 0 and not (abs(value) <= LARGEST):
                bad = field * index.size + joint
    return bad


@_compiled("void(int64[::1], float64[:, :, ::1], int64, float64[::1], float64[::1], float64[::1])")
def follow(
    knots_ns: IntArray,
    pieces: FloatArray,
    since_ns: int,
    position: FloatArray,
    planned: FloatArray,
    deviation: FloatArray,
) -> None:
    """Evaluate a plan and compare a position with it.

    Args:
        knots_ns: Times of the knots since the plan's start, (K,).
        pieces: Of each knot position, velocity, half the acceleration, and a sixth of the jerk
            from there on; (K, 4, J).
        since_ns: Time since the plan's start.
        position: (J,) rad.
        planned: Takes the plan's position, (J,) rad.
        deviation: Takes the position minus the plan's, (J,) rad.
    """
    last = knots_ns.size - 1
    left, dt = 0, 0.0
    if since_ns >= knots_ns[last]:
        left = last
    elif since_ns > 0:
        high = last
        while high - left > 1:
            middle = (left + high) // 2
            if knots_ns[middle] <= since_ns:
                left = middle
            else:
                high = middle
        dt = (since_ns - knots_ns[left]) * 1e-9
    for joint in range(position.size):
        value = pieces[left, 0, joint]
        if dt > 0.0:
            # The order of `cubic_position`.
            value += dt * (
                pieces[left, 1, joint]
                + dt * (pieces[left, 2, joint] + dt * pieces[left, 3, joint])
            )
        planned[joint] = value
        deviation[joint] = position[joint] - value


@_compiled("int64(int64, float64[::1], int64, int64, int64[::1], float64[:, ::1])")
def newton(
    t_ns: int,
    position: FloatArray,
    min_ns: int,
    max_ns: int,
    times: IntArray,
    differences: FloatArray,
) -> int:
    """Take a sample into Newton's scheme: each sample adds one difference of each order.

    Args:
        t_ns: Its time.
        position: (J,) rad.
        min_ns: A step shorter than this begins anew.
        max_ns: So does a longer one than this.
        times: How many samples there are, 4 at most, and the newest three times; (4,), kept.
        differences: Position and the differences of order 1 to 3, each times its order's
            factorial; (4, J), kept.

    Returns:
        How many samples there are now, 4 at most: so many rows of the differences hold.
    """
    count = times[0]
    step_ns = t_ns - times[1]
    if count and not (min_ns <= step_ns <= max_ns):
        count = 0
    orders = min(count, 3)
    for joint in range(position.size):
        before, new = differences[0, joint], position[joint]
        differences[0, joint] = new
        for order in range(1, orders + 1):
            kept = differences[order, joint]
            new = (new - before) * (order / ((t_ns - times[order]) * 1e-9))
            differences[order, joint] = new
            before = kept
    times[3], times[2], times[1] = times[2], times[1], t_ns
    times[0] = min(count + 1, 4)
    return int(times[0])


@_compiled(
    "int64(int64, float64[:, ::1], float64[::1], int64, int64, float64[:, ::1], int64[::1],"
    " float64[:, ::1], float64[:, ::1], float64[::1], float64[::1])"
)
def judge_reference(
    t_ns: int,
    reference: FloatArray,
    deviation: FloatArray,
    min_ns: int,
    max_ns: int,
    bounds: FloatArray,
    times: IntArray,
    differences: FloatArray,
    size: FloatArray,
    jerk: FloatArray,
    peak: FloatArray,
) -> int:
    """Judge one cycle of a controller's reference.

    Args:
        t_ns: Trajectory time.
        reference: Position, velocity and acceleration, (3, J).
        deviation: Of the reference from the plan that runs, (J,) rad.
        min_ns: As for `newton`, likewise the next and `times` and `differences`.
        max_ns: See there.
        bounds: Lower and upper position, velocity, acceleration, jerk, deviation; (6, J).
        times: Kept.
        differences: Kept.
        size: Takes what velocity, acceleration and jerk are judged by, (3, J); the last row stays
            where there is no jerk yet.
        jerk: Takes the jerk, (J,) rad/s^3, where there is one.
        peak: The largest magnitude of the jerk, (J,), kept.

    Returns:
        Which bounds are broken, and `HAS_JERK`.
    """
    filled = newton(t_ns, reference[0], min_ns, max_ns, times, differences)
    found = 0
    for joint in range(deviation.size):
        # All comparisons are such that a NaN is beyond any bound.
        position = reference[0, joint]
        if not (bounds[0, joint] <= position <= bounds[1, joint]):
            found |= POSITION
        if not (abs(deviation[joint]) <= bounds[5, joint]):
            found |= DEVIATION
        for order in range(1, 3):
            value = abs(reference[order, joint])
            if filled > order:
                difference = abs(differences[order, joint])
                if not (difference <= value):
                    value = difference
            size[order - 1, joint] = value
            if not (value <= bounds[order + 1, joint]):
                found |= VELOCITY if order == 1 else ACCELERATION
        if filled == 4:
            found |= HAS_JERK
            value = differences[3, joint]
            jerk[joint] = value
            value = abs(value)
            size[2, joint] = value
            if not (value <= peak[joint]):
                peak[joint] = value
            if not (value <= bounds[4, joint]):
                found |= JERK
    return found


@_compiled(
    "boolean(int64, float64[::1], int64, int64[::1], float64[:, ::1], float64[::1], float64[::1])"
)
def savitzky_golay(
    t_ns: int,
    position: FloatArray,
    max_ns: int,
    clock: IntArray,
    ring: FloatArray,
    weights: FloatArray,
    jerk: FloatArray,
) -> bool:
    """Take a sample into a Savitzky-Golay filter.

    Args:
        t_ns: Its time.
        position: (J,) rad.
        max_ns: A longer step than this begins anew, and so does one that goes back or stays.
        clock: How many samples there are, and the newest time; (2,), kept.
        ring: The newest N samples, each twice, N rows apart; (2 N, J), kept.
        weights: (N,).
        jerk: Takes the estimate, (J,) rad/s^3, where there is one.

    Returns:
        Whether there is one.
    """
    window = weights.size
    step_ns = t_ns - clock[1]
    if clock[0] and not (1 <= step_ns <= max_ns):
        clock[0] = 0
    at = clock[0] % window
    clock[0], clock[1] = clock[0] + 1, t_ns
    filled = clock[0] >= window
    for joint in range(position.size):
        ring[at, joint] = ring[at + window, joint] = position[joint]
        jerk[joint] = 0.0
    if filled:
        # Relative to the newest, so that nothing is lost to the size of the angle.
        for row in range(window):
            for joint in range(position.size):
                jerk[joint] += weights[row] * (ring[at + 1 + row, joint] - position[joint])
    return bool(filled)


@_compiled(
    "boolean(int64, float64[::1], int64, int64, float64, int64[::1], float64[:, ::1],"
    " float64[:, ::1], float64[:, ::1], float64[::1])"
)
def kalman(
    t_ns: int,
    position: FloatArray,
    max_ns: int,
    run_in: int,
    unit: float,
    clock: IntArray,
    transition: FloatArray,
    gains: FloatArray,
    state: FloatArray,
    jerk: FloatArray,
) -> bool:
    """Take a sample into a Kalman filter with known gains.

    Args:
        t_ns: Its time.
        position: (J,) rad.
        max_ns: A longer step than this begins anew, and so does one that goes back or stays.
        run_in: So many samples make an estimate.
        unit: Of the last state, rad/s^3.
        clock: How many samples there are, and the newest time; (2,), kept.
        transition: (4, 4).
        gains: (G, 4); the last one stays.
        state: (5, J), kept: four states and the first position, which they are relative to.
        jerk: Takes the estimate, (J,) rad/s^3, where there is one.

    Returns:
        Whether there is one.
    """
    step_ns = t_ns - clock[1]
    if clock[0] and not (1 <= step_ns <= max_ns):
        clock[0] = 0
    gain = gains[min(clock[0], len(gains) - 1)]
    for joint in range(position.size):
        if clock[0] == 0:
            state[:4, joint] = 0.0
            state[4, joint] = position[joint]
        innovation = position[joint] - state[4, joint]
        for row in range(4):
            value = 0.0
            for column in range(row, 4):
                value += transition[row, column] * state[column, joint]
            # The transition is upper triangular: what is overwritten is not needed below.
            state[row, joint] = value
        innovation -= state[0, joint]
        for row in range(4):
            state[row, joint] += gain[row] * innovation
        jerk[joint] = unit * state[3, joint]
    clock[0], clock[1] = clock[0] + 1, t_ns
    return bool(clock[0] >= run_in)


@_compiled("int64(float64[::1], float64[::1], int64, float64[:, ::1], float64[:, ::1])")
def judge_measurement(
    jerk: FloatArray, error: FloatArray, known: int, bounds: FloatArray, size: FloatArray
) -> int:
    """Judge one measurement of the joints.

    Args:
        jerk: Estimate, (J,) rad/s^3.
        error: Distance from the reference, (J,) rad.
        known: Which of the two there are: `JERK`, `DEVIATION`, both or neither.
        bounds: Of their magnitudes, (2, J).
        size: Takes the magnitudes, (2, J); those that are not known stay.

    Returns:
        Which bounds are broken, of what is known.
    """
    found = 0
    for joint in range(jerk.size):
        # All comparisons are such that a NaN is beyond any bound.
        if known & JERK:
            size[0, joint] = abs(jerk[joint])
            if not (size[0, joint] <= bounds[0, joint]):
                found |= JERK
        if known & DEVIATION:
            size[1, joint] = abs(error[joint])
            if not (size[1, joint] <= bounds[1, joint]):
                found |= DEVIATION
    return found


@_compiled("float64(float64[::1], float64[::1])")
def largest_share(values: FloatArray, levels: FloatArray) -> float:
    """Return the largest magnitude as a share of its level; NaN where one is NaN."""
    largest = 0.0
    for joint in range(values.size):
        share = abs(values[joint]) / levels[joint]
        if not (share <= largest):
            largest = share
            if share != share:
                break
    return largest


@_compiled("float64(float64[::1], float64[::1], float64[::1])")
def led_away(position: FloatArray, before: FloatArray, now: FloatArray) -> float:
    """Return how far a reference was led on from a position that stays the same.

    What presses on something stays where it is while its reference comes back towards it, so that
    counts as nothing; beyond the position, on its other side, all of the way counts.

    Args:
        position: Where the joints are said to be, (J,).
        before: The reference when they came to be there, (J,).
        now: The reference, (J,).
    """
    largest = 0.0
    for joint in range(position.size):
        was, is_now = before[joint] - position[joint], now[joint] - position[joint]
        led = abs(is_now) if was * is_now < 0.0 else abs(is_now) - abs(was)
        largest = max(largest, led)
    return largest
