# SPDX-License-Identifier: Apache-2.0
"""Does a plan keep the arm clear of the table, of obstacles, of itself, and inside its box?

Distances between capsules are exact; between two looks at the plan no point of the arm can go
further than a bound, and where that is not enough, it is looked at more finely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smooth_motion import Plan
from smooth_motion.limits import FloatArray, IntArray
from vla_contract.workspace import Workspace

# Time between looks at a plan; each is used where the one before did not settle it.
_STEPS_NS = (40_000_000, 8_000_000, 1_000_000, 200_000)
_MOST_LOOKS = 20_000
# An arm that wakes up too near to something may move away from it, not nearer by more than this.
_NEARER_M = 0.001
_EPSILON = 1e-12


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
    """Judges plans by where they lead the arm's capsules."""

    def __init__(self, workspace: Workspace, acceleration: FloatArray) -> None:
        """Guard a workspace.

        Args:
            workspace: The capsules, and what they stay clear of.
            acceleration: The arm's limits (J,), rad/s^2: how far a joint may go between looks.
        """
        self._space, self._acceleration = workspace, acceleration
        self._reach = _reach(workspace)
        moving = np.flatnonzero(workspace.joint >= 0)
        self._moving = moving
        self._labels = self._name()
        self.nearest = Nearness(np.inf, "nothing", workspace.margin)

    def judge(self, plan: Plan, from_ns: int) -> Nearness | None:
        """Return what a plan comes too near to, None when it stays clear.

        Args:
            plan: Within the limits.
            from_ns: What is before that is over.
        """
        begin, end = max(plan.start_ns, from_ns), max(plan.end_ns, from_ns + 1)
        first = self.clearances(plan.sample(np.array([begin])).position)[0]
        # What is nearer than the margin at first may not come nearer.
        allowed = np.minimum(self._space.margin, first - _NEARER_M)
        spans = np.array([[begin, end]], dtype=np.int64)
        lowest = first.copy()
        for level, step_ns in enumerate(_STEPS_NS):
            last = level == len(_STEPS_NS) - 1
            times, owner = _looks(spans, step_ns)
            if not times.size <= _MOST_LOOKS:
                return Nearness(
                    np.nan,
                    f"it takes {times.size} looks, {_MOST_LOOKS} are the most",
                    self._space.margin,
                )
            seen = plan.sample(times)
            clear = self.clearances(seen.position)
            lowest = np.minimum(lowest, clear.min(axis=0))
            broken = clear < allowed
            if broken.any():
                return self._worst(clear, broken)
            bound = self._bound(np.abs(seen.velocity), times)
            # Between two looks, the nearer of both is half the way off at the most.
            joined = owner[1:] == owner[:-1]
            between = np.minimum(clear[1:], clear[:-1]) - bound[:, None]
            # At the finest, the margin is what a look may be off by.
            doubtful = joined & (
                between < (allowed - self._space.margin if last else allowed)
            ).any(axis=1)
            if not doubtful.any():
                self.nearest = self._of(lowest)
                return None
            if last:
                row = int(np.flatnonzero(doubtful)[0])
                return self._of(np.minimum(clear[row], clear[row + 1]))
            spans = np.column_stack([times[:-1][doubtful], times[1:][doubtful]])
        return None

    def clearances(self, positions: FloatArray) -> FloatArray:
        """Return how far (S, D), m, each thing is from the arm at joints (S, J), rad."""
        space = self._space
        ends = self._ends(positions)
        radius = space.radius
        found = []
        moving = self._moving
        inside = ends[:, moving]
        if np.isfinite(space.table):
            found.append(inside[..., 2].min(axis=2) - radius[moving] - space.table)
        if np.isfinite(space.box).all():
            low = (inside - space.box[0]).min(axis=(2, 3))
            high = (space.box[1] - inside).min(axis=(2, 3))
            found.append(np.minimum(low, high) - radius[moving])
        for _, corners in space.obstacles:
            found.append(_to_box(inside, corners) - radius[moving])
        if len(space.pairs):
            one, other = space.pairs.T
            apart = _between(
                ends[:, one, 0], ends[:, one, 1], ends[:, other, 0], ends[:, other, 1]
            )
            found.append(apart - radius[one] - radius[other])
        return np.concatenate(found, axis=1)

    def _name(self) -> list[str]:
        space = self._space
        moving = [space.names[row] for row in self._moving]
        labels: list[str] = []
        if np.isfinite(space.table):
            labels += [f"{name} to the table" for name in moving]
        if np.isfinite(space.box).all():
            labels += [f"{name} to the wall of the box" for name in moving]
        for obstacle, _ in space.obstacles:
            labels += [f"{name} to {obstacle}" for name in moving]
        labels += [f"{space.names[one]} to {space.names[other]}" for one, other in space.pairs]
        return labels

    def _of(self, clear: FloatArray) -> Nearness:
        row = int(np.argmin(clear))
        return Nearness(float(clear[row]), self._labels[row], self._space.margin)

    def _worst(self, clear: FloatArray, broken: np.ndarray) -> Nearness:
        return self._of(np.where(broken, clear, np.inf).min(axis=0))

    def _ends(self, positions: FloatArray) -> FloatArray:
        """Return the capsules' ends (S, C, 2, 3), m."""
        space = self._space
        count = len(positions)
        ends = np.broadcast_to(space.ends, (count, *space.ends.shape)).copy()
        turn, place = np.eye(3), np.zeros(3)
        for joint, frame in enumerate(space.frames):
            place = place + turn @ frame[:3, 3]
            turn = turn @ frame[:3, :3]
            angle = positions[:, joint]
            if space.slides[joint]:
                place = place + turn[..., :, 2] * angle[:, None]
                turn = np.broadcast_to(turn, (count, 3, 3))
            else:
                cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
                turned = np.empty((count, 3, 3))
                turned[:, :, 0] = turn[..., :, 0] * cos + turn[..., :, 1] * sin
                turned[:, :, 1] = turn[..., :, 1] * cos - turn[..., :, 0] * sin
                turned[:, :, 2] = turn[..., :, 2]
                turn = turned
            place = np.broadcast_to(place, (count, 3))
            for row in np.flatnonzero(space.joint == joint):
                ends[:, row] = np.einsum("sij,ej->sei", turn, space.ends[row]) + place[:, None]
        return ends

    def _bound(self, speed: FloatArray, times: IntArray) -> FloatArray:
        """Return how far (S - 1,), m, any point may be from where the nearer look had it."""
        span_s = np.diff(times)[:, None] * 1e-9
        ways = 0.5 * (speed[1:] + speed[:-1]) * span_s + 0.25 * self._acceleration * span_s**2
        return np.asarray(0.5 * ways @ self._reach)


