# SPDX-License-Identifier: Apache-2.0
"""Real-time chunking: a new chunk continues what the robot is about to carry out anyway.

While a policy thinks, the robot goes on with the old chunk. The rows it will have carried out by
then are settled; the new chunk is made to begin with them, and to stay near the old one for a few
rows more. For a flow policy this is a correction of its velocity, without a gradient:

    A = x - t v,  err = (Y - A) W,  v <- v - w err,
    w = min(beta, ((1 - tau) / tau) ((1 - tau)^2 + tau^2) / (1 - tau)^2),  tau = 1 - t

where Y is the old chunk as the model sees it and W weighs its rows. At the last step w is such
that a row of weight 1 ends on the old chunk exactly. Arithmetic only, so numpy arrays and torch
tensors both go through.

Source: arXiv 2506.07339, with its gradient term left out: in LeRobot it equals err. There the
last step leaves a part of the error, the larger the more steps there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vla_policies.protocol import Action, Array, Observation, Policy, PolicyError

HORIZON = 10
BETA = 10.0


@dataclass(frozen=True, eq=False)
class Committed:
    """What remains of the chunk that the robot carries out, from the new observation's time on.

    Attributes:
        positions: (R, J), in the units of the policy's spec. Row 0 is for the observation's stamp.
        delay: Rows that the robot will have carried out before the new chunk arrives.
        horizon: Rows over which the new chunk may leave the old one; at least `delay` is used.
    """

    positions: Array
    delay: int
    horizon: int = HORIZON


@runtime_checkable
class ContinuingPolicy(Protocol):
    """What a policy offers besides the protocol when its chunks can continue one another."""

    def continue_chunk(self, observation: Observation, committed: Committed) -> Action:
        """Return the next chunk; its first rows are those that are committed.

        Raises:
            PolicyError: The observation or what is committed cannot be used.
        """


def continuing(policy: Policy) -> ContinuingPolicy | None:
    """Return the policy where its chunks can continue one another, else None.

    One that speaks for another policy says by an attribute ``continues`` whether that one can.
    """
    if isinstance(policy, ContinuingPolicy) and getattr(policy, "continues", True):
        return policy
    return None


def check_committed(committed: Committed, columns: int) -> None:
    """Judge what remains of a chunk.

    Raises:
        PolicyError: Its shape is wrong, a value is not finite, or the delay exceeds its rows.
    """
    positions = np.asarray(committed.positions)
    if positions.ndim != 2 or positions.shape[0] < 1 or positions.shape[1] != columns:
        raise PolicyError(
            f"committed: positions have shape {positions.shape}; they must be (R, {columns})"
        )
    if not np.all(np.isfinite(positions)):
        raise PolicyError("committed: positions have values that are not finite")
    if not 0 <= committed.delay <= positions.shape[0]:
        raise PolicyError(
            f"committed: delay is {committed.delay} rows; it must be 0 to the "
            f"{positions.shape[0]} that are left"
        )
    if committed.horizon < 0:
        raise PolicyError(f"committed: horizon is {committed.horizon}; it must not be negative")


def row_weights(delay: int, horizon: int, rows: int) -> NDArray[np.float32]:
    """Return how much each row (rows,) is held to the old chunk: 1 before `delay`, 0 at `horizon`.

    In between the weight falls linearly.
    """
    delay = min(delay, rows)
    horizon = min(max(horizon, delay), rows)
    weights = np.zeros(rows, dtype=np.float32)
    weights[:delay] = 1.0
    between = horizon - delay
    weights[delay:horizon] = 1.0 - np.arange(1, between + 1) / (between + 1)
    return weights


def guidance(t: float, steps: int) -> float:
    """Return w, how hard the velocity is corrected at time t in (0, 1] on a grid of `steps`."""
    if t * steps < 1.5:
        return float(steps)
    if t >= 1.0:
        return min(BETA, float(steps))
    tau = 1.0 - t
    # More than `steps` would overshoot.
    return min(BETA, float(steps), (t / tau) * (t**2 + tau**2) / t**2)


@dataclass(frozen=True, eq=False)
class Guidance:
    """Corrects velocities towards an old chunk.

    Attributes:
        target: Y, (T, A), as the model sees it.
        weights: W, (T, A), 0 where the target says nothing.
        steps: Flow steps.
    """

    target: Any
    weights: Any
    steps: int

    def __call__(self, x: Any, velocity: Any, t: float) -> Any:
        """Return the corrected velocity for x at time t."""
        error = (self.target - (x - velocity * t)) * self.weights
        return velocity - error * guidance(t, self.steps)


def make_guidance(
    old: NDArray[np.float32], delay: int, horizon: int, *, shape: tuple[int, int], steps: int
) -> Guidance:
    """Make the correction for a chunk.

    Rows and columns that the old chunk lacks are left free, not pulled to zero.

    Args:
        old: (R, J), what remains of it, as the model sees it.
        delay: Rows that are settled.
        horizon: Rows over which the weight falls to 0.
        shape: (T, A) of the new chunk as the model makes it, with padding columns.
        steps: Flow steps.
    """
    rows, columns = min(len(old), shape[0]), old.shape[1]
    target = np.zeros(shape, dtype=np.float32)
    weights = np.zeros(shape, dtype=np.float32)
    target[:rows, :columns] = old[:rows]
    weights[:rows, :columns] = row_weights(delay, horizon, rows)[:, None]
    return Guidance(target, weights, steps)
