# SPDX-License-Identifier: Apache-2.0
"""Where rollouts are made: the tabletop with an executor, or tasks of a benchmark world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vla_policies import Policy
from vla_training import fingerprints
from vla_training.evaluation.loading import PolicyChoice
from vla_training.evaluation.measures import MotionMeasures

if TYPE_CHECKING:
    from vla_training.evaluation.trial import TrialSetup
    from vla_training.worlds.trial import WorldBench

Opened = Callable[[PolicyChoice, Path | None], Policy]
LATENCY_S = (0.05, 0.10)  # on the tabletop, from a picture to the arrival of its chunk


class RolloutResult(Protocol):
    """What of a trial's result is rewarded and counted."""

    @property
    def success(self) -> bool:
        """The task was done."""

    @property
    def duration_s(self) -> float:
        """Simulated time that it took; NaN where it was not done."""

    @property
    def measures(self) -> MotionMeasures:
        """How the arm moved."""


class RolloutPlace(Protocol):
    """A world with a policy in front of it. One thread owns it; to be closed."""

    def run(self, case: Any) -> RolloutResult:
        """Try a case."""

    def close(self) -> None:
        """End the policy and free the graphics context."""


class RolloutScenes(Protocol):
    """Where rollouts are made, told to each process: it can be pickled."""

    def case(self, seed: int) -> Any:
        """Return the case of a seed: what `RolloutPlace.run` is given."""

    def place(self, opened: Opened) -> RolloutPlace:
        """Build the world, with the policy that `opened` loads.

        Raises:
            TrainingError: One of them cannot be had.
        """

    def document(self) -> Mapping[str, Any]:
        """Return what says which scenes they are, for the folder of a run."""


@dataclass(frozen=True)
class TabletopScenes:
    """The tabletop: the colour goes round with the seeds.

    Attributes:
        setup: The world.
        executor: How chunks become commands: one of `vla_sim.executors.EXECUTORS`.
    """

    setup: TrialSetup
    executor: str

    def case(self, seed: int) -> Any:
        """Return the case of a seed."""
        from vla_training.evaluation.trial import COLOURS, TrialCase

        return TrialCase(self.executor, LATENCY_S, "none", seed, COLOURS[seed % len(COLOURS)])

    def place(self, opened: Opened) -> RolloutPlace:
        """Build the tabletop."""
        from vla_training.evaluation.trial import TrialWorld

        return TrialWorld(self.setup, opened)

    def document(self) -> Mapping[str, Any]:
        """Return which scenes they are."""
        files = (self.setup.robot_file, self.setup.contract_file)
        return {
            "world": "tabletop", "tasks": [],
            "files": [fingerprints.of_file(each) for each in files if each is not None],
        }  # fmt: skip


@dataclass(frozen=True)
class WorldScenes:
    """Tasks of a benchmark world, one after the other with the seeds. There is no executor.

    Attributes:
        bench: The world and the file of the policy.
        tasks: Names of the tasks.
    """

    bench: WorldBench
    tasks: tuple[str, ...]

    def case(self, seed: int) -> Any:
        """Return the case of a seed."""
        from vla_training.worlds.trial import NONE, WorldCase

        return WorldCase(self.tasks[seed % len(self.tasks)], seed, NONE, (0.0, 0.0))

    def place(self, opened: Opened) -> RolloutPlace:
        """Make the world."""
        from vla_training.worlds.trial import WorldPlace

        return WorldPlace(self.bench, opened)

    def document(self) -> Mapping[str, Any]:
        """Return which scenes they are."""
        path = self.bench.policy_file
        return {
            "world": self.bench.world, "tasks": list(self.tasks),
            "files": [] if path is None else [fingerprints.of_file(path)],
        }  # fmt: skip
