# SPDX-License-Identifier: Apache-2.0
"""Demonstrations of a world's expert as a LeRobot dataset, with noise in what is carried out.

As on the tabletop, the expert is a function of the situation. So it is pushed off its way now and
then, and what is stored beside each row is what it would do from there: how to come back (noise
injection). With a student the policy acts, and the expert says at each step what would have been
right (DAgger). An episode is a function of its seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_policies.protocol import IMAGES, NATIVE, STATE
from vla_recording.dataset import DatasetWriter, Feature, picture, vector
from vla_training import fingerprints
from vla_training.errors import TrainingError
from vla_training.pool import in_parallel
from vla_training.store import (
    ACTION,
    EXPERT_CHUNK,
    THING_AWAY,
    THING_PIXELS,
    WORLD_FILE,
    Info,
    read_info,
    told,
    world_columns,
    write_beside,
)
from vla_training.worlds.interface import Array, BenchmarkWorld, WorldSpec, open_world
from vla_training.worlds.policies import WorldPolicy, open_world_policy, read_policy_file

TRIES = 10  # seeds for one episode: those in which a pushed expert fails are left out
AFTER = 10  # steps that go on when the task is solved, so that nobody learns to stop short of it
STUDENT_STEPS = 250  # at most, of an episode of a student
STUDENT = 0.8  # of the episodes of a student are its own, the others the pushed expert's
_LEVELS = (0.0, 0.0, 0.3, 0.6, 1.0)  # standard deviation of a push in the action's own units
_BEGINS = 0.03  # chance a step that a push begins
_LASTS = (6, 16)  # steps, of a push
_SLIPS = 0.1  # of the pushes turn the gripper's command round


@dataclass(frozen=True)
class WorldJob:
    """What every worker is told.

    Attributes:
        world: Name of the world.
        image_size: Height and width of the pictures, pixels.
        chunk_rows: T, of what the expert foresees beside each row.
        policy_file: Of the student; None for the expert.
        checkpoint: Of the student, in place of the file's.
        given: To the world's factory.
    """

    world: str
    image_size: tuple[int, int]
    chunk_rows: int
    policy_file: Path | None = None
    checkpoint: Path | None = None
    given: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class WorldEpisode:
    """What was collected.

    Attributes:
        instruction: Of its task.
        rows: Features of N rows.
        tries: Seeds that it took.
        success: It was solved.
    """

    instruction: str
    rows: dict[str, NDArray[Any]]
    tries: int
    success: bool


def describe(job: WorldJob, spec: WorldSpec, tasks: Sequence[str], first_seed: int) -> Info:
    """Return what a dataset of these episodes holds."""
    actor = "the expert"
    if job.policy_file is not None:
        options = read_policy_file(job.policy_file).policy_options
        files = fingerprints.of_policy(options, job.checkpoint)
        actor = f"student of {fingerprints.of_file(job.policy_file)}, {files}"
    return Info(
        fps=round(1.0 / spec.dt_s),
        joints=spec.action_names,
        states=spec.state_names if spec.state_names != spec.action_names else (),
        cameras={IMAGES + camera: job.image_size for camera in spec.cameras},
        chunk_rows=job.chunk_rows if spec.foresees else 0,
        related=True,
        instructions=(),
        source=f"{spec.version}: {', '.join(tasks)}; seeds from {first_seed}, {actor}",
        things=spec.things,
        units=NATIVE,
    )


class WorldWriter:
    """Makes a dataset of a world's demonstrations, or adds to one. A context manager."""

    def __init__(self, folder: Path, info: Info, world: str) -> None:
        """Open it.

        Args:
            folder: Of the dataset; what is there is kept.
            info: What it holds; its instructions come with the episodes.
            world: Its name.

        Raises:
            TrainingError: Another kind of dataset is there, or it cannot be written.
        """
        there = (folder / "meta" / "info.json").exists()
        if there and _without_texts(read_info(folder)) != _without_texts(info):
            raise TrainingError(
                f"{folder}: is another dataset (other tasks, pictures, chunks, seeds or student); "
                "name a new folder"
            )
        features: dict[str, Feature] = {
            **{name: picture(*size, stored="image") for name, size in info.cameras.items()},
            STATE: vector(info.state_names, units=NATIVE),
            ACTION: vector(info.joints, units=NATIVE),
            **{name: Feature("float32", (size,)) for name, size in world_columns(info).items()},
        }
        if not there:
            document = {
                "source": info.source,
                "things": list(info.things),
                "chunk_rows": info.chunk_rows,
            }
            write_beside(folder, WORLD_FILE, document)
        with told():
            self._writer = DatasetWriter(folder, features, info.fps, world, resume=there)

    def __enter__(self) -> WorldWriter:
        return self

    def __exit__(self, *_: object) -> None:
        with told():
            self._writer.finalize()

    @property
    def episodes(self) -> int:
        """How many there are."""
        return len(self._writer.catalogue.episodes)

    def add(self, rows: dict[str, NDArray[Any]], instruction: str) -> None:
        """Add an episode, whole or not at all.

        Raises:
            TrainingError: It does not fit, or cannot be written.
        """
        with told():
            try:
                for row in range(len(rows[STATE])):
                    self._writer.add_frame({name: values[row] for name, values in rows.items()})
                self._writer.save_episode(instruction)
            except BaseException:
                self._writer.discard_episode()
                raise


def _without_texts(info: Info) -> Info:
    return replace(info, instructions=())


