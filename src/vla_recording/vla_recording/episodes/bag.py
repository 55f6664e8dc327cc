# SPDX-License-Identifier: Apache-2.0
"""Writes an episode's topics as a bag (MCAP) while they come, in a thread of its own.

What was handed to the system is not lost with this process: chunks are closed and flushed twice a
second. Whoever brings messages never waits for the disk; when it cannot keep up, they are counted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError

from vla_recording.black_box.writer import Topic, hash_of
from vla_recording.report.unpack import zstd

# What a recorder that is killed may lose.
FLUSH_S = 0.5
# Left free on the disk: the end of the bag has to fit, and others need some too.
SPARE_BYTES = 64 << 20
# Of several, the one that takes the least time.
ZSTD_LEVEL = 1
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def no_room(folder: Path) -> str:
    """Say that there is no room for a bag, empty where there is."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return f"{folder}: {error.strerror}"
    if free >= SPARE_BYTES:
        return ""
    return f"{folder}: the disk is full: {free >> 20} MiB are free, {SPARE_BYTES >> 20} are kept"


class EpisodeBag:
    """One bag that is being written.

    Attributes:
        folder: Of the bag.
        written: Messages that are in it, or wait to be.
        dropped: By topic, messages that are not.
        done: It is complete, or will not be.
        full: It ended because the disk is full.
        problem: Why it is not complete, in words; empty where it is.
    """

    def __init__(
        self,
        folder: Path,
        topics: Mapping[str, Topic],
        max_bytes: int,
        *,
        compressed: bool,
        custom: Mapping[str, str] | None = None,
    ) -> None:
        """Begin a bag, and the thread that writes it.

        Args:
            folder: Where; it must not be there.
            topics: By name. Others may come with `add_topic`.
            max_bytes: Of messages that wait to be written.
            compressed: By Zstandard, chunk by chunk.
            custom: For `metadata.yaml`.

        Raises:
            OSError: The folder cannot be made.
        """
        self.folder, self._topics = folder, dict(topics)
        try:
            self._writer = Writer(folder, version=8, storage_plugin=StoragePlugin.MCAP)
            if compressed:
                self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            for key, value in (custom or {}).items():
                self._writer.set_custom_data(key, value)
            self._writer.open()
        except WriterError as error:
            raise OSError(errno.EEXIST, str(error), str(folder)) from None
        if compressed:
            storage: Any = self._writer.storage
            storage.compressor = partial(zstd.compress, level=ZSTD_LEVEL)
        self._max_bytes, self._waiting = max_bytes, 0
        self._queue: deque[tuple[str, int, bytes]] = deque()
        self._there = threading.Condition()
        self._ends = False
        self._connections: dict[str, Connection] = {}
        self._whole_bytes, self._flushed_s = 0, time.monotonic()
        self.written, self.dropped = 0, dict[str, int]()
        self.done, self.full, self.problem = threading.Event(), False, ""
        self._thread = threading.Thread(target=self._run, name="bag", daemon=True)
        self._thread.start()

    @property
    def share(self) -> float:
        """How much of the room for messages that wait is taken, 0 to 1."""
        return self._waiting / self._max_bytes

    @property
    def lost(self) -> int:
        """Messages that are not in the bag."""
        return sum(self.dropped.values())

    def add_topic(self, name: str, topic: Topic) -> None:
        """Let messages of a topic come."""
        with self._there:
            self._topics[name] = topic

    def put(self, topic: str, received_ns: int, data: bytes) -> bool:
        """Take in a message; return False where it is lost.

        Args:
            topic: Its name.
            received_ns: ROS time of its reception.
            data: As it came.
        """
        with self._there:
            fits = self._waiting + len(data) <= self._max_bytes or not self._queue
            if not fits or self._ends or self.problem or self.full:
                self.dropped[topic] = self.dropped.get(topic, 0) + 1
                return False
            self._queue.append((topic, received_ns, data))
            self._waiting += len(data)
            self.written += 1
            self._there.notify()
        return True

    def lose(self, topic: str, count: int) -> None:
        """Count messages of a topic that never came."""
        with self._there:
            self.dropped[topic] = self.dropped.get(topic, 0) + count

    def end(self, custom: Mapping[str, str] | None = None) -> None:
        """Let no more come; `done` is set once everything is written.

        Args:
            custom: More for `metadata.yaml`.
        """
        with self._there:
            for key, value in (custom or {}).items():
                self._writer.set_custom_data(key, value)
            self._ends = True
            self._there.notify()

    # -- in its thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._write_all()
        except Exception as error:
            self._give_up(error)
        finally:
            self.done.set()

    def _write_all(self) -> None:
        while True:
            with self._there:
                if not self._queue and not self._ends:
                    self._there.wait(FLUSH_S)
                item = self._queue.popleft() if self._queue else None
                over = item is None and self._ends
            if over or self.full:
                break
            if item is not None:
                self._write(*item)
                with self._there:
                    self._waiting -= len(item[2])
            self._flush_if_due()
        self._writer.close()
        with (self.folder / f"{self.folder.name}.mcap").open("rb") as file:
            os.fsync(file.fileno())

    def _write(self, name: str, received_ns: int, data: bytes) -> None:
        connection = self._connections.get(name)
        if connection is None:
            with self._there:
                topic = self._topics[name]
            connection = self._connections[name] = self._writer.add_connection(
                name,
                topic.type_name,
                msgdef=topic.definition,
                rihs01=hash_of(topic),
                offered_qos_profiles=topic.qos,
            )
        self._writer.write(connection, received_ns, data)

    def _flush_if_due(self) -> None:
        now_s = time.monotonic()
        if now_s - self._flushed_s < FLUSH_S:
            return
        self._flushed_s = now_s
        storage: Any = self._writer.storage
        if storage.chunk.msgs:
            storage.close_chunk()
        storage.bio.flush()
        self._whole_bytes = storage.bio.tell()
        if shutil.disk_usage(self.folder).free < SPARE_BYTES:
            self._stop_full()

    def _stop_full(self) -> None:
        """Take no more, and count what waits as lost."""
        with self._there:
            self.full = True
            for name, _, _ in self._queue:
                self.dropped[name] = self.dropped.get(name, 0) + 1
            self.written -= len(self._queue)
            self._queue.clear()
            self._waiting = 0

    def _give_up(self, error: Exception) -> None:
        """Leave a file that ends with its last whole chunk: it can be read without an index."""
        full = isinstance(error, OSError) and error.errno in _FULL
        if not full:
            gone = isinstance(error, FileNotFoundError)
            why = "is not there any more" if gone else f"{type(error).__name__}: {error}"
            self.problem = f"{self.folder}: {why}"
        self._stop_full()
        self.full = full
        storage: Any = self._writer.storage
        if storage is None:
            return
        with contextlib.suppress(OSError, ValueError):
            number = storage.bio.fileno()
            os.ftruncate(number, self._whole_bytes)
            # What could not be written would be tried again when the file is closed.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)
            storage.bio.close()
