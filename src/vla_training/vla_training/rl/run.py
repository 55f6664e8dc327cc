# SPDX-License-Identifier: Apache-2.0
# mypy: warn_return_any=False
"""A run of GRPO on the action expert of a SmolVLA: rollouts, rewards, learning.

Sources: arXiv 2402.03300 (GRPO) for the group's advantage and the clipped ratio; arXiv 2505.05470
and 2505.22094 for a flow's steps as decisions with a known probability; arXiv 2603.13925 for the
reward that counts jerk.
"""

from __future__ import annotations

import copy
import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smolvla.checkpoint import Checkpoint, read_checkpoint
from smolvla.model import Prefix, SmolVLA
from smolvla.saving import save_checkpoint
from smolvla.torch_backend import load_model
from vla_training import fingerprints
from vla_training.compute import Compute
from vla_training.errors import TrainingError
from vla_training.metrics import Metrics, draw_curves
from vla_training.rl.rewards import advantages, reward
from vla_training.rl.rollouts import (
    NOISE_FILE,
    DrawnAnswer,
    Rollout,
    Rollouts,
    RolloutWanted,
    make_sampler,
    shown,
)
from vla_training.rl.samplers import LearnedNoise
from vla_training.rl.scenes import RolloutScenes
from vla_training.rl.settings import BINARY, ReinforcementSettings
from vla_training.run_folder import CHECKPOINT, RunFolder

CURRENT = "current"
FIGURES = (
    "reward", "success", "duration_s", "twist_jerk_mean", "joint_jerk_rms", "ldlj", "moved",
    "ratio", "clipped", "divergence", "gradient", "rollouts_s", "learning_s",
)  # fmt: skip
MOST_APART = 20.0  # of two logarithms of probabilities whose ratio is taken
_FREE = ("updates", "threads", "device")  # they may differ when a run goes on


@dataclass(frozen=True)
class UpdateDone:
    """What an update brought, for who watches."""

    update: int
    updates: int
    figures: dict[str, float]


