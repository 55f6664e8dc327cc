# SPDX-License-Identifier: Apache-2.0
"""Rollouts of a policy that draws, in parallel processes, with all that it drew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from smolvla.checkpoint import read_checkpoint
from smolvla.policy import SmolVLAPolicy
from vla_policies import Action, Observation, Policy, PolicySpec
from vla_training.errors import TrainingError
from vla_training.evaluation.loading import PolicyChoice, load_student
from vla_training.pool import Workers
from vla_training.rl.samplers import FlowSde, LearnedNoise, Sampler
from vla_training.rl.scenes import RolloutPlace, RolloutResult, RolloutScenes
from vla_training.rl.settings import FLOW_SDE, ReinforcementSettings

Array32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class DrawnAnswer:
    """One answer of the policy, and how it came about.

    Attributes:
        images: (C, 3, S, S), uint8 where that loses nothing, or float32 in -1..1.
        text: Token ids (L,).
        state: (max_state_size,), normalised.
        chain: (K + 1, T, A), from noise to action.
        log_probability: (D,), of each step that was drawn, the first D of K.
    """

    images: NDArray[Any]
    text: NDArray[np.int64]
    state: Array32
    chain: Array32
    log_probability: Array32


@dataclass(frozen=True, eq=False)
class Rollout:
    """An instruction carried out, or not.

    Attributes:
        result: What came of it, and how the arm moved.
        decisions: In their order.
    """

    result: RolloutResult
    decisions: tuple[DrawnAnswer, ...]


@dataclass(frozen=True)
class RolloutWanted:
    """Which rollout.

    Attributes:
        case: Of the scenes: which scene, which instruction.
        draw: Seed of what the policy draws.
        weights: Folder of the checkpoint, with the noise network beside it.
        version: Of the weights: the update that they are from.
    """

    case: Any
    draw: tuple[int, ...]
    weights: Path
    version: int


NOISE_FILE = "noise.pt"  # of the learned noise, beside a checkpoint


class ExploringPolicy:
    """A SmolVLA whose steps from noise to action are drawn, and kept."""

    def __init__(
        self, policy: SmolVLAPolicy, sampler: Sampler, columns: int, drawn_steps: int
    ) -> None:
        """Draw with a sampler.

        Args:
            policy: It is changed.
            sampler: Of the steps.
            columns: Of the action that the robot has.
            drawn_steps: So many of the first steps are drawn; the others follow the flow.
        """
        self._policy, self._sampler, self._columns = policy, sampler, columns
        self._drawn_steps = drawn_steps
        self._random = np.random.default_rng(0)
        self._drawn: tuple[Array32, Array32] | None = None
        self._state = torch.zeros(0)
        self.decisions: list[DrawnAnswer] = []
        policy.integrator = self._integrate

    def take(self, other: ExploringPolicy) -> None:
        """Go on as another does, which is not to be used any more: with its weights."""
        self._policy.close()
        self._policy, self._sampler = other._policy, other._sampler
        self._policy.integrator = self._integrate

    @property
    def spec(self) -> PolicySpec:
        """What it needs and returns."""
        return self._policy.spec

    def reset(self) -> None:
        """Forget the last episode."""
        self._policy.reset()
        self.decisions = []

    def draw_with(self, seed: Sequence[int]) -> None:
        """Begin what is drawn anew."""
        self._random = np.random.default_rng(list(seed))

    def infer(self, observation: Observation) -> Action:
        """Return a chunk.

        Raises:
            PolicyError: The observation cannot be used.
        """
        seen = self._policy.model_input(observation)
        self._state = torch.from_numpy(seen.state)
        action = self._policy.infer(observation, noise=self._normal(None))
        assert self._drawn is not None
        self.decisions.append(DrawnAnswer(small(seen.images), seen.text, seen.state, *self._drawn))
        return action

    def close(self) -> None:
        """Free the model."""
        self._policy.close()

    def _normal(self, shape: tuple[int, ...] | None) -> Array32:
        return self._random.standard_normal(shape or self._policy.noise_shape, dtype=np.float32)

    def _integrate(
        self, velocity: Callable[[Array32, int], Array32], start: Array32, steps: int, guide: None
    ) -> Array32:
        assert guide is None, "a chunk that continues another is not drawn"
        x, chain, chances = start, [start], []
        columns, width = self._columns, 1.0 / steps
        with torch.inference_mode():
            for index in range(steps):
                t = 1.0 - index / steps
                said = torch.from_numpy(velocity(x, index))
                drawn = x - said.numpy() * width  # of the padding, and where nothing is drawn
                if index >= self._drawn_steps:
                    x = drawn
                    chain.append(x)
                    continue
                step = self._sampler.step(torch.from_numpy(x), said, self._state, t, width)
                there = step.mean[:, :columns].numpy()
                std = step.std[:, :columns].numpy()
                drawn[:, :columns] = there + std * self._normal(there.shape)
                chances.append(float(step.log_probability(torch.from_numpy(drawn), columns)))
                x = drawn
                chain.append(x)
        self._drawn = np.stack(chain), np.array(chances, np.float32)
        return x


def make_sampler(
    settings: ReinforcementSettings, state_size: int, columns: int
) -> FlowSde | LearnedNoise:
    """Return the sampler of the settings."""
    if settings.sampler == FLOW_SDE:
        return FlowSde(settings.noise)
    torch.manual_seed(settings.seed)
    return LearnedNoise(
        state_size, columns, settings.noise, settings.least_noise, settings.most_noise
    )


def small(images: Array32) -> NDArray[Any]:
    """Return pictures in -1..1 as uint8 where that loses nothing: a quarter of the memory."""
    pixels = np.rint((images + 1.0) * 127.5).astype(np.uint8)
    return pixels if np.array_equal(shown(pixels), images) else images


def shown(images: NDArray[Any]) -> Array32:
    """Return what `small` was given."""
    if images.dtype != np.uint8:
        return images
    return images.astype(np.float32) * np.float32(2 / 255) - np.float32(1)


class RolloutProcess:
    """One process's world and policy."""

    def __init__(self, scenes: RolloutScenes, settings: ReinforcementSettings) -> None:
        """Build the world when the first weights come."""
        self._scenes, self._settings = scenes, settings
        self._version = -1
        self._place: RolloutPlace | None = None
        self._choice: PolicyChoice | None = None
        self._policy: ExploringPolicy | None = None

    def rollout(self, wanted: RolloutWanted) -> Rollout:
        """Carry out an instruction with the weights that are wanted."""
        if self._version != wanted.version:
            self._load(wanted)
        assert self._place is not None
        assert self._policy is not None
        self._policy.draw_with(wanted.draw)
        result = self._place.run(wanted.case)
        return Rollout(result, tuple(self._policy.decisions))

    def close(self) -> None:
        """Free the model and the graphics context."""
        if self._place is not None:
            self._place.close()

    def _load(self, wanted: RolloutWanted) -> None:
        if self._policy is None or self._choice is None:
            self._place = self._scenes.place(lambda choice, _: self._first(choice, wanted.weights))
        else:
            self._policy.take(self._opened(self._choice, wanted.weights))
        self._version = wanted.version

    def _first(self, choice: PolicyChoice, weights: Path) -> Policy:
        self._choice, self._policy = choice, self._opened(choice, weights)
        return self._policy

    def _opened(self, choice: PolicyChoice, weights: Path) -> ExploringPolicy:
        options = {"flow_steps": self._settings.flow_steps}
        policy = load_student(choice, weights, options)
        if not isinstance(policy, SmolVLAPolicy):
            raise TrainingError(f"{choice.path}: policy: is no smolvla; only that is reinforced")
        columns = len(policy.spec.joint_names)
        state_size = read_checkpoint(weights).config.max_state_size
        sampler = make_sampler(self._settings, state_size, columns)
        if isinstance(sampler, LearnedNoise):
            path = weights / NOISE_FILE
            if path.exists():
                sampler.load_state_dict(torch.load(path, weights_only=True))
        return ExploringPolicy(policy, sampler, columns, self._settings.drawn_steps)


class Rollouts:
    """Makes rollouts, here or in parallel processes. To be closed."""

    def __init__(self, scenes: RolloutScenes, settings: ReinforcementSettings, processes: int):
        """Begin the processes when the first rollout is wanted."""
        self._workers = Workers(processes, RolloutProcess, (scenes, settings))

    def make(self, wanted: Sequence[RolloutWanted]) -> Iterator[Rollout]:
        """Yield rollouts in the order in which they are wanted.

        Raises:
            TrainingError: A world or a policy cannot be had.
        """
        return self._workers.map(RolloutProcess.rollout, [(each,) for each in wanted])

    def close(self) -> None:
        """End the processes."""
        self._workers.close()
