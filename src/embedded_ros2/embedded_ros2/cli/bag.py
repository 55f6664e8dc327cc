# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 bag``: record, play and info, with MCAP files that ``ros2 bag`` reads too."""

from __future__ import annotations

import argparse
import datetime
import re
import time
from pathlib import Path
from typing import Any, cast

import rclpy
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSProfile,
    ReliabilityPolicy,
)

from . import CommandError, add_verbs, definitions, messages, qos, ros

try:
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )
    from rosbags.rosbag2 import Reader, ReaderError, StoragePlugin, Writer
except ImportError as error:
    raise SystemExit(f"bag needs rosbags: pip install rosbags ({error})") from None

_LOOK_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_verbs(
        parser,
        {"record": (_add_record, _record), "play": (_add_play, _play), "info": (_add_info, _info)},
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb."""
    return int(args.verb(args) or 0)


# Record.


def _add_record(parser: argparse.ArgumentParser) -> None:
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


def _record(args: argparse.Namespace) -> None:
    """Record ROS data to a bag."""
    wanted = {ros.absolute(topic) for topic in [*args.topics, *args.more_topics]}
    if not (wanted or args.all or args.regex):
        raise CommandError("Need topics to record: name them, or use --all or --regex")
    stamp = datetime.datetime.now().strftime("%Y_%m_%d-%H_%M_%S")
    path = Path(args.output or f"rosbag2_{stamp}")
    if path.exists():
        raise CommandError(f"Output folder '{path}' already exists.")
    with (
        Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer,
        ros.node(args) as own,
    ):
        recorder = _Recorder(own, writer)
        print(f"Recording to '{path}'. Press CTRL-C to stop.", flush=True)
        end = None if args.max_duration is None else time.monotonic() + args.max_duration
        try:
            while rclpy.ok() and (end is None or time.monotonic() < end):
                for topic, types in ros.visible(own.get_topic_names_and_types(), False):
                    if topic in wanted or _matches(topic, args):
                        recorder.subscribe(topic, types)
                look = time.monotonic() + _LOOK_S
                ros.spin(own, lambda: time.monotonic() >= look)  # noqa: B023
        except KeyboardInterrupt:
            pass  # the ordinary end: what was recorded is written below
        print(f"Recorded {recorder.count} messages on {recorder.topics} topics.", flush=True)


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
        self.count = 0

    @property
    def topics(self) -> int:
        """How many topics are recorded."""
        return sum(self._known.values())

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


def _from_bag(offered: list[Any]) -> QoSProfile:
    """Return the QoS to publish with: that of the first publisher recorded."""
    profile: Any = QoSProfile(depth=10)
    if offered:
        first = offered[0]
        profile.reliability = ReliabilityPolicy[first.reliability.name]
        profile.durability = DurabilityPolicy[first.durability.name]
        profile.liveliness = LivelinessPolicy[first.liveliness.name]
        if first.history.name == "KEEP_ALL":
            profile.history = HistoryPolicy.KEEP_ALL
        profile.depth = max(1, first.depth)
    return cast(QoSProfile, profile)


# Play.


def _add_play(parser: argparse.ArgumentParser) -> None:
    ros.add_node_arguments(parser, "--use-sim-time")
    parser.add_argument("bag_path", help="folder of the bag, or its MCAP file")
    parser.add_argument("-r", "--rate", type=ros.positive_float, default=1.0, help="speed")
    parser.add_argument("--topics", nargs="+", metavar="TOPIC", help="only these topics")
    parser.add_argument("-l", "--loop", action="store_true", help="play again and again")
    parser.add_argument(
        "--start-offset", type=float, default=0.0, metavar="S", help="begin S into the bag"
    )
    parser.add_argument(
        "-m", "--remap", nargs="+", default=[], metavar="OLD:=NEW", help="topics to rename"
    )
    parser.add_argument(
        "-d", "--delay", type=ros.positive_float, default=0.5, metavar="S", help="wait S first"
    )
    parser.add_argument(
        "--clock",
        nargs="?",
        const=40.0,
        type=ros.positive_float,
        metavar="HZ",
        help="publish /clock, at 40 Hz unless given",
    )


def _open(path: str) -> Reader:
    try:
        reader = Reader(path)
        reader.open()
    except (ReaderError, OSError) as error:
        raise CommandError(f"cannot open bag '{path}': {error}") from None
    return reader


def _play(args: argparse.Namespace) -> None:
    """Play back ROS data from a bag."""
    reader = _open(args.bag_path)
    remap = dict(pair.split(":=", 1) for pair in args.remap if ":=" in pair)
    with ros.node(args) as own:
        publishers: dict[int, Any] = {}
        for connection in reader.connections:
            if args.topics and connection.topic not in args.topics:
                continue
            try:
                message_class = messages.interface(connection.msgtype, "msg")
            except CommandError as error:
                print(f"Topic '{connection.topic}' is not played: {error}", flush=True)
                continue
            publishers[connection.id] = own.create_publisher(
                message_class,
                remap.get(connection.topic, connection.topic),
                _from_bag(getattr(connection.ext, "offered_qos_profiles", [])),
            )
        clock = _Clock(own, args.clock)
        time.sleep(args.delay)  # subscriptions need a moment to find the publishers
        try:
            while True:
                count = _play_once(own, reader, publishers, clock, args)
                print(f"Played {count} messages.", flush=True)
                if not args.loop or not rclpy.ok():
                    break
            time.sleep(0.1)
        finally:
            reader.close()


def _play_once(
    own: Node, reader: Reader, publishers: dict[int, Any], clock: _Clock, args: argparse.Namespace
) -> int:
    first_ns = reader.start_time + int(args.start_offset * 1e9)
    began = time.monotonic()
    count = 0
    chosen = [one for one in reader.connections if one.id in publishers]
    for connection, stamp_ns, data in reader.messages(connections=chosen, start=first_ns):
        due = began + (stamp_ns - first_ns) * 1e-9 / args.rate
        while rclpy.ok() and time.monotonic() < due:
            bag_ns = first_ns + int((time.monotonic() - began) * args.rate * 1e9)
            clock.tell(bag_ns)
            ros.spin(own, lambda: time.monotonic() >= min(due, clock.due))  # noqa: B023
        if not rclpy.ok():
            break
        publishers[connection.id].publish(bytes(data))
        count += 1
    return count


class _Clock:
    """Publishes the time of the bag, if asked to."""

    def __init__(self, own: Node, rate_hz: float | None) -> None:
        self.due = float("inf")
        self._period_s = 0.0 if rate_hz is None else 1.0 / rate_hz
        if rate_hz is not None:
            from rosgraph_msgs.msg import Clock

            self._message = Clock()
            self._publisher = own.create_publisher(Clock, "/clock", 10)
            self.due = 0.0

    def tell(self, stamp_ns: int) -> None:
        """Publish the time, if it is due."""
        now = time.monotonic()
        if now < self.due:
            return
        self.due = now + self._period_s
        self._message.clock.sec, self._message.clock.nanosec = divmod(stamp_ns, 10**9)
        self._publisher.publish(self._message)


# Info.


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag_path", help="folder of the bag, or its MCAP file")
    parser.add_argument("-t", "--topic-name", action="store_true", help="only topic names")


def _info(args: argparse.Namespace) -> None:
    """Print information about a bag to the screen."""
    reader = _open(args.bag_path)
    try:
        topics = sorted(reader.connections, key=lambda one: one.topic)
        if args.topic_name:
            for one in topics:
                print(one.topic)
            return
        files = _files(Path(args.bag_path))
        rows = [
            ("Files:", "\n".join(file.name for file in files)),
            ("Bag size:", _size(sum(file.stat().st_size for file in files))),
            ("Storage id:", files[0].suffix[1:] if files else "unknown"),
            ("ROS Distro:", reader.ros_distro or "unknown"),
            ("Duration:", f"{reader.duration / 1e9:.9f}s"),
            ("Start:", _moment(reader.start_time)),
            ("End:", _moment(reader.end_time)),
            ("Messages:", str(reader.message_count)),
            ("Topic information:", "\n".join(_topic_line(one) for one in topics)),
        ]
    finally:
        reader.close()
    print()
    for title, text in rows:
        print(f"{title:<19}" + text.replace("\n", "\n" + " " * 19))


def _topic_line(connection: Any) -> str:
    return (
        f"Topic: {connection.topic} | Type: {connection.msgtype} | "
        f"Count: {connection.msgcount} | "
        f"Serialization Format: {connection.ext.serialization_format}"
    )


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix in (".mcap", ".db3"))


def _size(number: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.1f} {unit}" if unit != "B" else f"{number:.0f} B"
        number /= 1024
    return f"{number:.1f} GiB"


def _moment(stamp_ns: int) -> str:
    moment = datetime.datetime.fromtimestamp(stamp_ns / 1e9)
    text = moment.strftime("%b %e %Y %H:%M:%S")
    seconds, rest_ns = divmod(stamp_ns, 10**9)
    return f"{text}.{rest_ns:09d} ({seconds}.{rest_ns:09d})"