class CollectProcess:
    """One process's world, and the student in it."""

    def __init__(self, job: WorldJob) -> None:
        """Make the world and load the student.

        Raises:
            TrainingError: One of them cannot be had, or they do not fit.
        """
        self._job = job
        self.world: BenchmarkWorld = open_world(job.world, **job.given)
        self._student: WorldPolicy | None = None
        if job.policy_file is not None:
            self._student = open_world_policy(self.world, job.policy_file, job.checkpoint)

    def close(self) -> None:
        """End the student and the world."""
        if self._student is not None:
            self._student.close()
        self.world.close()

    def episode(self, task: str, first_seed: int) -> WorldEpisode:
        """Collect an episode: of the first of `TRIES` seeds in which it succeeds.

        Of a student the first one is taken, whatever became of it.

        Raises:
            TrainingError: The expert fails in all of them.
        """
        for tried, seed in enumerate(range(first_seed, first_seed + TRIES), 1):
            rng = np.random.default_rng([seed, 11])
            students = self._student is not None and rng.random() < STUDENT
            self.world.begin(task, seed)
            rows, success = self._rows(task, rng, students)
            if success or students:
                instruction = self.world.tasks[task].instruction
                return WorldEpisode(instruction, rows, tried, success)
        raise TrainingError(
            f"the expert of {task} failed with {TRIES} seeds from {first_seed} on; leave the task "
            "out"
        )

    def _rows(
        self, task: str, rng: np.random.Generator, students: bool
    ) -> tuple[dict[str, NDArray[Any]], bool]:
        world, job = self.world, self._job
        known = world.tasks[task]
        pushes = _Pushes(len(world.spec.action_names), rng)
        drive = self._driver(known.instruction) if students else None
        limit = min(known.horizon, STUDENT_STEPS) if students else known.horizon
        found: dict[str, list[Any]] = {}
        success, last = False, limit
        for step in range(limit):
            row, right = self._look(job)
            for name, value in row.items():
                found.setdefault(name, []).append(value)
            action = pushes.on(right) if drive is None else drive(step)
            solved = world.step(action)
            if solved and not success:
                success, last = True, min(limit, step + 1 + AFTER)
            if step + 1 >= last:
                break
        return {name: np.array(values) for name, values in found.items()}, success

    def _driver(self, instruction: str) -> Any:
        student, rows = self._student, self.world.spec.rows
        assert student is not None
        student.reset()
        held: dict[str, Array] = {}

        def drive(step: int) -> Array:
            if step % rows == 0:
                now_ns = round(step * self.world.spec.dt_s * 1e9)
                held["chunk"] = student.ask(instruction, now_ns)
            chunk = held["chunk"]
            return np.asarray(chunk[min(step % rows, len(chunk) - 1)])

        return drive

    def _look(self, job: WorldJob) -> tuple[dict[str, Any], Array]:
        """Return a row, and what the expert does now."""
        world = self.world
        spec, things = world.spec, world.things()
        chunk = world.foreseen(job.chunk_rows) if spec.foresees else world.expert()[None]
        row: dict[str, Any] = {
            IMAGES + camera: world.picture(camera, job.image_size) for camera in spec.cameras
        }
        seen = np.stack([world.seen(camera, things) for camera in spec.cameras], axis=1)
        away = things - world.hand()[:3, 3]
        row[STATE] = world.state().astype(np.float32)
        row[ACTION] = chunk[0].astype(np.float32)
        # What is behind a camera is in no picture.
        row[THING_PIXELS] = np.nan_to_num(seen, nan=-1.0).astype(np.float32).ravel()
        row[THING_AWAY] = np.nan_to_num(away, nan=0.0).astype(np.float32).ravel()
        if spec.foresees:
            row[EXPERT_CHUNK] = chunk.astype(np.float32).ravel()
        return row, chunk[0]


class _Pushes:
    """Pushes the expert off its way now and then."""

    def __init__(self, columns: int, rng: np.random.Generator) -> None:
        self._columns, self._rng = columns, rng
        self._level = float(rng.choice(_LEVELS))
        self._left, self._push, self._turned = 0, np.zeros(columns), False

    def on(self, action: Array) -> Array:
        """Return an action (A,) as it is carried out; its last column is the gripper's."""
        rng = self._rng
        if self._level == 0.0:
            return action
        if self._left == 0 and rng.random() < _BEGINS:
            self._left = int(rng.integers(*_LASTS))
            self._push = np.append(rng.normal(0.0, self._level, self._columns - 1), 0.0)
            self._turned = bool(rng.random() < _SLIPS)
        if self._left == 0:
            return action
        self._left -= 1
        pushed = action + self._push
        if self._turned:
            pushed[-1] = -pushed[-1]
        return np.asarray(np.clip(pushed, -1.0, 1.0))


def collect_in_world(
    folder: Path,
    job: WorldJob,
    spec: WorldSpec,
    tasks: Sequence[str],
    episodes: int,
    first_seed: int,
    processes: int,
) -> Iterator[WorldEpisode]:
    """Add episodes to a dataset, one of each task after the other.

    As many as are there already are taken for the first ones, so what was interrupted goes on.

    Args:
        folder: Of the dataset.
        job: How they are collected.
        spec: Of the world.
        tasks: Names.
        episodes: Of each task.
        first_seed: Of the scenes; an episode takes the next `TRIES`.
        processes: Each with a world.

    Raises:
        TrainingError: A world or a student cannot be had, or an episode cannot be written.
    """
    info = describe(job, spec, tasks, first_seed)
    plan = [(task, first_seed + TRIES * number) for number in range(episodes) for task in tasks]
    with WorldWriter(folder, info, spec.name) as writer:
        wanted = plan[writer.episodes :]
        for episode in in_parallel(
            CollectProcess.episode, wanted, processes, CollectProcess, (job,)
        ):
            writer.add(episode.rows, episode.instruction)
            yield episode
