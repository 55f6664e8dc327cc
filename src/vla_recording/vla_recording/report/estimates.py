# SPDX-License-Identifier: Apache-2.0
"""Velocity, acceleration and jerk of samples at the times that they have, and how sure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_recording.report.series import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

# An estimate reaches over no step longer than so many periods.
GAP_PERIODS = 3.5
# Sampling whose steps differ more than this from a period, as a share of it, is uneven.
UNEVEN = 0.1
# Half of the stretch of time that one estimate of measured jerk or velocity is made of.
JERK_HALF_S, SLOPE_HALF_S = 0.1, 0.05
_CHUNK = 2048
# Third differences of four rounded numbers are off by eight roundings.
_ROUNDINGS = 16.0


@dataclass(frozen=True, eq=False)
class Sampling:
    """How a joint is sampled.

    Attributes:
        period_s: Mean time between samples, gaps left out.
        gap_s: A longer step is a gap.
        uneven: Steps differ much from the period.
        exact: Times are those of the motion: none is that of a late wake-up.
        looseness_s: By how much a time may be off where it is only known by a wake-up.
        rounding: Of the positions, relative.
    """

    period_s: float
    gap_s: float
    uneven: bool
    exact: bool
    looseness_s: float = 0.0
    rounding: float = 2.3e-16


def sampling(
    steps_ns: FloatArray, exact: bool, looseness_s: float, rounding: float, knots: bool
) -> Sampling | None:
    """Return how steps (N,) between samples say that a joint is sampled, or None for too few."""
    steps = steps_ns[steps_ns > 0.0] * 1e-9
    if steps.size < 2:
        return None
    usual = steps[steps <= 3.0 * np.quantile(steps, 0.9)]
    period = float(usual.mean())
    off = np.abs(usual / period - np.maximum(np.round(usual / period), 1.0))
    uneven = bool(np.sqrt(np.mean(off**2)) > UNEVEN)
    gap = 10.0 if knots else max(GAP_PERIODS * period, min(0.1, 10.0 * period))
    return Sampling(period, gap, uneven, exact, looseness_s, rounding)


def usable_steps(times: IntArray, pieces: IntArray, gap_s: float) -> BoolArray:
    """Return which steps (N - 1,) an estimate may reach over."""
    steps = np.diff(times)
    return np.asarray((steps <= round(gap_s * 1e9)) & (np.diff(pieces) == 0) & (steps > 0))


def finest_ns(how: Sampling) -> int:
    """Return the shortest step, ns, over which positions are differentiated."""
    return round(1e9 * max(2e-4, 0.05 * how.period_s))


def over_gaps(
    times: IntArray,
    pieces: IntArray,
    p: FloatArray,
    how: Sampling,
    step: float,
    new: BoolArray,
) -> tuple[float, float]:
    """Return the velocity that samples (N,) on both sides of gaps prove, and what it may be.

    No motion gets from one to the other with a lower peak. Where the clock jumps, how much time
    passed is known by reception only, which proves nothing.

    Args:
        times: ns.
        pieces: Their numbers.
        p: Positions.
        how: How they are sampled.
        step: The encoder's.
        new: Which samples count.
    """
    if len(times) < 2:
        return 0.0, 0.0
    steps = np.diff(times) * 1e-9
    split = np.diff(pieces) != 0
    chosen = new[1:] & (split | (steps > how.gap_s))
    way = np.maximum(np.abs(np.diff(p))[chosen] - step, 0.0)
    speed = way / (steps[chosen] + np.where(split[chosen], how.gap_s, how.period_s))
    proven = speed[~split[chosen]]
    return float(proven.max(initial=0.0)), float(speed.max(initial=0.0))


@dataclass(frozen=True, eq=False)
class Differences:
    """Divided differences of a command; NaN where there is none. All (N, J).

    Attributes:
        velocity: rad/s; acceleration, rad/s^2; jerk, rad/s^3: each over the samples up to a row.
        velocity_off: How much of it late stamps and rounding may feign; and so on.
    """

    velocity: FloatArray
    acceleration: FloatArray
    jerk: FloatArray
    velocity_off: FloatArray
    acceleration_off: FloatArray
    jerk_off: FloatArray


def differences(
    times: IntArray, pieces: IntArray, loose: IntArray, p: FloatArray, how: Sampling
) -> Differences:
    """Return what a command (N, J) asks for.

    Where it is continuously differentiable often enough, no difference exceeds the true peak,
    whatever the spacing. A time that is late by d is off by v d in the position.
    """
    count = len(times)
    shape = (count, p.shape[1])
    sound = usable_steps(times, pieces, how.gap_s)
    # The finest spacing that rounding leaves something of.
    sound &= np.diff(times) >= finest_ns(how)
    steps = np.diff(times) * 1e-9
    if how.exact:
        late = np.maximum(loose[1:], loose[:-1]) * how.looseness_s
    else:
        late = np.abs(steps - np.maximum(np.round(steps / how.period_s), 1.0) * how.period_s)
    late = late[:, None]
    size = how.rounding * np.abs(p)
    table, slope = p, np.zeros((0, shape[1]))
    found, off = [], []
    usable, error = np.ones(count, dtype=bool), late
    for order in range(1, 4):
        full, doubt = np.full(shape, np.nan), np.full(shape, np.nan)
        if count > order:
            spans = (times[order:] - times[:-order]) * 1e-9
            table = order * np.diff(table, axis=0) / np.maximum(spans, 1e-12)[:, None]
            usable = sound.copy() if order == 1 else usable[1:] & usable[:-1]
            if order == 1:
                slope = np.abs(table)
            else:
                slope = np.maximum(slope[1:], slope[:-1])
                error = np.maximum(error[1:], error[:-1])
            h = (spans / order)[:, None]
            full[order:][usable] = table[usable]
            rounded = _ROUNDINGS * size[order:]
            doubt[order:] = (2.0**order * slope * error + rounded) / h**order
        found.append(full)
        off.append(doubt)
    return Differences(*found, *off)


@dataclass(frozen=True, eq=False)
class Filtered:
    """Jerk of measured positions (N,), rad/s^3; NaN where there is none.

    Attributes:
        jerk: At the samples' times.
        least: What of its magnitude is certain, whichever times are true: those of the stamps or
            even ones; the most that an encoder's rounding adds is taken off.
        most: What it may be.
    """

    jerk: FloatArray
    least: FloatArray
    most: FloatArray


def half_window(period_s: float) -> int:
    """Return how many samples on each side one estimate of measured jerk is made of."""
    return max(2, min(200, round(JERK_HALF_S / period_s)))


def even_weights(half: int, period_s: float) -> FloatArray:
    """Return the weights (2 half + 1,) of the third derivative of a cubic through even samples.

    The same as `SavitzkyGolayJerk`'s.
    """
    offsets = np.arange(-half, half + 1, dtype=np.float64)
    odd = offsets**3 - offsets * (offsets**4).sum() / (offsets**2).sum()
    return np.asarray(6.0 * odd / (odd**2).sum() / period_s**3)


def filtered(
    times: IntArray, pieces: IntArray, p: FloatArray, how: Sampling, step: float | None
) -> Filtered:
    """Return the third derivative of a cubic fitted to the samples (N,) around each."""
    half = half_window(how.period_s)
    window = 2 * half + 1
    weights = even_weights(half, how.period_s)
    even, true = np.full(len(p), np.nan), np.full(len(p), np.nan)
    bound = np.full(len(p), np.inf)
    steps = np.diff(times)
    if how.uneven:
        breaks = ~usable_steps(times, pieces, how.gap_s)
    else:
        breaks = (steps > 1.5e9 * how.period_s) | (np.diff(pieces) != 0)
    rounding = np.inf if step is None else 0.5 * step
    for rows in np.split(np.arange(len(p)), np.flatnonzero(breaks) + 1):
        if len(rows) >= window:
            centred = p[rows] - p[rows].mean()
            # The kernel is odd: np.correlate takes it as it stands.
            even[rows[half:-half]] = np.correlate(centred, weights, "valid")
    known = np.isfinite(even)
    bound[known] = rounding * np.abs(weights).sum()
    wanted = np.ones(len(p), dtype=bool) if how.uneven else ~known
    wanted &= _reach(times, pieces, half, how)
    centres = np.flatnonzero(wanted)
    for start in range(0, len(centres), _CHUNK):
        rows = centres[start : start + _CHUNK]
        true[rows], largest = _fit(times, p, rows, half)
        if step is not None:
            bound[rows] = rounding * largest
    both = np.isfinite(true)
    jerk = np.where(both, true, even)
    magnitudes = np.abs(np.stack((even, true)))
    nothing = ~np.isfinite(jerk)
    magnitudes[:, nothing] = 0.0
    least = np.where(np.isnan(magnitudes), np.inf, magnitudes).min(axis=0) - bound
    most = np.where(np.isnan(magnitudes), -np.inf, magnitudes).max(axis=0)
    least[nothing], most[nothing] = np.nan, np.nan
    return Filtered(jerk, least, most)


def _reach(times: IntArray, pieces: IntArray, half: int, how: Sampling) -> BoolArray:
    """Return around which samples there are enough others without a gap."""
    reached = np.zeros(len(times), dtype=bool)
    if len(times) <= 2 * half:
        return reached
    bad = np.concatenate(([0], np.cumsum(~usable_steps(times, pieces, how.gap_s))))
    clear = bad[2 * half :] == bad[: -2 * half]
    span = (times[2 * half :] - times[: -2 * half]) * 1e-9 / (2 * half * how.period_s)
    # A window much shorter than others sees more noise, a longer one less motion.
    reached[half:-half] = clear & (span > 0.5) & (span < 1.6)
    return reached


def _fit(
    times: IntArray, p: FloatArray, rows: IntArray, half: int
) -> tuple[FloatArray, FloatArray]:
    """Return the third derivative of cubics around rows (n,), and the sums of their weights."""
    index = rows[:, None] + np.arange(-half, half + 1)
    tau = (times[index] - times[rows][:, None]) * 1e-9
    scale = np.abs(tau).max(axis=1, keepdims=True)
    x = tau / scale
    powers = [np.ones_like(x), x, x**2, x**3]
    matrix = np.empty((len(rows), 4, 4))
    for i in range(4):
        for j in range(i, 4):
            matrix[:, i, j] = matrix[:, j, i] = (powers[i] * powers[j]).sum(axis=1)
    third = np.zeros((len(rows), 4, 1))
    third[:, 3] = 1.0
    # Where samples lie so that no cubic is determined there is no estimate.
    sound = np.linalg.cond(matrix) < 1e12
    matrix[~sound] = np.eye(4)
    c = np.linalg.solve(matrix, third)[:, :, 0]
    weights = 6.0 * sum(c[:, k : k + 1] * powers[k] for k in range(4)) / scale**3
    near = p[index] - p[rows][:, None]
    values = (weights * near).sum(axis=1)
    values[~sound] = np.nan
    return values, np.abs(weights).sum(axis=1)


def slopes(times: IntArray, pieces: IntArray, p: FloatArray, how: Sampling) -> FloatArray:
    """Return the slope (N,) of a straight line through a tenth of a second around each sample.

    NaN where the samples do not reach or are further apart than elsewhere.
    """
    half = max(1, min(50, round(SLOPE_HALF_S / how.period_s)))
    slope = np.full(len(p), np.nan)
    if len(p) <= 2 * half:
        return slope
    window = 2 * half + 1
    t = (times - times[len(times) // 2]) * 1e-9
    q = p - p.mean()

    def sums(values: FloatArray) -> FloatArray:
        total = np.concatenate(([0.0], np.cumsum(values)))
        return np.asarray(total[window:] - total[:-window])

    st, sp = sums(t), sums(q)
    spread = sums(t * t) - st * st / window
    bad = np.concatenate(([0], np.cumsum(~usable_steps(times, pieces, how.gap_s))))
    clear = (bad[2 * half :] == bad[: -2 * half]) & (spread > 0.0)
    value = (sums(t * q) - st * sp / window) / np.where(clear, spread, 1.0)
    slope[half:-half] = np.where(clear, value, np.nan)
    return slope


def central(times: IntArray, pieces: IntArray, p: FloatArray, gap_s: float) -> FloatArray:
    """Return central differences (N, J); NaN at ends and gaps."""
    result = np.full(p.shape, np.nan)
    if len(times) > 2:
        sound = usable_steps(times, pieces, gap_s)
        both = sound[1:] & sound[:-1]
        value = (p[2:] - p[:-2]) / np.maximum((times[2:] - times[:-2]) * 1e-9, 1e-12)[:, None]
        result[1:-1][both] = value[both]
    return result
