# SPDX-License-Identifier: Apache-2.0
"""What `vla-eval --world` and `vla-train collect --world` do."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vla_training import fingerprints
from vla_training.alone import alone
from vla_training.errors import TrainingError
from vla_training.evaluation.ledger import RESULTS
from vla_training.evaluation.tries import (
    film_path,
    films_of,
    slowness,
    try_all,
)
from vla_training.worlds.interface import BenchmarkTask, BenchmarkWorld, chosen, open_world
from vla_training.worlds.policies import EXPERT, read_policy_file
from vla_training.worlds.report import WorldStore, film_name, in_words, write_world_page
from vla_training.worlds.trial import PERTURBATIONS, SHUFFLED, WorldBench, WorldCase, WorldPlace


def world_name(world: str) -> str:
    """Return the name by which files of a world are called."""
    return world.partition(":")[0].rsplit(".", 1)[-1]


def policy_file(config: Path, world: str, policy: str) -> Path | None:
    """Return the file of a policy for a world; None for the expert.

    Args:
        config: Folder of configurations.
        world: Name of the world.
        policy: `EXPERT`, a name in ``worlds/<world>_<name>.yaml``, or the path of such a file.
    """
    if policy == EXPERT:
        return None
    path = Path(policy)
    if path.suffix in (".yaml", ".yml"):
        return path
    return config / "worlds" / f"{world_name(world)}_{policy}.yaml"


def evaluate_in_world(
    given: argparse.Namespace, progress: Callable[[], Callable[[int, int], None]]
) -> int:
    """Try a policy in a world; return the exit code.

    Raises:
        TrainingError: The world or the policy cannot be had, or a result cannot be written.
    """
    for name in given.perturbations:
        if name not in PERTURBATIONS:
            raise TrainingError(
                f"--perturbations: {name} is none of {given.world}; choose of "
                f"{', '.join(PERTURBATIONS)}"
            )
    path = policy_file(given.config, given.world, given.policy)
    if path is None and given.checkpoint is not None:
        raise TrainingError("--checkpoint: the expert has none; name a --policy")
    if path is None and given.slower != 1.0:
        raise TrainingError("--slower: the expert says no chunks; name a --policy")
    world = open_world(given.world)
    try:
        picked = chosen(world, given.tasks)
        check_expert(world, picked, given.policy)
        texts = {task.instruction for task in world.tasks.values()}
        if SHUFFLED in given.perturbations and len(texts) < 2:
            raise TrainingError(
                f"--perturbations: {SHUFFLED} is the instruction of another task, and all of "
                f"{world.spec.name} have one"
            )
        bench = WorldBench(given.world, {}, path, given.checkpoint, given.rows, given.slower)
        settings = _settings(world, bench, given.policy)
        tasks = dict(world.tasks)
    finally:
        world.close()
    with alone(given.folder):
        return _try_all(given, bench, settings, picked, tasks, progress)


def _try_all(
    given: argparse.Namespace,
    bench: WorldBench,
    settings: dict[str, Any],
    picked: Sequence[BenchmarkTask],
    tasks: dict[str, BenchmarkTask],
    progress: Callable[[], Callable[[int, int], None]],
) -> int:
    results = WorldStore(given.folder, settings)
    for line in results.lines:
        if line.case.task not in tasks:
            raise TrainingError(
                f"{given.folder / RESULTS}: {settings['world']} has no task {line.case.task}; "
                "remove its lines"
            )
    # Scene by scene, so that a run that is cut off has some of each task.
    cases = [
        *dict.fromkeys(
            WorldCase(task.name, seed, perturbation, latency)
            for seed in range(given.first_seed, given.first_seed + given.seeds)
            for latency in given.latencies
            for perturbation in given.perturbations
            for task in picked
        )
    ]
    kept = sum(map(results.has, cases))
    if kept:
        print(f"{given.folder}: {kept} of {len(cases)} were tried before", flush=True)
    filmed = range(given.first_seed, given.first_seed + given.films)
    todo = [
        (case, film_path(given.folder, film_name(case)) if case.seed in filmed else None)
        for case in cases
        if not results.has(case)
    ]
    try:
        try_all(partial(WorldPlace, bench), todo, results, given.processes, progress())
    finally:
        if results.lines:
            films = films_of(given.folder)
            page = write_world_page(given.folder, settings, results.lines, tasks, films)
            print(in_words(results.lines, tasks))
            print(f"{page}: written, with {given.folder / 'results.csv'}")
    return 0


def check_expert(world: BenchmarkWorld, picked: list[BenchmarkTask], policy: str) -> None:
    """Check that there is an expert for each task, where he is the one who acts.

    Raises:
        TrainingError: There is none.
    """
    lacking = [task.name for task in picked if not task.expert]
    if policy == EXPERT and lacking:
        raise TrainingError(
            f"--tasks: {world.spec.name} has no expert for {', '.join(lacking[:5])}; leave them "
            "out, or name a --policy"
        )


def _settings(world: BenchmarkWorld, bench: WorldBench, policy: str) -> dict[str, Any]:
    path, files = bench.policy_file, ""
    if path is not None:
        options = read_policy_file(path).policy_options
        files = fingerprints.of_policy(options, bench.checkpoint)
    return {
        "world": world.spec.name,
        "version": world.spec.version,
        "policy": policy if path is None else path.stem,
        "file": EXPERT if path is None else fingerprints.of_file(path),
        "files": files,
        "rows": 1 if path is None else bench.rows or world.spec.rows,
        **slowness(bench.slower),
    }
