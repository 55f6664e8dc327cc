# SPDX-License-Identifier: Apache-2.0
"""A chunk as it came, whoever sent it, and what of it can be followed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smooth_motion import Chunk

SECOND_NS = 1_000_000_000
# More than a plan can follow: it reaches some 8 s ahead, and nobody commands at more than 1 kHz.
MAX_ROWS = 10_000
MAX_DT_S = 60.0
# Where a chunk may begin, seen from now. Further off, the clocks are two.
MAX_AHEAD_NS, MAX_BEHIND_NS = 10 * SECOND_NS, 600 * SECOND_NS


class UnusableError(ValueError):
    """Nothing of a chunk can be followed. The message says why."""


@dataclass(frozen=True, eq=False)
class ReceivedChunk:
    """A chunk as it came; nothing of it is checked. As ``vla_msgs/msg/ActionChunk``.

    Attributes:
        source: Who sent it.
        lease: By which grant of the arm.
        chunk_id: Counts up.
        stamp_ns: Time of row 0, ROS time.
        dt_s: Time between rows, s.
        joint_names: J columns.
        positions: (T, J) rad; may be anything, NaN too.
        latency_s: From the observation's stamp to the chunk's arrival, s.
        phase: What the source says it is doing.
        done: The source regards its task as carried out.
    """

    source: str
    lease: int
    chunk_id: int
    stamp_ns: int
    dt_s: float
    joint_names: tuple[str, ...]
    positions: NDArray[np.float64]
    latency_s: float = float("nan")
    phase: str = ""
    done: bool = False

    def of(self, joints: Sequence[str]) -> "ReceivedChunk":
        """Return the columns of these joints, in their order."""
        columns = [self.joint_names.index(joint) for joint in joints]
        return replace(self, joint_names=tuple(joints), positions=self.positions[:, columns])

    @property
    def times_ns(self) -> NDArray[np.int64]:
        """Time of each row from the first one, (T,); all 0 where the spacing is not finite."""
        dt_ns = round(self.dt_s * SECOND_NS) if np.isfinite(self.dt_s) else 0
        return dt_ns * np.arange(len(self.positions), dtype=np.int64)


def table_problem(chunk: ReceivedChunk) -> str:
    """Say why a chunk is no table of targets, empty where it is one.

    Only counts and the spacing are looked at, so that it costs the same for a chunk of any size.
    """
    shape, columns = chunk.positions.shape, len(chunk.joint_names)
    if len(shape) != 2 or shape[0] < 1 or shape[1] != columns:
        return f"the positions have shape {shape}; it must be (T, {columns})"
    if not shape[0] <= MAX_ROWS:
        return f"it has {shape[0]} rows, {MAX_ROWS} at most are taken"
    if not 0.0 < chunk.dt_s <= MAX_DT_S or round(chunk.dt_s * SECOND_NS) < 1:
        return f"dt is {chunk.dt_s:g} s; it must be above 0 and at most {MAX_DT_S:g} s"
    return ""


def stamp_problem(chunk: ReceivedChunk, now_ns: int) -> str:
    """Say why a chunk is not for about now, empty where it is."""
    ahead_ns = chunk.stamp_ns - now_ns
    if not -MAX_BEHIND_NS <= ahead_ns <= MAX_AHEAD_NS:
        return (
            f"its stamp is {ahead_ns / 1e9:+.3f} s from now; stamp row 0 with the ROS time for "
            "which it is meant (check use_sim_time)"
        )
    return ""


def finite_part(chunk: ReceivedChunk, dt_ns: int, from_ns: int) -> tuple[Chunk, str]:
    """Return the part of a chunk that can be followed, and what was cut, empty when nothing was.

    Rows before the last one that is not after `from_ns` are over; what follows a value that is
    not finite is not to be relied upon. A chunk of finite values is left as it is.

    Args:
        chunk: (T, J), may hold anything.
        dt_ns: Time between its rows as they are carried out.
        from_ns: From when on the arm can follow it at the earliest.

    Raises:
        UnusableError: The rows that come next are not finite.
    """
    names, positions, start_ns = chunk.joint_names, chunk.positions, chunk.stamp_ns
    good = np.isfinite(positions)
    if good.all():
        return Chunk(names, start_ns, dt_ns, positions), ""
    first, column = (int(index) for index in np.argwhere(~good)[0])
    said = f"row {first} has {positions[first, column]} for {names[column]}"
    over = min(max(0, (from_ns - start_ns) // dt_ns), len(good) - 1)
    bad = np.flatnonzero(~good[over:].all(axis=1))
    end = over + int(bad[0]) if len(bad) else len(good)
    last_ns = start_ns + (end - 1) * dt_ns
    if end == over or (end < len(good) and not last_ns > from_ns):
        row, column = end, int(np.flatnonzero(~good[end])[0])
        raise UnusableError(
            f"row {row} has {positions[row, column]} for {names[column]}, and "
            "no row before it is still to come"
        )
    part = Chunk(names, start_ns + over * dt_ns, dt_ns, positions[over:end])
    return part, f"{said}: of {len(good)} rows, {over} to {end - 1} are used and the rest is cut"
