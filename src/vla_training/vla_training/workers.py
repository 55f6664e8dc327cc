# SPDX-License-Identifier: Apache-2.0
"""Many episodes in a few processes, each with a world; an episode is a function of its seed."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vla_contract.contract import Contract, ContractError, load_contract
from vla_contract.robot import RobotConfigError, load_robot
from vla_policies import Action, FeatureKind, Policy, PolicyError, load_policy
from vla_sim.world import RenderError, WorldError
from vla_training.collect import prepare, pushed, rows_of
from vla_training.errors import TrainingError
from vla_training.instructions import SPOKEN
from vla_training.situations import BLOCK, block
from vla_training.store import Info, episode_path, write_episode
from vla_training.tabletop import COLOURS, Driver, Row, Tabletop
from vla_training.trials import Trial, run_trial

_STUDENT = 0.8  # of the episodes of a student are its own, the others the pushed teacher's


@dataclass(frozen=True)
class Job:
    """What every worker is told.

    Attributes:
        robot_file: Of the arm.
        contract_file: How observations are put together, and the student's options.
        rows: Of a chunk.
        image_size: Height and width of the pictures, pixels.
        look_s: Between two rows, s.
        student: Checkpoint of the policy that drives; None for the teacher.
        limit_s: Of an episode, s.
        folder: Of the dataset; None where nothing is kept.
        related: Episodes; else blocks of situations, of which a seed is the first one's.
    """

    robot_file: Path
    contract_file: Path
    rows: int
    image_size: tuple[int, int]
    look_s: float
    student: Path | None
    limit_s: float
    folder: Path | None
    related: bool = True


@dataclass(frozen=True)
class Report:
    """What became of an episode."""

    seed: int
    rows: int
    success: bool
    duration_s: float


def read_contract(job: Job) -> Contract:
    """Read robot and contract.

    Raises:
        TrainingError: One of them cannot be used.
    """
    try:
        robot = load_robot(job.robot_file)
        return load_contract(job.contract_file, robot.limits.joint_names, robot.gripper.joint)
    except (RobotConfigError, ContractError) as error:
        raise TrainingError(str(error)) from None


def describe(job: Job) -> Info:
    """Return what a dataset of these episodes holds."""
    contract = read_contract(job)
    robot = load_robot(job.robot_file)
    return Info(
        fps=1.0 / job.look_s,
        joints=(*robot.limits.joint_names, robot.gripper.joint),
        cameras={source.feature: job.image_size for source in contract.images},
        chunk_rows=job.rows,
        related=job.related,
        instructions=tuple(tuple(text.format(colour) for text in SPOKEN) for colour in COLOURS),
    )


class Worker:
    """One process's world."""

    def __init__(self, job: Job) -> None:
        """Build the world, and load the student.

        Raises:
            TrainingError: One of them cannot be had.
        """
        self._job = job
        contract = read_contract(job)
        self._policy = None if job.student is None else load_student(contract, job.student)
        shapes: dict[str, tuple[int | None, ...]] = {
            source.feature: (*job.image_size, 3) for source in contract.images
        }
        try:
            self._table = Tabletop(
                job.robot_file, contract, shapes, rows=job.rows, dt_s=job.look_s,
                look_s=job.look_s,
            )  # fmt: skip
        except (WorldError, RenderError, RobotConfigError) as error:
            raise TrainingError(str(error)) from None

    def episode(self, seed: int, index: int) -> Report:
        """Carry out the episode of a seed, and keep it as number `index`."""
        table = self._table
        plan, rng = prepare(table, seed)
        driver = pushed(table.world.joint_names, self._job.look_s, plan.level, rng)
        if self._policy is not None and rng.random() < _STUDENT:
            driver = following(self._policy)
        outcome = table.rollout(
            driver, target=plan.target, task=plan.task, rng=rng, limit_s=self._job.limit_s
        )
        if self._job.folder is not None:
            write_episode(self._job.folder, index, rows_of(table, outcome, plan))
        return Report(seed, len(outcome.rows), outcome.success, outcome.duration_s)

    def situations(self, first: int, index: int) -> Report:
        """Keep a block of situations as number `index`."""
        rows = block(self._table, range(first, first + BLOCK))
        if self._job.folder is not None:
            write_episode(self._job.folder, index, rows)
        return Report(first, BLOCK, True, 0.0)

    def trial(self, seed: int, colour: str, said: str) -> Trial:
        """Let the student, or else the teacher, carry out one instruction."""
        table = self._table
        if self._policy is None:
            rng = np.random.default_rng(0)
            driver = pushed(table.world.joint_names, self._job.look_s, 0.0, rng)
        else:
            driver = following(self._policy)
        return run_trial(table, driver, seed, colour, said, self._job.limit_s)


