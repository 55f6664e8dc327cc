# SPDX-License-Identifier: Apache-2.0
"""Change what an episode that is saved was told to do."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vla_recording.dataset.catalogue import Catalogue, Episode, load
from vla_recording.dataset.errors import DatasetError
from vla_recording.dataset.files import INFO, TASKS, data_path, write_json, write_whole
from vla_recording.dataset.settle import settle
from vla_recording.dataset.statistics import to_json
from vla_recording.dataset.tables import Rows, packed, write_tasks
from vla_recording.dataset.writer import MAX_TASK_LETTERS, locked


def set_task(root: str | Path, episode: int, task: str) -> None:
    """Give a saved episode another instruction.

    The tasks are written first, the rows next and the table of episodes last: interrupted, it is
    called again.

    Args:
        root: Folder of the dataset.
        episode: Its index.
        task: The instruction.

    Raises:
        DatasetError: There is no such episode, the text is none, or a file cannot be written.
    """
    root = Path(root)
    if not task.strip() or len(task) > MAX_TASK_LETTERS:
        raise DatasetError(f"{root}: task: is no instruction of 1 to {MAX_TASK_LETTERS} letters")
    lock = locked(root)
    try:
        found = settle(load(root))
        if not 0 <= episode < len(found.episodes):
            raise DatasetError(f"{root}: has {len(found.episodes)} episodes, and no {episode}")
        tasks = found.tasks if task in found.tasks else (*found.tasks, task)
        if tasks != found.tasks:
            write_tasks(root / TASKS, tasks)
        chosen, index = found.episodes[episode], tasks.index(task)
        _rewrite_rows(found, chosen, index)
        _rewrite_episode(found, chosen, task, index)
        write_json(root / INFO, {**found.info, "total_tasks": len(settle(load(root)).tasks)})
    finally:
        os.close(lock)


def _rewrite_rows(found: Catalogue, chosen: Episode, task_index: int) -> None:
    path = found.root / data_path(chosen.place)
    rows = Rows(path)
    first = next(each for each in found.episodes if each.place == chosen.place).from_index
    begin, end, at = chosen.from_index - first, chosen.to_index - first, 0
    parts = []
    for group in rows.groups():
        column = group.schema.get_field_index("task_index")
        values = np.array(group.column("task_index").to_numpy())
        inside = np.arange(at, at + group.num_rows)
        values[(inside >= begin) & (inside < end)] = task_index
        field = group.schema.field(column)
        parts.append(group.set_column(column, field, pa.array(values, field.type)))
        at += group.num_rows
    write_whole(path, packed(parts))


def _rewrite_episode(found: Catalogue, chosen: Episode, task: str, task_index: int) -> None:
    before = 0
    for path in found.episode_files:
        rows = Rows(path)
        if chosen.index < before + rows.count:
            break
        before += rows.count
    table = rows.read(0, rows.count).combine_chunks()
    told = table.to_pylist()
    row = told[chosen.index - before]
    row["tasks"] = [task]
    same = {"task_index": _statistics_of(chosen, task_index)}
    for name, value in to_json(same).get("task_index", {}).items():
        if f"stats/task_index/{name}" in row:
            row[f"stats/task_index/{name}"] = value
    write_whole(path, packed([pa.Table.from_pylist(told, schema=table.schema)]))


def _statistics_of(chosen: Episode, task_index: int) -> dict[str, NDArray[np.float64]]:
    """Return the statistics of a column in which every value is the same."""
    known = chosen.statistics.get("task_index", {})
    return {
        name: values
        if name == "count"
        else np.full_like(values, 0.0 if name == "std" else float(task_index))
        for name, values in known.items()
    }
