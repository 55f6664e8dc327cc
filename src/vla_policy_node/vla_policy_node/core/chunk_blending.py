# SPDX-License-Identifier: Apache-2.0
"""Chunk blending: what is committed of a running chunk, and what several say about a moment."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from smooth_motion import Chunk, blend_ns
from vla_policies.rtc import Committed
from vla_policy_node.core.controller_reports import Event

CONTINUE, BLEND, REPLACE, ENSEMBLE = "continue", "blend", "replace", "ensemble"
# A policy that continues a chunk leaves it over this time: 10 rows at 30 Hz, as in LeRobot. Not a
# number of rows: of a chunk of few and long rows nothing would be left to what it sees.
LEAVING_NS = 333_000_000
# Chunks that an ensemble is made of: as many as can overlap.
HISTORY = 32
# ACT's: of predictions of the same moment, each is worth this much less than the one before it.
ENSEMBLE_DECAY = 0.01


def effective(how: str, *, continues: bool) -> str:
    """Return how chunks of a source follow one another: what cannot be continued is blended."""
    return BLEND if how == CONTINUE and not continues else how


def rescaled(chunk: Chunk, now_ns: int, ratio: float) -> Chunk:
    """Return a chunk as it is passed when time runs `ratio` times as fast from now on."""
    since_ns = round((now_ns - chunk.start_ns) / ratio)
    return replace(chunk, start_ns=now_ns - since_ns, dt_ns=round(chunk.dt_ns / ratio))


def committed(running: Chunk, stamp_ns: int, dt_ns: int, delay_ns: int) -> Committed | None:
    """Return what remains of a chunk, for a policy that continues it.

    Args:
        running: The chunk that the arm carries out.
        stamp_ns: Time of the new observation, and so of the new chunk's row 0.
        dt_ns: Time between the new chunk's rows.
        delay_ns: From there to where the new chunk will take over.

    Returns:
        The rows that are left, rad, at the new chunk's times; None when there are none.
    """
    count = (running.end_ns - stamp_ns) // dt_ns + 1
    if count < 1 or stamp_ns < running.start_ns:
        return None
    times_ns = stamp_ns + dt_ns * np.arange(count, dtype=np.int64)
    # A delay between two rows settles both.
    delay = min(-(-delay_ns // dt_ns), count)
    # Beyond the delay the old chunk is left gradually: an answer may come later than expected.
    leaving = -(-LEAVING_NS // dt_ns)
    return Committed(running.at(times_ns), int(delay), int(delay + leaving))


def ensemble(older: Sequence[Chunk], newest: Chunk) -> Chunk:
    """Return the newest chunk with each row averaged with what older ones say about its time.

    Args:
        older: In the order of their arrival, of the same joints.
        newest: The chunk that has just arrived.

    Source: ACT (arXiv 2304.13705), temporal ensembling; weights exp(-0.01 i), the oldest i = 0.
    """
    times_ns = newest.times_ns
    total = np.zeros_like(newest.positions)
    weights, count = np.zeros(len(times_ns)), np.zeros(len(times_ns))
    for chunk in (*older, newest):
        known = (times_ns >= chunk.start_ns) & (times_ns <= chunk.end_ns)
        weight = np.exp(-ENSEMBLE_DECAY * count[known])
        total[known] += weight[:, None] * chunk.at(times_ns[known])
        weights[known] += weight
        count[known] += 1
    return replace(newest, positions=total / weights[:, None])


class ChunkBlending:
    """How each chunk follows the one before it: what is committed of it, or averaged with it."""

    def __init__(self, how: str = REPLACE) -> None:
        """Begin without a chunk.

        Args:
            how: `CONTINUE`, `BLEND`, `REPLACE` or `ENSEMBLE`.
        """
        self._how = how
        self._older: deque[Chunk] = deque(maxlen=HISTORY)
        # The chunk behind the plan that runs, and the one behind a plan that is under way.
        self._running: Chunk | None = None
        self._sent: Chunk | None = None

    def begin(self, how: str) -> None:
        """Another task or another source: what was predicted before it is averaged no more."""
        self._how = how
        self._older.clear()

    def forget(self) -> None:
        """ROS time was set: what was predicted is of a time that is no more."""
        self._older.clear()

    def blend_ns(self, delay_ns: int) -> int:
        """Return over how long a new chunk is blended in, 0 where it is not.

        Args:
            delay_ns: From an observation to the moment from which the arm follows its chunk.
        """
        return blend_ns(delay_ns) if self._how == BLEND else 0

    def merged(self, chunk: Chunk) -> Chunk:
        """Return what to follow for a chunk that has arrived."""
        if self._how != ENSEMBLE:
            return chunk
        merged = ensemble(self._older, chunk)
        self._older.append(chunk)
        return merged

    def rescale(self, now_ns: int, ratio: float) -> None:
        """Note that the chunks are carried out `ratio` times as fast from now on."""
        self._older = deque((rescaled(each, now_ns, ratio) for each in self._older), HISTORY)
        self._running = self._running and rescaled(self._running, now_ns, ratio)
        self._sent = self._sent and rescaled(self._sent, now_ns, ratio)

    def sent(self, chunk: Chunk) -> None:
        """Note the chunk behind a plan that is published."""
        self._sent = chunk

    def observe(self, event: Event) -> None:
        """Note what became of that plan."""
        if event is Event.ACKNOWLEDGED:
            self._running, self._sent = self._sent, None
        elif event is Event.LOST:
            self._sent = None
        elif event is not Event.NOTHING:
            self._running = self._sent = None

    def committed(
        self, stamp_ns: int, rows: int, dt_ns: int, delay_ns: int, joints: Sequence[str]
    ) -> Committed | None:
        """Return what the arm carries out anyway, rad; None where the source is to begin anew.

        Args:
            stamp_ns: Of the new observation.
            rows: Of the chunk to come.
            dt_ns: Between these, as they are carried out.
            delay_ns: From the stamp to where the new chunk will take over.
            joints: Its columns.
        """
        running = self._sent or self._running
        if self._how != CONTINUE or running is None or delay_ns >= rows * dt_ns:
            return None
        if running.joint_names != tuple(joints):
            if not set(joints) <= set(running.joint_names):
                return None
            columns = [running.joint_names.index(joint) for joint in joints]
            positions = running.positions[:, columns]
            running = replace(running, joint_names=tuple(joints), positions=positions)
        return committed(running, stamp_ns, dt_ns, delay_ns)
