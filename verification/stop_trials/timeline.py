# SPDX-License-Identifier: Apache-2.0
"""For which time of its trajectory a controller evaluated each of its references. No ROS here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from smooth_motion import Plan

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Starts of trajectories, as controller_state tells them, wander by less.
WANDER_NS = 20_000_000


def trajectory_times(
    names: tuple[str, ...],
    stamps_ns: IntArray,
    since_ns: IntArray,
    positions: FloatArray,
    commands: Mapping[int, Plan | None],
) -> IntArray:
    """Return the times of references: their trajectory's own stamp plus the time since its start.

    Which trajectory that is, its stamp and time since the start tell to within `WANDER_NS`. Where
    several began within that, it is the one that leads through the reference.

    Args:
        names: Of the J joints.
        stamps_ns: (N,) of the messages.
        since_ns: (N,) since the trajectory's start, as they tell.
        positions: (N, J) rad, of the reference.
        commands: What the controller was sent, by its stamp; None where it is no plan.
    """
    known = np.array(sorted(commands), dtype=np.int64)
    times = np.empty(len(stamps_ns), dtype=np.int64)
    start_ns = 0
    rows: Any = zip(stamps_ns.tolist(), since_ns.tolist(), positions, strict=True)
    for k, (stamp, since, position) in enumerate(rows):
        seen_ns = stamp - since
        near = known[np.abs(known - seen_ns) <= WANDER_NS].tolist()
        if len(near) > 1:
            off = {start: _off(commands[start], names, start + since, position) for start in near}
            start_ns = min(near, key=lambda start: (off[start], abs(start - seen_ns)))
        elif near:
            start_ns = near[0]
        elif abs(seen_ns - start_ns) > WANDER_NS:
            start_ns = seen_ns
        times[k] = start_ns + since
    return times


def _off(plan: Plan | None, names: tuple[str, ...], at_ns: int, position: FloatArray) -> float:
    """Return how far a plan is from a position, rad; what rounding makes of it is nothing."""
    if plan is None or set(plan.joint_names) != set(names):
        return float("inf")
    order = [plan.joint_names.index(name) for name in names]
    off = float(np.abs(plan.sample(at_ns).position[order] - position).max())
    return off if off > 1e-9 else 0.0
