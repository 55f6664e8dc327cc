# SPDX-License-Identifier: Apache-2.0
"""Parquet files of a dataset: rows, episodes and tasks.

Each episode is a row group of its own in the file of rows, so that one can be read alone. A file
is never written on: it is written anew with one more row group, and takes the old one's place.
"""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vla_recording.dataset.errors import DatasetError
from vla_recording.dataset.features import IMAGE, STRING, VIDEO, Feature
from vla_recording.dataset.files import MAX_FILE_BYTES, told_in_one_line, write_whole
from vla_recording.dataset.statistics import NAMES, Statistics

# Of what is read at once, after it was unpacked.
MAX_UNPACKED_BYTES = 2 << 30
_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def row_schema(features: Mapping[str, Feature]) -> pa.Schema:
    """Return the columns of the file of rows. Videos have none."""
    fields = []
    for name, feature in features.items():
        if feature.dtype == IMAGE:
            fields.append(pa.field(name, _PICTURE))
        elif feature.dtype != VIDEO:
            kind = pa.string() if feature.dtype == STRING else _arrow(feature.dtype)
            if feature.shape != (1,):
                kind = pa.list_(kind, feature.size)
            fields.append(pa.field(name, kind))
    return pa.schema(fields)


def _arrow(dtype: str) -> pa.DataType:
    return pa.bool_() if dtype == "bool" else pa.from_numpy_dtype(np.dtype(dtype))


def row_table(
    features: Mapping[str, Feature],
    columns: Mapping[str, NDArray[np.generic] | Sequence[str] | Sequence[bytes]],
) -> pa.Table:
    """Return the rows of an episode.

    Args:
        features: All of the dataset's.
        columns: By feature: (T, N) numbers, T texts, or T PNG files.
    """
    schema = row_schema(features)
    arrays = []
    for name in schema.names:
        values, feature = columns[name], features[name]
        if feature.dtype == IMAGE:
            files = pa.array(values, pa.binary())
            paths = pa.array([f"frame-{index:06d}.png" for index in range(len(values))])
            arrays.append(pa.StructArray.from_arrays([files, paths], ["bytes", "path"]))
        elif isinstance(values, np.ndarray):
            flat = pa.array(values.ravel())
            if feature.shape == (1,):
                arrays.append(flat)
            else:
                arrays.append(pa.FixedSizeListArray.from_arrays(flat, feature.size))
        else:
            arrays.append(pa.array(values, pa.string()))
    return pa.Table.from_arrays(arrays, schema=schema)


def episode_schema(features: Mapping[str, Feature]) -> pa.Schema:
    """Return the columns of the table of episodes."""
    fields: list[tuple[str, pa.DataType]] = [
        ("episode_index", pa.int64()),
        ("tasks", pa.list_(pa.string())),
        ("length", pa.int64()),
        ("data/chunk_index", pa.int64()),
        ("data/file_index", pa.int64()),
        ("dataset_from_index", pa.int64()),
        ("dataset_to_index", pa.int64()),
    ]
    for name, feature in features.items():
        if feature.dtype == VIDEO:
            fields += [
                (f"videos/{name}/chunk_index", pa.int64()),
                (f"videos/{name}/file_index", pa.int64()),
                (f"videos/{name}/from_timestamp", pa.float64()),
                (f"videos/{name}/to_timestamp", pa.float64()),
            ]
    for name, feature in features.items():
        if feature.dtype == STRING:
            continue
        kind: pa.DataType = pa.list_(pa.float64())
        if feature.is_picture:
            kind = pa.list_(pa.list_(kind))
        for statistic in NAMES:
            counted = statistic == "count"
            fields.append((f"stats/{name}/{statistic}", pa.list_(pa.int64()) if counted else kind))
    fields += [("meta/episodes/chunk_index", pa.int64()), ("meta/episodes/file_index", pa.int64())]
    return pa.schema(fields)


def statistics_of_row(row: Mapping[str, Any]) -> Statistics:
    """Return the statistics that a row of the table of episodes holds."""
    found: Statistics = {}
    for key, value in row.items():
        if key.startswith("stats/") and value is not None:
            name, statistic = key[len("stats/") :].rsplit("/", 1)
            found.setdefault(name, {})[statistic] = np.asarray(value, dtype=np.float64)
    return found


def as_before(table: pa.Table, schema: pa.Schema, path: Path) -> pa.Table:
    """Return rows with the columns of those that lie in a file already, from another writer.

    LeRobot keeps the least and most of flags as flags, and may have columns that are not ours.

    Raises:
        DatasetError: A value is none of that column.
    """
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        try:
            columns.append(table.column(field.name).cast(field.type, safe=False))
        except (ValueError, pa.ArrowException) as error:
            why = str(error).split("\n", 1)[0]
            raise DatasetError(
                f"{path}: its column {field.name} takes no such value: {why}"
            ) from None
    return pa.Table.from_arrays(columns, schema=schema)


def packed(tables: Sequence[pa.Table]) -> bytes:
    """Return a parquet file with a row group for each table."""
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, tables[0].schema, compression="snappy") as writer:
        for table in tables:
            writer.write_table(table)
    return buffer.getvalue()


