# SPDX-License-Identifier: Apache-2.0
"""How many rollouts does GRPO need until its gradient points somewhere?

Rollouts of one policy are made in several scenes, and the gradient of GRPO is computed for each
scene. The scenes are divided into two halves at random, again and again: where the gradients of
two halves point the same way (a cosine near 1), an update learns from what was rewarded; where the
cosine is near 0, it learns from chance. Needs the environment of `make train`:

    .venv-policy/bin/python -m benchmarks.smoothvla_gradient CHECKPOINT
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.pages import DOCS, fill, table
from benchmarks.smoothvla import (
    EXECUTORS,
    LEAST_DEVIATION,
    NOISE,
    POLICY,
    REWARDS,
    ROLLOUT_LIMIT_S,
    ROOT,
    TABLETOP,
)

if TYPE_CHECKING:  # what needs torch is imported where it is used
    from vla_training.rl.rollouts import Rollout
    from vla_training.rl.run import Reinforcement
    from vla_training.rl.settings import ReinforcementSettings

Array32 = NDArray[np.float32]
PAGE = DOCS / "smoothvla.md"
SPLITS = 200
ROBOT = ROOT / "config" / "robots" / "so101" / "robot.yaml"
CONTRACT = ROOT / "config" / "policies" / f"so101_{POLICY}.yaml"


def main() -> int:
    """Make the rollouts, and say how well the gradients of their halves agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a SmolVLA that imitation taught")
    parser.add_argument("--groups", type=int, default=12, help="scenes (%(default)s)")
    parser.add_argument("--group-size", type=int, default=8, help="rollouts of each (%(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--page", action="store_true", help="write docs/measurements/smoothvla.md")
    given = parser.parse_args()
    rows = [row for executor in EXECUTORS[TABLETOP] for row in _of(executor, given)]
    shown = table(
        ["executor", "reward", "rollouts", "success", "twist jerk", "cosine between halves",
         "rollouts for a cosine of 0.5 between halves"],
        rows,
    )  # fmt: skip
    print(shown)
    if given.page:
        fill(PAGE, {"gradient": shown})
    return 0


def _of(executor: str, given: argparse.Namespace) -> list[list[object]]:
    from vla_training.evaluation.trial import TrialSetup
    from vla_training.rl.run import Reinforcement
    from vla_training.rl.scenes import TabletopScenes
    from vla_training.rl.settings import ReinforcementSettings

    settings = ReinforcementSettings(
        groups=given.groups, group_size=given.group_size, executor=executor,
        limit_s=ROLLOUT_LIMIT_S, least_deviation=LEAST_DEVIATION, noise=NOISE,
    )  # fmt: skip
    scenes = TabletopScenes(TrialSetup(ROBOT, CONTRACT, limit_s=ROLLOUT_LIMIT_S), executor)
    with tempfile.TemporaryDirectory() as folder:
        run = Reinforcement(Path(folder), given.checkpoint, settings, scenes, given.processes)
        try:
            made = run.rollouts()
        finally:
            run.close()
    groups = [made[at : at + given.group_size] for at in range(0, len(made), given.group_size)]
    jerk = float(np.mean([each.result.measures.twist_jerk_mean for each in made]))
    ldlj = float(np.mean([each.result.measures.ldlj for each in made]))
    success = float(np.mean([each.result.success for each in made]))
    rewards = [replace(settings, reward=name).scaled(jerk, ldlj) for name in REWARDS]
    gradients = [_gradients(run, group, rewards) for group in groups]
    rows: list[list[object]] = []
    for index, each in enumerate(rewards):
        cosine = halves([group[index] for group in gradients])
        count = needed(cosine, len(made))
        rows.append(
            [executor, each.reward, len(made), f"{success:.2f}", f"{jerk:.0f}",
             "-" if math.isnan(cosine) else f"{cosine:.2f}",
             "-" if math.isnan(count) else f"{count:.0f}"]
        )  # fmt: skip
    return rows


def _gradients(
    run: Reinforcement, group: Sequence[Rollout], rewards: Sequence[ReinforcementSettings]
) -> list[Array32]:
    """Return the gradient of a group with each reward, of all weights that are learned."""
    import torch

    from vla_training.rl.rewards import advantages, reward

    decisions = [each for rollout in group for each in rollout.decisions]
    chances = run.probabilities(decisions)[0].sum(dim=1)
    found = []
    for settings in rewards:
        worth = [
            reward(r.result.success, r.result.measures.twist_jerk_mean, r.result.measures.ldlj,
                   settings)
            for r in group
        ]  # fmt: skip
        gains = advantages([worth], settings.least_deviation)[0]
        shares = np.concatenate(
            [np.full(len(r.decisions), gain / max(1, len(r.decisions)))
             for r, gain in zip(group, gains, strict=True)]
        )  # fmt: skip
        loss = (chances * torch.tensor(shares, dtype=torch.float32)).sum()
        parts = torch.autograd.grad(loss, run.learned, retain_graph=True, allow_unused=True)
        found.append(torch.cat([p.flatten() for p in parts if p is not None]).numpy())
    return found


def halves(gradients: Sequence[Array32]) -> float:
    """Return the mean cosine between the gradients of two halves of some groups; NaN for none."""
    rows = np.stack(gradients)
    random = np.random.default_rng(0)
    found = []
    for _ in range(SPLITS):
        order = random.permutation(len(rows))
        one, other = (rows[part].sum(axis=0) for part in np.array_split(order, 2))
        size = float(np.linalg.norm(one) * np.linalg.norm(other))
        if size > 0.0:
            found.append(float(one @ other) / size)
    return float(np.mean(found)) if found else math.nan


def needed(cosine: float, count: int) -> float:
    """Return how many rollouts would have a cosine of 0.5 between their halves; NaN for none.

    Of independent rollouts of which each has the signal s, in units of its noise, the cosine
    between the sums of n and n others is n s / (1 + n s).

    Args:
        cosine: Between the halves of `count` rollouts.
        count: How many there were.
    """
    if not 0.0 < cosine < 1.0:
        return math.nan
    signal = cosine / (1.0 - cosine) / (count / 2.0)
    return 2.0 / signal


if __name__ == "__main__":
    sys.exit(main())
