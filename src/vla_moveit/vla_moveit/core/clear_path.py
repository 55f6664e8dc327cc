# SPDX-License-Identifier: Apache-2.0
"""Whether the arm stays clear all along a path, by the capsules of its workspace file."""

from __future__ import annotations

import itertools

import numpy as np

from smooth_motion.limits import FloatArray
from vla_contract.clearance import ArmClearances
from vla_contract.workspace import Workspace

# Longest way of a joint between two first looks, rad, and the shortest that is looked between.
_FIRST_RAD, _FINEST_RAD = 0.05, 5e-5
_MOST_LOOKS = 100_000
# An arm that begins too near to something may move away from it, not nearer by more than this, m.
_NEARER_M = 0.001


class ClearPath:
    """Judges paths: distances are looked at so often that between two looks none can be missed."""

    def __init__(self, workspace: Workspace) -> None:
        """Judge by a workspace.

        Args:
            workspace: The capsules, what they stay clear of, and how far.
        """
        self._margin, self._arm = workspace.margin, ArmClearances(workspace)

    def problem(self, points: FloatArray) -> str:
        """Say what the arm would come too near to, empty where it stays clear.

        Args:
            points: (N, J), rad, joined by lines in joint space; N at least 1.
        """
        looks = _between(points)
        clear = self._arm.of(looks)
        if not clear.shape[1]:
            return ""
        outside = clear[0] >= self._margin
        allowed = np.where(outside, self._margin, clear[0] - _NEARER_M)
        if not (clear >= allowed).all():
            return self._said(clear, allowed)
        reach = self._arm.reach_of(np.arange(self._arm.count), np.abs(looks).max(axis=0))
        begin, end, near, far = looks[:-1], looks[1:], clear[:-1], clear[1:]
        count = len(looks)
        while len(begin):
            ways = np.abs(end - begin)
            # Of the ways to both looks, which are so long together, one is half of it at most.
            lowest = 0.5 * (near + far - ways @ reach.T)
            doubtful = (lowest < allowed).any(axis=1) & (ways.max(axis=1) > _FINEST_RAD)
            begin, end, near, far = begin[doubtful], end[doubtful], near[doubtful], far[doubtful]
            count += len(begin)
            if not count <= _MOST_LOOKS:
                return f"it would take more than {_MOST_LOOKS} looks to see that the path is clear"
            middle = 0.5 * (begin + end)
            seen = self._arm.of(middle)
            if not (seen >= allowed).all():
                return self._said(seen, allowed)
            begin, end = np.concatenate([begin, middle]), np.concatenate([middle, end])
            near, far = np.concatenate([near, seen]), np.concatenate([seen, far])
        return ""

    def _said(self, clear: FloatArray, allowed: FloatArray) -> str:
        nearest = np.where(clear < allowed, clear, np.inf).min(axis=0)
        column = int(np.argmin(nearest))
        return (
            f"{self._arm.labels[column]}: {1000.0 * nearest[column]:.2f} mm, "
            f"{1000.0 * self._margin:g} mm are kept"
        )


def _between(points: FloatArray) -> FloatArray:
    """Return the points with others between them, so that no step is longer than a first one."""
    found = [points[:1]]
    for begin, end in itertools.pairwise(points):
        parts = max(1, int(np.ceil(np.abs(end - begin).max() / _FIRST_RAD)))
        found.append(begin + np.arange(1, parts + 1)[:, None] / parts * (end - begin))
    return np.vstack(found)