def _looks(spans: IntArray, step_ns: int) -> tuple[IntArray, IntArray]:
    """Return times at most a step apart, ends included, and the span (N,) of each."""
    times, owner = [], []
    for row, (begin, end) in enumerate(spans.tolist()):
        count = max(2, -(-(end - begin) // step_ns) + 1)
        times.append(np.linspace(begin, end, count).round().astype(np.int64))
        owner.append(np.full(count, row))
    return np.concatenate(times), np.concatenate(owner)


def _reach(space: Workspace) -> FloatArray:
    """Return how far (J,), m, a radian of each joint can move a point; 1 for one that slides."""
    joints = len(space.frames)
    steps = np.linalg.norm(space.frames[:, :3, 3], axis=1)
    reach = np.zeros(joints)
    far = np.linalg.norm(space.ends, axis=2).max(axis=1) + space.radius
    for joint in range(joints):
        for row in np.flatnonzero(space.joint >= joint):
            along = float(steps[joint + 1 : space.joint[row] + 1].sum())
            reach[joint] = max(reach[joint], along + float(far[row]))
    return np.where(space.slides, 1.0, reach)


def _to_box(ends: FloatArray, corners: FloatArray) -> FloatArray:
    """Return a bound from below (S, C), m, of the distance of segments (S, C, 2, 3) to a box."""
    pieces = 9
    share = np.linspace(0.0, 1.0, pieces)[:, None]
    points = ends[:, :, None, 0] * (1.0 - share) + ends[:, :, None, 1] * share
    outside = np.maximum(np.maximum(corners[0] - points, points - corners[1]), 0.0)
    half = 0.5 * np.linalg.norm(ends[:, :, 1] - ends[:, :, 0], axis=2) / (pieces - 1)
    return np.asarray(np.linalg.norm(outside, axis=3).min(axis=2) - half)


def _between(p1: FloatArray, q1: FloatArray, p2: FloatArray, q2: FloatArray) -> FloatArray:
    """Return the distance (...), m, of segments p1 q1 and p2 q2 (..., 3).

    Closest points of two segments after Ericson, Real-Time Collision Detection (2005), 5.1.9.
    """
    d1, d2, r = q1 - p1, q2 - p2, p1 - p2
    a = np.maximum(np.einsum("...i,...i", d1, d1), _EPSILON)
    e = np.maximum(np.einsum("...i,...i", d2, d2), _EPSILON)
    b = np.einsum("...i,...i", d1, d2)
    c, f = np.einsum("...i,...i", d1, r), np.einsum("...i,...i", d2, r)
    denominator = a * e - b * b
    parallel = denominator <= _EPSILON
    s = np.where(
        parallel, 0.0, np.clip((b * f - c * e) / np.where(parallel, 1.0, denominator), 0.0, 1.0)
    )
    t = np.clip((b * s + f) / e, 0.0, 1.0)
    s = np.clip((b * t - c) / a, 0.0, 1.0)
    apart = r + d1 * s[..., None] - d2 * t[..., None]
    return np.asarray(np.sqrt(np.einsum("...i,...i", apart, apart)))
