# SPDX-License-Identifier: Apache-2.0
"""Take away what an episode that was never saved, or was deleted, has left on the disk."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from vla_recording.dataset.catalogue import Catalogue, Place
from vla_recording.dataset.errors import DatasetError
from vla_recording.dataset.features import VIDEO
from vla_recording.dataset.files import (
    TASKS,
    UNFINISHED,
    data_path,
    following,
    told_in_one_line,
    video_path,
    write_whole,
)
from vla_recording.dataset.tables import Rows, packed, write_tasks


def settle(catalogue: Catalogue) -> Catalogue:
    """Bring the files of a dataset into agreement with its table of episodes.

    Only what this writer can have left is removed: unfinished files, rows behind the last
    episode's, the one file that would have come next, and tasks behind the last one in use.

    Returns:
        The catalogue as it is now.

    Raises:
        DatasetError: There is a file that belongs to no episode and cannot be of this kind, or one
            cannot be removed. Nothing was changed but what is named above.
    """
    root = catalogue.root
    unfinished = list(root.rglob(f"*{UNFINISHED}"))
    episodes = catalogue.episodes
    last = episodes[-1] if episodes else None

    used = {data_path(episode.place) for episode in episodes}
    spare = list(_beyond(root, "data", used, data_path, last.place if last else None))
    for name, feature in catalogue.features.items():
        if feature.dtype == VIDEO:
            used = {video_path(name, episode.videos[name].place) for episode in episodes}
            place = last.videos[name].place if last else None
            folder = f"videos/{name}"
            spare += _beyond(root, folder, used, lambda p, n=name: video_path(n, p), place)
    for path in (*unfinished, *spare):
        with told_in_one_line(path, "removed"):
            path.unlink()
    if last is not None:
        _cut_rows(root / data_path(last.place), catalogue)
    tasks = _tasks_in_use(catalogue)
    if tasks != catalogue.tasks:
        write_tasks(root / TASKS, tasks)
    return replace(catalogue, tasks=tasks)


def _beyond(
    root: Path, folder: str, used: Collection[str], name_of: object, last: Place | None
) -> Iterator[Path]:
    """Yield the file that would have come next, where it is there."""
    assert callable(name_of)
    # After a deletion, or where there is no episode left, the next one may be any of these.
    expected = {name_of((0, 0))} if last is None else {name_of(following(last))}
    for path in sorted((root / folder).glob("chunk-*/file-*")):
        name = path.relative_to(root).as_posix()
        if path.name.endswith(UNFINISHED) or name in used:
            continue
        if name not in expected:
            raise DatasetError(f"{path}: belongs to no episode; move it out of the dataset")
        yield path


def _cut_rows(path: Path, catalogue: Catalogue) -> None:
    """Cut off the rows behind the last episode's."""
    rows = Rows(path)
    place = catalogue.episodes[-1].place
    first = next(each for each in catalogue.episodes if each.place == place)
    count = catalogue.rows - first.from_index
    if rows.count < count:
        raise DatasetError(
            f"{path}: has {rows.count} rows, its episodes have {count}; restore it from a copy"
        )
    if rows.count > count:
        kept, parts = 0, []
        for length in rows.lengths:
            end = min(kept + length, count)
            if end > kept:
                parts.append(rows.read(kept, end))
            kept = end
        write_whole(path, packed(parts))


def _tasks_in_use(catalogue: Catalogue) -> tuple[str, ...]:
    """Return the tasks without those at the end that no episode has."""
    known = set(catalogue.tasks)
    in_use = {task for episode in catalogue.episodes for task in episode.tasks}
    if in_use - known:
        raise DatasetError(
            f"{catalogue.root / TASKS}: lacks {min(in_use - known)!r:.60}; restore it from a copy"
        )
    tasks = list(catalogue.tasks)
    while tasks and tasks[-1] not in in_use:
        tasks.pop()
    return tuple(tasks)
