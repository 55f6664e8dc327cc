# SPDX-License-Identifier: Apache-2.0
"""What others do with chunks. None bounds anything.

Between two targets all but `LeRobotHeld` draw a straight line, which is kinder to them than the
steps that a servo bus is sent.
"""

from __future__ import annotations

import bisect
from collections import deque

import numpy as np

from executors.base import Array, ChunkRows, Setup

STEP_NS = 33_333_333
OLD, NEW = 0.3, 0.7
ENSEMBLE_RATE = 0.01
CHUNKS_KEPT = 64


class Naive:
    """The newest chunk at once: the command jumps from the old one's row to the new one's."""

    def __init__(self, setup: Setup) -> None:
        self.refused = 0
        self._rows = ChunkRows(setup.start_ns, STEP_NS, setup.position[None])

    def accept(self, rows: ChunkRows, now_ns: int) -> None:
        self._rows = rows

    def command(self, now_ns: int) -> Array:
        return self._rows.at(now_ns)


class _Stepped:
    """A target every 33 ms, and a straight line to it, which takes until the next one."""

    lines = True

    def __init__(self, setup: Setup) -> None:
        self.refused = 0
        self._next_ns = setup.start_ns
        self._from = self._to = setup.position

    def target(self, now_ns: int) -> Array | None:
        """Return the target of this step (N,), or None to stay."""
        raise NotImplementedError

    def command(self, now_ns: int) -> Array:
        while now_ns >= self._next_ns:
            target = self.target(self._next_ns)
            self._from = self._to
            if target is not None:
                self._to = target
            self._next_ns += STEP_NS
        if not self.lines:
            return self._to
        share = 1.0 - (self._next_ns - now_ns) / STEP_NS
        return self._from + share * (self._to - self._from)


class LeRobot(_Stepped):
    """LeRobot's asynchronous client: a queue of actions by number, blended where chunks overlap.

    Actions are numbered by how many have been carried out, so an empty queue delays the rest. What
    was carried out is not taken again; where the queue has an action of that number, the result
    is 0.3 of it and 0.7 of the new one, else the new one.

    Source: the class RobotClient of lerobot.async_inference and its default aggregate function.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._queue: dict[int, Array] = {}
        self._done = -1
        # When each action was carried out, to number the observations.
        self._times: list[int] = []

    def accept(self, rows: ChunkRows, now_ns: int) -> None:
        first = max(bisect.bisect_right(self._times, rows.stamp_ns) - 1, 0)
        queue: dict[int, Array] = {}
        for number, row in enumerate(rows.positions, start=first):
            if number > self._done:
                old = self._queue.get(number)
                queue[number] = row if old is None else OLD * old + NEW * row
        self._queue = queue

    def target(self, now_ns: int) -> Array | None:
        if not self._queue:
            return None
        number = min(self._queue)
        self._done = number
        while len(self._times) <= number:
            self._times.append(now_ns)
        return self._queue.pop(number)


class LeRobotHeld(LeRobot):
    """The same as it is sent to a servo bus: each target is held until the next."""

    lines = False


class Ensemble(_Stepped):
    """Temporal ensembling: the mean of what all chunks say of this step, the oldest weighing most.

    The i-th oldest chunk weighs exp(-0.01 i).

    Source: Zhao, Kumar, Levine and Finn, "Learning fine-grained bimanual manipulation with
    low-cost hardware" (ACT), RSS 2023.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._chunks: deque[ChunkRows] = deque(maxlen=CHUNKS_KEPT)

    def accept(self, rows: ChunkRows, now_ns: int) -> None:
        self._chunks.append(rows)

    def target(self, now_ns: int) -> Array | None:
        while self._chunks and self._chunks[0].end_ns < now_ns:
            self._chunks.popleft()
        said = [rows.at(now_ns) for rows in self._chunks if rows.end_ns >= now_ns]
        if not said:
            return None
        weights = np.exp(-ENSEMBLE_RATE * np.arange(len(said)))
        return np.asarray(weights @ np.array(said) / weights.sum())
