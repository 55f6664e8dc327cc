# SPDX-License-Identifier: Apache-2.0
"""What a dataset's episodes are, beside what LeRobot reads: `meta/recording.json`.

Each episode's name, mark, operator, policy, why it ended, and what was taken back. LeRobot passes
over the file.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vla_recording.dataset.files import read_json, told_in_one_line, write_json
from vla_recording.episodes.words import EpisodeWords

FILE = "meta/recording.json"
VERSION = 1
_KEPT = ("task", "mark", "operator", "policy_id", "started", "reason", "message", "rows_cut")


class EpisodeNotes:
    """Reads and writes the file."""

    def __init__(self, dataset: Path) -> None:
        """Read it; one that is not there has no episode.

        Raises:
            DatasetError: It is damaged.
        """
        self._path = dataset / FILE
        self._episodes: dict[str, dict[str, Any]] = {}
        self._read()

    def _read(self) -> None:
        if self._path.is_file():
            found = read_json(self._path).get("episodes")
            if isinstance(found, dict):
                self._episodes = {k: v for k, v in found.items() if isinstance(v, dict)}

    def find(self, name: str, bag: Path, count: int) -> int | None:
        """Return the index of an episode, None where it is not there.

        Args:
            name: Of the episode. Two recorders that began in the same second have the same.
            bag: Its folder, which may have been moved or copied since: its size tells it from
                others of that name.
            count: Episodes that the dataset has: what is noted behind them was never saved.
        """
        size = _bytes_of(bag)
        for key, told in self._episodes.items():
            same = told.get("episode") == name and told.get("bag_bytes", size) == size
            if same and key.isdigit() and int(key) < count:
                return int(key)
        return None

    def told(self, index: int) -> Mapping[str, Any]:
        """Return what is said of an episode, empty where nothing is."""
        return self._episodes.get(str(index), {})

    def note(self, index: int, words: EpisodeWords, bag: Path) -> None:
        """Say of an episode what its bag says, before it is saved or when that has changed.

        Raises:
            DatasetError: It cannot be written.
        """
        told = {name: getattr(words, name) for name in _KEPT}
        where = {"bag": str(bag.absolute()), "bag_bytes": _bytes_of(bag)}
        with self._alone():
            self._read()
            self._episodes[str(index)] = {"episode": words.name, **where, **told}
            self._write()

    def cut(self, count: int) -> None:
        """Forget what is said of all but the first `count` episodes.

        Raises:
            DatasetError: It cannot be written.
        """
        with self._alone():
            self._read()
            kept = {k: v for k, v in self._episodes.items() if k.isdigit() and int(k) < count}
            if kept != self._episodes:
                self._episodes = kept
                self._write()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from writing meanwhile: a mark is given while another episode is converted.

        Raises:
            DatasetError: There is no such dataset.
        """
        with told_in_one_line(self._path, "written"):
            descriptor = os.open(self._path.parent, os.O_RDONLY)
        try:
            with suppress(OSError):  # of a file system that knows no locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self) -> None:
        ordered = dict(sorted(self._episodes.items(), key=lambda item: int(item[0])))
        write_json(self._path, {"version": VERSION, "episodes": ordered})


def _bytes_of(bag: Path) -> int:
    """Return how large the messages of a bag are on the disk; they are never changed."""
    return sum(path.stat().st_size for path in bag.glob("*.mcap"))
