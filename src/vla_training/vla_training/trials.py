# SPDX-License-Identifier: Apache-2.0
"""How often a policy does what it is told, in scenes that it has never seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_sim.world import CUBES
from vla_training.instructions import SPOKEN, UNHEARD
from vla_training.tabletop import COLOURS, Driver, Tabletop

SAID = ("plain", "spoken", "unheard", "shuffled", "missing")


@dataclass(frozen=True)
class TaskTrial:
    """What became of one instruction.

    Attributes:
        seed: Of the scene.
        colour: Of the cube that was to go into the bin.
        task: What the policy was told.
        success: It is there, and no other cube was disturbed.
        delivered: It is there.
        disturbed: Other cubes that were touched or moved.
        duration_s: Simulated, s.
    """

    seed: int
    colour: str
    task: str
    success: bool
    delivered: bool
    disturbed: tuple[str, ...]
    duration_s: float


def instruction(said: str, colour: str, rng: np.random.Generator) -> str:
    """Return what the policy is told.

    Args:
        said: One of `SAID`: the demonstration's words; the words of training; others; those of
            training about a cube by chance; none at all.
        colour: Of the cube that is meant.
        rng: Of the choice.
    """
    if said == "missing":
        return ""
    if said == "plain":
        return SPOKEN[0].format(colour)
    if said == "shuffled":
        colour = COLOURS[int(rng.integers(len(COLOURS)))]
    words = UNHEARD if said == "unheard" else SPOKEN
    return words[int(rng.integers(len(words)))].format(colour)


def run_trial(
    table: Tabletop, driver: Driver, seed: int, colour: str, said: str, limit_s: float
) -> TaskTrial:
    """Lay out the scene of a seed and let a driver carry out one instruction."""
    rng = np.random.default_rng([seed, COLOURS.index(colour), 3])
    table.world.place_arm(table.world.home)
    table.world.reset_scene(seed)
    task = instruction(said, colour, rng)
    outcome = table.rollout(
        driver, target=CUBES.index(f"{colour}_cube"), task=task, rng=rng, limit_s=limit_s
    )
    return TaskTrial(
        seed, colour, task, outcome.success, outcome.delivered, outcome.disturbed,
        outcome.duration_s,
    )  # fmt: skip


def wilson(good: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share by Wilson's method."""
    if count == 0:
        return 0.0, 1.0
    share = good / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) * z
    half /= 1 + z * z / count
    return max(0.0, middle - half), min(1.0, middle + half)


def report(trials: Sequence[TaskTrial]) -> str:
    """Return a table of successes by colour."""
    lines = ["colour      success   95 % interval    delivered  others disturbed  median s"]
    for colour in (*COLOURS, "all"):
        group = [each for each in trials if colour in (each.colour, "all")]
        if not group:
            continue
        good = sum(each.success for each in group)
        low, high = wilson(good, len(group))
        lines.append(
            f"{colour:8s} {good:5d} / {len(group):<4d} {low:6.3f} to {high:.3f} "
            f"{sum(each.delivered for each in group):10d} "
            f"{sum(bool(each.disturbed) for each in group):16d} "
            f"{float(np.median([each.duration_s for each in group])):10.1f}"
        )
    return "\n".join(lines)
