# SPDX-License-Identifier: Apache-2.0
"""Read a LeRobot dataset v3, written here or by LeRobot.

Nothing is read but what is asked for: an episode that is damaged is an error when it is read, and
leaves the others readable.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vla_recording.dataset.catalogue import Catalogue, Episode, load
from vla_recording.dataset.errors import DatasetError
from vla_recording.dataset.features import COUNTED, TEXTUAL, TIME, VIDEO, Feature
from vla_recording.dataset.files import STATS, data_path, read_json, video_path
from vla_recording.dataset.pictures import Pixels, VideoReader, from_png
from vla_recording.dataset.statistics import Statistics
from vla_recording.dataset.tables import Rows, numbers


class Dataset:
    """A dataset, for reading.

    Another process may add to it meanwhile: what was saved when it was opened is seen.
    """

    def __init__(self, root: str | Path) -> None:
        """Read what the dataset says of itself, and no row.

        Raises:
            DatasetError: It is none, of another version, or damaged.
        """
        self._catalogue = load(Path(root))
        self._starts = [episode.from_index for episode in self._catalogue.episodes]
        # First row of each file of rows.
        self._file_starts: dict[tuple[int, int], int] = {}
        for episode in self._catalogue.episodes:
            self._file_starts.setdefault(episode.place, episode.from_index)
        self._kept: tuple[int, str, pa.Table] | None = None

    def __len__(self) -> int:
        """Return how many rows it has."""
        return self._catalogue.rows

    @property
    def root(self) -> Path:
        """Its folder."""
        return self._catalogue.root

    @property
    def catalogue(self) -> Catalogue:
        """All that it says of itself."""
        return self._catalogue

    @property
    def fps(self) -> int:
        """Rows a second."""
        return self._catalogue.fps

    @property
    def robot_type(self) -> str | None:
        """Of which robot it is, where that is said."""
        return self._catalogue.robot_type

    @property
    def features(self) -> Mapping[str, Feature]:
        """Its features by name, the counted ones too."""
        return self._catalogue.features

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """Its episodes, in order."""
        return self._catalogue.episodes

    @property
    def tasks(self) -> tuple[str, ...]:
        """Its instructions, by task index."""
        return self._catalogue.tasks

    def statistics(self) -> Statistics:
        """Return ``stats.json``: by feature and name, arrays.

        Raises:
            DatasetError: It is missing or damaged.
        """
        path = self.root / STATS
        found: Statistics = {}
        for name, table in read_json(path).items():
            if not isinstance(table, dict):
                raise DatasetError(f"{path}: {name}: is no table of statistics")
            try:
                found[name] = {
                    key: np.atleast_1d(np.asarray(value, dtype=np.float64))
                    for key, value in table.items()
                }
            except (TypeError, ValueError):
                raise DatasetError(f"{path}: {name}: has a value that is no number") from None
        return found

    def episode_of(self, index: int) -> Episode:
        """Return the episode that a row is in.

        Raises:
            DatasetError: There is no such row.
        """
        if not 0 <= index < len(self):
            raise DatasetError(f"{self.root}: has rows 0 to {len(self) - 1}, and not {index}")
        return self.episodes[bisect_right(self._starts, index) - 1]

    def column(self, name: str, episode: int | None = None) -> NDArray[Any]:
        """Return a feature of numbers, (T, *shape), of one episode or of all.

        Raises:
            DatasetError: There is no such feature or episode, it has no numbers, or a file is
                damaged.
        """
        feature = self._feature(name)
        if feature.is_picture or feature.dtype in TEXTUAL:
            raise DatasetError(f"{self.root}: {name}: is {feature.dtype}, and no numbers")
        if episode is not None:
            return self._numbers(self._episode(episode), name, feature)
        parts = [self._numbers(each, name, feature) for each in self.episodes]
        if not parts:
            return np.zeros((0, *feature.shape), dtype=feature.dtype)
        return np.concatenate(parts)

    def texts(self, name: str, episode: int) -> list[str]:
        """Return a feature of texts of an episode; of ``task``, the instruction of each row.

        Raises:
            DatasetError: There is no such feature or episode, or a file is damaged.
        """
        chosen = self._episode(episode)
        if name == "task":
            indices = self.column("task_index", episode)[:, 0]
            if not ((indices >= 0) & (indices < len(self.tasks))).all():
                raise DatasetError(
                    f"{self.root / data_path(chosen.place)}: episode {episode}: a task index is "
                    "not in meta/tasks.parquet; restore it from a copy"
                )
            return [self.tasks[index] for index in indices]
        if self._feature(name).dtype not in TEXTUAL:
            raise DatasetError(f"{self.root}: {name}: is no text")
        found = self._table(chosen, name).column(name).to_pylist()
        return [str(each) for each in found]

    def pictures(
        self, name: str, episode: int, begin: int = 0, end: int | None = None
    ) -> Iterator[Pixels]:
        """Yield the pictures (H, W, 3) uint8 of a camera in an episode, one after another.

        Args:
            name: The feature.
            episode: Its index.
            begin: First row, from the episode's beginning.
            end: Behind the last one; None for all.

        Raises:
            DatasetError: There is no such feature, episode or row, or a file is damaged.
        """
        feature, chosen = self._feature(name), self._episode(episode)
        if not feature.is_picture:
            raise DatasetError(f"{self.root}: {name}: is {feature.dtype}, and no picture")
        end = chosen.length if end is None else end
        if not 0 <= begin <= end <= chosen.length:
            raise DatasetError(
                f"{self.root}: episode {episode} has rows 0 to {chosen.length - 1}, and not "
                f"{begin} to {end - 1}"
            )
        if feature.dtype == VIDEO:
            part = chosen.videos[name]
            path = self.root / video_path(name, part.place)
            with VideoReader(path, feature, self.fps) as video:
                yield from video.frames(part.from_s + begin / self.fps, end - begin, self.fps)
            return
        column = self._table(chosen, name).column(name)
        for row in range(begin, end):
            where = f"{self.root / data_path(chosen.place)}: episode {episode}: row {row}: {name}"
            held = column[row].as_py()
            content = held.get("bytes") if isinstance(held, dict) else None
            if not isinstance(content, bytes):
                raise DatasetError(f"{where}: holds no picture; restore it from a copy")
            yield from_png(content, feature, where)

    def picture(self, name: str, index: int) -> Pixels:
        """Return the picture (H, W, 3) of one row of the dataset.

        Raises:
            DatasetError: There is none, or a file is damaged.
        """
        episode = self.episode_of(index)
        row = index - episode.from_index
        return next(self.pictures(name, episode.index, row, row + 1))

    def row(self, index: int) -> dict[str, Any]:
        """Return all of one row: arrays, pictures, texts, and its instruction as ``task``.

        What `add_frame` took is the same without the counted features and the task.

        Raises:
            DatasetError: There is no such row, or a file is damaged.
        """
        episode = self.episode_of(index)
        at = index - episode.from_index
        found: dict[str, Any] = {}
        for name, feature in self.features.items():
            if feature.is_picture:
                found[name] = self.picture(name, index)
            elif feature.dtype in TEXTUAL:
                found[name] = self.texts(name, episode.index)[at]
            else:
                found[name] = self.column(name, episode.index)[at]
        found["task"] = self.texts("task", episode.index)[at]
        return found

    def problems(self) -> list[str]:
        """Read all of the dataset; return what is wrong with it, a line each.

        Every file is read, every picture decoded; the counted features must count, each number be
        finite, and each row's time be its place: where ``timing.time_s`` is kept, it must not
        stray from that by a period.
        """
        found: list[str] = []
        try:
            self.statistics()
        except DatasetError as error:
            found.append(str(error))
        for episode in self.episodes:
            try:
                found += self._problems_of(episode)
            except DatasetError as error:
                found.append(str(error))
        return found

    def _problems_of(self, episode: Episode) -> Iterator[str]:
        where = f"{self.root}: episode {episode.index}"
        count = np.arange(episode.length)
        wanted = dict(
            zip(
                COUNTED,
                (
                    count / self.fps,
                    count,
                    np.full(episode.length, episode.index),
                    count + episode.from_index,
                ),
                strict=False,
            )
        )
        for name, values in wanted.items():
            have = self.column(name, episode.index)[:, 0]
            off = np.abs(have.astype(np.float64) - values)
            right = off <= 1e-4 + 1e-6 * np.abs(values)
            if not right.all():
                row = int(np.argmax(~right))
                yield f"{where}: row {row}: {name} is {have[row]}, and not {values[row]:g}"
        self.texts("task", episode.index)
        if TIME in self.features:
            late = self.column(TIME, episode.index)[:, 0] - count / self.fps
            on_time = np.abs(late) <= 1.01 / self.fps
            if not on_time.all():
                row = int(np.argmax(~on_time))
                yield (
                    f"{where}: row {row}: was taken {late[row]:+.3f} s off {self.fps} rows a "
                    "second; record with an fps that is kept"
                )
        for name, feature in self.features.items():
            if feature.is_picture:
                seen = sum(1 for _ in self.pictures(name, episode.index))
                if seen != episode.length:
                    yield f"{where}: {name}: has {seen} pictures for {episode.length} rows"
            elif feature.dtype in TEXTUAL:
                self.texts(name, episode.index)
            elif not np.isfinite(self.column(name, episode.index).astype(np.float64)).all():
                yield f"{where}: {name}: a number is not finite"

    def _feature(self, name: str) -> Feature:
        if name not in self.features:
            raise DatasetError(
                f"{self.root}: has no feature {name}; it has {', '.join(self.features)}"
            )
        return self.features[name]

    def _episode(self, index: int) -> Episode:
        if not 0 <= index < len(self.episodes):
            raise DatasetError(
                f"{self.root}: has {len(self.episodes)} episodes, and no episode {index}"
            )
        return self.episodes[index]

    def _numbers(self, episode: Episode, name: str, feature: Feature) -> NDArray[Any]:
        where = f"{self.root / data_path(episode.place)}: episode {episode.index}"
        return numbers(self._table(episode, name), name, feature, where)

    def _table(self, episode: Episode, name: str) -> pa.Table:
        """Return one column of an episode; the last one read is kept."""
        if self._kept is None or self._kept[:2] != (episode.index, name):
            rows = Rows(self.root / data_path(episode.place))
            if name not in rows.columns:
                raise DatasetError(f"{rows.path}: has no column {name}; restore it from a copy")
            begin = episode.from_index - self._file_starts[episode.place]
            table = rows.read(begin, begin + episode.length, [name])
            self._kept = episode.index, name, table
        return self._kept[2]
