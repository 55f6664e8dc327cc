# SPDX-License-Identifier: Apache-2.0
"""How far an arm's capsules are from the table, the box, obstacles and each other."""

from __future__ import annotations

import numpy as np

from smooth_motion.limits import FloatArray, IntArray
from vla_contract.workspace import Workspace

_EPSILON = 1e-12
_PIECES = 9  # of a capsule's axis, where it is held against an obstacle


class ArmClearances:
    """Distances of one workspace file, each of D pairs of things.

    Attributes:
        labels: What each is a distance of (D,).
        reach: How much nearer, at the most, a radian of each joint brings it (D, J), m; for a
            joint that slides, a metre.
    """

    def __init__(self, space: Workspace) -> None:
        """Lay out what is kept apart.

        Args:
            space: The capsules, and what they stay clear of.
        """
        self._space = space
        self._rows = [np.flatnonzero(space.joint == joint) for joint in range(len(space.frames))]
        moving = np.flatnonzero(space.joint >= 0)
        names = space.names
        # Each group is one kind of distance: of which capsules, and to what.
        self._groups: list[tuple[str, FloatArray, IntArray]] = []
        self.labels: list[str] = []
        nothing = np.empty((0, 3))
        if np.isfinite(space.table):
            self._groups.append(("table", nothing, moving))
            self.labels += [f"{names[row]} to the table" for row in moving]
        if np.isfinite(space.box).all():
            self._groups.append(("box", space.box, moving))
            self.labels += [f"{names[row]} to the wall of the box" for row in moving]
        for obstacle, corners in space.obstacles:
            self._groups.append(("obstacle", corners, moving))
            self.labels += [f"{names[row]} to {obstacle}" for row in moving]
        if len(space.pairs):
            self._groups.append(("pair", nothing, space.pairs))
            self.labels += [f"{names[one]} to {names[other]}" for one, other in space.pairs]
        self._lengths = np.square(space.ends[:, 1] - space.ends[:, 0]).sum(axis=1)
        self.reach, self._extends = self._reaches()

    @property
    def count(self) -> int:
        """D."""
        return len(self.labels)

    def of(self, positions: FloatArray, things: IntArray | None = None) -> FloatArray:
        """Return distances (S, D), m, at joints (S, J), rad.

        They are exact, but for those to obstacles, which are bounds from below.

        Args:
            positions: (S, J) rad.
            things: Rows of `labels`, rising, for less than all of them.
        """
        ends = self._ends(positions)
        radius = self._space.radius
        found, first = [], 0
        for kind, where, members in self._groups:
            last = first + len(members)
            if things is not None:
                begin, end = np.searchsorted(things, (first, last))
                members = members[things[begin:end] - first]
            first = last
            if not len(members):
                continue
            if kind == "pair":
                one, other = members.T
                apart = self._apart(ends, one, other)
                found.append(apart - radius[one] - radius[other])
                continue
            part = ends[:, members]
            if kind == "table":
                clear = part[..., 2].min(axis=2) - self._space.table
            elif kind == "box":
                low, high = (part - where[0]).min(axis=(2, 3)), (where[1] - part).min(axis=(2, 3))
                clear = np.minimum(low, high)
            else:
                clear = _to_box(part, where)
            found.append(clear - radius[members])
        return np.concatenate(found, axis=1) if found else np.empty((len(positions), 0))

    def reach_of(self, things: IntArray, farthest: FloatArray) -> FloatArray:
        """Return `reach` of some, with what joints that slide add to the others' levers.

        Args:
            things: Rows of `labels`.
            farthest: How far out each joint is at the most (J,), m for one that slides.
        """
        reach = self.reach[things]
        if not self._space.slides.any():
            return reach
        out = np.where(self._space.slides, farthest, 0.0)
        return np.asarray(np.where(self._space.slides, reach, reach + self._extends[things] @ out))

    # -- where the capsules are -------------------------------------------------------------------

    def _ends(self, positions: FloatArray) -> FloatArray:
        """Return the capsules' ends (S, C, 2, 3), m."""
        space = self._space
        count = len(positions)
        ends = np.empty((count, *space.ends.shape))
        base = space.joint < 0
        ends[:, base] = space.ends[base]
        cos, sin = np.cos(positions), np.sin(positions)
        turn, place = np.broadcast_to(np.eye(3), (count, 3, 3)), np.zeros((count, 3))
        for joint, frame in enumerate(space.frames):
            place = place + turn @ frame[:3, 3]
            turn = turn @ frame[:3, :3]
            if space.slides[joint]:
                place = place + turn[:, :, 2] * positions[:, joint, None]
            else:
                c, s = cos[:, joint, None], sin[:, joint, None]
                x, y = turn[:, :, 0].copy(), turn[:, :, 1].copy()
                turn[:, :, 0] = x * c + y * s
                turn[:, :, 1] = y * c - x * s
            rows = self._rows[joint]
            if len(rows):
                own = space.ends[rows].reshape(-1, 3)
                placed = own @ turn.transpose(0, 2, 1) + place[:, None]
                ends[:, rows] = placed.reshape(count, len(rows), 2, 3)
        return ends

    def _apart(self, ends: FloatArray, one: IntArray, other: IntArray) -> FloatArray:
        """Return how far the axes of pairs of capsules are apart (S, K), m."""
        used = np.unique(np.concatenate([one, other]))
        one, other = np.searchsorted(used, one), np.searchsorted(used, other)
        length = self._lengths[used]
        begin, along = ends[:, used, 0], ends[:, used, 1] - ends[:, used, 0]
        # Every product that is needed, of all capsules with all others: cheaper than pair by pair.
        across, ahead = along @ along.transpose(0, 2, 1), along @ begin.transpose(0, 2, 1)
        square = begin @ begin.transpose(0, 2, 1)
        size = np.einsum("sii->si", square)
        own = np.einsum("sii->si", ahead)
        return segment_distance(
            np.maximum(length[one], _EPSILON),
            np.maximum(length[other], _EPSILON),
            across[:, one, other],
            own[:, one] - ahead[:, one, other],
            ahead[:, other, one] - own[:, other],
            size[:, one] + size[:, other] - 2.0 * square[:, one, other],
        )

    # -- how fast distances can change -----------------------------------------------------------

    def _reaches(self) -> tuple[FloatArray, FloatArray]:
        """Return `reach` (D, J), and which joints that slide lengthen each lever (D, J, J).

        A joint turns what it moves about its axis, so a capsule's axis comes nearer by its
        distance from there at the most. A pair changes only by the joints between the two, and by
        the shorter of both levers.
        """
        space = self._space
        joints = len(space.frames)
        outward = [self._lever(row, int(space.joint[row])) for row in range(len(space.names))]
        reach, extends = [], []
        for kind, _, members in self._groups:
            for member in members:
                if kind != "pair":
                    levers, chains = outward[int(member)]
                    reach.append(levers)
                    extends.append(chains)
                    continue
                near, far = sorted(member.tolist(), key=lambda row: int(space.joint[row]))
                levers, chains = (each.copy() for each in outward[far])
                first = int(space.joint[near])
                levers[: first + 1], chains[: first + 1] = 0.0, 0.0
                self._shorten(levers, chains, near)
                reach.append(levers)
                extends.append(chains)
        shape = (self.count, joints)
        return np.reshape(reach, shape), np.reshape(extends, (*shape, joints))

    def _lever(self, row: int, last: int) -> tuple[FloatArray, FloatArray]:
        """Return how far a capsule's axis can be from each joint's (J,), and what slides there."""
        space = self._space
        joints = len(space.frames)
        levers, chains = np.zeros(joints), np.zeros((joints, joints))
        for joint in range(last + 1):
            if space.slides[joint]:
                levers[joint] = 1.0
                continue
            if joint == last:
                levers[joint] = np.hypot(*space.ends[row, :, :2].T).max()
                continue
            steps = space.frames[joint + 1 : last + 1, :3, 3]
            levers[joint] = np.hypot(*steps[0, :2]) + np.linalg.norm(steps[1:], axis=1).sum()
            levers[joint] += np.linalg.norm(space.ends[row], axis=1).max()
            chains[joint, joint + 1 : last + 1] = space.slides[joint + 1 : last + 1]
        return levers, chains

    def _shorten(self, levers: FloatArray, chains: FloatArray, near: int) -> None:
        """Take the lever to the nearer capsule of a pair where it is the shorter one."""
        space = self._space
        first = int(space.joint[near])
        own = float(np.linalg.norm(space.ends[near], axis=1).max())
        for joint in range(first + 1, len(levers)):
            # With what slides on either side, no choice can be made beforehand.
            if space.slides[first + 1 :].any() or not levers[joint] > 0.0:
                continue
            way = np.linalg.norm(space.frames[first + 1 : joint + 1, :3, 3], axis=1).sum()
            levers[joint] = min(levers[joint], float(way) + own)


