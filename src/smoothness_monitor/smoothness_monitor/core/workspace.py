# SPDX-License-Identifier: Apache-2.0
"""Does a plan keep the arm clear of the table, of obstacles, of itself, and inside its box?

Distances between capsules are exact; between two looks at the plan no distance can shrink by more
than a bound, and where that is not enough, it is looked at more finely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smooth_motion import Plan
from smooth_motion.limits import FloatArray, IntArray
from vla_contract.clearance import ArmClearances
from vla_contract.workspace import Workspace

# Time between the first looks at a plan. Where they do not settle it, more are taken between, as
# many as the distance there asks for, until they are FINEST_NS apart.
_FIRST_NS, _FINEST_NS = 40_000_000, 200_000
_MOST_PARTS = 16
_MOST_LOOKS = 20_000
# An arm that wakes up too near to something may move away from it, not nearer by more than this.
_NEARER_M = 0.001
# What rounding may make of a distance: two plans that follow each other see the same place.
_SAME_M = 1e-5


@dataclass(frozen=True)
class Nearness:
    """How near an arm comes to something.

    Attributes:
        distance: m; below 0 it is inside.
        what: Of what, and to what.
        margin: What is kept, m.
    """

    distance: float
    what: str
    margin: float


class WorkspaceGuard:
    """Judges plans by where they lead the arm's capsules.

    Attributes:
        nearest: What the last plan that stayed clear came nearest to.
    """

    def __init__(self, workspace: Workspace, acceleration: FloatArray) -> None:
        """Guard a workspace.

        Args:
            workspace: The capsules, and what they stay clear of.
            acceleration: The arm's limits (J,), rad/s^2: how far a joint may go between looks.
        """
        self._margin, self._acceleration = workspace.margin, acceleration
        self._arm = ArmClearances(workspace)
        self.nearest = Nearness(np.inf, "nothing", workspace.margin)
        # How near to each thing the arm may come (D,), m, as long as only plans move it.
        self._floor = np.full(self._arm.count, -np.inf)

    def judge(self, plan: Plan, from_ns: int) -> Nearness | None:
        """Return what a plan comes too near to, None when it stays clear.

        An arm that is clear keeps the margin. One that was too near when it woke up, or was moved
        there by hand or by its weight, may leave; how far it has left is then kept too, by however
        many plans.

        Args:
            plan: Within the limits.
            from_ns: What is before that is over.
        """
        begin, end = max(plan.start_ns, from_ns), max(plan.end_ns, from_ns + 1)
        # Where acceleration is linear between knots, it is largest at one.
        fastest = np.minimum(self._acceleration, np.abs(plan.accelerations).max(axis=0))
        things = np.arange(self._arm.count)
        spans = np.array([[begin, end]], dtype=np.int64)
        parts = np.array([max(1, -(-(end - begin) // _FIRST_NS))])
        floor = allowed = lowest = np.empty(0)
        looks = 0
        while True:
            looks += int(parts.sum()) + len(parts)
            if not looks <= _MOST_LOOKS:
                why = f"it takes more looks than {_MOST_LOOKS}"
                return Nearness(np.nan, why, self._margin)
            times, owner = _looks(spans, parts)
            seen = plan.sample(times)
            clear = self._arm.of(seen.position, things)
            if not lowest.size:
                floor = self._floor_from(clear[0])
                allowed = floor - _SAME_M
                lowest = np.full(self._arm.count, np.inf)
            lowest[things] = np.minimum(lowest[things], clear.min(axis=0))
            if not (clear >= allowed[things]).all():
                return self._worst(clear, things, clear < allowed[things])
            reach = self._arm.reach_of(things, np.abs(seen.position).max(axis=0))
            nearer = _ways(np.abs(seen.velocity), times, fastest) @ reach.T
            # Of the ways to both looks, which are so long together, one is half of it at the most.
            between = 0.5 * (clear[1:] + clear[:-1] - nearer)
            fine = np.diff(times) <= _FINEST_NS
            # At the finest, the margin is what a look may be off by.
            least = allowed[things] - np.where(fine, self._margin, 0.0)[:, None]
            doubtful = ~(between >= least) & (owner[1:] == owner[:-1])[:, None]
            rows = doubtful.any(axis=1)
            if not rows.any():
                self.nearest, self._floor = self._of(lowest), floor
                return None
            if fine[rows].any():
                row = int(np.flatnonzero(rows & fine)[0])
                found = np.minimum(clear[row], clear[row + 1])
                return self._worst(found[None], things, doubtful[[row]])
            columns = doubtful.any(axis=0)
            # So short that half of what it can shrink is less than what there is to spare.
            spare = np.maximum(0.5 * (clear[1:] + clear[:-1]) - least, 1e-9)
            wanted = np.where(doubtful, 0.5 * nearer / spare, 0.0).max(axis=1)[rows]
            spans = np.column_stack([times[:-1][rows], times[1:][rows]])
            finest = np.maximum(2, -(-(spans[:, 1] - spans[:, 0]) // _FINEST_NS))
            parts = np.minimum(np.clip(np.ceil(1.2 * wanted), 2, _MOST_PARTS), finest)
            parts = parts.astype(np.int64)
            things = things[columns]

    def clearances(self, positions: FloatArray) -> FloatArray:
        """Return how far (S, D), m, each thing is from the arm at joints (S, J), rad."""
        return self._arm.of(positions)

    def _floor_from(self, clear: FloatArray) -> FloatArray:
        """Return how near a plan may bring the arm that begins at distances (D,), m."""
        woken, before = clear - _NEARER_M, self._floor
        # Where it was not brought by plans it is as one that wakes up. By less, it is held there.
        kept = np.where(clear < before - _NEARER_M, woken, np.minimum(before, clear))
        floor = np.where(clear < before - _SAME_M, kept, before)
        outside = clear >= self._margin - _SAME_M
        return np.where(outside, self._margin, np.maximum(floor, woken))

    def _of(self, clear: FloatArray) -> Nearness:
        row = int(np.argmin(clear))
        return Nearness(float(clear[row]), self._arm.labels[row], self._margin)

    def _worst(self, clear: FloatArray, things: IntArray, broken: np.ndarray) -> Nearness:
        """Return the nearest of what is broken, by distances (S, D)."""
        every = np.full(self._arm.count, np.inf)
        every[things] = np.where(broken, clear, np.inf).min(axis=0)
        return self._of(every)


def _looks(spans: IntArray, parts: IntArray) -> tuple[IntArray, IntArray]:
    """Return times that divide each span into so many parts, ends included, and whose they are."""
    owner = np.repeat(np.arange(len(parts)), parts + 1)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(parts + 1) - (parts + 1), parts + 1)
    begin, length = spans[owner, 0], spans[owner, 1] - spans[owner, 0]
    return begin + length * number // parts[owner], owner


def _ways(speed: FloatArray, times: IntArray, acceleration: FloatArray) -> FloatArray:
    """Return how far (S - 1, J) each joint can go between looks, rad."""
    span_s = np.abs(np.diff(times))[:, None] * 1e-9
    return np.asarray(0.5 * (speed[1:] + speed[:-1]) * span_s + 0.25 * acceleration * span_s**2)
