# SPDX-License-Identifier: Apache-2.0
"""All cases of a run, in parallel processes; what was tried before is not tried again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vla_contract.contract import ContractError, load_contract
from vla_contract.robot import RobotConfigError, load_robot
from vla_sim.executors import LEAD_S
from vla_training import fingerprints
from vla_training.errors import TrainingError
from vla_training.evaluation.page import film_name
from vla_training.evaluation.results import ResultStore
from vla_training.evaluation.trial import TEACHER, TrialCase, TrialSetup, TrialWorld
from vla_training.evaluation.tries import (
    film_path,
    films_of,
    slowness,
    try_all,
)

__all__ = ["TrialGrid", "evaluate", "films_of", "settings_of"]


@dataclass(frozen=True)
class TrialGrid:
    """Which cases a run has: every combination.

    Attributes:
        executors: How chunks become commands.
        latencies_s: From a picture to its chunk's arrival, least and most, s.
        perturbations: What is changed.
        seeds: Of scenes.
        colours: Of cubes.
        films: Of so many scenes of each combination a film is kept.
    """

    executors: Sequence[str]
    latencies_s: Sequence[tuple[float, float]]
    perturbations: Sequence[str]
    seeds: Sequence[int]
    colours: Sequence[str]
    films: int

    def cases(self) -> list[TrialCase]:
        """Return them, scene by scene, so that a run that is cut off has some of each."""
        # Each once, whatever the command line says twice.
        return [
            *dict.fromkeys(
                TrialCase(executor, latency, perturbation, seed, colour)
                for seed in self.seeds
                for executor in self.executors
                for latency in self.latencies_s
                for perturbation in self.perturbations
                for colour in self.colours
            )
        ]

    def is_filmed(self, case: TrialCase) -> bool:
        """Say whether a film of a case is kept."""
        return case.seed in self.seeds[: self.films]


def settings_of(policy: str, bench: TrialSetup) -> dict[str, Any]:
    """Return what all cases of a run share, with fingerprints of its files.

    Raises:
        TrainingError: A file cannot be read.
    """
    contract = bench.contract_file
    return {
        "policy": policy,
        "robot": fingerprints.of_file(bench.robot_file),
        "contract": TEACHER if contract is None else fingerprints.of_file(contract),
        "files": "" if contract is None else _files_of(bench, contract),
        "limit_s": bench.limit_s,
        "lead_s": LEAD_S,
        **slowness(bench.slower),
    }


def _files_of(bench: TrialSetup, contract: Path) -> str:
    try:
        robot = load_robot(bench.robot_file)
        choice = load_contract(contract, robot.limits.joint_names, robot.gripper.joint)
    except (RobotConfigError, ContractError) as error:
        raise TrainingError(str(error)) from None
    return fingerprints.of_policy(choice.policy_options, bench.checkpoint)


def evaluate(
    bench: TrialSetup,
    grid: TrialGrid,
    results: ResultStore,
    folder: Path,
    processes: int,
    progress: Callable[[int, int], None],
) -> None:
    """Try every case that was not tried yet; see `try_all`."""
    wanted = [case for case in grid.cases() if not results.has(case)]
    todo = [
        (case, film_path(folder, film_name(case)) if grid.is_filmed(case) else None)
        for case in wanted
    ]
    try_all(partial(TrialWorld, bench), todo, results, processes, progress)
