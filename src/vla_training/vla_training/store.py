# SPDX-License-Identifier: Apache-2.0
"""Demonstrations as LeRobot datasets, with what the teacher says beside each row.

What LeRobot reads is as it wants it: pictures, state, action, the instruction of the episode. The
columns ``teacher.*`` it passes over; ``meta/teacher.json`` says what is in them. A dataset without
that file is a recording of somebody who acted, and teaches what was done. One of a benchmark has
``meta/world.json`` in its place, and columns ``world.*``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_policies.protocol import IMAGES, STATE
from vla_policies.training import plain_name
from vla_recording.dataset import Dataset, DatasetError, DatasetWriter, Feature, picture, vector
from vla_recording.dataset.files import told_in_one_line, write_json
from vla_recording.dataset.rows import INTERVENTION
from vla_training.errors import TrainingError

Arrays = Mapping[str, NDArray[Any]]

ACTION, ASKED = "action", "teacher.asked"
CHUNK, AWAY, PHASE, PIXELS = "teacher.chunk", "teacher.away", "teacher.phase", "teacher.pixels"
TEACHER_FILE = "teacher.json"
# Of a benchmark: beside each row where the things are in each picture (K x C x 2), the way from
# the hand to them (K x 3), m, and what its expert would do from there (T x A).
THING_PIXELS, THING_AWAY, EXPERT_CHUNK = "world.pixels", "world.away", "world.chunk"
WORLD_FILE = "world.json"
AWAY_SIZE = 4
MOST = 1e6  # of a value, whatever its unit
_OUTSIDE = -1.0  # a place in a picture that is in none


@dataclass(frozen=True)
class Info:
    """What a dataset holds.

    Attributes:
        fps: Rows a second.
        joints: Names of the state's elements and of the action's columns.
        cameras: Image features with height and width, pixels.
        chunk_rows: T, of the teacher's chunks; 0 where nobody taught.
        related: The rows of an episode follow one another; else each is for itself.
        instructions: How each of K things may be asked for; without a teacher, each instruction
            of the dataset by itself.
        source: Who acted in which scenes; empty where that is not known.
        states: Names of the state's elements, where they are others than `joints`.
        things: Of a benchmark's demonstrations: the things whose places stand beside each row, and
            which are the same whatever the instruction.
        units: Of the action, and of the state where they are others; empty where it is not said.
    """

    fps: int
    joints: tuple[str, ...]
    cameras: Mapping[str, tuple[int, int]]
    chunk_rows: int
    related: bool
    instructions: tuple[tuple[str, ...], ...]
    source: str = ""
    states: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    units: str = "rad"

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the state's elements."""
        return self.states or self.joints

    def elements(self, columns: Sequence[int]) -> list[int]:
        """Return where the joints of some of the action's columns stand in the state."""
        return [self.state_names.index(self.joints[column]) for column in columns]


@contextmanager
def told() -> Iterator[None]:
    """Turn what a dataset complains of into an error of this package."""
    try:
        yield
    except DatasetError as error:
        raise TrainingError(str(error)) from None


class DemonstrationWriter:
    """Makes a dataset of demonstrations, or adds to one. A context manager."""

    def __init__(self, folder: Path, info: Info, robot: str) -> None:
        """Open it.

        Args:
            folder: Of the dataset; what is there is kept.
            info: What it holds.
            robot: Its name.

        Raises:
            TrainingError: Another kind of dataset is there, or it cannot be written.
        """
        self._info = info
        there = (folder / "meta" / "info.json").exists()
        if there and read_info(folder) != info:
            raise TrainingError(
                f"{folder}: is another dataset (other features, rate, instructions, seeds or "
                "student); name a new folder"
            )
        if not there:
            document = {
                "source": info.source,
                "related": info.related,
                "chunk_rows": info.chunk_rows,
                "instructions": [list(each) for each in info.instructions],
            }
            write_beside(folder, TEACHER_FILE, document)
        with told():
            self._writer = DatasetWriter(folder, _features(info), info.fps, robot, resume=there)

    def __enter__(self) -> DemonstrationWriter:
        return self

    def __exit__(self, *_: object) -> None:
        with told():
            self._writer.finalize()

    @property
    def episodes(self) -> int:
        """How many there are."""
        return len(self._writer.catalogue.episodes)

    def add(self, rows: Arrays, task: str) -> None:
        """Add an episode, whole or not at all.

        Args:
            rows: Features of N rows, as `read_episodes` yields them.
            task: The instruction.

        Raises:
            TrainingError: It does not fit, or cannot be written.
        """
        flat = {
            name: values if name.startswith(IMAGES) else values.reshape(len(values), -1)
            for name, values in rows.items()
        }
        flat[PIXELS] = np.nan_to_num(flat[PIXELS], nan=_OUTSIDE)
        with told():
            try:
                for row in range(len(flat[STATE])):
                    self._writer.add_frame({name: values[row] for name, values in flat.items()})
                self._writer.save_episode(task)
            except DatasetError:
                self._writer.discard_episode()
                raise


