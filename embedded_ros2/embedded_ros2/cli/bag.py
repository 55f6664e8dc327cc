# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 bag``: its verbs, with MCAP files that ``ros2 bag`` reads too."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import time
from pathlib import Path
from typing import Any, cast

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSProfile,
    ReliabilityPolicy,
)

from . import CommandError, add_verbs, messages, ros

try:
    from rosbags.rosbag2 import Reader, ReaderError

    from . import bag_record, bag_recover
except ImportError as error:
    raise SystemExit(f"bag needs rosbags: pip install rosbags ({error})") from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_verbs(
        parser,
        {
            "record": (bag_record.add_arguments, bag_record.record),
            "play": (_add_play, _play),
            "info": (_add_info, _info),
            "reindex": (_add_reindex, _reindex),
        },
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb."""
    return int(args.verb(args) or 0)


# Play.


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
    folder = Path(path)
    if folder.is_dir() and not (folder / "metadata.yaml").exists() and list(folder.glob("*.mcap")):
        raise CommandError(
            f"bag '{path}' was not closed: its recorder still runs, or was killed. If it was, run "
            f"'embedded-ros2 bag reindex {path}'"
        )
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
            with contextlib.suppress(ExternalShutdownException):
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


# Reindex.


def _add_reindex(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag_path", help="folder of a bag whose recorder was killed")


def _reindex(args: argparse.Namespace) -> None:
    """Make a bag readable whose recorder was killed."""
    path = Path(args.bag_path)
    count = bag_recover.reindex(path)
    print(f"Wrote '{path}' anew with {count} messages; the broken one is '{path}.broken'.")
