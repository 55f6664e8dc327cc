# SPDX-License-Identifier: Apache-2.0
"""Move through given postures, one after another: for an arm that has no task.

It looks at the joints alone and answers in chunks as a learned policy does, so that everything
behind it can be tried with any arm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_policies.protocol import (
    STATE,
    Action,
    FeatureKind,
    FeatureSpec,
    Observation,
    Options,
    PolicySpec,
    check_observation,
)

Array = NDArray[np.float64]

ROWS = 30
DT_S = 1.0 / 30.0
MOST_GOALS, MOST_JOINTS = 1000, 64
_ARRIVED = 0.02  # of the way that a joint may go in a second
_AT_LEAST_S, _AT_MOST_S = 0.3, 12.0  # for one goal


class Wander:
    """Goes to each goal in turn and is done at the last."""

    def __init__(self, joints: tuple[str, ...], goals: Array, speed: Array) -> None:
        """Move J joints.

        Args:
            joints: Their names.
            goals: Postures (N, J), rad, or m where a joint slides.
            speed: How fast each may go (J,), rad/s.
        """
        self._goals, self._speed = goals, speed
        self._goal, self._since_ns = 0, -1
        self._spec = PolicySpec(
            policy_id="wander 0.1.0",
            observation=(FeatureSpec(STATE, FeatureKind.STATE, (len(joints),), "rad"),),
            joint_names=joints,
            units="rad",
            dt_s=DT_S,
            chunk_size=ROWS,
        )

    @property
    def spec(self) -> PolicySpec:
        """What it needs and returns."""
        return self._spec

    def reset(self) -> None:
        """Begin with the first goal."""
        self._goal, self._since_ns = 0, -1

    def close(self) -> None:
        """Nothing is held."""

    def infer(self, observation: Observation) -> Action:
        """Return the next second of the way to the goal, each joint in step with the slowest."""
        check_observation(observation, self._spec)
        here = np.asarray(observation.state[STATE], dtype=np.float64)
        now_ns = observation.stamp_ns
        if self._since_ns < 0:
            self._since_ns = now_ns
        away_s = float(np.max(np.abs(self._goals[self._goal] - here) / self._speed))
        spent_s = (now_ns - self._since_ns) * 1e-9
        # A joint that something holds does not keep the others from the goals that are left.
        near = away_s < _ARRIVED and spent_s > _AT_LEAST_S
        if near or spent_s > _AT_MOST_S:
            if self._goal == len(self._goals) - 1:
                rows = np.tile(self._goals[-1], (ROWS, 1))
                return Action(rows, DT_S, self._spec.joint_names, "done", done=True)
            self._goal, self._since_ns = self._goal + 1, now_ns
            away_s = float(np.max(np.abs(self._goals[self._goal] - here) / self._speed))
        share = np.minimum(1.0, DT_S * np.arange(ROWS) / max(away_s, DT_S))
        rows = here + share[:, None] * (self._goals[self._goal] - here)
        phase = f"goal {self._goal + 1} of {len(self._goals)}"
        return Action(rows, DT_S, self._spec.joint_names, phase)


def make(options: Mapping[str, Any]) -> Wander:
    """Make the policy from its options.

    Args:
        options: ``joints``, a list of J names; ``goals``, a list of J numbers each; ``speed``, J
            numbers.

    Raises:
        PolicyError: An option is missing, unknown or wrong.
    """
    given = Options("wander", options)
    names = given.take("joints")
    listed = isinstance(names, list) and all(isinstance(each, str) and each for each in names)
    if not listed or not 1 <= len(names) <= MOST_JOINTS or len(set(names)) != len(names):
        raise given.error("joints", f"is {names!r}; write 1 to {MOST_JOINTS} distinct names")
    rows = given.take("goals")
    if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_GOALS:
        raise given.error("goals", f"must be a list of 1 to {MOST_GOALS} postures")
    numbered = {str(row): values for row, values in enumerate(rows)}
    goals = Options("wander", numbered, "options.goals")
    speed = given.vector("speed", len(names))
    if not np.all(speed > 0.0):
        raise given.error("speed", "must be positive for every joint")
    postures = np.array([goals.vector(row, len(names)) for row in numbered])
    given.end()
    return Wander(tuple(names), postures, speed)
