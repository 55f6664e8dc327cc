# SPDX-License-Identifier: Apache-2.0
"""From noise to actions: the flow's time grid, its time embedding and its integration.

Time t runs from 1 (noise) to 0 (action): x_t = t noise + (1 - t) action, v = noise - action.
What is computed here uses arithmetic only, so numpy arrays and torch tensors both go through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class VelocityGuide(Protocol):
    """Corrects a velocity on the way."""

    def __call__(self, x: Any, velocity: Any, t: float) -> Any:
        """Return the corrected velocity for x at time t."""


def times(steps: int) -> NDArray[np.float32]:
    """Return the time (steps,) at which each step begins.

    In float32 as in training: the embedding turns its rounding into 1e-5 of an action.
    """
    return (1.0 - np.arange(steps) / steps).astype(np.float32)


def time_embedding(
    t: NDArray[Any], size: int, min_period: float, max_period: float
) -> NDArray[np.float64]:
    """Return sines and cosines (..., size) of times (...), with periods on a geometric scale."""
    period = min_period * (max_period / min_period) ** np.linspace(0.0, 1.0, size // 2)
    angle = np.asarray(t)[..., None] * (2.0 * np.pi / period)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)


def integrate(
    velocity: Callable[[Any, int], Any], noise: Any, steps: int, guide: VelocityGuide | None = None
) -> Any:
    """Integrate by Euler's method.

    Args:
        velocity: Velocity for x (T, A) at the step of that number.
        noise: (T, A).
        steps: Number of steps.
        guide: Corrects each velocity.

    Returns:
        Actions (T, A), as the model sees them.
    """
    x = noise
    for step, t in enumerate(times(steps)):
        v = velocity(x, step)
        if guide is not None:
            v = guide(x, v, float(t))
        x = x - v * (1.0 / steps)
    return x
