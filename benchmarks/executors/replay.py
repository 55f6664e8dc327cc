# SPDX-License-Identifier: Apache-2.0
"""The very same chunks for everyone: a motion that is known, seen with an error by each chunk."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from executors.base import MS, Array, ChunkRows, Executor, Setup
from executors.link import STEP_NS, ChunkDelay, DelayedLink
from executors.outcome import ExecutorOutcome, jerk, rms
from smooth_motion import Limits

SECOND = 1000 * MS
START_NS = 1000 * SECOND
OBSERVE_NS = 300 * MS
ROWS = 50
ROW_NOISE, OFFSET = 0.005, 0.05  # rad: of each row, and of a chunk as a whole (up to)

LIMITS = Limits(
    ("pan", "lift", "elbow", "flex", "roll"),
    [-1.92, -1.75, -1.69, -1.66, -2.74],
    [1.92, 1.75, 1.69, 1.66, 2.84],
    [2.0] * 5,
    [10.0] * 5,
    [100.0] * 5,
)


class Moves:
    """Rest, then minimum-jerk moves of up to 0.7 rad between random places, 0.8 to 2 s each."""

    def __init__(self, seed: int, seconds: float) -> None:
        rng = np.random.default_rng(seed)
        times, places = [0.0, 2.0], [np.zeros(5), np.zeros(5)]
        while times[-1] < seconds:
            times.append(times[-1] + rng.uniform(0.8, 2.0))
            places.append(rng.uniform(-0.35, 0.35, 5))
        self._times, self._places = np.array(times), np.array(places)

    def __call__(self, t_ns: Array) -> Array:
        times = self._times
        t = np.clip((np.asarray(t_ns) - START_NS) / SECOND, 0.0, times[-1])
        i = np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(times) - 2)
        s = ((t - times[i]) / (times[i + 1] - times[i]))[:, None]
        s = s**3 * (10.0 - 15.0 * s + 6.0 * s**2)
        return np.asarray(self._places[i] + s * (self._places[i + 1] - self._places[i]))


def run(
    make: Callable[[Setup], Executor], delay: ChunkDelay, *, seed: int, seconds: float
) -> ExecutorOutcome:
    """Run one executor."""
    truth = Moves(seed, seconds + 4.0)
    executor = make(Setup(LIMITS, None, np.zeros(5), START_NS))
    link = DelayedLink(executor, delay, seed)
    ticks = START_NS + 10 * MS * np.arange(round(seconds * 100))
    commands, count = np.empty((ticks.size, 5)), 0
    for k, now in enumerate(ticks.tolist()):
        if now >= START_NS + count * OBSERVE_NS:
            rng = np.random.default_rng([seed, count, 1])
            rows = truth(now + STEP_NS * np.arange(ROWS))
            rows += rng.normal(0.0, ROW_NOISE, rows.shape) + OFFSET * rng.uniform(-1.0, 1.0, 5)
            link.send(ChunkRows(now, STEP_NS, rows))
            count += 1
        commands[k] = link.command(now)
    settled = ticks >= START_NS + 3 * SECOND
    lags = np.arange(-200, 1001, 10) * MS
    errors = [rms(commands[settled] - truth(ticks[settled] - lag)) for lag in lags]
    best = int(np.argmin(errors))
    found = jerk(commands)
    return ExecutorOutcome(
        rms(found),
        float(np.abs(found).max()),
        seconds,
        error=errors[best],
        lag_s=float(lags[best]) * 1e-9,
        refused=executor.refused,
    )
