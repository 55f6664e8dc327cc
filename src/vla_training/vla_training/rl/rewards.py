# SPDX-License-Identifier: Apache-2.0
"""What a rollout is worth, and what that says of each in its group."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_training.rl.settings import BINARY, SMOOTHVLA, ReinforcementSettings

Array = NDArray[np.float64]


def reward(
    success: bool, twist_jerk_mean: float, ldlj: float, settings: ReinforcementSettings
) -> float:
    """Return what a rollout is worth.

    `binary`: 1 for success. `smoothvla`: success x (1 - lambda x mean twist jerk of the end
    effector), as published: it falls below 0, so a jerky success is worth less than a failure,
    and a slow motion is worth more than a quick one of the same form. `smooth_invariant`:
    success x (1 - lambda x s), with s from 0 to 1 by the log dimensionless jerk, which does not
    change with the pace: never below 1 - lambda, and never more for being slow.

    Source: arXiv 2603.13925 (SmoothVLA), equation of the hybrid reward, for `smoothvla`.

    Args:
        success: The task was done.
        twist_jerk_mean: Mean norm of the jerk of the end effector's twist, m/s^3 and rad/s^3.
        ldlj: Log dimensionless jerk of the joints, mean over the movements.
        settings: Which reward, and its numbers.
    """
    if not success:
        return 0.0
    weight = settings.smoothness_weight
    if settings.reward == BINARY:
        return 1.0
    if settings.reward == SMOOTHVLA:
        jerk = twist_jerk_mean / settings.jerk_unit
        # What could not be measured is not called smooth.
        return 1.0 - weight * jerk if math.isfinite(jerk) else 0.0
    span = settings.ldlj_best - settings.ldlj_worst
    share = (settings.ldlj_best - ldlj) / span
    return 1.0 - weight * (min(max(share, 0.0), 1.0) if math.isfinite(share) else 1.0)


def advantages(rewards: Sequence[Sequence[float]], least_deviation: float) -> Array:
    """Return the advantage of each rollout (N, G): how much better it was than its group.

    (R - mean) / std as in GRPO (arXiv 2402.03300), with a floor under the deviation: where all of
    a group succeed, a little jerk more or less is not blown up to the size of a failure.

    Args:
        rewards: Of N groups of G rollouts.
        least_deviation: The floor.
    """
    values = np.asarray(rewards, dtype=np.float64)
    mean = values.mean(axis=1, keepdims=True)
    deviation = np.maximum(values.std(axis=1, keepdims=True), least_deviation)
    # Of equals none is better, whatever their mean is rounded to.
    alike = values.max(axis=1, keepdims=True) == values.min(axis=1, keepdims=True)
    return np.where(alike, 0.0, (values - mean) / deviation)
