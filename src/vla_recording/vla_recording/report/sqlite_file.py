# SPDX-License-Identifier: Apache-2.0
"""Read the messages of a rosbag2 SQLite file."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from vla_recording.report import unpack
from vla_recording.report.errors import ReportError
from vla_recording.report.files import (
    Channel,
    Findings,
    Messages,
    one_line,
)


def read_sqlite(
    path: Path, wanted: frozenset[str], findings: Findings, scratch: Path, packed: bool
) -> Messages:
    """Yield the messages of the wanted types, in the order in which they were written."""
    try:
        with _opened(path, findings, scratch) as base:
            yield from _messages(base, path, wanted, findings, packed)
    except sqlite3.Error as error:
        raise ReportError(f"{path}: cannot be read: {one_line(error)}") from None


@contextmanager
def _opened(path: Path, findings: Findings, scratch: Path) -> Iterator[sqlite3.Connection]:
    """Open a database without changing anything beside it."""
    source, how = path, "immutable=1"
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        # A recorder that was killed leaves what it wrote last in a log of its own. To read it
        # SQLite must write beside it, so that is done with a copy.
        if 2 * (path.stat().st_size + log.stat().st_size) > shutil.disk_usage(scratch).free:
            raise ReportError(
                f"{path}: it has a -wal file, which is read from a copy, and {scratch.parent} has "
                "no room for one; set TMPDIR to a folder on a larger disk"
            )
        source, how = scratch / "log.db3", "mode=rw"
        shutil.copyfile(path, source)
        shutil.copyfile(log, source.with_name("log.db3-wal"))
        findings.note(f"{path.name}: the recorder was killed; what is in {log.name} is read too")
    base = sqlite3.connect(f"file:{quote(str(source))}?{how}", uri=True)
    try:
        base.execute("PRAGMA trusted_schema=OFF")
        base.execute("PRAGMA cell_size_check=ON")
        yield base
    finally:
        base.close()
        if source != path:
            for file in scratch.glob("log.db3*"):
                file.unlink()


def _messages(
    base: sqlite3.Connection,
    path: Path,
    wanted: frozenset[str],
    findings: Findings,
    packed: bool,
) -> Messages:
    tables = {
        str(name)
        for name, kind in base.execute("SELECT name, type FROM sqlite_master")
        if kind == "table"
    }
    if not {"topics", "messages"} <= tables:
        raise ReportError(
            f"{path}: it has no table of messages. Was the recorder killed? Then copy "
            f"{path.name}-wal into the same folder; otherwise it is no rosbag2 file"
        )
    definitions = {}
    if "message_definitions" in tables:
        try:
            definitions = {
                str(name): (str(text or ""), str(form or ""))
                for name, form, text in base.execute(
                    "SELECT topic_type, encoding, encoded_message_definition "
                    "FROM message_definitions WHERE length(encoded_message_definition) < 1048576"
                )
            }
        except sqlite3.Error as error:
            findings.note(f"{path.name}: its message definitions are unusable: {one_line(error)}")
    channels: dict[int, Channel] = {}
    for number, topic, name, encoding in base.execute(
        "SELECT id, name, type, serialization_format FROM topics LIMIT 100000"
    ):
        text, form = definitions.get(str(name), ("", ""))
        channel = Channel(
            str(topic),
            str(name),
            str(encoding),
            text,
            {"ros2msg": "msg", "ros2idl": "idl"}.get(form, ""),
        )
        findings.channels[channel.topic] = channel
        findings.messages.setdefault(channel.topic, 0)
        if channel.msgtype in wanted:
            if channel.encoding == "cdr":
                channels[number] = channel
            else:
                findings.lost(f"{topic}: {name} as {encoding} is not read here; cdr is")
    if not channels:
        return
    marks = ",".join("?" * len(channels))
    try:
        rows = base.execute(
            f"SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN ({marks}) "
            f"AND length(data) <= {findings.largest_message} ORDER BY id",
            tuple(channels),
        )
        for number, received, data in rows:
            channel = channels[number]
            findings.messages[channel.topic] += 1
            if not isinstance(data, bytes) or not isinstance(received, int):
                findings.lost(f"{channel.topic}: rows that are no messages are left out")
                continue
            if packed:
                try:
                    data = unpack.unpacked(data, findings.largest_message)
                except unpack.PackedError as error:
                    findings.lost(
                        f"{channel.topic}: messages that cannot be unpacked: {one_line(error)}"
                    )
                    continue
            yield channel, received, data
    except sqlite3.Error as error:
        findings.lost(
            f"{path.name}: it is damaged, the rest was left out: {one_line(error)}; "
            "`sqlite3 FILE .recover` may save more"
        )
