# SPDX-License-Identifier: Apache-2.0
"""Fewer capsules that hold all of many, for a workspace file has room for so many only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_contract.workspace import WorkspaceError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Capsule:
    """A capsule.

    Attributes:
        ends: (2, 3), m.
        radius: m.
    """

    ends: Array
    radius: float

    @property
    def volume(self) -> float:
        """m^3."""
        length = float(np.linalg.norm(self.ends[1] - self.ends[0]))
        return float(np.pi * self.radius**2 * (length + 4.0 / 3.0 * self.radius))


@dataclass(frozen=True, eq=False)
class LinkCapsule(Capsule):
    """A capsule of a link, in the frame of the joint that moves it; -1: none does."""

    link: str
    joint: int


def at_most(capsules: list[LinkCapsule], most: int) -> list[LinkCapsule]:
    """Return capsules that enclose these, of each link as many as there is room for.

    A link begins with one capsule around all of its own; then the largest is parted in two, again
    and again. Where there are no more than the most, they stay as they are.

    Raises:
        WorkspaceError: More links have capsules than may be.
    """
    if len(capsules) <= most:
        return capsules
    links = list(dict.fromkeys(each.link for each in capsules))
    if len(links) > most:
        raise WorkspaceError(
            f"{len(links)} links have shapes to collide with, and there is room for {most}; give "
            "those that are fixed to each other as one link"
        )
    groups = [[each for each in capsules if each.link == link] for link in links]
    around = [_around(group) for group in groups]
    while len(groups) < most:
        pairs = zip(groups, around, strict=True)
        sizes = [one.volume if len(own) > 1 else -1.0 for own, one in pairs]
        largest = int(np.argmax(sizes))
        parts = _parted(groups[largest])
        groups[largest : largest + 1] = parts
        around[largest : largest + 1] = [_around(part) for part in parts]
    return around


def _parted(capsules: list[LinkCapsule]) -> list[list[LinkCapsule]]:
    """Return two halves, by where the middles are along the axis on which they differ most."""
    middles = np.array([each.ends.mean(axis=0) for each in capsules])
    axis = int(np.argmax(np.ptp(middles, axis=0)))
    order = np.argsort(middles[:, axis], kind="stable")
    half = len(order) // 2
    return [[capsules[row] for row in rows] for rows in (order[:half], order[half:])]


def _around(capsules: list[LinkCapsule]) -> LinkCapsule:
    """Return a capsule, the smallest of a few, that encloses capsules of one link."""
    if len(capsules) == 1:
        return capsules[0]
    points = np.concatenate([each.ends for each in capsules])
    radii = np.repeat([each.radius for each in capsules], 2)
    spread = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2]
    found = [_along(axis, points, radii) for axis in (*np.eye(3), *spread)]
    own = [LinkCapsule(*each, capsules[0].link, capsules[0].joint) for each in found]
    return min(own, key=lambda each: each.volume)


def _along(axis: Array, points: Array, radii: Array) -> tuple[Array, float]:
    """Return ends (2, 3) and radius of a capsule along an axis around balls (N, 3), (N,)."""
    along = points @ axis
    aside = points - np.outer(along, axis)
    middle = 0.5 * (aside.min(axis=0) + aside.max(axis=0))
    middle -= (middle @ axis) * axis
    off = np.linalg.norm(aside - middle, axis=1)
    radius = float(np.max(off + radii))
    # So far beyond an end, a ball still lies in the half ball there.
    beyond = np.sqrt(np.maximum((radius - radii) ** 2 - off**2, 0.0))
    low, high = float(np.min(along + beyond)), float(np.max(along - beyond))
    if low > high:
        low = high = 0.5 * (low + high)
    return middle + np.outer([low, high], axis), radius