def load_student(contract: Contract, checkpoint: Path) -> Policy:
    """Load the contract's policy with another checkpoint, in this process.

    Raises:
        TrainingError: It cannot be loaded.
    """
    options = {**contract.policy_options, "checkpoint": str(checkpoint), "threads": 1}
    try:
        policy = load_policy(contract.policy_name, options)
    except PolicyError as error:
        raise TrainingError(str(error)) from None
    return policy


def following(policy: Policy) -> Driver:
    """Return a policy as a driver."""
    policy.reset()

    def drive(row: Row) -> Action:
        return policy.infer(row.observation)

    return drive


def image_size(policy: Policy) -> tuple[int, int] | None:
    """Return the one size of pictures that a policy takes; None where any will do."""
    for feature in policy.spec.observation:
        if feature.kind is FeatureKind.IMAGE:
            height, width = feature.shape[:2]
            if height is not None and width is not None:
                return height, width
    return None


_WORKER: Worker | None = None


def _begin(job: Job) -> None:
    global _WORKER
    # One thread for each process: more would take the processors from one another.
    os.environ["OMP_NUM_THREADS"] = "1"
    _WORKER = Worker(job)


def _episode(seed: int, index: int) -> Report:
    assert _WORKER is not None
    return _WORKER.episode(seed, index)


def _situations(first: int, index: int) -> Report:
    assert _WORKER is not None
    return _WORKER.situations(first, index)


def _trial(seed: int, colour: str, said: str) -> Trial:
    assert _WORKER is not None
    return _WORKER.trial(seed, colour, said)


def collect(job: Job, seeds: Sequence[int], processes: int) -> Iterator[Report]:
    """Carry out the episodes of some seeds; number i of the dataset is that of seed i.

    Episodes that are there already are left as they are, so what was interrupted goes on.

    Raises:
        TrainingError: A world or a student cannot be had, or an episode cannot be written.
    """
    wanted = [
        (seed, index)
        for index, seed in enumerate(seeds)
        if job.folder is None or not episode_path(job.folder, index).exists()
    ]
    call = _episode if job.related else _situations
    if processes == 1:
        worker = Worker(job)
        for seed, index in wanted:
            yield (worker.episode if job.related else worker.situations)(seed, index)
        return
    yield from _in_parallel(call, wanted, processes, job)


def try_out(
    job: Job, seeds: Sequence[int], colours: Sequence[str], said: str, processes: int
) -> Iterator[Trial]:
    """Let the student carry out an instruction for each seed and colour.

    Raises:
        TrainingError: A world or the student cannot be had.
    """
    wanted = [(seed, colour, said) for seed in seeds for colour in colours]
    if processes == 1:
        worker = Worker(job)
        for each in wanted:
            yield worker.trial(*each)
        return
    yield from _in_parallel(_trial, wanted, processes, job)


def _in_parallel(
    call: Callable[..., Any],
    wanted: Sequence[tuple[Any, ...]],
    processes: int,
    job: Job,
) -> Iterator[Any]:
    """Yield what `call` returns for each tuple of arguments, as they come."""
    # Begun anew: a graphics context or a thread of torch does not outlive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _begin, (job,))
    try:
        waiting: set[Future[Any]] = set()
        rest = iter(wanted)
        for each in rest:
            waiting.add(pool.submit(call, *each))
            if len(waiting) >= 2 * processes:
                break
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
                each = next(rest, None)  # type: ignore[arg-type]
                if each is not None:
                    waiting.add(pool.submit(call, *each))
    except BrokenProcessPool:
        raise TrainingError(
            "a worker process ended before its work was done; its message is above. Run the same "
            "command again to go on, with --processes 1 if memory is short"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
