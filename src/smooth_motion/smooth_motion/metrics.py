# SPDX-License-Identifier: Apache-2.0
"""How smooth a recorded motion was, in numbers whose definitions are published.

Every figure here means nothing without the time it took: mean jerk alone falls with the third
power of the duration, so a slower motion always looks better. SPARC and LDLJ do not depend on the
time scale, but on where a movement begins and ends. So durations are part of every result.

`meters` computes the same from a stream, and finds the movements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smooth_motion.errors import MotionError
from smooth_motion.limits import FloatArray, IntArray

# Fewer samples than these say nothing about the shape of a movement.
SHORTEST_MOVEMENT = 8

SPARC_CUTOFF_HZ = 10.0
SPARC_THRESHOLD = 0.05
SPARC_PAD_LEVEL = 4


@dataclass(frozen=True, eq=False)
class JerkStatistics:
    """Root mean square and peak of the jerk of each joint over a stretch of time.

    Attributes:
        rms: (J,) rad/s^3.
        peak: (J,) rad/s^3, largest magnitude.
        samples: How many estimates they are taken from.
        duration_s: The time that these cover.
    """

    rms: FloatArray
    peak: FloatArray
    samples: int
    duration_s: float


@dataclass(frozen=True, eq=False)
class BoundaryJerk:
    """Jerk near the times at which one chunk took over from another, and elsewhere.

    Attributes:
        boundaries: How many of them the data cover.
        window_s: "Near" is less than this before or after one.
        rms_near: (J,) rad/s^3; NaN where there is no sample near a boundary.
        rms_elsewhere: (J,) rad/s^3; NaN where every sample is near one.
        peak_near: (J,) rad/s^3, likewise.
        near_s: Time near boundaries.
        elsewhere_s: The rest of the time.
    """

    boundaries: int
    window_s: float
    rms_near: FloatArray
    rms_elsewhere: FloatArray
    peak_near: FloatArray
    near_s: float
    elsewhere_s: float

    @property
    def ratio(self) -> FloatArray:
        """RMS near boundaries over RMS elsewhere, (J,): 1 where they cannot be seen.

        NaN where either is missing or there is no jerk elsewhere.
        """
        defined = self.rms_elsewhere > 0.0
        return np.divide(
            self.rms_near,
            self.rms_elsewhere,
            out=np.full_like(self.rms_near, np.nan),
            where=defined,
        )


def jerk_statistics(jerk: npt.ArrayLike, duration_s: float) -> JerkStatistics:
    """Return RMS and peak of jerk estimates.

    Args:
        jerk: (N, J) rad/s^3, evenly spread over the time.
        duration_s: The time that they cover, positive.

    Raises:
        MotionError: A value is not finite, there is none, or the time is not positive.
    """
    values = _finite(jerk, "jerk", 2)
    if not (duration_s > 0.0):
        raise MotionError(f"duration_s must be positive, but is {duration_s}")
    if not len(values):
        raise MotionError("jerk must have at least one row")
    return JerkStatistics(
        np.sqrt(np.mean(values**2, axis=0)),
        np.abs(values).max(axis=0),
        len(values),
        float(duration_s),
    )


def sparc(
    speed: npt.ArrayLike,
    dt_s: float,
    *,
    cutoff_hz: float = SPARC_CUTOFF_HZ,
    threshold: float = SPARC_THRESHOLD,
    pad_level: int = SPARC_PAD_LEVEL,
) -> float | None:
    """Return the spectral arc length of one movement's speed profile.

    The amplitude spectrum is divided by its largest value and cut at the highest frequency, below
    `cutoff_hz`, that still has an amplitude of `threshold`; frequencies are divided by that cut.
    The result is minus the length of the curve. A minimum-jerk movement has -1.41; the lower, the
    less smooth. It depends neither on the amplitude nor on the duration of the movement, and
    little on measurement noise.

    Args:
        speed: (N,) of one movement, from rest to rest, evenly sampled: a tool's, or the Euclidean
            norm of joint velocities.
        dt_s: Time between samples.
        cutoff_hz: Nothing above this frequency counts (nor above half the sampling rate).
        threshold: Share of the largest amplitude below which the spectrum's end is left out.
        pad_level: The spectrum is taken at 2^pad_level as many points as the samples need.

    Returns:
        The arc length, negative, or None where it is not defined: fewer than `SHORTEST_MOVEMENT`
        samples, no motion, or a spectrum that is cut to one line.

    Raises:
        MotionError: A speed is not finite, or a parameter is not positive.

    Source:
        Balasubramanian, Melendez-Calderon, Roby-Brami and Burdet, "On the analysis of movement
        smoothness", J. NeuroEng. Rehabil. 12:112, 2015; first form in IEEE Trans. Biomed. Eng.
        59(8), 2012.
    """
    values = _finite(speed, "speed", 1)
    for name, value in (("dt_s", dt_s), ("cutoff_hz", cutoff_hz), ("threshold", threshold)):
        if not (value > 0.0):
            raise MotionError(f"{name} must be positive, but is {value}")
    if len(values) < SHORTEST_MOVEMENT or not values.any():
        return None
    points = 2 ** (int(np.ceil(np.log2(len(values)))) + pad_level)
    amplitude = np.abs(np.fft.rfft(values, points))
    amplitude /= amplitude.max()
    frequency = np.arange(amplitude.size) / (points * dt_s)
    kept = np.flatnonzero((frequency <= cutoff_hz) & (amplitude >= threshold))
    if kept[-1] == kept[0]:
        return None
    band = slice(kept[0], kept[-1] + 1)
    along = np.diff(frequency[band]) / (frequency[kept[-1]] - frequency[kept[0]])
    return -float(np.hypot(along, np.diff(amplitude[band])).sum())


def ldlj(velocity: npt.ArrayLike, dt_s: float) -> float | None:
    """Return the log dimensionless jerk of one movement.

    That is -ln((T^3 / v_peak^2) * integral of |v''|^2 dt) over the duration T. A minimum-jerk
    movement has -ln(204.8) = -5.32; the lower, the less smooth. It depends neither on the
    amplitude nor on the duration, but strongly on where the movement is cut and on noise: use it
    on commands. The rounding of an encoder of 4096 ticks alone makes -13 of -5.3 at 50 Hz.

    Args:
        velocity: (N,) speeds, as of a tool, or (N, D) velocities, as of joints, whose Euclidean
            norm then takes the place of the absolute value; of one movement, from rest to rest,
            evenly sampled.
        dt_s: Time between samples.

    Returns:
        The measure, or None where it is not defined: fewer than `SHORTEST_MOVEMENT` samples, or a
        velocity that never changes.

    Raises:
        MotionError: A velocity is not finite, or `dt_s` is not positive.

    Source:
        Balasubramanian, Melendez-Calderon, Roby-Brami and Burdet, "On the analysis of movement
        smoothness", J. NeuroEng. Rehabil. 12:112, 2015.
    """
    values = _finite(velocity, "velocity", np.ndim(velocity) if np.ndim(velocity) == 2 else 1)
    if not (dt_s > 0.0):
        raise MotionError(f"dt_s must be positive, but is {dt_s}")
    if len(values) < SHORTEST_MOVEMENT:
        return None
    values = values.reshape(len(values), -1)
    inner = np.diff(values, n=2, axis=0) / dt_s**2
    # The jerk of a movement is largest where it begins and ends: continued there, not left out.
    first, last = 2.0 * inner[:1] - inner[1:2], 2.0 * inner[-1:] - inner[-2:-1]
    squares = (np.vstack((first, inner, last)) ** 2).sum(axis=1)
    integral = float((squares[1:] + squares[:-1]).sum()) * dt_s / 2.0
    peak = float((values**2).sum(axis=1).max())
    duration = (len(values) - 1) * dt_s
    if not (peak > 0.0 and integral > 0.0):
        return None
    return -float(np.log(duration**3 / peak * integral))


def boundary_jerk(
    times_ns: IntArray, jerk: npt.ArrayLike, boundaries_ns: npt.ArrayLike, *, window_s: float = 0.1
) -> BoundaryJerk:
    """Compare the jerk near chunk boundaries with the jerk elsewhere.

    Args:
        times_ns: (N,) increasing, of the estimates.
        jerk: (N, J) rad/s^3.
        boundaries_ns: (B,) times at which a new chunk took over.
        window_s: "Near" is less than this before or after a boundary.

    Raises:
        MotionError: A value is not finite, shapes differ, times do not increase, or the window is
            not positive.
    """
    values = _finite(jerk, "jerk", 2)
    times = np.asarray(times_ns, dtype=np.int64)
    boundaries = np.sort(np.asarray(boundaries_ns, dtype=np.int64).ravel())
    if times.shape != (len(values),):
        raise MotionError(f"times_ns must have shape ({len(values)},), but has {times.shape}")
    if not (np.diff(times) > 0).all():
        raise MotionError("times_ns must increase strictly")
    if not (window_s > 0.0):
        raise MotionError(f"window_s must be positive, but is {window_s}")
    window_ns = round(window_s * 1e9)
    first = np.searchsorted(boundaries, times - window_ns, side="right")
    last = np.searchsorted(boundaries, times + window_ns, side="left")
    near = last > first
    # Each sample stands for the time since the one before it, the first for none.
    spans = np.diff(times, prepend=times[:1]) * 1e-9
    covered = 0
    if times.size:
        inside = (boundaries > times[0] - window_ns) & (boundaries < times[-1] + window_ns)
        covered = int(inside.sum())
    return BoundaryJerk(
        covered,
        float(window_s),
        _rms(values[near]),
        _rms(values[~near]),
        _peak(values[near]),
        float(spans[near].sum()),
        float(spans[~near].sum()),
    )


def _finite(values: npt.ArrayLike, name: str, dimensions: int) -> FloatArray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise MotionError(f"{name} must be numbers") from None
    if array.ndim != dimensions:
        shape = "(N,)" if dimensions == 1 else "(N, J)"
        raise MotionError(f"{name} must have shape {shape}, but has {array.shape}")
    if not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise MotionError(f"{name} must be finite, but row {row} is not; cut the data there")
    return array


def _rms(values: FloatArray) -> FloatArray:
    if not len(values):
        return np.full(values.shape[1:], np.nan)
    return np.asarray(np.sqrt(np.mean(values**2, axis=0)))


def _peak(values: FloatArray) -> FloatArray:
    if not len(values):
        return np.full(values.shape[1:], np.nan)
    return np.asarray(np.abs(values).max(axis=0))
