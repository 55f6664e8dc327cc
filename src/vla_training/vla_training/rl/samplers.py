# SPDX-License-Identifier: Apache-2.0
# mypy: disallow_subclassing_any=False
"""Flow policies that draw: each step from noise to action is normal, so its probability is known.

Time t runs from 1 (noise) to 0 (action), as in `smolvla.flow`: x = t x1 + (1 - t) x0, and the
model says v = x1 - x0. A step of width d goes from t to t - d. Only the columns that the robot has
are drawn; the padding behind them follows the flow. The last steps may be left to the flow too:
what they would add is jitter of single joints and rows (arXiv 2507.21802, MixGRPO).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

_LOG_2PI = math.log(2.0 * math.pi)


@dataclass(frozen=True, eq=False)
class Step:
    """The distribution of x after a step: normal, its elements independent.

    Attributes:
        mean: (..., T, A).
        std: Likewise, or what broadcasts to it.
    """

    mean: Tensor
    std: Tensor

    def log_probability(self, x: Tensor, columns: int) -> Tensor:
        """Return log p(x) (...,), of the first `columns` columns."""
        mean = self.mean[..., :columns]
        std = self.std[..., :columns].expand_as(mean)
        away = (x[..., :columns] - mean) / std
        return -(0.5 * away.square() + std.log() + 0.5 * _LOG_2PI).sum((-2, -1))

    def divergence(self, other: Step, columns: int) -> Tensor:
        """Return the divergence KL(self || other) (...,), of the first `columns` columns."""
        mean, their = self.mean[..., :columns], other.mean[..., :columns]
        std = self.std[..., :columns].expand_as(mean)
        wide = other.std[..., :columns].expand_as(mean)
        spread = (std / wide).square() + ((mean - their) / wide).square()
        return (0.5 * (spread - 1.0) - (std / wide).log()).sum((-2, -1))


class Sampler(Protocol):
    """How a step is drawn."""

    def step(self, x: Tensor, velocity: Tensor, state: Tensor, t: float, width: float) -> Step:
        """Return the distribution of x after a step.

        Args:
            x: (..., T, A).
            velocity: Of the flow there, of the same shape.
            state: Of the robot, normalised (..., S).
            t: Where the step begins.
            width: d, how far it goes.
        """


class FlowSde(nn.Module):
    """The flow's ordinary differential equation made stochastic, with the same marginals.

    mean = x0 (1 - (t - d)) + x1 (t - d - sigma^2 d / 2t), std = sigma sqrt(d), with
    sigma = a sqrt(t / (1 - t)). Where t is 1, that of the next step's time is taken.

    Source: arXiv 2505.05470 (Flow-GRPO), equations 9 and 10; arXiv 2510.25889 (pi_RL).
    """

    def __init__(self, level: float) -> None:
        """Set a, the level of the noise."""
        super().__init__()
        self.level = level

    def step(self, x: Tensor, velocity: Tensor, state: Tensor, t: float, width: float) -> Step:
        """Return the distribution of x after a step; see `Sampler.step`."""
        del state
        at = t if t < 1.0 - 1e-6 else 1.0 - width
        # With a single step from 1 to 0 there is no time between: a itself is the deviation.
        sigma = self.level * (math.sqrt(at / (1.0 - at)) if at > 1e-6 else 1.0)
        noise = x + (1.0 - t) * velocity  # x1
        mean = x - velocity * width - (0.5 * sigma * sigma * width / t) * noise
        return Step(mean, x.new_tensor(sigma * math.sqrt(width)).expand_as(mean))


class LearnedNoise(nn.Module):
    """The flow's own steps, and a small network that says how far each may be from them.

    x' is normal about x - v d, with a deviation within bounds that is learned.

    Source: arXiv 2505.22094 (ReinFlow), equations 4 to 6.
    """

    def __init__(self, state_size: int, columns: int, start: float, least: float, most: float):
        """Make the network.

        Args:
            state_size: S, of the robot's state.
            columns: A, of the action.
            start: Standard deviation that it begins with.
            least: Bound of the deviation.
            most: Likewise.
        """
        super().__init__()
        self._low, self._high = math.log(least), math.log(most)
        self.net = nn.Sequential(nn.Linear(state_size + 1, 32), nn.Tanh(), nn.Linear(32, columns))
        last = self.net[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        share = (math.log(start) - self._low) / max(self._high - self._low, 1e-9)
        share = min(max(share, 1e-3), 1.0 - 1e-3)
        nn.init.constant_(last.bias, math.log(share / (1.0 - share)))

    def step(self, x: Tensor, velocity: Tensor, state: Tensor, t: float, width: float) -> Step:
        """Return the distribution of x after a step; see `Sampler.step`."""
        time = state.new_full((*state.shape[:-1], 1), t)
        share = torch.sigmoid(self.net(torch.cat([state, time], dim=-1)))
        std = (self._low + (self._high - self._low) * share).exp()
        # What pads the action is not drawn; its deviation is never looked at.
        std = nn.functional.pad(std, (0, x.shape[-1] - std.shape[-1]), value=1.0)
        return Step(x - velocity * width, std[..., None, :].expand_as(x))
