# SPDX-License-Identifier: Apache-2.0
"""Chunks in time: what of one is still to come, and what several say about the same moment."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_policies import PolicySpec
from vla_policies.rtc import HORIZON, Committed
from vla_policy_node.core.planner import Event

Array = NDArray[np.float64]

CONTINUE, BLEND, REPLACE, ENSEMBLE = "continue", "blend", "replace", "ensemble"
# A new chunk is blended in over this many delays of an answer, at least over this time. Measured:
# docs/reference/chunk_succession.md.
BLEND_DELAYS, LEAST_BLEND_NS = 1.5, 500_000_000
# Chunks that an ensemble is made of: as many as can overlap.
HISTORY = 32
# ACT's: of predictions of the same moment, each is worth this much less than the one before it.
ENSEMBLE_DECAY = 0.01


@dataclass(frozen=True, eq=False)
class Rows:
    """A chunk as the policy returned it, in its units and columns.

    Attributes:
        start_ns: Time of row 0.
        dt_ns: Time between rows.
        positions: (T, J).
    """

    start_ns: int
    dt_ns: int
    positions: Array

    @property
    def end_ns(self) -> int:
        """Time of the last row."""
        return self.start_ns + (len(self.positions) - 1) * self.dt_ns

    def rescaled(self, now_ns: int, ratio: float) -> "Rows":
        """Return the rows as they are passed when time runs `ratio` times as fast from now on."""
        since_ns = round((now_ns - self.start_ns) / ratio)
        return Rows(now_ns - since_ns, round(self.dt_ns / ratio), self.positions)

    def times_ns(self) -> NDArray[np.int64]:
        """Return the time of each row, (T,)."""
        return self.start_ns + self.dt_ns * np.arange(len(self.positions), dtype=np.int64)

    def at(self, times_ns: NDArray[np.int64]) -> Array:
        """Return the positions (N, J) at times within the chunk, linear between rows."""
        own_s = (self.times_ns() - self.start_ns) * 1e-9
        wanted_s = (times_ns - self.start_ns) * 1e-9
        return np.column_stack([np.interp(wanted_s, own_s, column) for column in self.positions.T])


class UnusableError(ValueError):
    """Nothing of a chunk can be followed. The message says why."""


def finite_part(rows: Rows, from_ns: int, names: Sequence[str]) -> tuple[Rows, str]:
    """Return the part of a chunk that can be followed, and what was cut, empty when nothing was.

    Rows before the last one that is not after `from_ns` are over; what follows a value that is
    not finite is not to be relied upon. A chunk of finite values is left as it is.

    Args:
        rows: (T, J), may hold anything.
        from_ns: From when on the arm can follow it at the earliest.
        names: J columns.

    Raises:
        UnusableError: The rows that come next are not finite.
    """
    good = np.isfinite(rows.positions)
    if good.all():
        return rows, ""
    first, column = (int(index) for index in np.argwhere(~good)[0])
    said = f"row {first} has {rows.positions[first, column]} for {names[column]}"
    over = min(max(0, (from_ns - rows.start_ns) // rows.dt_ns), len(good) - 1)
    bad = np.flatnonzero(~good[over:].all(axis=1))
    end = over + int(bad[0]) if len(bad) else len(good)
    start_ns = rows.start_ns + over * rows.dt_ns
    part = Rows(start_ns, rows.dt_ns, rows.positions[over:end])
    if end < len(good) and not part.end_ns > from_ns:
        row, column = end, int(np.flatnonzero(~good[end])[0])
        raise UnusableError(
            f"the action's row {row} has {rows.positions[row, column]} for {names[column]}, and "
            "no row before it is still to come"
        )
    return part, f"{said}: of {len(good)} rows, {over} to {end - 1} are used and the rest is cut"


def committed(running: Rows, stamp_ns: int, dt_ns: int, delay_ns: int) -> Committed | None:
    """Return what remains of a chunk, for a policy that continues it.

    Args:
        running: The chunk that the arm carries out.
        stamp_ns: Time of the new observation, and so of the new chunk's row 0.
        dt_ns: Time between the new chunk's rows.
        delay_ns: From there to where the new chunk will take over.

    Returns:
        The rows that are left, at the new chunk's times; None when there are none.
    """
    count = (running.end_ns - stamp_ns) // dt_ns + 1
    if count < 1 or stamp_ns < running.start_ns:
        return None
    times_ns = stamp_ns + dt_ns * np.arange(count, dtype=np.int64)
    # A delay between two rows settles both.
    delay = min(-(-delay_ns // dt_ns), count)
    # Beyond the delay the old chunk is left gradually: an answer may come later than expected.
    return Committed(running.at(times_ns), int(delay), int(delay) + HORIZON)


def ensemble(older: Sequence[Rows], newest: Rows) -> Array:
    """Return the newest chunk with each row averaged with what older ones say about its time.

    Args:
        older: In the order of their arrival.
        newest: The chunk that has just arrived.

    Returns:
        (T, J), rows as those of `newest`.

    Source: ACT (arXiv 2304.13705), temporal ensembling; weights exp(-0.01 i), the oldest i = 0.
    """
    times_ns = newest.times_ns()
    total = np.zeros_like(newest.positions)
    weights, count = np.zeros(len(times_ns)), np.zeros(len(times_ns))
    for rows in (*older, newest):
        known = (times_ns >= rows.start_ns) & (times_ns <= rows.end_ns)
        weight = np.exp(-ENSEMBLE_DECAY * count[known])
        total[known] += weight[:, None] * rows.at(times_ns[known])
        weights[known] += weight
        count[known] += 1
    return np.asarray(total / weights[:, None])


class Succession:
    """How each chunk follows the one before it: what is committed of it, or averaged with it."""

    def __init__(self, how: str, *, continues: bool) -> None:
        """Begin without a chunk.

        Args:
            how: `CONTINUE`, `BLEND`, `REPLACE` or `ENSEMBLE`.
            continues: The policy takes what is committed.
        """
        self._continues = continues and how == CONTINUE
        self._blends = how == BLEND or (how == CONTINUE and not continues)
        self._ensemble = how == ENSEMBLE
        self._older: deque[Rows] = deque(maxlen=HISTORY)
        # The chunk behind the plan that runs, and the one behind a plan that is under way.
        self._running: Rows | None = None
        self._sent: Rows | None = None

    def begin(self) -> None:
        """A new instruction: what was predicted under the old one is averaged no more."""
        self._older.clear()

    def blend_ns(self, delay_ns: int) -> int:
        """Return over how long a new chunk is blended in, 0 where it is not.

        Args:
            delay_ns: From an observation to the moment from which the arm follows its chunk.
        """
        return max(round(BLEND_DELAYS * delay_ns), LEAST_BLEND_NS) if self._blends else 0

    def merged(self, rows: Rows) -> Array:
        """Return the positions to follow for a chunk that has arrived."""
        if not self._ensemble:
            return rows.positions
        merged = ensemble(self._older, rows)
        self._older.append(rows)
        return merged

    def rescale(self, now_ns: int, ratio: float) -> None:
        """Note that the chunks are carried out `ratio` times as fast from now on."""
        self._older = deque((rows.rescaled(now_ns, ratio) for rows in self._older), HISTORY)
        self._running = self._running and self._running.rescaled(now_ns, ratio)
        self._sent = self._sent and self._sent.rescaled(now_ns, ratio)

    def sent(self, rows: Rows) -> None:
        """Note the chunk behind a plan that is published."""
        self._sent = rows

    def observe(self, event: Event) -> None:
        """Note what became of that plan."""
        if event is Event.ACKNOWLEDGED:
            self._running, self._sent = self._sent, None
        elif event is Event.LOST:
            self._sent = None
        elif event is not Event.NOTHING:
            self._running = self._sent = None

    def committed(
        self, stamp_ns: int, spec: PolicySpec, delay_ns: int, scaling: float = 1.0
    ) -> Committed | None:
        """Return what the arm carries out anyway, None where the policy is to begin anew.

        Args:
            stamp_ns: Of the new observation.
            spec: The policy's.
            delay_ns: From there to where the new chunk will take over.
            scaling: Share of their speed at which chunks are carried out.
        """
        running = self._sent or self._running
        dt_ns = round(spec.dt_s * 1e9 / scaling)
        if not self._continues or running is None or delay_ns >= spec.chunk_size * dt_ns:
            return None
        return committed(running, stamp_ns, dt_ns, delay_ns)
