# SPDX-License-Identifier: Apache-2.0
"""All cases of a run, in parallel processes; what was tried before is not tried again."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_recording.dataset import Codec, DatasetError, picture
from vla_recording.dataset.pictures import VideoWriter
from vla_sim.executors import LEAD_S
from vla_training.errors import TrainingError
from vla_training.evaluation.page import film_name
from vla_training.evaluation.results import ResultStore
from vla_training.evaluation.trial import (
    FILM,
    TEACHER,
    CaseResult,
    TrialCase,
    TrialSetup,
    TrialWorld,
)
from vla_training.pool import in_parallel

FILMS = "films"
_FILM_HZ = 10


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
        return [
            TrialCase(executor, latency, perturbation, seed, colour)
            for seed in self.seeds
            for executor in self.executors
            for latency in self.latencies_s
            for perturbation in self.perturbations
            for colour in self.colours
        ]

    def is_filmed(self, case: TrialCase) -> bool:
        """Say whether a film of a case is kept."""
        return case.seed in self.seeds[: self.films]


def settings_of(policy: str, bench: TrialSetup) -> dict[str, Any]:
    """Return what all cases of a run share, with fingerprints of its files.

    Raises:
        TrainingError: A file cannot be read.
    """
    return {
        "policy": policy,
        "robot": _print_of(bench.robot_file),
        "contract": TEACHER if bench.contract_file is None else _print_of(bench.contract_file),
        "checkpoint": "" if bench.checkpoint is None else _weights_of(bench.checkpoint),
        "limit_s": bench.limit_s,
        "lead_s": LEAD_S,
    }


def _print_of(path: Path) -> str:
    try:
        return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror})") from None


def _weights_of(folder: Path) -> str:
    path = folder / "model.safetensors"
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror})") from None
    return digest.hexdigest()[:16]


def evaluate(
    bench: TrialSetup,
    grid: TrialGrid,
    results: ResultStore,
    folder: Path,
    processes: int,
    progress: Callable[[int, int], None],
) -> None:
    """Try every case that was not tried yet.

    Args:
        bench: Where, and which policy.
        grid: Which cases.
        results: Those that are there; others are added.
        folder: Of the run, for films.
        processes: Each with a world and a policy.
        progress: Called with how many are done, and of how many.

    Raises:
        TrainingError: The world or the policy cannot be had, or a result cannot be written.
    """
    wanted = [case for case in grid.cases() if not results.has(case)]
    todo = [(case, _film_path(folder, case) if grid.is_filmed(case) else None) for case in wanted]
    if not todo:
        return
    if processes == 1:
        place = TrialWorld(bench)
        try:
            for done, (case, film) in enumerate(todo, 1):
                results.add(case, _tried(place, case, film))
                progress(done, len(todo))
        finally:
            place.close()
        return
    tried = in_parallel(_try, todo, min(processes, len(todo)), _begin, (bench,))
    for done, (case, result) in enumerate(tried, 1):
        results.add(case, result)
        progress(done, len(todo))


def films_of(folder: Path) -> dict[str, Path]:
    """Return the films of a run by `film_name`."""
    return {path.stem: path for path in sorted((folder / FILMS).glob("*.mp4"))}


def _film_path(folder: Path, case: TrialCase) -> Path:
    return folder / FILMS / f"{film_name(case)}.mp4"


def _tried(place: TrialWorld, case: TrialCase, film: Path | None) -> CaseResult:
    if film is None:
        return place.run(case)
    try:
        video = VideoWriter(film, picture(FILM[1], FILM[0]), _FILM_HZ, Codec("h264", 28, 50))
    except DatasetError as error:
        raise TrainingError(str(error)) from None
    try:
        result = place.run(case, film=_adder(video))
        video.close()
    except DatasetError as error:
        raise TrainingError(str(error)) from None
    finally:
        video.discard()
    return result


def _adder(video: VideoWriter) -> Callable[[NDArray[np.uint8]], None]:
    def add(pixels: NDArray[np.uint8]) -> None:
        video.add(pixels)

    return add


_PLACE: TrialWorld | None = None


def _begin(bench: TrialSetup) -> None:
    global _PLACE
    # One thread for each process: more would take the processors from one another.
    os.environ["OMP_NUM_THREADS"] = "1"
    # Ctrl-C reaches them all: the first process says what there is to say, and ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _PLACE = TrialWorld(bench)


def _try(case: TrialCase, film: Path | None) -> tuple[TrialCase, CaseResult]:
    assert _PLACE is not None
    return case, _tried(_PLACE, case, film)
