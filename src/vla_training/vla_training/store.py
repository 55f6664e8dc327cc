# SPDX-License-Identifier: Apache-2.0
"""Episodes on disk: what was seen, what was done, what the teacher says.

A dataset is a folder: ``meta/info.json`` says the features, their shapes and how each thing may be
asked for; ``episodes/000000.npz`` and so on hold arrays of N rows. One file is one episode,
written under another name first, so that what is there is whole.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_policies.protocol import IMAGES, STATE
from vla_training.errors import TrainingError, writing

Arrays = Mapping[str, NDArray[Any]]

FORMAT = 1
ACTION, TASK = "action", "task_index"
CHUNK, AWAY, PHASE, PIXELS = "teacher.chunk", "teacher.away", "teacher.phase", "teacher.pixels"
_MOST_EPISODES = 1_000_000
_MOST_ROWS = 100_000  # of an episode


@dataclass(frozen=True)
class Info:
    """What a dataset holds.

    Attributes:
        fps: Rows a second.
        joints: Names of the state's elements and of the action's columns.
        cameras: Image features with height and width, pixels.
        chunk_rows: T, of the teacher's chunks; 0 where there are none.
        related: The rows of an episode follow one another; else each is for itself.
        instructions: How each of K things may be asked for.
    """

    fps: float
    joints: tuple[str, ...]
    cameras: Mapping[str, tuple[int, int]]
    chunk_rows: int
    related: bool
    instructions: tuple[tuple[str, ...], ...]


def write_info(folder: Path, info: Info) -> None:
    """Begin a dataset, or check that one which is there is of the same kind.

    Raises:
        TrainingError: Another kind of dataset is there, or it cannot be written.
    """
    path = folder / "meta" / "info.json"
    document = {
        "format": FORMAT,
        "fps": info.fps,
        "joints": list(info.joints),
        "cameras": {name: list(size) for name, size in info.cameras.items()},
        "chunk_rows": info.chunk_rows,
        "related": info.related,
        "instructions": [list(each) for each in info.instructions],
    }
    if path.exists():
        there = read_info(folder)
        if there != info:
            raise TrainingError(
                f"{path}: is of another kind of dataset (other features, rate or instructions); "
                "name a new folder"
            )
        return
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        (folder / "episodes").mkdir(exist_ok=True)
        spare = path.with_suffix(".part")
        spare.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        spare.replace(path)


def read_info(folder: Path) -> Info:
    """Read what a dataset holds.

    Raises:
        TrainingError: It is no dataset, or its description is damaged.
    """
    path = folder / "meta" / "info.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TrainingError(
            f"{path}: there is no such file; give a folder that `vla-train collect` wrote"
        ) from None
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: cannot be read ({error}); collect the data again") from None
    try:
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']}, here {FORMAT} is read")
        return Info(
            fps=float(document["fps"]),
            joints=tuple(str(name) for name in document["joints"]),
            cameras={
                str(name): (int(size[0]), int(size[1]))
                for name, size in document["cameras"].items()
            },
            chunk_rows=int(document["chunk_rows"]),
            related=bool(document["related"]),
            instructions=tuple(
                tuple(str(text) for text in each) for each in document["instructions"]
            ),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise TrainingError(
            f"{path}: is damaged or of another version ({error}); collect the data again"
        ) from None


def episode_path(folder: Path, index: int) -> Path:
    """Return where an episode lies."""
    return folder / "episodes" / f"{index:06d}.npz"


def write_episode(folder: Path, index: int, arrays: Arrays) -> None:
    """Write an episode, whole or not at all.

    Raises:
        TrainingError: It cannot be written.
    """
    path = episode_path(folder, index)
    spare = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    try:
        with writing(path):
            named: dict[str, Any] = dict(arrays)
            np.savez(spare, **named)
            spare.replace(path)
    finally:
        spare.unlink(missing_ok=True)


def episode_files(folder: Path) -> list[Path]:
    """Return the episodes of a dataset, in order.

    Raises:
        TrainingError: There is none, or there are too many.
    """
    files = sorted((folder / "episodes").glob("[0-9]*.npz"))
    if not files:
        raise TrainingError(f"{folder}: holds no episode; run vla-train collect {folder}")
    if len(files) > _MOST_EPISODES:
        raise TrainingError(f"{folder}: holds {len(files)} episodes, at most {_MOST_EPISODES}")
    return files


def read_episode(path: Path, info: Info) -> dict[str, NDArray[Any]]:
    """Read an episode and check that it is what its dataset says.

    Raises:
        TrainingError: It is damaged, or its features do not fit.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingError(
            f"{path}: is damaged ({error}); delete it; vla-train collect replaces it"
        ) from None
    rows = len(found[STATE]) if STATE in found and found[STATE].ndim else 0
    if not 1 <= rows <= _MOST_ROWS:
        raise TrainingError(f"{path}: has {rows} rows of {STATE}; delete it")
    for name, shape in _shapes(info).items():
        if name not in found:
            raise TrainingError(f"{path}: lacks {name}, which the dataset has; delete it")
        if found[name].shape != (rows, *shape):
            raise TrainingError(
                f"{path}: {name} has shape {found[name].shape}, the dataset says "
                f"{(rows, *shape)}; delete it"
            )
        whole = found[name].dtype == np.uint8 if name.startswith(IMAGES) else True
        if not whole:
            raise TrainingError(f"{path}: {name} is {found[name].dtype}, not uint8; delete it")
    for name in (STATE, ACTION, CHUNK):
        if name in found and not np.isfinite(found[name]).all():
            raise TrainingError(f"{path}: {name} has values that are not finite; delete it")
    things = found[TASK]
    if things.dtype.kind not in "iu" or not np.all(
        (things >= 0) & (things < len(info.instructions))
    ):
        raise TrainingError(f"{path}: {TASK} is of no instruction of the dataset; delete it")
    return found


def _shapes(info: Info) -> dict[str, Sequence[int]]:
    joints, things = len(info.joints), len(info.instructions)
    shapes: dict[str, Sequence[int]] = {STATE: (joints,), ACTION: (joints,), TASK: ()}
    shapes |= {name: (*size, 3) for name, size in info.cameras.items()}
    if info.chunk_rows:
        shapes[CHUNK] = (things, info.chunk_rows, joints)
    return shapes
