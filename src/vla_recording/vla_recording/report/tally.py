# SPDX-License-Identifier: Apache-2.0
"""What is kept of one joint while its samples pass by, block by block."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vla_recording.report.estimates import Sampling
from vla_recording.report.results import Moment, Peak
from vla_recording.report.series import Coverage, FloatArray, IntArray

# So many moments of most jerk are named, so far apart or further.
WORST = 10
APART_NS = 250_000_000
# Less than this share of the worst moment is none.
NEGLIGIBLE = 1e-3
_KEPT = 2000
# Reported velocities are those of the positions where their ratio, and how well one follows the
# other, are within these.
_RATIO = (0.7, 1.4)
_FOLLOWS = 0.7
# Slower than this, rad/s, nothing can be said about a ratio.
_SLOW = 0.01


class PeakTally:
    """Collects a quantity's estimates."""

    def __init__(self, window_s: float, gap_s: float) -> None:
        self._coverage = Coverage(window_s, gap_s)
        self._value = self._least = self._most = 0.0
        self._squares, self._count = 0.0, 0

    def add(
        self, times: IntArray, values: FloatArray, least: FloatArray, most: FloatArray
    ) -> None:
        """Take in estimates (N,); NaN where there is none."""
        known = np.isfinite(values)
        if not known.any():
            return
        size = np.abs(values[known])
        self._value = max(self._value, float(size.max()))
        self._least = max(self._least, float(np.fmax.reduce(least[known], initial=0.0)))
        self._most = max(self._most, float(np.fmax.reduce(most[known], initial=0.0)))
        self._squares += float((size**2).sum())
        self._count += int(known.sum())
        self._coverage.add(times[known])

    def over(self, least: float, most: float) -> None:
        """Take in what is known of times without estimates: so much is certain, so much may be."""
        self._value = max(self._value, most)
        self._least, self._most = max(self._least, least), max(self._most, most)

    def peak(self, duration_s: float) -> Peak | None:
        """Return the peak, or None without an estimate."""
        if not self._count:
            return None
        seen = min(1.0, self._coverage.seconds / duration_s) if duration_s > 0.0 else 0.0
        rms = float(np.sqrt(self._squares / self._count))
        return Peak(self._value, self._least, self._most, rms, seen)


@dataclass
class Reported:
    """Holds reported velocities against those of the positions."""

    peak: float | None = None
    count: int = 0
    own: float = 0.0
    both: float = 0.0
    theirs: float = 0.0

    def add(self, slope: FloatArray, reported: FloatArray) -> None:
        """Take in both (N,); NaN where there is none."""
        given = reported[np.isfinite(reported)]
        if given.size:
            self.peak = max(self.peak or 0.0, float(np.abs(given).max()))
        known = np.isfinite(slope) & np.isfinite(reported)
        a, b = slope[known], reported[known]
        self.count += len(a)
        self.own += float(a @ a)
        self.both += float(a @ b)
        self.theirs += float(b @ b)

    @property
    def ratio(self) -> float | None:
        """Reported over that of the positions, or None where nothing moves."""
        if not self.count or np.sqrt(self.own / self.count) < _SLOW:
            return None
        return self.both / self.own

    @property
    def fits(self) -> bool:
        """Whether one is the other, as far as can be seen."""
        if self.peak is None or not self.count:
            return True
        ratio = self.ratio
        if ratio is None:
            return float(np.sqrt(self.theirs / self.count)) < 5.0 * _SLOW
        if not (_RATIO[0] <= ratio <= _RATIO[1]):
            return False
        return bool(self.both >= _FOLLOWS * np.sqrt(self.own * self.theirs))


@dataclass(eq=False)
class JointTally:
    """Everything that is kept of one joint.

    Attributes:
        how: How it is sampled, or None for too few samples.
        step: Its encoder's step, or None.
        step_known: It is the robot file's.
        noise_floor: Of its measured jerk.
        bound: Likewise.
    """

    how: Sampling | None
    step: float | None
    step_known: bool
    noise_floor: float | None = None
    bound: float | None = None
    samples: int = 0
    stamp_floor: float = 0.0
    reported: Reported = field(default_factory=Reported)
    positions: Coverage = field(default_factory=lambda: Coverage(0.0, 0.0))
    velocity: PeakTally = field(default_factory=lambda: PeakTally(0.0, 0.0))
    acceleration: PeakTally = field(default_factory=lambda: PeakTally(0.0, 0.0))
    jerk: PeakTally = field(default_factory=lambda: PeakTally(0.0, 0.0))


class WorstTally:
    """Keeps the moments of most jerk."""

    def __init__(self, names: tuple[str, ...], bounds: FloatArray, chosen: list[int]) -> None:
        self._names, self._bounds, self._chosen = names, bounds, chosen
        self._best: dict[int, tuple[float, int, int, float]] = {}

    def add(self, times: IntArray, jerk: FloatArray) -> None:
        """Take in estimates (N, J)."""
        if not self._chosen or not len(times):
            return
        size = np.abs(jerk[:, self._chosen])
        bounds = self._bounds[self._chosen]
        # Joints with limits by their limits, before all others.
        score = np.where(np.isfinite(bounds), 1e12 * size / bounds, size)
        score = np.where(np.isfinite(score), score, 0.0)
        best = score.max(axis=1)
        slots = times // APART_NS
        first = np.flatnonzero(np.diff(slots, prepend=slots[0] - 1))
        for start, end in zip(first, [*first[1:], len(times)], strict=True):
            k = start + int(np.argmax(best[start:end]))
            if best[k] <= 0.0:
                continue
            slot = int(slots[k])
            if slot not in self._best or best[k] > self._best[slot][0]:
                j = self._chosen[int(np.argmax(score[k]))]
                self._best[slot] = float(best[k]), int(times[k]), j, float(jerk[k, j])
        if len(self._best) > 2 * _KEPT:
            kept = sorted(self._best.items(), key=lambda item: -item[1][0])[:_KEPT]
            self._best = dict(kept)

    def moments(self) -> tuple[Moment, ...]:
        """Return them, the worst first, a quarter of a second apart or more."""
        found: list[Moment] = []
        ranked = sorted(self._best.values(), reverse=True)
        for score, t, j, jerk in ranked:
            if len(found) == WORST or score <= NEGLIGIBLE * ranked[0][0]:
                break
            if any(abs(t - other.time_ns) < APART_NS for other in found):
                continue
            bound = self._bounds[j]
            ratio = float(abs(jerk) / bound) if np.isfinite(bound) else None
            found.append(Moment(t, self._names[j], jerk, ratio))
        return tuple(found)
