# SPDX-License-Identifier: Apache-2.0
"""Path and goal tolerances of the trajectory controller.

With position commands the controller forms no velocity or acceleration error, so only position
tolerances can be violated. The others are still checked for legality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_sim.core.trajectory import FloatArray

_FLOAT32_EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Tolerances:
    """Position tolerances; 0 means that none is enforced.

    Attributes:
        path: (J,) rad, while the trajectory runs.
        goal: (J,) rad, once its last point is reached.
        goal_time_s: How long after the last point the goal tolerance may still be missed; 0 waits
            for ever.
    """

    path: FloatArray
    goal: FloatArray
    goal_time_s: float = 0.0

    @staticmethod
    def none(joints: int) -> Tolerances:
        """Enforce nothing on `joints` joints."""
        return Tolerances(np.zeros(joints), np.zeros(joints))


@dataclass(frozen=True)
class JointTolerance:
    """One joint's tolerances in an action goal: 0 keeps the controller's, -1 lifts it."""

    joint: str
    position: float = 0.0
    velocity: float = 0.0
    acceleration: float = 0.0


def exceeded(error: FloatArray, tolerance: FloatArray) -> bool:
    """Tell whether any joint's error is beyond its tolerance. Both are (J,) in rad."""
    return bool(np.any((tolerance > 0.0) & (np.abs(error) > tolerance)))


def for_goal(
    defaults: Tolerances,
    joint_names: Sequence[str],
    path: Sequence[JointTolerance],
    goal: Sequence[JointTolerance],
    goal_time_s: float,
) -> Tolerances:
    """Merge the tolerances of an action goal into the controller's.

    One illegal entry (negative other than -1, or an unknown joint) discards all of them, as in the
    joint_trajectory_controller.
    """
    try:
        return Tolerances(
            _merged(defaults.path, joint_names, path),
            _merged(defaults.goal, joint_names, goal),
            _resolved(defaults.goal_time_s, goal_time_s),
        )
    except ValueError:
        return defaults


def _merged(
    defaults: FloatArray, joint_names: Sequence[str], given: Sequence[JointTolerance]
) -> FloatArray:
    merged = defaults.copy()
    for tolerance in given:
        index = list(joint_names).index(tolerance.joint)
        merged[index] = _resolved(defaults[index], tolerance.position)
        _resolved(0.0, tolerance.velocity)
        _resolved(0.0, tolerance.acceleration)
    return merged


def _resolved(default: float, given: float) -> float:
    if given > 0.0:
        return given
    if abs(given + 1.0) < _FLOAT32_EPSILON:
        return 0.0
    if given < 0.0:
        raise ValueError(given)
    return default
