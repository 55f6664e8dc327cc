# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 bag record``."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from . import CommandError, definitions, messages, qos, ros

_LOOK_S = 0.2
# What a recorder that is killed may lose.
_UNWRITTEN_S = 1.0
# The index and the metadata must fit when the disk is full.
_SPARE_BYTES = 32 * 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    ros.add_node_arguments(parser, "--use-sim-time")
    parser.add_argument("topics", nargs="*", help="topics to record")
    parser.add_argument("--topics", nargs="+", dest="more_topics", default=[], metavar="TOPIC")
    parser.add_argument("-a", "--all", "--all-topics", action="store_true", help="all topics")
    parser.add_argument("-e", "--regex", help="topics that match")
    parser.add_argument("-x", "--exclude-regex", help="but not those that match this")
    parser.add_argument("-o", "--output", help="folder of the bag, which must not exist yet")
    parser.add_argument(
        "-s", "--storage", choices=["mcap"], default="mcap", help="storage (default: mcap)"
    )
    parser.add_argument(
        "-d", "--max-duration", type=ros.positive_float, metavar="S", help="end after S seconds"
    )


def record(args: argparse.Namespace) -> int:
    """Record ROS data to a bag."""
    wanted = {ros.absolute(topic) for topic in [*args.topics, *args.more_topics]}
    if not (wanted or args.all or args.regex):
        raise CommandError("Need topics to record: name them, or use --all or --regex")
    stamp = datetime.datetime.now().strftime("%Y_%m_%d-%H_%M_%S")
    path = Path(args.output or f"rosbag2_{stamp}")
    if path.exists():
        raise CommandError(f"Output folder '{path}' already exists.")
    with (
        ros.node(args) as own,
        _told_to_end() as told,
        Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer,
    ):
        recorder = _Recorder(own, writer)
        print(f"Recording to '{path}'. Press CTRL-C to stop.", flush=True)
        end = None if args.max_duration is None else time.monotonic() + args.max_duration
        failure = ""
        try:
            while rclpy.ok() and not told and (end is None or time.monotonic() < end):
                if shutil.disk_usage(path).free < _SPARE_BYTES:
                    failure = f"the disk of '{path}' is full"
                    break
                for topic, types in ros.visible(own.get_topic_names_and_types(), False):
                    if topic in wanted or _matches(topic, args):
                        recorder.subscribe(topic, types)
                look = time.monotonic() + _LOOK_S
                ros.spin(own, lambda: bool(told) or time.monotonic() >= look)  # noqa: B023
                recorder.write_out()
        except OSError as error:
            # The index cannot be written either. `Writer` leaves the file as it is.
            raise CommandError(
                f"cannot write to '{path}': {error.strerror}. What was recorded until then is in "
                f"the file: make room, then run 'embedded-ros2 bag reindex {path}'"
            ) from None
    if failure:
        print(f"Recording ended: {failure}.", flush=True)
    print(f"Recorded {recorder.count} messages on {recorder.topics} topics.", flush=True)
    return int(bool(failure))


@contextlib.contextmanager
def _told_to_end() -> Iterator[list[int]]:
    """Yield a list that is not empty any more when a signal has told the process to end.

    A signal must not break off what is being written, neither a message nor, at the end, the
    index; so nothing is raised. Who started the recorder with `nohup` does not want it ended when
    the terminal is closed.
    """
    told: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        told.append(number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _matches(topic: str, args: argparse.Namespace) -> bool:
    if args.exclude_regex and re.search(args.exclude_regex, topic):
        return False
    return bool(args.all or (args.regex and re.search(args.regex, topic)))


class _Recorder:
    """Writes the messages of topics as they arrive."""

    def __init__(self, own: Node, writer: Writer) -> None:
        self._own = own
        self._writer = writer
        self._known: dict[str, bool] = {}
        self._written = time.monotonic()
        self.count = 0

    @property
    def topics(self) -> int:
        """How many topics are recorded."""
        return sum(self._known.values())

    def write_out(self) -> None:
        """Hand to the system what was recorded, now and then: a killed recorder loses the rest."""
        storage: Any = self._writer.storage
        if time.monotonic() - self._written < _UNWRITTEN_S:
            return
        self._written = time.monotonic()
        if storage.chunk.msgs:
            storage.close_chunk()
        storage.bio.flush()

    def subscribe(self, topic: str, types: list[str]) -> None:
        """Record a topic from now on, unless it is recorded already."""
        offers = self._own.get_publishers_info_by_topic(topic)
        if topic in self._known or not offers:
            return
        self._known[topic] = False
        if len(types) > 1:
            print(f"Topic '{topic}' has several types: {types}. It is not recorded.", flush=True)
            return
        try:
            message_class = messages.interface(types[0], "msg")
            definition = definitions.bundle(types[0])
        except CommandError as error:
            print(f"Topic '{topic}' is not recorded: {error}", flush=True)
            return
        self._known[topic] = True
        connection = self._writer.add_connection(
            topic,
            types[0],
            msgdef=definition,
            rihs01=str(offers[0].topic_type_hash),
            offered_qos_profiles=[_to_bag(info.qos_profile) for info in offers],
        )

        def write(data: bytes) -> None:
            self._writer.write(connection, time.time_ns(), data)
            self.count += 1

        profile = qos.adapted(self._own, topic, QoSProfile(depth=100))
        self._own.create_subscription(message_class, topic, write, profile, raw=True)
        print(f"Subscribed to topic '{topic}'", flush=True)


# Duration of "for ever" in bags, as rosbag2 writes it.
_FOR_EVER = (9223372036, 854775807)


def _bag_time(duration: Any) -> Any:
    if duration.nanoseconds in (0, 2**63 - 1):
        return QosTime(*_FOR_EVER)
    return QosTime(*divmod(duration.nanoseconds, 10**9))


def _to_bag(profile: Any) -> Any:
    return Qos(
        QosHistory[profile.history.name],
        profile.depth,
        QosReliability[profile.reliability.name],
        QosDurability[profile.durability.name],
        _bag_time(profile.deadline),
        _bag_time(profile.lifespan),
        QosLiveliness[profile.liveliness.name],
        _bag_time(profile.liveliness_lease_duration),
        False,
    )
