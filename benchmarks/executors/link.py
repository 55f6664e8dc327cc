# SPDX-License-Identifier: Apache-2.0
"""The way from the policy to the executor: delay, jitter, loss. The same for everyone."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from executors.base import MS, Array, ChunkRows, Executor

STEP_NS = 33_333_333


@dataclass(frozen=True)
class ChunkDelay:
    """How chunks are late.

    Attributes:
        steps: Rows that pass between an observation and its chunk's arrival.
        jitter_s: Up to so much is added, evenly spread.
        loss: Share of the chunks that never arrive.
    """

    steps: int
    jitter_s: float = 0.0
    loss: float = 0.0


class DelayedLink:
    """Hands chunks on when they arrive. One that is overtaken by a newer one is dropped.

    Each chunk's fate depends on the seed and its number alone, not on who receives it.
    """

    def __init__(self, executor: Executor, delay: ChunkDelay, seed: int) -> None:
        self.executor = executor
        self._delay, self._seed = delay, seed
        self._count = self.arrived = 0
        self._on_the_way: list[tuple[int, int, ChunkRows]] = []
        self._newest_ns = -1
        self.arrivals_ns: list[int] = []

    def send(self, rows: ChunkRows) -> None:
        """Take a chunk that was inferred from the observation of its stamp."""
        rng = np.random.default_rng([self._seed, self._count])
        self._count += 1
        late = self._delay.steps * STEP_NS + round(
            rng.uniform(0.0, 1.0) * self._delay.jitter_s * 1e9
        )
        if rng.uniform() >= self._delay.loss:
            heapq.heappush(self._on_the_way, (rows.stamp_ns + max(late, MS), self._count, rows))

    def command(self, now_ns: int) -> Array:
        """Deliver what has arrived and return the executor's command (N,), rad."""
        while self._on_the_way and self._on_the_way[0][0] <= now_ns:
            _, _, rows = heapq.heappop(self._on_the_way)
            if rows.stamp_ns > self._newest_ns:
                self._newest_ns = rows.stamp_ns
                self.arrived += 1
                self.arrivals_ns.append(now_ns)
                self.executor.accept(rows, now_ns)
        return self.executor.command(now_ns)
