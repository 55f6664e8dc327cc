# SPDX-License-Identifier: Apache-2.0
"""What a dataset says of itself: ``meta/info.json``, its episodes, its tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from vla_recording.dataset.errors import DatasetError
from vla_recording.dataset.features import (
    COUNTED,
    VIDEO,
    Feature,
    difference,
    read_features,
)
from vla_recording.dataset.files import (
    DATA_PATH,
    FILES_A_CHUNK,
    INFO,
    TASKS,
    VIDEO_PATH,
    read_json,
)
from vla_recording.dataset.statistics import Statistics, to_json
from vla_recording.dataset.tables import Rows, read_tasks, statistics_of_row

VERSION = "v3.0"
MAX_FPS = 10_000
# Of a dataset, so that no file makes a reader allocate without end.
MAX_EPISODES = 10_000_000
Place = tuple[int, int]


@dataclass(frozen=True)
class VideoPart:
    """Where the frames of an episode lie in a video.

    Attributes:
        place: Chunk and file number.
        from_s: Time of the first frame in the file, s.
        to_s: Time of the end of the last one, s.
    """

    place: Place
    from_s: float
    to_s: float


@dataclass(frozen=True)
class Episode:
    """One episode, as the table of episodes has it.

    Attributes:
        index: From 0.
        tasks: Its instructions.
        from_index: Its first row in the dataset.
        to_index: Behind its last row.
        place: Chunk and file number of its rows.
        videos: By feature.
        statistics: Of its rows; empty where the file has none.
    """

    index: int
    tasks: tuple[str, ...]
    from_index: int
    to_index: int
    place: Place
    videos: Mapping[str, VideoPart]
    statistics: Statistics = field(repr=False, default_factory=dict)

    @property
    def length(self) -> int:
        """How many rows it has."""
        return self.to_index - self.from_index


@dataclass(frozen=True)
class Catalogue:
    """All that is known of a dataset without its rows.

    Attributes:
        root: Its folder.
        fps: Rows a second.
        robot_type: Of which robot; None where it is not said.
        features: By name, the counted ones too.
        episodes: In order.
        tasks: By index.
        info: ``info.json`` as it is.
        episode_files: The files of the table of episodes, in order.
    """

    root: Path
    fps: int
    robot_type: str | None
    features: Mapping[str, Feature]
    episodes: tuple[Episode, ...]
    tasks: tuple[str, ...]
    info: Mapping[str, Any]
    episode_files: tuple[Path, ...]

    @property
    def rows(self) -> int:
        """How many rows all episodes have."""
        return self.episodes[-1].to_index if self.episodes else 0


def new_info(fps: int, robot_type: str | None, features: Mapping[str, Feature]) -> dict[str, Any]:
    """Return ``info.json`` of a dataset without episodes."""
    has_video = any(feature.dtype == VIDEO for feature in features.values())
    return {
        "codebase_version": VERSION,
        "fps": fps,
        "features": {name: feature.to_json() for name, feature in features.items()},
        "total_episodes": 0,
        "total_frames": 0,
        "total_tasks": 0,
        "chunks_size": FILES_A_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if has_video else None,
        "robot_type": robot_type,
        "splits": {},
    }


@dataclass(frozen=True)
class RowKind:
    """What all rows of a dataset have in common.

    Attributes:
        fps: Rows a second.
        robot_type: Of which robot; None where it is not said.
        features: By name, the counted ones too.
    """

    fps: int
    robot_type: str | None
    features: Mapping[str, Feature]

    def misfit(self, wanted: RowKind) -> str:
        """Say why rows of another kind cannot be added, empty where they can."""
        problem = difference(self.features, wanted.features)
        if problem:
            return f"its rows are others: {problem}"
        if self.fps != wanted.fps:
            return f"has {self.fps} rows a second, not {wanted.fps}"
        if wanted.robot_type is not None and self.robot_type != wanted.robot_type:
            return f"is of {self.robot_type}, not of {wanted.robot_type}"
        return ""


def read_info(root: Path) -> tuple[RowKind, dict[str, Any]]:
    """Read ``info.json`` alone, which takes no longer for many episodes.

    Returns:
        What the rows are, and all that stands there.

    Raises:
        DatasetError: It is missing, damaged or of another version.
    """
    path = root / INFO
    if not path.is_file():
        raise DatasetError(f"{root}: is no dataset: there is no {INFO}")
    info = read_json(path)
    version = info.get("codebase_version")
    if not isinstance(version, str) or not version.startswith("v3."):
        raise DatasetError(
            f"{path}: codebase_version: is {version!r:.20}, and v3 is read; convert it with "
            "LeRobot's lerobot.scripts.convert_dataset_v21_to_v30"
        )
    fps = info.get("fps")
    if type(fps) is not int or not 0 < fps <= MAX_FPS:
        raise DatasetError(
            f"{path}: fps: is {fps!r:.20}; a whole number of 1 to {MAX_FPS} is read"
        )
    features = read_features(info.get("features"), str(path))
    for key, ours in (("data_path", DATA_PATH), ("video_path", VIDEO_PATH)):
        has_video = any(feature.dtype == VIDEO for feature in features.values())
        if info.get(key) != ours and (key == "data_path" or has_video):
            raise DatasetError(f"{path}: {key}: is {info.get(key)!r:.80}; {ours} is read")
    robot = info.get("robot_type")
    return RowKind(fps, robot if isinstance(robot, str) else None, features), info


def load(root: Path) -> Catalogue:
    """Read what a dataset says of itself.

    Raises:
        DatasetError: A file is missing, damaged or of another version, or they contradict.
    """
    kind, info = read_info(root)
    path, features = root / INFO, kind.features
    files = tuple(sorted((root / "meta/episodes").glob("chunk-*/file-*.parquet")))
    videos = [name for name, feature in features.items() if feature.dtype == VIDEO]
    episodes: list[Episode] = []
    for file in files:
        episodes += _episodes_of(file, videos, len(episodes))
    total = info.get("total_episodes")
    # One that is in the table is saved, whether or not info.json could still be renewed.
    if type(total) is not int or total > len(episodes):
        raise DatasetError(
            f"{path}: counts {total!r:.20} episodes, meta/episodes has {len(episodes)}; restore "
            "meta/episodes from a copy"
        )
    return Catalogue(
        root=root,
        fps=kind.fps,
        robot_type=kind.robot_type,
        features=features,
        episodes=tuple(episodes),
        tasks=read_tasks(root / TASKS) if (root / TASKS).exists() else (),
        info=info,
        episode_files=files,
    )


def _episodes_of(path: Path, videos: list[str], first: int) -> list[Episode]:
    rows = Rows(path)
    if rows.count > MAX_EPISODES - first:
        raise DatasetError(f"{path}: has more than {MAX_EPISODES} episodes")
    found = []
    try:
        for row in rows.read(0, rows.count).to_pylist():
            found.append(_episode(row, videos))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{path}: is no table of episodes: {error!r:.100}") from None
    for number, episode in enumerate(found):
        where = f"{path}: episode {first + number}"
        if episode.index != first + number:
            raise DatasetError(f"{where}: is called {episode.index}; restore it from a copy")
        if not 0 <= episode.from_index < episode.to_index:
            raise DatasetError(
                f"{where}: has rows {episode.from_index} to {episode.to_index}; restore it"
            )
    for before, after in pairwise(found):
        if after.from_index != before.to_index:
            raise DatasetError(
                f"{path}: episode {after.index}: does not begin where the last ends; restore it"
            )
    return found


def _episode(row: Mapping[str, Any], videos: list[str]) -> Episode:
    parts = {}
    for name in videos:
        key = f"videos/{name}/"
        place = int(row[key + "chunk_index"]), int(row[key + "file_index"])
        from_s, to_s = float(row[key + "from_timestamp"]), float(row[key + "to_timestamp"])
        if min(place) < 0 or not 0.0 <= from_s <= to_s < 1e9:
            raise ValueError(f"{name} from {from_s} to {to_s} s")
        parts[name] = VideoPart(place, from_s, to_s)
    place = int(row["data/chunk_index"]), int(row["data/file_index"])
    if min(place) < 0:
        raise ValueError(f"file {place}")
    return Episode(
        index=int(row["episode_index"]),
        tasks=tuple(map(str, row["tasks"])),
        from_index=int(row["dataset_from_index"]),
        to_index=int(row["dataset_to_index"]),
        place=place,
        videos=parts,
        statistics=statistics_of_row(row),
    )


def own_features(features: Mapping[str, Feature]) -> dict[str, Feature]:
    """Return the features that a row brings: all but those that the writer fills in."""
    return {name: feature for name, feature in features.items() if name not in COUNTED}


def place_of(path: Path) -> Place:
    """Return the chunk and file number of a file's name."""
    return int(path.parent.name.split("-")[-1]), int(path.stem.split("-")[-1])


def episode_row(episode: Episode, place: Place) -> dict[str, Any]:
    """Return the row of the table of episodes, which lies at a place of its own."""
    row: dict[str, Any] = {
        "episode_index": episode.index,
        "tasks": list(episode.tasks),
        "length": episode.length,
        "data/chunk_index": episode.place[0],
        "data/file_index": episode.place[1],
        "dataset_from_index": episode.from_index,
        "dataset_to_index": episode.to_index,
        "meta/episodes/chunk_index": place[0],
        "meta/episodes/file_index": place[1],
    }
    for name, part in episode.videos.items():
        row[f"videos/{name}/chunk_index"], row[f"videos/{name}/file_index"] = part.place
        row[f"videos/{name}/from_timestamp"] = part.from_s
        row[f"videos/{name}/to_timestamp"] = part.to_s
    for name, statistics in to_json(episode.statistics).items():
        row |= {f"stats/{name}/{statistic}": value for statistic, value in statistics.items()}
    return row