def write_beside(folder: Path, name: str, document: Mapping[str, Any]) -> None:
    """Write what a dataset has beside what LeRobot reads, before ``info.json`` makes it one.

    Raises:
        TrainingError: It cannot be written, or the folder holds something else.
    """
    with told():
        with told_in_one_line(folder, "read"):
            strangers = [each.name for each in folder.glob("*") if each.name != "meta"]
        if strangers:
            raise TrainingError(
                f"{folder}: is no dataset and holds {strangers[0]}; give an empty folder"
            )
        write_json(folder / "meta" / name, document)


def read_info(folder: Path) -> Info:
    """Read what a dataset holds.

    Raises:
        TrainingError: It is no dataset, damaged, or not of a robot that acts on pictures.
    """
    with told():
        dataset = Dataset(folder)
    joints = {name: _joints(folder, dataset, name) for name in (STATE, ACTION)}
    states = joints[STATE] if joints[STATE] != joints[ACTION] else ()
    cameras = {
        name: feature.picture_size
        for name, feature in dataset.features.items()
        if feature.is_picture
    }
    if not cameras:
        raise TrainingError(f"{folder}: has no pictures; a SmolVLA needs one camera at least")
    path = folder / "meta" / TEACHER_FILE
    source, related, rows = "", True, 0
    instructions: tuple[tuple[str, ...], ...] = tuple((task,) for task in dataset.tasks)
    if path.exists():
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            source, related = str(document["source"]), bool(document["related"])
            rows = int(document["chunk_rows"])
            instructions = tuple(
                tuple(str(text) for text in each) for each in document["instructions"]
            )
            if rows < 1 or not instructions or not all(instructions):
                raise ValueError("it says nothing of what was taught")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"{path}: is damaged ({error}); collect the data again") from None
    units = " and ".join(
        dict.fromkeys(
            str(dataset.features[name].info.get("units", "")) for name in (ACTION, STATE)
        )
    )
    info = Info(
        dataset.fps, joints[ACTION], cameras, rows, related, instructions, source, states,
        units=units,
    )  # fmt: skip
    if (folder / "meta" / WORLD_FILE).exists():
        return _of_world(folder, dataset, info)
    if rows:
        for name, wanted in _features(info).items():
            have = dataset.features.get(name)
            if have is None or (have.dtype, have.shape) != (wanted.dtype, wanted.shape):
                raise TrainingError(
                    f"{folder}: {name} does not fit what {path.name} says; collect the data again"
                )
    return info


