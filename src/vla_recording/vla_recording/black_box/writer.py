# SPDX-License-Identifier: Apache-2.0
"""Writes what the ring holds as a bag: MCAP, as ``ros2 bag`` reads it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from vla_recording.black_box.ring import Record, Ring

# Left free on the disk; others need some, too.
SPARE_BYTES = 16 * 2**20
# What is tried in turn when the disk is full: the newest so many seconds.
SHORTER_S = (float("inf"), 10.0, 3.0)
# What a process that was killed left behind is removed after this long.
ABANDONED_S = 24 * 3600.0
# Of a cause, in the name of a folder and of the file in it: a name has 255 bytes at most.
LONGEST_WORD = 80
_TRIES = 10
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoSpaceError(OSError):
    """There is no room for even a short bag."""


@dataclass(frozen=True)
class Topic:
    """What a bag says about a topic.

    Attributes:
        type_name: As in ``sensor_msgs/msg/JointState``.
        definition: Of the type and all that it is made of.
        qos: Of its publishers, as rosbags has it.
    """

    type_name: str
    definition: str
    qos: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Cause:
    """Why a bag is written, and since when, by the clock of the robot or its simulation."""

    name: str
    detail: str
    ros_ns: int


def folder_name(cause: Cause, wall_ns: int) -> str:
    """Return the name of a bag's folder: when, by the host's clock, and why.

    A simulation's clock begins in 1970, each time anew.
    """
    when = datetime.fromtimestamp(wall_ns * 1e-9, tz=timezone.utc)
    word = re.sub(r"[^A-Za-z0-9_]+", "_", cause.name)[:LONGEST_WORD] or "unknown"
    return f"{when:%Y-%m-%dT%H-%M-%S}-{wall_ns // 1_000_000 % 1000:03}Z_{word}"


def hash_of(topic: Topic) -> str:
    """Return the hash by which newer versions of ROS 2 know a type."""
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(topic.definition, topic.type_name))
    return str(store.hash_rihs01(topic.type_name))


def try_directory(directory: Path) -> None:
    """Find out whether bags can be written somewhere, before there is one to write.

    Raises:
        OSError: They cannot. A disk that is full now is none: it may have room by then.
    """
    directory.mkdir(parents=True, exist_ok=True)
    workshop = _workshop(directory)
    try:
        _make(workshop)
    except OSError as error:
        if error.errno not in _FULL:
            raise
    finally:
        _leave(workshop)


def write_bag(
    directory: Path,
    cause: Cause,
    wall_ns: int,
    topics: Mapping[str, Topic],
    ring: Ring,
    wait: Callable[[], bool],
) -> Path:
    """Write a bag of what the ring holds and of what is still to come.

    Under its final name it is complete. On a full disk shorter ones are tried: of what is there
    the newest 10 s, then 3 s.

    Args:
        directory: Where.
        cause: Why; it names the folder and is in the metadata.
        wall_ns: When, by the host's clock; it names the folder too.
        topics: By name.
        ring: What there is.
        wait: Waits a little for more; returns False once enough has come.

    Returns:
        The bag's folder.

    Raises:
        NoSpaceError: There is no room for even the shortest.
        OSError: It cannot be written for another reason.
    """
    # A bag's file is named after its folder, so the unfinished one has the same name elsewhere.
    workshop = _workshop(directory)
    name = folder_name(cause, wall_ns)
    partial = workshop / name
    there = ring.all()
    newest_ns = there[-1].steady_ns if there else 0
    for seconds in SHORTER_S:
        kept = [r for r in there if newest_ns - r.steady_ns <= seconds * 1e9]
        size = sum(len(record.data) for record in kept)
        try:
            _make(workshop)
            if shutil.disk_usage(directory).free < size + SPARE_BYTES:
                continue
            shutil.rmtree(partial, ignore_errors=True)
            _write(partial, cause, topics, kept, ring, wait)
            return _publish(partial, directory / name)
        except OSError as error:
            if error.errno not in _FULL:
                raise
        finally:
            _leave(workshop)
    raise NoSpaceError(errno.ENOSPC, f"no room for a bag in {directory}")


def _workshop(directory: Path) -> Path:
    """Return a place of the call's own: other black boxes may write there too."""
    return directory / ".partial" / f"{os.getpid()}-{uuid.uuid4().hex[:12]}"


def _make(workshop: Path) -> None:
    """Make a place to work at; the folder of them all may vanish meanwhile, for it is shared."""
    for _ in range(_TRIES):
        try:
            workshop.mkdir(parents=True, exist_ok=True)
            return
        except FileNotFoundError as error:
            missing = error
    raise missing


def _publish(partial: Path, target: Path) -> Path:
    """Give a complete bag its name: two robots may stop for one reason at one moment."""
    free, number = target, 2
    while True:
        try:
            # One that is there and empty gives way.
            return partial.rename(free)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
        free, number = target.with_name(f"{target.name}_{number}"), number + 1


def _leave(workshop: Path) -> None:
    """Remove a place to work at, those that nobody can be at work in, and an empty folder."""
    shutil.rmtree(workshop, ignore_errors=True)
    with contextlib.suppress(OSError):
        for other in workshop.parent.iterdir():
            if time.time() - other.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(other, ignore_errors=True)
        workshop.parent.rmdir()


def _write(
    path: Path,
    cause: Cause,
    topics: Mapping[str, Topic],
    records: list[Record],
    ring: Ring,
    wait: Callable[[], bool],
) -> None:
    # The oldest format that rosbags writes, for the sake of older readers.
    writer = Writer(path, version=8, storage_plugin=StoragePlugin.MCAP)
    writer.set_custom_data("cause", cause.name)
    writer.set_custom_data("detail", cause.detail)
    writer.set_custom_data("stamp_ns", str(cause.ros_ns))
    connections: dict[str, Connection] = {}
    number = 0
    with writer:
        while True:
            for record in records:
                number = max(number, record.number)
                connection = connections.get(record.topic)
                if connection is None:
                    topic = topics[record.topic]
                    connection = connections[record.topic] = writer.add_connection(
                        record.topic,
                        topic.type_name,
                        msgdef=topic.definition,
                        rihs01=hash_of(topic),
                        offered_qos_profiles=topic.qos,
                    )
                writer.write(connection, record.received_ns, record.data)
            if not records and not wait():
                break
            records = ring.since(number)
