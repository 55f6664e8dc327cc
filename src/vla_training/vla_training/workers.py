# SPDX-License-Identifier: Apache-2.0
"""Many episodes in a few processes, each with a world; an episode is a function of its seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vla_contract.contract import Contract, ContractError, load_contract
from vla_contract.robot import RobotConfigError, load_robot
from vla_policies import STATE, Action, Policy
from vla_sim.world import RenderError, WorldError
from vla_training import fingerprints
from vla_training.collect import prepare, pushed, rows_of
from vla_training.errors import TrainingError
from vla_training.evaluation.loading import load_student
from vla_training.instructions import SPOKEN
from vla_training.pool import in_parallel
from vla_training.situations import BLOCK, block
from vla_training.store import DemonstrationWriter, Info
from vla_training.tabletop import COLOURS, Driver, Row, Tabletop

SITUATIONS = "situations"  # instruction of rows that do not follow one another
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
        related: Episodes; else blocks of situations, of which a seed is the first one's.
    """

    robot_file: Path
    contract_file: Path
    rows: int
    image_size: tuple[int, int]
    look_s: float
    student: Path | None
    limit_s: float
    related: bool = True


@dataclass(frozen=True, eq=False)
class CollectedEpisode:
    """What was collected.

    Attributes:
        seed: Of the scene, or of the first of the situations.
        task: The instruction.
        success: It was carried out, and no other cube disturbed.
        rows: Features of N rows.
    """

    seed: int
    task: str
    success: bool
    rows: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Collected:
    """What became of an episode that was collected."""

    rows: int
    success: bool


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


def describe(job: Job, first_seed: int) -> Info:
    """Return what a dataset of these episodes holds."""
    contract = read_contract(job)
    robot = load_robot(job.robot_file)
    actor = "the teacher"
    if job.student is not None:
        actor = (
            f"student {job.student} {fingerprints.of_checkpoint(job.student)} of "
            f"{fingerprints.of_file(job.contract_file)}"
        )
    return Info(
        fps=round(1.0 / job.look_s),
        joints=(*robot.limits.joint_names, robot.gripper.joint),
        cameras={source.feature: job.image_size for source in contract.images},
        chunk_rows=job.rows,
        related=job.related,
        instructions=tuple(tuple(text.format(colour) for text in SPOKEN) for colour in COLOURS),
        source=f"seeds from {first_seed}, {actor}",
    )


class WorldProcess:
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

    def episode(self, seed: int) -> CollectedEpisode:
        """Carry out the episode of a seed."""
        table = self._table
        plan, rng = prepare(table, seed)
        driver = pushed(table.world.joint_names, self._job.look_s, plan.level, rng)
        if self._policy is not None and rng.random() < _STUDENT:
            driver = following(self._policy)
        outcome = table.rollout(
            driver, target=plan.target, task=plan.task, rng=rng, limit_s=self._job.limit_s
        )
        return CollectedEpisode(seed, plan.task, outcome.success, rows_of(table, outcome, plan))

    def situations(self, first: int) -> CollectedEpisode:
        """Return a block of situations."""
        rows = block(self._table, range(first, first + BLOCK))
        return CollectedEpisode(first, SITUATIONS, True, rows)

    def close(self) -> None:
        """End the student and the world."""
        if self._policy is not None:
            self._policy.close()
        self._table.close()


def following(policy: Policy) -> Driver:
    """Return a policy as a driver."""
    policy.reset()

    def drive(row: Row) -> Action:
        return policy.infer(row.observation)

    return drive


def collect(folder: Path, job: Job, seeds: Sequence[int], processes: int) -> Iterator[Collected]:
    """Add the episodes of some seeds to a dataset, in their order.

    As many as are there already are taken for those of the first seeds, so what was interrupted
    goes on.

    Raises:
        TrainingError: A world or a student cannot be had, or an episode cannot be written.
    """
    info = describe(job, seeds[0])
    with DemonstrationWriter(folder, info, load_robot(job.robot_file).name) as writer:
        wanted = [(seed,) for seed in seeds[writer.episodes :]]
        call = WorldProcess.episode if job.related else WorldProcess.situations
        found = in_parallel(call, wanted, processes, WorldProcess, (job,))
        for episode in found:
            writer.add(episode.rows, episode.task)
            yield Collected(len(episode.rows[STATE]), episode.success)