def read_episodes(folder: Path, info: Info) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the episodes of a dataset as arrays of N rows.

    Besides pictures, state and action: ``teacher.asked`` (N,), which of the instructions was
    given and, where somebody taught, his columns; where an episode was recorded,
    ``intervention`` (N,), whether somebody other than the policy held the arm.

    Raises:
        TrainingError: There is none, or one is damaged.
    """
    with told():
        dataset = Dataset(folder)
        if not dataset.episodes:
            raise TrainingError(f"{folder}: holds no episode; run vla-train collect {folder}")
        things, rows, joints = len(info.instructions), info.chunk_rows, len(info.joints)
        for episode in range(len(dataset.episodes)):
            found = {
                name: np.stack(list(dataset.pictures(name, episode))) for name in info.cameras
            }
            names = [STATE, ACTION]
            if info.things:
                names += world_columns(info)
            elif rows:
                names += [CHUNK, AWAY, PHASE, PIXELS]
            for name in names:
                found[name] = dataset.column(name, episode)
                if not np.all(np.abs(found[name]) <= MOST):
                    raise TrainingError(
                        f"{folder}: episode {episode}: {name} has values that are not finite, or "
                        f"beyond {MOST:g}; take it out"
                    )
            if rows and not info.things:
                asked = dataset.column(ASKED, episode)[:, 0]
            else:
                places = {each[0]: place for place, each in enumerate(info.instructions)}
                asked = np.array([places[text] for text in dataset.texts("task", episode)])
            if not np.all((asked >= 0) & (asked < things)):
                raise TrainingError(
                    f"{folder}: episode {episode}: asks for what is no instruction; take it out"
                )
            found[ASKED] = asked
            if INTERVENTION in dataset.features:
                found[INTERVENTION] = dataset.column(INTERVENTION, episode)[:, 0].astype(bool)
            count = len(asked)
            if info.things:
                shape = (count, len(info.things), len(info.cameras), 2)
                found[THING_PIXELS] = found[THING_PIXELS].reshape(shape)
                found[THING_AWAY] = found[THING_AWAY].reshape(*shape[:2], 3)
                if rows:
                    found[EXPERT_CHUNK] = found[EXPERT_CHUNK].reshape(count, rows, joints)
            elif rows:
                found[CHUNK] = found[CHUNK].reshape(count, things, rows, joints)
                found[AWAY] = found[AWAY].reshape(count, things, AWAY_SIZE)
                found[PHASE] = found[PHASE].reshape(count, things)
                found[PIXELS] = found[PIXELS].reshape(count, things, len(info.cameras), 2)
            yield found


def _of_world(folder: Path, dataset: Dataset, info: Info) -> Info:
    """Return what a benchmark's dataset holds besides."""
    path = folder / "meta" / WORLD_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        info = replace(
            info,
            source=str(document["source"]),
            things=tuple(str(each) for each in document["things"]),
            chunk_rows=int(document["chunk_rows"]),
        )
        if not info.things or info.chunk_rows < 0:
            raise ValueError("it says nothing of what is beside the rows")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: is damaged ({error}); collect the data again") from None
    for name, size in world_columns(info).items():
        have = dataset.features.get(name)
        if have is None or have.shape != (size,):
            raise TrainingError(
                f"{folder}: {name} does not fit what {path.name} says; collect the data again"
            )
    return info


def world_columns(info: Info) -> dict[str, int]:
    """Return the columns of a benchmark's dataset that LeRobot passes over, with their sizes."""
    things = len(info.things)
    found = {THING_PIXELS: things * len(info.cameras) * 2, THING_AWAY: things * 3}
    if info.chunk_rows:
        found[EXPERT_CHUNK] = info.chunk_rows * len(info.joints)
    return found


def _features(info: Info) -> dict[str, Feature]:
    things = len(info.instructions)
    names = [f"{joint}.pos" for joint in info.joints]
    return {
        **{name: picture(*size, stored="image") for name, size in info.cameras.items()},
        STATE: vector(names, units="rad"),
        ACTION: vector(names, units="rad"),
        ASKED: Feature("int64", (1,)),
        CHUNK: Feature("float32", (things * info.chunk_rows * len(info.joints),)),
        AWAY: Feature("float32", (things * AWAY_SIZE,)),
        PHASE: Feature("int64", (things,)),
        PIXELS: Feature("float32", (things * len(info.cameras) * 2,)),
    }


def _joints(folder: Path, dataset: Dataset, name: str) -> tuple[str, ...]:
    feature = dataset.features.get(name)
    names = feature.names if feature is not None else None
    if feature is None or feature.is_picture:
        raise TrainingError(f"{folder}: has no {name}; a SmolVLA learns from it")
    if isinstance(names, dict) and len(names) == 1:  # as LeRobot had it once
        names = next(iter(names.values()))
    if not isinstance(names, (list, tuple)) or len(names) != feature.size:
        raise TrainingError(f"{folder}: {name}: its elements have no names, so none is known")
    return tuple(plain_name(str(each)) for each in names)
