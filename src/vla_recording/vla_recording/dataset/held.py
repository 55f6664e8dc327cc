# SPDX-License-Identifier: Apache-2.0
"""The rows of an episode that is not saved yet: numbers and PNG in memory, videos on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_recording.dataset.catalogue import Place, VideoPart
from vla_recording.dataset.errors import DatasetError
from vla_recording.dataset.features import IMAGE, STRING, VIDEO, Feature
from vla_recording.dataset.files import video_path
from vla_recording.dataset.pictures import Codec, VideoWriter, to_png
from vla_recording.dataset.statistics import PictureTally

MAX_ROWS = 1_000_000
# Of numbers and PNG files; videos go to the disk.
MAX_HELD_BYTES = 1 << 30


class HeldEpisode:
    """Holds rows until they are saved."""

    def __init__(
        self,
        root: Path,
        features: Mapping[str, Feature],
        fps: int,
        codec: Codec,
        video_places: Mapping[str, Place],
    ) -> None:
        """Begin without a row.

        Args:
            root: Folder of the dataset.
            features: What a row brings.
            fps: Rows a second.
            codec: Of videos.
            video_places: Chunk and file number of each video that will be written.
        """
        self._root, self._features, self._fps, self._codec = root, features, fps, codec
        self._places = video_places
        self._values: dict[str, list[Any]] = {name: [] for name in features}
        self._bytes = 0
        self._writers: dict[str, VideoWriter] = {}
        self._written: dict[str, VideoPart] = {}
        self.rows = 0
        self.tallies = {n: PictureTally() for n, feature in features.items() if feature.is_picture}

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in a row.

        Raises:
            DatasetError: It does not fit, and is not taken in.
            VideoError: A video cannot be written: the episode is of no use any more.
        """
        where = f"{self._root}: row {self.rows}"
        lacks = [name for name in self._features if name not in row]
        extra = [name for name in row if name not in self._features]
        if lacks or extra:
            parts = [f"lacks {', '.join(lacks)}"] if lacks else []
            parts += [f"has {', '.join(map(str, extra))}, which is no feature"] if extra else []
            raise DatasetError(f"{where}: {'; '.join(parts)}")
        try:
            values = {n: feature.checked(n, row[n]) for n, feature in self._features.items()}
        except DatasetError as error:
            raise DatasetError(f"{where}: {error}") from None
        if self.rows >= MAX_ROWS:
            raise DatasetError(f"{where}: an episode has at most {MAX_ROWS} rows; save it")
        if self._bytes > MAX_HELD_BYTES:
            raise DatasetError(
                f"{where}: the rows before it have {self._bytes} bytes, and an episode at most "
                f"{MAX_HELD_BYTES}; save it, or store its pictures as video"
            )
        if self._written:
            raise DatasetError(f"{where}: the episode's videos are done; save or discard it")
        for name, feature in self._features.items():
            self._take(name, feature, values[name])
        self.rows += 1

    def _take(self, name: str, feature: Feature, value: Any) -> None:
        if feature.is_picture:
            self.tallies[name].add(value)
        if feature.dtype == VIDEO:
            if name not in self._writers:
                path = self._root / video_path(name, self._places[name])
                self._writers[name] = VideoWriter(path, feature, self._fps, self._codec)
            self._writers[name].add(value)
            return
        if feature.dtype == IMAGE:
            value = to_png(value)
            self._bytes += len(value)
        elif isinstance(value, np.ndarray):
            self._bytes += value.nbytes
        self._values[name].append(value)

    def finished_videos(self) -> dict[str, VideoPart]:
        """Finish the videos, and say where they are; it may be called again.

        Raises:
            VideoError: One cannot be finished: the episode is of no use any more.
        """
        for name in list(self._writers):
            self._writers[name].close()
            self._written[name] = VideoPart(self._places[name], 0.0, self.rows / self._fps)
            del self._writers[name]
        return dict(self._written)

    def columns(self, episode: int, first_row: int, task: int) -> dict[str, Any]:
        """Return the columns of its rows, with those that are counted.

        Args:
            episode: Its index.
            first_row: Index of its first row in the dataset.
            task: Index of its instruction.
        """
        frames = np.arange(self.rows, dtype=np.int64)
        counted: dict[str, NDArray[Any]] = {
            "timestamp": (frames / self._fps).astype(np.float32),
            "frame_index": frames,
            "episode_index": np.full(self.rows, episode, dtype=np.int64),
            "index": frames + first_row,
            "task_index": np.full(self.rows, task, dtype=np.int64),
        }
        columns: dict[str, Any] = {name: values[:, None] for name, values in counted.items()}
        for name, feature in self._features.items():
            if feature.dtype in (IMAGE, STRING):
                columns[name] = self._values[name]
            elif feature.dtype != VIDEO:
                columns[name] = np.stack(self._values[name])
        return columns

    def discard(self) -> None:
        """Take away the videos that are on the disk."""
        for writer in self._writers.values():
            writer.discard()
        for name, part in self._written.items():
            (self._root / video_path(name, part.place)).unlink(missing_ok=True)
