# SPDX-License-Identifier: Apache-2.0
"""The planner that needs nothing: a straight line in joint space, where that is clear."""

from __future__ import annotations

import numpy as np

from vla_contract.workspace import Workspace
from vla_moveit.core.clear_path import ClearPath
from vla_moveit.core.goal import ToolGoal
from vla_moveit.core.planning import CheckPath, FindPath, PathAnswer


class StraightPlanner:
    """Finds no way around anything: it says what is in the way."""

    varies = False

    def __init__(self, workspace: Workspace) -> None:
        """Plan in a workspace.

        Args:
            workspace: What the arm stays clear of.
        """
        self._clear = ClearPath(workspace)
        self._answer: PathAnswer | None = None

    def begin(self, question: FindPath | CheckPath) -> None:
        """Answer at once."""
        self._answer = self._of(question)

    def poll(self) -> PathAnswer | None:
        """Return the answer."""
        answer, self._answer = self._answer, None
        return answer

    def close(self) -> None:
        """Nothing was started."""

    def _of(self, question: FindPath | CheckPath) -> PathAnswer:
        if isinstance(question, CheckPath):
            none = np.zeros((0, question.points.shape[1]))
            return PathAnswer(none, self._clear.problem(question.points))
        none = np.zeros((0, len(question.start)))
        if isinstance(question.goal, ToolGoal):
            return PathAnswer(
                none,
                "the planner `straight` knows no inverse kinematics: give the goal by joints, or "
                "plan with MoveIt (planner: moveit)",
            )
        points = np.vstack([question.start, question.goal])
        problem = self._clear.problem(points)
        if problem:
            return PathAnswer(none, f"the straight way there is not clear: {problem}")
        return PathAnswer(points)