class Reinforcement:
    """A run in a folder. Made again in the same folder, it goes on where it was. To be closed.

    Attributes:
        model: The policy as it is now.
        sampler: Draws its steps.
        learned: The weights of the model that are learned.
        update: How many updates are done.
    """

    def __init__(
        self,
        folder: Path,
        base: Path,
        settings: ReinforcementSettings,
        scenes: RolloutScenes,
        processes: int,
    ) -> None:
        """Begin a run, or take it up.

        Args:
            folder: Of the run.
            base: The checkpoint to begin from.
            settings: How to reinforce.
            scenes: Where rollouts are made.
            processes: That make rollouts.

        Raises:
            TrainingError: The folder is of another run, or the checkpoint cannot be used.
        """
        self.folder, self.settings = folder, settings
        compute = Compute(settings.device)
        if compute.count > 1:
            raise TrainingError(
                "reinforcement learns in one process, and makes rollouts in --processes; begin it "
                "without a launcher"
            )
        self._device = compute.device
        torch.set_num_threads(settings.threads)
        self.base: Checkpoint = read_checkpoint(base)
        self._kept = RunFolder(folder)
        self._kept.keep(
            settings.document(),
            {
                "base": str(base), "base_files": fingerprints.of_checkpoint(base),
                **scenes.document(),
            },
            _FREE, type(settings)().document(),
        )  # fmt: skip
        self.model = load_model(self.base, device=str(self._device))
        self._reference = copy.deepcopy(self.model) if settings.reference_weight > 0.0 else None
        self.sampler = make_sampler(
            settings, self.base.config.max_state_size, self.base.config.action_size
        ).to(self._device)
        self._reference_sampler = copy.deepcopy(self.sampler)
        for name, each in self.model.named_parameters():
            each.requires_grad_(name.startswith(("expert.", "action_")))
        self.learned = [each for each in self.model.parameters() if each.requires_grad]
        groups: list[dict[str, Any]] = [{"params": self.learned, "lr": settings.learning_rate}]
        noise = list(self.sampler.parameters())
        if noise:
            groups.append({"params": noise, "lr": settings.noise_rate})
        self._optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.0)
        self.update = 0
        # As of the policy that it began as: mean twist jerk and log dimensionless jerk.
        self._measured: tuple[float, float] | None = None
        self._kept.take_up(self._load)
        self._scenes = scenes
        self._rollouts = Rollouts(scenes, settings, processes)

    def close(self) -> None:
        """End the processes."""
        self._rollouts.close()

    def run(
        self,
        *,
        until: int | None = None,
        seconds: float | None = None,
        watch: Callable[[UpdateDone], None] | None = None,
    ) -> bool:
        """Reinforce.

        Args:
            until: The update to stop after, to go on later; None for the last.
            seconds: Begin no update after this time; None for no such limit.
            watch: Is told what each update brought.

        Returns:
            Whether all updates are done.

        Raises:
            TrainingError: A file cannot be written, or something is no longer finite.
        """
        settings, began = self.settings, clock.monotonic()
        last = settings.updates if until is None else min(until, settings.updates)
        metrics = Metrics(self.folder, FIGURES, self.update)
        try:
            while self.update < last:
                figures = self._once()
                self.update += 1
                metrics.add(self.update, figures)
                self.save()
                if watch is not None:
                    watch(UpdateDone(self.update, settings.updates, figures))
                if seconds is not None and clock.monotonic() - began >= seconds:
                    break
        finally:
            metrics.close()
        draw_curves(self.folder)
        return self.update >= settings.updates

    def wanted(self) -> list[list[RolloutWanted]]:
        """Return the rollouts of the next update, group by group."""
        settings, found = self.settings, []
        for group in range(settings.groups):
            number = self.update * settings.groups + group
            number = number % settings.scenes if settings.scenes else number
            case = self._scenes.case(settings.first_seed + number)
            found.append(
                [
                    RolloutWanted(
                        case, (settings.seed, self.update, group, member), self.folder / CURRENT,
                        self.update,
                    )
                    for member in range(settings.group_size)
                ]
            )  # fmt: skip
        return found

    def rollouts(self) -> list[Rollout]:
        """Make the rollouts of the next update, with the policy of now, in the order of `wanted`.

        Raises:
            TrainingError: The weights cannot be written, or a rollout cannot be made.
        """
        self._write_weights(CURRENT)
        return list(self._rollouts.make([each for group in self.wanted() for each in group]))

    def learn(self, decisions: Sequence[DrawnAnswer], gains: Sequence[float]) -> dict[str, float]:
        """Learn from decisions, each of them as many times as `epochs` says.

        Args:
            decisions: N of them.
            gains: Advantage of the rollout that each is of, divided by how many that one had.

        Returns:
            Means: ratio of probabilities, share that was clipped, divergence, gradient.

        Raises:
            TrainingError: The loss is no longer finite.
        """
        settings = self.settings
        order = np.random.default_rng([settings.seed, 5, self.update]).permutation(len(decisions))
        scale = len(decisions) / max(1, settings.groups * settings.group_size)
        # What is seen is told to the expert by weights that are not learned: once is enough.
        prefixes: dict[int, Prefix] = {}
        told: list[list[float]] = []
        for epoch in range(settings.epochs):
            for begin in range(0, len(order), settings.batch):
                chosen = order[begin : begin + settings.batch]
                some = [decisions[index] for index in chosen]
                prefix = prefixes[begin] if epoch else self._prefix(some)
                if settings.epochs > 1:
                    prefixes[begin] = prefix
                told.append(self._step(some, [scale * gains[index] for index in chosen], prefix))
        names = ("ratio", "clipped", "divergence", "gradient")
        means = np.mean(told, axis=0) if told else [1.0, 0.0, 0.0, 0.0]
        return dict(zip(names, map(float, means), strict=True))

    def _step(
        self, decisions: Sequence[DrawnAnswer], gains: Sequence[float], prefix: Prefix
    ) -> list[float]:
        """Take one step of the optimiser."""
        settings = self.settings
        gain = torch.tensor(gains, dtype=torch.float32, device=self._device)[:, None]
        before = self._stacked([each.log_probability for each in decisions])
        now, apart = self.probabilities(decisions, prefix)
        ratio = (now - before).clamp(-MOST_APART, MOST_APART).exp()
        low, high = 1.0 - settings.clip, 1.0 + settings.clip
        kept = torch.minimum(ratio * gain, ratio.clamp(low, high) * gain)
        loss = -kept.mean() + settings.reference_weight * apart.mean()
        self._require_finite(loss, "loss")
        self._optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(
            [*self.learned, *self.sampler.parameters()], settings.clip_norm
        )
        self._require_finite(norm, "gradient")
        self._optimiser.step()
        clipped = ((ratio < low) | (ratio > high)).float().mean()
        return [each.item() for each in (ratio.mean(), clipped, apart.mean(), norm)]

    def _require_finite(self, value: Tensor, name: str) -> None:
        if not torch.isfinite(value):
            raise TrainingError(
                f"{self.folder}: the {name} is {float(value)} in update {self.update}; lower "
                "learning_rate or raise noise, and begin again in a new folder"
            )

    def probabilities(
        self, decisions: Sequence[DrawnAnswer], prefix: Prefix | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return what the policy of now says of decisions.

        Args:
            decisions: B of them.
            prefix: What the expert attends to then; None: it is computed.

        Returns:
            Log probability of each of their D drawn steps (B, D), and the divergence there from
            the policy that it began as (B, D), 0 where that has no weight.
        """
        columns = self.base.config.action_size
        steps = self.settings.flow_steps
        state = self._stacked([each.state for each in decisions])
        chain = self._stacked([each.chain for each in decisions])
        prefix = self._prefix(decisions) if prefix is None else prefix
        chances, apart = [], []
        for index in range(min(self.settings.drawn_steps, steps)):
            t, width = 1.0 - index / steps, 1.0 / steps
            x = chain[:, index]
            time = self.model.embed_time(x.new_tensor([t])).expand(len(x), -1)
            said = self.model.velocity(prefix, x, time)
            step = self.sampler.step(x, said, state, t, width)
            chances.append(step.log_probability(chain[:, index + 1], columns))
            if self._reference is None:
                apart.append(x.new_zeros(len(x)))
                continue
            with torch.no_grad():
                theirs = self._reference.velocity(prefix, x, time)
                other = self._reference_sampler.step(x, theirs, state, t, width)
            apart.append(step.divergence(other, columns))
        return torch.stack(chances, dim=1), torch.stack(apart, dim=1)

    def _prefix(self, decisions: Sequence[DrawnAnswer]) -> Prefix:
        with torch.no_grad():
            return prefix_of(
                self.model, decisions, self._stacked([each.state for each in decisions])
            )

    def _stacked(self, values: Sequence[NDArray[Any]]) -> Tensor:
        return torch.from_numpy(np.stack(values)).to(self._device)

    def _once(self) -> dict[str, float]:
        settings = self.settings
        began = clock.monotonic()
        rollouts = self.rollouts()
        took_s = clock.monotonic() - began
        self._measure(rollouts)
        rewards = np.array([self._reward(each) for each in rollouts])
        gains = advantages(
            rewards.reshape(-1, settings.group_size).tolist(), settings.least_deviation
        ).ravel()
        decisions: list[DrawnAnswer] = []
        shares: list[float] = []
        for rollout, gain in zip(rollouts, gains, strict=True):
            if gain == 0.0 and settings.reference_weight == 0.0:
                continue  # nothing is to be learned from it
            decisions += rollout.decisions
            shares += [float(gain) / max(1, len(rollout.decisions))] * len(rollout.decisions)
        figures = self.learn(decisions, shares)
        good = [each.result for each in rollouts if each.result.success]
        return {
            "reward": float(rewards.mean()),
            "success": len(good) / len(rollouts),
            "duration_s": _mean([each.duration_s for each in good]),
            "twist_jerk_mean": _mean([each.measures.twist_jerk_mean for each in good]),
            "joint_jerk_rms": _mean([each.measures.joint_jerk_rms for each in good]),
            "ldlj": _mean([each.measures.ldlj for each in good]),
            "moved": float(np.mean(gains != 0.0)),
            **figures,
            "rollouts_s": took_s,
            "learning_s": clock.monotonic() - began - took_s,
        }

    @property
    def rewarded(self) -> ReinforcementSettings:
        """The settings, with what counts as much jerk where that was left to be measured."""
        return self.settings.scaled(*self._measured) if self._measured else self.settings

    def _measure(self, rollouts: Sequence[Rollout]) -> None:
        """Keep how the policy moved, of the first update in which it had a success."""
        if self._measured is None:
            good = [each.result.measures for each in rollouts if each.result.success]
            found = _mean([each.twist_jerk_mean for each in good]), _mean([e.ldlj for e in good])
            if np.isfinite(found).all() and found[0] > 0.0:
                self._measured = found

    def _reward(self, rollout: Rollout) -> float:
        result = rollout.result
        measures = result.measures
        if self._measured is None and self.settings.reward != BINARY:
            return 0.0  # nothing was a success yet that could be measured
        return reward(result.success, measures.twist_jerk_mean, measures.ldlj, self.rewarded)

    # -- on disk ----------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the run's state, whole or not at all.

        Raises:
            TrainingError: It cannot be written; the one before is kept.
        """
        state = {
            "update": self.update,
            "measured": self._measured,
            "model": self.model.state_dict(),
            "sampler": self.sampler.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        self._kept.save(state)

    def write_checkpoint(self, card: str) -> Path:
        """Write the weights as a checkpoint in LeRobot's format.

        Args:
            card: Text of its README.md.

        Raises:
            TrainingError: It cannot be written.
        """
        self._write_weights(CHECKPOINT, card)
        return self.folder / CHECKPOINT

    def _write_weights(self, name: str, card: str = "") -> None:
        with self._kept.writing(name) as spare:
            save_checkpoint(spare, self.model, self.base)
            if isinstance(self.sampler, LearnedNoise):
                torch.save(self.sampler.state_dict(), spare / NOISE_FILE)
            if card:
                (spare / "README.md").write_text(card, encoding="utf-8")

    def _load(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.sampler.load_state_dict(state["sampler"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.update = int(state["update"])
        measured = state.get("measured")
        self._measured = None if measured is None else (float(measured[0]), float(measured[1]))


def prefix_of(model: SmolVLA, decisions: Sequence[DrawnAnswer], state: Tensor) -> Prefix:
    """Return what the expert attends to, of B decisions with their states (B, S)."""
    images = torch.from_numpy(np.stack([shown(each.images) for each in decisions]))
    images = images.to(state.device)
    length = max(len(each.text) for each in decisions)
    text = torch.zeros(len(decisions), length, dtype=torch.long)
    valid = torch.zeros(len(decisions), length, dtype=torch.bool)
    for row, each in enumerate(decisions):
        words = each.text
        text[row, : len(words)] = torch.from_numpy(words)
        valid[row, : len(words)] = True
    text, valid = text.to(state.device), valid.to(state.device)
    tokens = model.encode_image(images.flatten(0, 1)).unflatten(0, images.shape[:2])
    tokens = tokens.flatten(1, 2)
    context = torch.cat([tokens, model.embed_text(text)], dim=1)
    seen = torch.cat([valid.new_ones(len(valid), tokens.shape[1]), valid], dim=1)
    return model.prefill(context, model.embed_state(state), seen)


def _mean(values: Sequence[float]) -> float:
    known = [each for each in values if np.isfinite(each)]
    return float(np.mean(known)) if known else float("nan")
