# SPDX-License-Identifier: Apache-2.0
"""The plan that runs against the chunk that was asked for, joint by joint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smooth_motion.plan import Plan

FloatArray = NDArray[np.float64]

# What is shown: so long before now and after it.
BEFORE_S, AFTER_S = 2.0, 3.0
_POINTS = 80
# Of a chunk: no more is taken in, whatever it says of itself.
_MOST_ROWS, _MOST_COLUMNS = 10_000, 64
_MOST_DT_S = 60.0


@dataclass(frozen=True)
class ShownChunk:
    """A chunk as its source sent it.

    Attributes:
        joint_names: Of the columns.
        start_ns: ROS time of row 0.
        dt_s: From row to row.
        rows: (T, J), rad.
    """

    joint_names: tuple[str, ...]
    start_ns: int
    dt_s: float
    rows: FloatArray


def chunk_from(
    names: Sequence[str],
    start_ns: int,
    dt_s: float,
    shape: Sequence[int],
    positions: Sequence[float],
) -> ShownChunk | None:
    """Return a chunk that can be shown; None where its numbers do not fit together."""
    count, columns = int(shape[0]), int(shape[1])
    if not (0 < count <= _MOST_ROWS and 0 < columns <= _MOST_COLUMNS):
        return None
    if columns != len(names) or count * columns != len(positions):
        return None
    if not 0.0 < dt_s <= _MOST_DT_S:
        return None
    rows = np.asarray(positions, dtype=np.float64).reshape(count, columns)
    return ShownChunk(tuple(names), start_ns, dt_s, rows)


def curves(
    joints: Sequence[str],
    plan: Plan | None,
    chunk: ShownChunk | None,
    measured: Sequence[tuple[int, Sequence[float]]],
    now_ns: int,
) -> dict[str, Any]:
    """Return what is drawn, with times in s from now.

    Args:
        joints: Of the arm, in the order in which they are shown.
        plan: What the controller was sent last.
        chunk: What was asked for last.
        measured: When (ROS time, ns) each joint was where (J,), oldest first.
        now_ns: ROS time.
    """
    return {
        "joints": list(joints),
        "before_s": BEFORE_S,
        "after_s": AFTER_S,
        "plan": _of_plan(joints, plan, now_ns),
        "chunk": _of_chunk(joints, chunk, now_ns),
        "measured": _of_measured(measured, now_ns),
    }


def _of_plan(joints: Sequence[str], plan: Plan | None, now_ns: int) -> dict[str, Any] | None:
    if plan is None:
        return None
    order = _order(plan.joint_names, joints)
    if order is None:
        return None
    begin = max(plan.start_ns, now_ns - round(BEFORE_S * 1e9))
    times = np.linspace(begin, now_ns + round(AFTER_S * 1e9), _POINTS).astype(np.int64)
    times = times[times >= plan.start_ns]
    position = plan.sample(times).position[:, order]
    return {"t": _seconds(times - now_ns), "p": _columns(position)}


def _of_chunk(joints: Sequence[str], chunk: ShownChunk | None, now_ns: int) -> Any:
    if chunk is None:
        return None
    order = _order(chunk.joint_names, joints)
    if order is None:
        return None
    start_s = (chunk.start_ns - now_ns) * 1e-9
    times = start_s + chunk.dt_s * np.arange(len(chunk.rows))
    shown = np.flatnonzero((times >= -BEFORE_S) & (times <= AFTER_S))
    shown = shown[:: max(1, -(-len(shown) // _POINTS))]
    return {
        "t": [round(float(t), 3) for t in times[shown]],
        "p": _columns(chunk.rows[shown][:, order]),
    }


def _of_measured(measured: Sequence[tuple[int, Sequence[float]]], now_ns: int) -> Any:
    kept = [each for each in measured if now_ns - each[0] <= BEFORE_S * 1e9]
    if not kept:
        return None
    times = np.array([each[0] for each in kept], dtype=np.int64)
    return {
        "t": _seconds(times - now_ns),
        "p": _columns(np.array([each[1] for each in kept], dtype=np.float64)),
    }


def _order(names: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    places = {name: place for place, name in enumerate(names)}
    if any(name not in places for name in wanted):
        return None
    return [places[name] for name in wanted]


def _seconds(times_ns: NDArray[np.int64]) -> list[float]:
    return [round(float(each), 3) for each in times_ns * 1e-9]


def _columns(rows: FloatArray) -> list[list[float | None]]:
    """Return a list a joint; what is not finite is a gap."""
    return [
        [round(float(v), 4) if np.isfinite(v) and abs(v) < 1e6 else None for v in column]
        for column in rows.T
    ]
