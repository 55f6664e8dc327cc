# SPDX-License-Identifier: Apache-2.0
"""Tools for series that are too long to be held: what is left of them, and their pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_SAMPLE = 1 << 16
POINTS = 1500  # across a picture; more are drawn as the range of what falls together


class SeriesSample:
    """An even selection of a series: all of it, then every second value, every fourth, ..."""

    def __init__(self) -> None:
        self._kept: list[FloatArray] = []
        self._size = self._seen = 0
        self._stride = 1

    def add(self, values: npt.NDArray[np.generic]) -> None:
        """Take in more."""
        start = -self._seen % self._stride
        self._seen += len(values)
        part = np.asarray(values[start :: self._stride], dtype=np.float64)
        self._kept.append(part)
        self._size += len(part)
        while self._size > 2 * _SAMPLE:
            self._kept = [np.concatenate(self._kept)[::2]]
            self._size, self._stride = len(self._kept[0]), 2 * self._stride

    def values(self) -> FloatArray:
        """Return what was kept."""
        return np.concatenate(self._kept) if self._kept else np.zeros(0)


class Curve:
    """Columns over time as a picture shows them, in as much memory as the picture needs.

    Where samples are few they are all kept; where many fall together, their range is.
    """

    def __init__(self, start_ns: int, end_ns: int, columns: int, rows: int) -> None:
        self._start, self._span = start_ns, max(1, end_ns - start_ns)
        self._exact = rows <= 4 * POINTS
        self._times: list[IntArray] = []
        self._values: list[FloatArray] = []
        self._low = np.full((POINTS, columns), np.inf)
        self._high = np.full((POINTS, columns), -np.inf)
        self._columns = columns

    def add(self, times_ns: IntArray, values: FloatArray) -> None:
        """Take in rows (N, columns)."""
        if not len(times_ns):
            return
        if self._exact:
            self._times.append(times_ns.copy())
            self._values.append(values.copy())
            return
        bins = ((times_ns - self._start).astype(float) / self._span * POINTS).astype(int)
        bins = np.clip(bins, 0, POINTS - 1)
        known = np.isfinite(values)
        np.minimum.at(self._low, bins, np.where(known, values, np.inf))
        np.maximum.at(self._high, bins, np.where(known, values, -np.inf))

    def lines(self) -> tuple[IntArray, FloatArray]:
        """Return times (M,) and values (M, columns); NaN where there is none."""
        if self._exact:
            if not self._times:
                return np.zeros(0, dtype=np.int64), np.zeros((0, self._columns))
            return np.concatenate(self._times), np.concatenate(self._values)
        low, high = self._low.copy(), self._high.copy()
        empty = low > high
        low[empty], high[empty] = np.nan, np.nan
        edges = self._start + (np.arange(POINTS) * (self._span / POINTS)).astype(np.int64)
        both = np.stack((low, high), axis=1).reshape(2 * POINTS, self._columns)
        return np.repeat(edges, 2), both


class Coverage:
    """How much of the time estimates exist for, each standing for a stretch around it."""

    def __init__(self, window_s: float, gap_s: float) -> None:
        self._half, self._gap = window_s / 2.0, gap_s
        self._last: int | None = None
        self._covered = 0.0

    def add(self, times_ns: IntArray) -> None:
        """Take in the times of more estimates, increasing."""
        if not len(times_ns):
            return
        if self._last is None:
            self._last, self._covered = int(times_ns[0]), 2.0 * self._half
        steps = np.diff(times_ns, prepend=self._last) * 1e-9
        beyond = steps > self._gap
        self._covered += float(steps[~beyond].sum())
        # Behind a gap the stretches of the two estimates count, as far as they fit into it.
        self._covered += float(np.minimum(steps[beyond], 2.0 * self._half).sum())
        self._last = int(times_ns[-1])

    @property
    def seconds(self) -> float:
        """The time covered."""
        return self._covered
