# SPDX-License-Identifier: Apache-2.0
"""A task in a scene of a world, with a policy or the expert before it: what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_policies import Policy
from vla_training.errors import TrainingError
from vla_training.evaluation.loading import PolicyChoice
from vla_training.evaluation.measures import MotionMeasures, measure_hand
from vla_training.worlds.interface import Array, BenchmarkWorld, Picture, open_world
from vla_training.worlds.policies import WorldPolicy, open_world_policy
from vla_training.worlds.rollout import WorldPace, run_in_world, slowed

NONE, SHUFFLED = "none", "shuffled"
PERTURBATIONS = {
    NONE: "scenes of seeds that training did not have",
    SHUFFLED: "the policy is told the instruction of another of the world's tasks by chance",
}
FILM_HZ, FILM_SIZE = 20, (160, 160)


@dataclass(frozen=True)
class WorldCase:
    """What is tried.

    Attributes:
        task: Name of the task.
        seed: Of the scene.
        perturbation: One of `PERTURBATIONS`.
        latency_s: From a look to the arrival of its chunk, least and most, s.
    """

    task: str
    seed: int
    perturbation: str
    latency_s: tuple[float, float]

    @property
    def latency(self) -> str:
        """The latency in words, such as 0.05-0.1."""
        low, high = self.latency_s
        return f"{low:g}" if low == high else f"{low:g}-{high:g}"


@dataclass(frozen=True)
class WorldResult:
    """What became of a case.

    Attributes:
        success: By the benchmark's own test.
        ended: `solved`, `timed out`, or what the policy complained of.
        duration_s: Simulated time until it was solved; NaN where it was not.
        steps: Of the world.
        chunks: Answers of the policy.
        inference_s: Median time of an answer with its pictures, s.
        measures: How the hand moved.
    """

    success: bool
    ended: str
    duration_s: float
    steps: int
    chunks: int
    inference_s: float
    measures: MotionMeasures


@dataclass(frozen=True)
class WorldBench:
    """Where cases are tried, and who acts: all that a worker process is told.

    Attributes:
        world: Name of the world.
        given: To its factory.
        policy_file: Of the policy; None for the expert.
        checkpoint: In place of the file's; None for that.
        rows: Of a chunk that are carried out before the next look; 0 for the world's own.
        slower: How many times as many steps a policy's chunk takes; 1 is as it says.
    """

    world: str
    given: Mapping[str, str]
    policy_file: Path | None
    checkpoint: Path | None = None
    rows: int = 0
    slower: float = 1.0


class WorldPlace:
    """A world with somebody who acts in it. One thread owns it; to be closed."""

    film_hz = FILM_HZ
    film_size = FILM_SIZE

    def __init__(
        self,
        bench: WorldBench,
        opened: Callable[[PolicyChoice, Path | None], Policy] | None = None,
    ) -> None:
        """Make the world and load the policy.

        Args:
            bench: Where cases are tried, and who acts.
            opened: Loads the policy of a file; None for `open_policy`.

        Raises:
            TrainingError: One of them cannot be had, or they do not fit.
        """
        self._bench = bench
        self.world: BenchmarkWorld = open_world(bench.world, **bench.given)
        self.policy: WorldPolicy | None = None
        if bench.policy_file is not None:
            try:
                self.policy = open_world_policy(
                    self.world, bench.policy_file, bench.checkpoint, opened
                )
            except TrainingError:
                self.close()
                raise

    def close(self) -> None:
        """End the policy and the world."""
        if self.policy is not None:
            self.policy.close()
        self.world.close()

    def run(self, case: WorldCase, film: Callable[[Picture], None] | None = None) -> WorldResult:
        """Try a case; what comes of it is a function of the case and the policy.

        Args:
            case: What is tried.
            film: Given a picture `film_hz` times a simulated second.
        """
        world, task = self.world, self.world.tasks[case.task]
        dt_s = world.spec.dt_s
        world.begin(case.task, case.seed)
        told = instruction(world, case)
        every = max(1, round(1.0 / (FILM_HZ * dt_s)))

        def watch(step: int) -> None:
            if film is not None and step % every == 0:
                film(world.picture(world.spec.cameras[0], FILM_SIZE))

        course = run_in_world(
            world,
            self._asked(told),
            self._pace(case),
            horizon=task.horizon,
            rng=np.random.default_rng([case.seed, 3]),
            watch=watch if film is not None else None,
        )
        taken = course.inference_s
        return WorldResult(
            success=course.success,
            ended=course.ended,
            duration_s=course.steps * dt_s if course.success else math.nan,
            steps=course.steps,
            chunks=len(taken),
            inference_s=float(np.median(taken)) if taken.size else math.nan,
            measures=measure_hand(course.hands, dt_s),
        )

    def _asked(self, told: str) -> Callable[[int], Array]:
        policy = self.policy
        if policy is None:
            return lambda _: self.world.expert()[None]
        policy.reset()
        slower, spec = self._bench.slower, self.world.spec
        held = np.array([name in spec.held for name in spec.action_names])
        return lambda now_ns: slowed(policy.ask(told, now_ns), slower, held)

    def _pace(self, case: WorldCase) -> WorldPace:
        if self.policy is None:
            return WorldPace(1)
        rows = self._bench.rows or self.world.spec.rows
        return WorldPace(min(rows, self.policy.rows), case.latency_s)


def instruction(world: BenchmarkWorld, case: WorldCase) -> str:
    """Return what the policy is told.

    Args:
        world: Whose task it is; of two instructions at least, where they are mixed up.
        case: With its perturbation.
    """
    right = world.tasks[case.task].instruction
    if case.perturbation != SHUFFLED:
        return right
    others = [told for each in world.tasks.values() if (told := each.instruction) != right]
    rng = np.random.default_rng([case.seed, 5, list(world.tasks).index(case.task)])
    return others[int(rng.integers(len(others)))]
