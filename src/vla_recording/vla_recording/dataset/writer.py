# SPDX-License-Identifier: Apache-2.0
"""Write a LeRobot dataset v3.0, episode by episode.

An episode is in the dataset from the moment that the table of episodes has it. All that it
consists of is on the disk before, and what is there of an episode that never came so far is taken
away when the dataset is opened again. A crash, a power cut or a full disk loses the episode under
way at most.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from vla_recording.dataset.catalogue import (
    MAX_FPS,
    Catalogue,
    Episode,
    Place,
    RowKind,
    episode_row,
    load,
    new_info,
    own_features,
    place_of,
)
from vla_recording.dataset.errors import DatasetError, VideoError
from vla_recording.dataset.features import (
    TEXTUAL,
    VIDEO,
    Feature,
    checked_features,
)
from vla_recording.dataset.files import (
    INFO,
    STATS,
    TASKS,
    data_path,
    episodes_path,
    following,
    told_in_one_line,
    write_json,
    write_whole,
)
from vla_recording.dataset.held import HeldEpisode
from vla_recording.dataset.pictures import Codec
from vla_recording.dataset.reader import Dataset
from vla_recording.dataset.settle import settle
from vla_recording.dataset.statistics import (
    Statistics,
    of_episode,
    to_json,
    together,
    with_exact_quantiles,
)
from vla_recording.dataset.tables import (
    Rows,
    as_before,
    episode_schema,
    packed,
    row_table,
    write_tasks,
)

# A file of rows takes another episode until it has this size: it is written anew each time.
PACKED_BYTES = 4 << 20
EPISODES_A_FILE = 100
MAX_TASK_LETTERS = 10_000


class DatasetWriter:
    """Makes a dataset, or adds to one. A context manager; one at a time may write.

    A failure while an episode is saved leaves its rows held: after the disk has room again,
    `save_episode` may be called once more.
    """

    def __init__(
        self,
        root: str | Path,
        features: Mapping[str, Feature],
        fps: int,
        robot_type: str | None = None,
        *,
        resume: bool = False,
        codec: Codec | None = None,
        wait: bool = False,
    ) -> None:
        """Open a dataset for writing.

        Args:
            root: Its folder; made where there is none.
            features: What a row has. `vector`, `picture` and `ContractRows` make them.
            fps: Rows a second.
            robot_type: Which robot, for those who read it.
            resume: Add to the dataset that is there.
            codec: Of videos.
            wait: For another process that writes on it, rather than give up.

        Raises:
            DatasetError: There is a dataset and `resume` is not set, or what is there does not
                fit, or another process writes on it, or a feature cannot be stored.
        """
        self._root = Path(root)
        wanted = checked_features(features, str(self._root))
        if type(fps) is not int or not 0 < fps <= MAX_FPS:
            raise DatasetError(
                f"{self._root}: fps: is {fps!r:.20}; give a whole number of 1 to {MAX_FPS}"
            )
        self._codec = codec or Codec()
        for name, feature in wanted.items():
            if feature.dtype == VIDEO:
                told = {**feature.info, **self._codec.told(feature, fps)}
                wanted[name] = Feature(VIDEO, feature.shape, feature.names, told)
        if (self._root / INFO).is_file():
            if not resume:
                raise DatasetError(
                    f"{self._root}: is a dataset already; resume it, or give another folder"
                )
        else:
            self._begin(wanted, fps, robot_type)
        self._lock = locked(self._root, wait=wait)
        try:
            self._catalogue = settle(self._fitting(wanted, fps, robot_type))
            self._statistics = _all_statistics(self._catalogue)
            self._renew_info()
        except DatasetError:
            os.close(self._lock)
            raise
        self._closed = False
        self._held = self._nothing_held()

    def __enter__(self) -> DatasetWriter:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Drop the episode under way and finish."""
        self.finalize()

    @property
    def catalogue(self) -> Catalogue:
        """What is saved."""
        return self._catalogue

    def add_frame(self, row: Mapping[str, Any]) -> None:
        """Add a row to the episode under way.

        Args:
            row: Every feature but those that are filled in: a picture as (H, W, 3) uint8 RGB,
                numbers as an array, a text as str.

        Raises:
            DatasetError: The row does not fit, and is not added; or a video cannot be written,
                and the episode under way is dropped.
        """
        self._require_open()
        try:
            self._held.add(row)
        except VideoError as error:
            self.discard_episode()
            raise DatasetError(f"{error}; the episode under way is dropped") from error

    def save_episode(self, task: str) -> Episode:
        """Write the episode under way into the dataset.

        Args:
            task: The instruction.

        Returns:
            The episode.

        Raises:
            DatasetError: There are no rows, or it cannot be written: then its rows are still held,
                and it may be called again; but for a video that cannot be finished, which costs
                the episode.
        """
        self._require_open()
        if self._held.rows == 0:
            raise DatasetError(f"{self._root}: there are no rows to save; add some")
        if not isinstance(task, str) or not task.strip() or len(task) > MAX_TASK_LETTERS:
            raise DatasetError(
                f"{self._root}: task: is no instruction of 1 to {MAX_TASK_LETTERS} letters"
            )
        catalogue = self._catalogue
        tasks = catalogue.tasks if task in catalogue.tasks else (*catalogue.tasks, task)
        number, first = len(catalogue.episodes), catalogue.rows
        columns = self._held.columns(number, first, tasks.index(task))
        statistics = of_episode(catalogue.features, columns, self._held.tallies)
        try:
            videos = self._held.finished_videos()
        except VideoError as error:
            self.discard_episode()
            raise DatasetError(f"{error}; the episode under way is dropped") from error
        if tasks != catalogue.tasks:
            write_tasks(self._root / TASKS, tasks)
        place = self._write_rows(row_table(catalogue.features, columns))
        episode = Episode(
            index=number,
            tasks=(task,),
            from_index=first,
            to_index=first + self._held.rows,
            place=place,
            videos=videos,
            statistics=statistics,
        )
        self._write_episode(episode)
        self._catalogue = replace(
            self._catalogue, episodes=(*catalogue.episodes, episode), tasks=tasks
        )
        # From here on it is saved: what follows can be made anew from it.
        self._statistics = together(
            [self._statistics, statistics] if self._statistics else [statistics]
        )
        self._held = self._nothing_held()
        try:
            self._renew_info()
        except DatasetError as error:
            raise DatasetError(f"{error}; episode {episode.index} itself is saved") from error
        return episode

    def discard_episode(self) -> None:
        """Drop the episode under way."""
        self._held.discard()
        self._held = self._nothing_held()

    def delete_last_episode(self) -> None:
        """Take the newest saved episode out of the dataset, for good.

        Raises:
            DatasetError: There is none, or a file cannot be written.
        """
        self._require_open()
        if self._held.rows:
            raise DatasetError(
                f"{self._root}: an episode is under way; save or discard it before one is deleted"
            )
        if not self._catalogue.episodes:
            raise DatasetError(f"{self._root}: has no episode to delete")
        # First the count, since fewer counted than there are means nothing is amiss.
        count = len(self._catalogue.episodes) - 1
        write_json(self._root / INFO, {**self._catalogue.info, "total_episodes": count})
        path = self._catalogue.episode_files[-1]
        rows = Rows(path)
        if rows.count > 1:
            write_whole(path, packed([rows.read(0, rows.count - 1)]))
        else:
            with told_in_one_line(path, "removed"):
                path.unlink()
        self._catalogue = settle(load(self._root))
        self._held = self._nothing_held()
        self._statistics = _all_statistics(self._catalogue)
        self._renew_info()

    def finalize(self) -> None:
        """Write the statistics with true quantiles and end. It may be called twice.

        Raises:
            DatasetError: The statistics cannot be written. The dataset is complete without.
        """
        if self._closed:
            return
        self.discard_episode()
        self._closed = True
        try:
            if self._statistics:
                dataset = Dataset(self._root)
                numeric = [
                    name
                    for name, feature in self._catalogue.features.items()
                    if not feature.is_picture and feature.dtype not in TEXTUAL
                ]
                exact = with_exact_quantiles(
                    self._statistics, ((name, dataset.column(name)) for name in numeric)
                )
                write_json(self._root / STATS, to_json(exact))
        finally:
            os.close(self._lock)

    def _begin(self, features: dict[str, Feature], fps: int, robot_type: str | None) -> None:
        with told_in_one_line(self._root, "written"):
            self._root.mkdir(parents=True, exist_ok=True)
            strangers = [entry.name for entry in self._root.iterdir() if entry.name != "meta"]
        if strangers:
            raise DatasetError(
                f"{self._root}: is no dataset and holds {strangers[0]}; give an empty folder"
            )
        write_json(self._root / INFO, new_info(fps, robot_type, features))

    def _fitting(
        self, wanted: Mapping[str, Feature], fps: int, robot_type: str | None
    ) -> Catalogue:
        found = load(self._root)
        have = RowKind(found.fps, found.robot_type, found.features)
        problem = have.misfit(RowKind(fps, robot_type, wanted))
        if problem:
            raise DatasetError(f"{self._root}: {problem}")
        return found

    def _nothing_held(self) -> HeldEpisode:
        found = self._catalogue
        last = found.episodes[-1] if found.episodes else None
        places = {
            name: following(last.videos[name].place) if last else (0, 0)
            for name, feature in found.features.items()
            if feature.dtype == VIDEO
        }
        own = own_features(found.features)
        return HeldEpisode(self._root, own, found.fps, self._codec, places)

    def _write_rows(self, table: pa.Table) -> Place:
        """Write the rows of an episode, behind others or into a file of their own."""
        episodes = self._catalogue.episodes
        place: Place = (0, 0)
        before: list[pa.Table] = []
        if episodes:
            place = episodes[-1].place
            path = self._root / data_path(place)
            rows = Rows(path)
            # A dataset from elsewhere may hold the same values in other columns of Arrow's.
            table = as_before(table, rows.schema, path)
            with told_in_one_line(path, "read"):
                size = path.stat().st_size
            if size + table.nbytes <= PACKED_BYTES:
                before = rows.groups()
            else:
                place = following(place)
        write_whole(self._root / data_path(place), packed([*before, table]))
        return place

    def _write_episode(self, episode: Episode) -> None:
        """Write the row of the table of episodes: with it, the episode is saved."""
        files = self._catalogue.episode_files
        place: Place = (0, 0)
        schema = episode_schema(self._catalogue.features)
        before: list[pa.Table] = []
        if files:
            rows = Rows(files[-1])
            schema = rows.schema
            place = place_of(files[-1])
            if rows.count < EPISODES_A_FILE:
                before = [rows.read(0, rows.count)]
            else:
                place = following(place)
        path = self._root / episodes_path(place)
        ours = episode_schema(self._catalogue.features)
        table = as_before(pa.Table.from_pylist([episode_row(episode, place)], ours), schema, path)
        write_whole(path, packed([pa.concat_tables([*before, table]).combine_chunks()]))
        if path not in files:
            self._catalogue = replace(self._catalogue, episode_files=(*files, path))

    def _renew_info(self) -> None:
        """Write what follows from the episodes: the totals, and the statistics."""
        found = self._catalogue
        count = len(found.episodes)
        info = {
            **found.info,
            "total_episodes": count,
            "total_frames": found.rows,
            "total_tasks": len(found.tasks),
            "splits": {"train": f"0:{count}"} if count else {},
        }
        if self._statistics:
            write_json(self._root / STATS, to_json(self._statistics))
        elif not count:
            (self._root / STATS).unlink(missing_ok=True)
        write_json(self._root / INFO, info)

    def _require_open(self) -> None:
        if self._closed:
            raise DatasetError(f"{self._root}: is finalized; open it again with resume")


def locked(root: Path, *, wait: bool = False) -> int:
    """Return a descriptor that holds the dataset until it is closed.

    Args:
        root: Its folder.
        wait: For another process that holds it.

    Raises:
        DatasetError: Another process holds it, or there is no such folder.
    """
    with told_in_one_line(root, "opened"):
        descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        raise DatasetError(f"{root}: another process writes on it; wait for its end") from None
    return descriptor


def _all_statistics(catalogue: Catalogue) -> Statistics:
    parts = [episode.statistics for episode in catalogue.episodes]
    return together(parts) if parts and all(parts) else {}
