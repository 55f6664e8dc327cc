# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 bag reindex``: make a bag readable whose recorder was killed.

An MCAP file is a sequence of records; the index and the metadata follow the last. What stands in
the file up to where it breaks off is written anew, with both.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import (
    DECOMPRESSORS,
    get_qos,
    read_bytes,
    read_exact,
    read_string,
)

from . import CommandError

_MAGIC = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x03, 0x04, 0x05, 0x06
_HEAD = struct.Struct("<BQ")
_MESSAGE_HEAD = struct.Struct("<HIQQ")
_CHUNK_HEAD = struct.Struct("<QQQI")
# No record of a recorder is longer; a number beyond it is no length.
_LONGEST = 1 << 32


class _Channel(NamedTuple):
    schema: int
    topic: str
    encoding: str
    metadata: bytes


def _records(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, content) of the records that are whole, and of a chunk what is there of it."""
    while True:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return
        kind, length = _HEAD.unpack(head)
        if length > min(size - file.tell(), _LONGEST) and kind != _CHUNK:
            return
        yield kind, file.read(min(length, size - file.tell(), _LONGEST))


def _flat(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the records, those within chunks too."""
    for kind, content in _records(file, size):
        if kind != _CHUNK:
            yield kind, content
            continue
        try:
            chunk = BytesIO(content)
            _, _, length, _ = _CHUNK_HEAD.unpack(chunk.read(_CHUNK_HEAD.size))
            compression = read_string(chunk)
            read_exact(chunk, 8)
            data = DECOMPRESSORS[compression](chunk.read(), length)
        except Exception:  # cut off, in its head or, if compressed, anywhere: each library's own
            return
        yield from _records(BytesIO(data), len(data))


def reindex(path: Path) -> int:
    """Write a bag anew from what its MCAP file holds; return how many messages that is.

    Args:
        path: The bag's folder. The broken file stays beside it, as `.broken`.

    Raises:
        CommandError: If there is no MCAP file, or nothing in it can be read.
    """
    files = sorted(path.glob("*.mcap")) if path.is_dir() else []
    if len(files) != 1:
        raise CommandError(f"'{path}' must be the folder of a bag with one MCAP file")
    fresh = path.with_name(path.name + ".reindexed")
    kept = path.with_name(path.name + ".broken")
    for other in (fresh, kept):
        if other.exists():
            raise CommandError(f"'{other}' is in the way; move it elsewhere")
    count = 0
    try:
        with files[0].open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise CommandError(f"'{files[0]}' does not begin like an MCAP file")
            writer = Writer(fresh, version=9, storage_plugin=StoragePlugin.MCAP)
            with writer:
                count = _copy(_flat(file, files[0].stat().st_size), writer)
        if not count:
            raise CommandError(f"'{files[0]}' holds no whole message")
    except (CommandError, OSError):
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    (fresh / f"{fresh.name}.mcap").rename(fresh / files[0].name)
    metadata = fresh / "metadata.yaml"
    text = metadata.read_text(encoding="utf-8")
    metadata.write_text(text.replace(f"{fresh.name}.mcap", files[0].name), encoding="utf-8")
    path.rename(kept)
    fresh.rename(path)
    return count


def _copy(records: Iterator[tuple[int, bytes]], writer: Writer) -> int:
    schemas: dict[int, tuple[str, str]] = {}
    channels: dict[int, _Channel] = {}
    connections: dict[int, Any] = {}
    count = 0
    for kind, content in records:
        record = BytesIO(content)
        if kind == _SCHEMA:
            (number,) = struct.unpack("<H", record.read(2))
            name, _ = read_string(record), read_string(record)
            schemas[number] = (name, read_string(record))
        elif kind == _CHANNEL:
            number, schema = struct.unpack("<HH", record.read(4))
            topic, encoding = read_string(record), read_string(record)
            channels[number] = _Channel(schema, topic, encoding, read_bytes(record))
        elif kind == _MESSAGE:
            number, _, stamp_ns, _ = _MESSAGE_HEAD.unpack(record.read(_MESSAGE_HEAD.size))
            channel = channels.get(number)
            if channel is None or channel.schema not in schemas:
                continue
            if number not in connections:
                name, definition = schemas[channel.schema]
                connections[number] = writer.add_connection(
                    channel.topic,
                    name,
                    msgdef=definition,
                    rihs01=_hash(name),
                    serialization_format=channel.encoding,
                    offered_qos_profiles=get_qos(channel.metadata),
                )
            writer.write(connections[number], stamp_ns, record.read())
            count += 1
    return count


def _hash(name: str) -> str:
    from embedded_ros2.interfaces import hashes
    from embedded_ros2.interfaces.parse import DefinitionError

    try:
        return hashes.type_hash(name)
    except DefinitionError:
        return "RIHS01_" + "0" * 64  # bags without hashes have zeros there
