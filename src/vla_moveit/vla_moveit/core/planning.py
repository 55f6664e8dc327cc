# SPDX-License-Identifier: Apache-2.0
"""What a planner of paths is asked and what it answers, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from smooth_motion.limits import FloatArray
from vla_moveit.core.goal import ToolGoal

# More points than any planner returns for an arm.
MOST_POINTS = 2000


class NoPathError(Exception):
    """There is no path, or none that can be followed. One line that says why."""


@dataclass(frozen=True, eq=False)
class FindPath:
    """Ask for a path.

    Attributes:
        start: Where the arm rests (J,), rad.
        goal: Joints (J,), rad, or a place of the tool.
    """

    start: FloatArray
    goal: FloatArray | ToolGoal


@dataclass(frozen=True, eq=False)
class CheckPath:
    """Ask whether the arm stays clear all along the lines between points (S, J), rad."""

    points: FloatArray


@dataclass(frozen=True, eq=False)
class PathAnswer:
    """What became of a question.

    Attributes:
        points: The path (N, J), rad, from the start to the goal; of a check, none (0, J).
        problem: Why there is none, or what the arm would meet; empty where all is well.
    """

    points: FloatArray
    problem: str = ""


class PathPlanner(Protocol):
    """Finds paths, one question at a time, without holding up who asks.

    Attributes:
        varies: Whether it may find another path where it is asked once more.
    """

    varies: bool

    def begin(self, question: FindPath | CheckPath) -> None:
        """Begin to answer. What was asked before is answered no more."""

    def poll(self) -> PathAnswer | None:
        """Return the answer once it is there."""

    def close(self) -> None:
        """End whatever it has started."""


def sound(
    answer: PathAnswer, start: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray:
    """Return the points of a path that can be relied upon, whoever planned it.

    Args:
        answer: Of a planner.
        start: Where the arm rests (J,), rad.
        lower: Of the joints' ranges (J,), rad; a start beyond them may be left.
        upper: Likewise.

    Raises:
        NoPathError: There is no path, or it is none of this arm from where it is.
    """
    if answer.problem:
        raise NoPathError(answer.problem)
    points = np.asarray(answer.points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != len(start) or not 1 <= len(points) <= MOST_POINTS:
        raise NoPathError(
            f"the planner's path has shape {points.shape}; (N, {len(start)}) with N from 1 to "
            f"{MOST_POINTS} was to come"
        )
    if not np.isfinite(points).all():
        raise NoPathError("the planner's path has values that are not finite")
    away = float(np.abs(points[0] - start).max())
    if not away <= _START_RAD:
        raise NoPathError(f"the planner's path begins {away:.4f} rad from where the arm is")
    low, high = np.minimum(lower, start) - _ROUNDING, np.maximum(upper, start) + _ROUNDING
    if not ((points >= low) & (points <= high)).all():
        raise NoPathError("the planner's path leaves the joints' ranges")
    return np.vstack([start, points[1:]]) if len(points) > 1 else np.vstack([start, points])


# A planner's own idea of where the arm is may be rounded, or a message old.
_START_RAD = 0.005
_ROUNDING = 1e-6
