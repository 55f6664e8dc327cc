# SPDX-License-Identifier: Apache-2.0
"""Where the files of a dataset lie, and how one is written: whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vla_recording.dataset.errors import DatasetError

INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EPISODES = "meta/episodes/chunk-{chunk:03d}/file-{file:03d}.parquet"
# As info.json has them: with LeRobot's own fields.
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FILES_A_CHUNK = 1000
# A file under way has this behind its name, so that no reader takes it for a finished one.
UNFINISHED = ".part"
MAX_JSON_BYTES = 16 << 20
MAX_FILE_BYTES = 2 << 30


def data_path(place: tuple[int, int]) -> str:
    """Return where a file of rows lies, of its chunk and file number."""
    return DATA_PATH.format(chunk_index=place[0], file_index=place[1])


def video_path(feature: str, place: tuple[int, int]) -> str:
    """Return where a video lies, of its feature and its chunk and file number."""
    return VIDEO_PATH.format(video_key=feature, chunk_index=place[0], file_index=place[1])


def episodes_path(place: tuple[int, int]) -> str:
    """Return where a table of episodes lies, of its chunk and file number."""
    return EPISODES.format(chunk=place[0], file=place[1])


def following(place: tuple[int, int]) -> tuple[int, int]:
    """Return the next chunk and file number."""
    chunk, file = place
    return (chunk, file + 1) if file + 1 < FILES_A_CHUNK else (chunk + 1, 0)


@contextmanager
def told_in_one_line(path: Path, doing: str) -> Iterator[None]:
    """Turn the system's errors into a `DatasetError` that names the file."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise DatasetError(f"{path}: cannot be {doing}: {why}") from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there in whole or, after any failure, as it was before.

    Raises:
        DatasetError: It cannot be written, as on a full disk.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    with told_in_one_line(path, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(unfinished, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        flush(path.parent)


def finish(unfinished: Path, path: Path) -> None:
    """Give a finished file its name, so that the name holds after a power cut.

    Raises:
        DatasetError: It cannot be done.
    """
    with told_in_one_line(path, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        flush(unfinished)
        unfinished.replace(path)
        flush(path.parent)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Raises:
        OSError: It cannot be done.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file in whole.

    Raises:
        DatasetError: It cannot be written, or has a number that is not finite.
    """
    try:
        text = json.dumps(value, indent=4, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise DatasetError(
            f"{path}: would hold a number that is not finite; take the episode that has it out"
        ) from None
    write_whole(path, text.encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file with a table in it.

    Raises:
        DatasetError: It is missing, too large or no such file.
    """
    with told_in_one_line(path, "read"):
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise DatasetError(f"{path}: has {size} bytes; at most {MAX_JSON_BYTES} are read")
        content = path.read_bytes()
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: is damaged: {error}; restore it from a copy") from None
    if not isinstance(value, dict):
        raise DatasetError(f"{path}: holds no table of keys; restore it from a copy")
    return value