class Rows:
    """A parquet file that is read by row groups, each judged by its size before it is unpacked."""

    def __init__(self, path: Path) -> None:
        """Read what the file says of itself.

        Raises:
            DatasetError: It is missing, damaged or too large.
        """
        self.path = path
        with told_in_one_line(path, "read"):
            size, mode = path.stat().st_size, path.stat().st_mode
            if not stat.S_ISREG(mode):  # a pipe would be waited for
                raise DatasetError(f"{path}: is no file; restore it from a copy")
            if size > MAX_FILE_BYTES:
                raise DatasetError(f"{path}: has {size} bytes; at most {MAX_FILE_BYTES} are read")
        try:
            # Of a file, not of its name: pyarrow's own reader keeps the name's file open.
            self._file = pq.ParquetFile(pa.OSFile(str(path)))
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(error) from None
        told = self._file.metadata
        self.lengths = [told.row_group(i).num_rows for i in range(told.num_row_groups)]
        self.schema = self._file.schema_arrow
        self.columns = list(self.schema.names)

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(self.lengths)

    def read(self, begin: int, end: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return rows `begin` to `end`, all columns or those named.

        Raises:
            DatasetError: They are damaged, or not there.
        """
        if not 0 <= begin <= end <= self.count:
            raise DatasetError(
                f"{self.path}: has {self.count} rows, and not the rows {begin} to {end}; "
                "restore it from a copy"
            )
        starts = np.concatenate([[0], np.cumsum(self.lengths)])
        groups = [
            index
            for index in range(len(self.lengths))
            if starts[index] < end and starts[index + 1] > begin
        ]
        if not groups:
            groups = [0] if self.lengths else []
        told = self._file.metadata
        size = sum(told.row_group(index).total_byte_size for index in groups)
        if size > MAX_UNPACKED_BYTES:
            raise DatasetError(
                f"{self.path}: {size} bytes would be unpacked; at most {MAX_UNPACKED_BYTES} are"
            )
        try:
            table = self._file.read_row_groups(
                groups, columns=None if columns is None else list(columns), use_threads=False
            )
            if columns is not None:
                table = table.select(list(columns))
        except (OSError, pa.ArrowException, KeyError) as error:
            raise self._damaged(error) from None
        first = int(starts[groups[0]]) if groups else 0
        return table.slice(begin - first, end - begin)

    def groups(self) -> list[pa.Table]:
        """Return every row group."""
        starts = np.concatenate([[0], np.cumsum(self.lengths)]).tolist()
        return [self.read(a, b) for a, b in pairwise(starts)]

    def _damaged(self, error: Exception) -> DatasetError:
        why = str(error).split("\n", 1)[0]
        return DatasetError(f"{self.path}: is damaged: {why:.200}; restore it from a copy")


def numbers(table: pa.Table, name: str, feature: Feature, where: str) -> NDArray[Any]:
    """Return a column as (T, *shape) of the feature's type.

    Raises:
        DatasetError: A value is missing or of another size or type.
    """
    column = table.column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    while True:
        if isinstance(column, pa.ExtensionArray):
            column = column.storage
        if column.null_count:
            raise DatasetError(f"{where}: {name}: a value is missing")
        kind = column.type
        if not (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
                or pa.types.is_large_list(kind)):  # fmt: skip
            break
        column = column.flatten()
    if len(column) != table.num_rows * feature.size:
        raise DatasetError(
            f"{where}: {name}: has {len(column)} numbers in {table.num_rows} rows, "
            f"info.json says {feature.size} a row"
        )
    try:
        values = column.to_numpy(zero_copy_only=False)
        found = np.asarray(values).astype(feature.dtype, casting="same_kind")
    except (TypeError, ValueError, pa.ArrowException):
        raise DatasetError(f"{where}: {name}: is no column of {feature.dtype}") from None
    return found.reshape(table.num_rows, *feature.shape)


def write_tasks(path: Path, tasks: Sequence[str]) -> None:
    """Write the table of tasks: the text is its index, as pandas stores one."""
    told = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_type,
             "metadata": None}
            for name, kind, numpy_type in (("task_index", "int64", "int64"),
                                           ("task", "unicode", "object"))
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.0",
    }  # fmt: skip
    schema = pa.schema(
        [("task_index", pa.int64()), ("task", pa.string())],
        metadata={b"pandas": json.dumps(told).encode()},
    )
    arrays = [pa.array(range(len(tasks)), pa.int64()), pa.array(tasks, pa.string())]
    write_whole(path, packed([pa.Table.from_arrays(arrays, schema=schema)]))


def read_tasks(path: Path) -> tuple[str, ...]:
    """Return the tasks, by their index.

    Raises:
        DatasetError: The file is damaged or its indices are not 0, 1, 2 ...
    """
    rows = Rows(path)
    texts = [name for name in rows.columns if name != "task_index"]
    if "task_index" not in rows.columns or len(texts) != 1:
        raise DatasetError(f"{path}: has no columns task and task_index; restore it from a copy")
    found = rows.read(0, rows.count).to_pydict()
    ordered = sorted(zip(found["task_index"], found[texts[0]], strict=True))
    indices = [index for index, _ in ordered]
    if indices != list(range(len(indices))) or not all(isinstance(t, str) for _, t in ordered):
        raise DatasetError(f"{path}: its indices are not 0 to {len(ordered) - 1}, a text each")
    return tuple(text for _, text in ordered)
