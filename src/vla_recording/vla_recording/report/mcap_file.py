# SPDX-License-Identifier: Apache-2.0
"""Read the messages of an MCAP file from front to back (https://mcap.dev/spec).

Readers that begin at the end of the file, where its index is, refuse one that was cut off, and
trust its counts. This one needs no index, takes what lies before a cut, passes over topics of any
encoding, and holds no more than one chunk.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from lz4.frame import LZ4FrameDecompressor

from vla_recording.report import unpack
from vla_recording.report.errors import ReportError
from vla_recording.report.files import (
    Channel,
    Findings,
    Messages,
    one_line,
)

_MAGIC = b"\x89MCAP0\r\n"
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 2, 3, 4, 5, 6, 15
_LARGEST_CHUNK = 256 << 20
_LARGEST_SCHEMA = 1 << 20
_RECOVER = "`mcap recover` may save more"


class _DamagedError(Exception):
    """A record is not as it should be."""


def read_mcap(
    path: Path, wanted: frozenset[str], findings: Findings, scratch: Path, packed: bool
) -> Messages:
    """Yield the messages of the wanted types, in the order of the file."""
    reader = _Reader(path, wanted, findings)
    with path.open("rb") as file:
        yield from reader.records(file, path.stat().st_size)


class _Reader:
    def __init__(self, path: Path, wanted: frozenset[str], findings: Findings) -> None:
        self._path, self._wanted, self._findings = path, wanted, findings
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._channels: dict[int, Channel] = {}
        self._read: dict[int, Channel] = {}

    def records(self, file: BinaryIO, size: int) -> Messages:
        file.seek(len(_MAGIC))
        seen = False
        while True:
            head = file.read(9)
            if len(head) < 9:
                break
            kind, length = struct.unpack("<BQ", head)
            if kind in (_DATA_END, _FOOTER):
                if not _is_whole(file, size):
                    self._findings.note(f"{self._path.name}: its index is cut off, its data not")
                return
            if length > size - file.tell():
                if kind == _CHUNK:
                    for message in self._cut_chunk(file.read(_LARGEST_CHUNK)):
                        seen = True
                        yield message
                break
            if kind not in (_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK):
                file.seek(length, 1)
                continue
            try:
                if kind == _CHUNK:
                    data = self._chunk(file, length)
                    if data is not None:
                        yield from self._within(data)
                        seen = True
                elif length > _LARGEST_CHUNK:
                    file.seek(length, 1)
                else:
                    found = self._record(kind, file.read(length))
                    if found is not None:
                        yield found
                        seen = True
            except (_DamagedError, struct.error) as error:
                self._findings.lost(
                    f"{self._path.name}: a part is damaged and left out: {one_line(error)}"
                )
        if not seen and not self._channels:
            raise ReportError(f"{self._path}: it was cut off before the first message; {_RECOVER}")
        self._findings.lost(
            f"{self._path.name}: it was cut off or is damaged, only what lies before that is "
            f"reported; {_RECOVER}"
        )

    def _chunk(self, file: BinaryIO, length: int) -> bytes | None:
        """Return what a chunk holds, or None where it cannot be unpacked."""
        after = file.tell() + length
        try:
            if length > _LARGEST_CHUNK:
                raise _DamagedError(f"a chunk of {length} bytes")
            body = file.read(length)
            size, crc, name = struct.unpack_from("<QII", body, 16)
            at = 32
            compression = body[at : at + name].decode("utf-8", "replace")
            (stored,) = struct.unpack_from("<Q", body, at + name)
            data = body[at + name + 8 :]
            if len(data) != stored:
                raise _DamagedError("a chunk of the wrong length")
            if size > _LARGEST_CHUNK:
                raise _DamagedError(f"a chunk that unpacks to {size} bytes")
            return self._unpack(compression, data, size, crc)
        finally:
            file.seek(after)

    def _cut_chunk(self, body: bytes) -> Messages:
        """Yield the messages at the beginning of a chunk that was cut off."""
        try:
            size, _, name = struct.unpack_from("<QII", body, 16)
            compression = body[32 : 32 + name].decode("utf-8", "replace")
            data = body[40 + name :]
            if compression == "zstd":
                data = unpack.unpacked(data, min(size, _LARGEST_CHUNK))
            elif compression == "lz4":
                data = LZ4FrameDecompressor().decompress(data, min(size, _LARGEST_CHUNK))
            elif compression:
                return
            yield from self._within(data)
        except (_DamagedError, struct.error, unpack.PackedError, RuntimeError, MemoryError):
            return

    def _unpack(self, compression: str, data: bytes, size: int, crc: int) -> bytes | None:
        try:
            if compression == "zstd":
                data = unpack.unpacked(data, size + 1)
            elif compression == "lz4":
                data = LZ4FrameDecompressor().decompress(data, max_length=size + 1)
            elif compression:
                self._findings.lost(
                    f"{self._path.name}: compression {compression!r} is not known here; "
                    "`mcap compress --compression zstd` may change it"
                )
                return None
        except (unpack.PackedError, RuntimeError, MemoryError) as error:
            raise _DamagedError(one_line(error)) from None
        if len(data) != size:
            raise _DamagedError("a chunk that unpacks to another length")
        if crc and zlib.crc32(data) != crc:
            raise _DamagedError("a chunk whose checksum is wrong")
        return data

    def _within(self, data: bytes) -> Messages:
        """Yield the messages of an unpacked chunk."""
        at, end = 0, len(data)
        head, unpack = struct.Struct("<BQ"), struct.Struct("<HIQQ").unpack_from
        counts, read = self._findings.messages, self._read
        largest = self._findings.largest_message
        while end - at >= 9:
            kind, length = head.unpack_from(data, at)
            at += 9
            if length > end - at:
                raise _DamagedError("a record that is longer than its chunk")
            if kind == _MESSAGE and 22 <= length <= largest:
                number, _, received, _ = unpack(data, at)
                channel = read.get(number)
                if channel is not None:
                    counts[channel.topic] += 1
                    yield channel, received, data[at + 22 : at + length]
                elif number in self._channels:
                    counts[self._channels[number].topic] += 1
            elif kind in (_SCHEMA, _CHANNEL, _MESSAGE):
                self._record(kind, data[at : at + length])
            at += length

    def _record(self, kind: int, body: bytes) -> tuple[Channel, int, bytes] | None:
        if kind == _MESSAGE:
            number, _, received, _ = struct.unpack_from("<HIQQ", body)
            channel = self._channels.get(number)
            if channel is None:
                self._findings.lost(f"{self._path.name}: messages of a topic that it never names")
                return None
            self._findings.messages[channel.topic] += 1
            if number not in self._read:
                return None
            if len(body) > self._findings.largest_message:
                self._findings.lost(f"{channel.topic}: a message of {len(body)} bytes is left out")
                return None
            return channel, received, body[22:]
        (number,) = struct.unpack_from("<H", body)
        if kind == _SCHEMA:
            name, at = _text(body, 2)
            encoding, at = _text(body, at)
            (size,) = struct.unpack_from("<I", body, at)
            known = size <= _LARGEST_SCHEMA
            text = body[at + 4 : at + 4 + size].decode("utf-8", "replace") if known else ""
            self._schemas[number] = name, encoding, text
            return None
        (schema,) = struct.unpack_from("<H", body, 2)
        topic, at = _text(body, 4)
        encoding, _ = _text(body, at)
        name, form, text = self._schemas.get(schema, ("", "", ""))
        channel = Channel(
            topic,
            _as_ros2(name),
            encoding,
            text,
            {"ros2msg": "msg", "ros1msg": "msg", "ros2idl": "idl"}.get(form, ""),
        )
        self._channels[number] = channel
        known = self._findings.channels.get(topic)
        if known is None or known.msgtype not in self._wanted:
            self._findings.channels[topic] = channel
        self._findings.messages.setdefault(topic, 0)
        if channel.msgtype in self._wanted:
            if encoding in ("cdr", "ros1"):
                self._read[number] = channel
            else:
                self._findings.lost(
                    f"{topic}: {channel.msgtype} as {encoding or 'an unnamed encoding'} is not "
                    "read here; cdr and ros1 are"
                )
        return None


def _text(body: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from("<I", body, at)
    if size > len(body) - at - 4:
        raise _DamagedError("a text that is longer than its record")
    return body[at + 4 : at + 4 + size].decode("utf-8", "replace"), at + 4 + size


def _as_ros2(name: str) -> str:
    parts = name.split("/")
    return f"{parts[0]}/msg/{parts[1]}" if len(parts) == 2 else name


def _is_whole(file: BinaryIO, size: int) -> bool:
    file.seek(size - len(_MAGIC))
    return file.read() == _MAGIC