def _to_box(ends: FloatArray, corners: FloatArray) -> FloatArray:
    """Return a bound from below (S, C), m, of the distance of segments (S, C, 2, 3) to a box."""
    share = np.linspace(0.0, 1.0, _PIECES)[:, None]
    points = ends[:, :, None, 0] * (1.0 - share) + ends[:, :, None, 1] * share
    outside = np.maximum(np.maximum(corners[0] - points, points - corners[1]), 0.0)
    half = 0.5 * np.linalg.norm(ends[:, :, 1] - ends[:, :, 0], axis=2) / (_PIECES - 1)
    return np.asarray(np.linalg.norm(outside, axis=3).min(axis=2) - half)


def segment_distance(
    a: FloatArray, e: FloatArray, b: FloatArray, c: FloatArray, f: FloatArray, r: FloatArray
) -> FloatArray:
    """Return the distance (...), m, of two segments p1 + s d1 and p2 + t d2, s and t in [0, 1].

    Closest points of two segments after Ericson, Real-Time Collision Detection (2005), 5.1.9.

    Args:
        a: d1 . d1, above 0.
        e: d2 . d2, above 0.
        b: d1 . d2.
        c: d1 . (p1 - p2).
        f: d2 . (p1 - p2).
        r: (p1 - p2) . (p1 - p2).
    """
    denominator = a * e - b * b
    parallel = denominator <= _EPSILON
    s = np.where(
        parallel, 0.0, np.clip((b * f - c * e) / np.where(parallel, 1.0, denominator), 0.0, 1.0)
    )
    t = np.clip((b * s + f) / e, 0.0, 1.0)
    s = np.clip((b * t - c) / a, 0.0, 1.0)
    square = r + s * (a * s + 2.0 * c) + t * (e * t - 2.0 * f) - 2.0 * b * s * t
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))
