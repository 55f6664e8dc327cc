# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 topic``: list, info, type, find, echo, hz, bw, delay and pub."""

from __future__ import annotations

import argparse
from typing import Any

from rclpy.duration import Duration

from . import CommandError, add_verbs, ros, topic_echo, topic_pub, topic_rates


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_verbs(
        parser,
        {
            "list": (_add_list, _list),
            "info": (_add_info, _info),
            "type": (_add_name, _type),
            "find": (_add_find, _find),
            "echo": (topic_echo.add_arguments, topic_echo.echo),
            "hz": (topic_rates.add_arguments, topic_rates.hz),
            "bw": (topic_rates.add_arguments, topic_rates.bw),
            "delay": (topic_rates.add_arguments, topic_rates.delay),
            "pub": (topic_pub.add_arguments, topic_pub.pub),
        },
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb."""
    return int(args.verb(args) or 0)


def _add_list(parser: argparse.ArgumentParser) -> None:
    ros.add_node_arguments(parser)
    parser.add_argument("-t", "--show-types", action="store_true", help="show the types too")
    parser.add_argument("-c", "--count-topics", action="store_true", help="only how many")
    parser.add_argument(
        "--include-hidden-topics", action="store_true", help="hidden topics as well"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="with counts of endpoints")


def _list(args: argparse.Namespace) -> None:
    """Output a list of available topics."""
    with ros.node(args) as own:
        topics = ros.visible(own.get_topic_names_and_types(), args.include_hidden_topics)
        if args.count_topics:
            print(len(topics))
        elif args.verbose:
            print(_endpoints_text("Published", "publisher", topics, own.count_publishers))
            print(_endpoints_text("Subscribed", "subscriber", topics, own.count_subscribers))
        else:
            for name, types in topics:
                print(f"{name} [{', '.join(types)}]" if args.show_types else name)


def _endpoints_text(title: str, word: str, topics: ros.NamesAndTypes, count: Any) -> str:
    lines = [f"{title} topics:"]
    for name, types in topics:
        number = count(name)
        if number:
            plural = "s" if number > 1 else ""
            lines.append(f" * {name} [{', '.join(types)}] {number} {word}{plural}")
    return "\n".join(lines) + "\n"


def _add_name(parser: argparse.ArgumentParser) -> None:
    ros.add_node_arguments(parser)
    parser.add_argument("topic_name", help="name of the topic")


def _add_info(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="with node, type hash, GID and QoS of each"
    )


def _info(args: argparse.Namespace) -> None:
    """Print information about a topic."""
    end = "\n\n" if args.verbose else "\n"
    with ros.node(args) as own:
        types = dict(own.get_topic_names_and_types()).get(args.topic_name)
        if types is None:
            raise CommandError(f"Unknown topic '{args.topic_name}'")
        print(f"Type: {types[0] if len(types) == 1 else types}", end=end)
        print(f"Publisher count: {own.count_publishers(args.topic_name)}", end=end)
        if args.verbose:
            for info in own.get_publishers_info_by_topic(args.topic_name):
                print(_endpoint_text(info), end=end)
        print(f"Subscription count: {own.count_subscribers(args.topic_name)}", end=end)
        if args.verbose:
            for info in own.get_subscriptions_info_by_topic(args.topic_name):
                print(_endpoint_text(info), end=end)


def _endpoint_text(info: Any) -> str:
    qos = info.qos_profile
    return "\n".join(
        [
            f"Node name: {info.node_name}",
            f"Node namespace: {info.node_namespace}",
            f"Topic type: {info.topic_type}",
            f"Topic type hash: {info.topic_type_hash}",
            f"Endpoint type: {info.endpoint_type.name}",
            f"GID: {'.'.join(f'{byte:02x}' for byte in info.endpoint_gid)}",
            "QoS profile:",
            f"  Reliability: {qos.reliability.name}",
            f"  History (Depth): {qos.history.name} ({qos.depth})",
            f"  Durability: {qos.durability.name}",
            f"  Lifespan: {_duration_text(qos.lifespan)}",
            f"  Deadline: {_duration_text(qos.deadline)}",
            f"  Liveliness: {qos.liveliness.name}",
            f"  Liveliness lease duration: {_duration_text(qos.liveliness_lease_duration)}",
        ]
    )


def _duration_text(duration: Duration) -> str:
    # ROS says "for ever" with the largest number of nanoseconds.
    endless = duration.nanoseconds in (0, 2**63 - 1)
    return "Infinite" if endless else f"{duration.nanoseconds} nanoseconds"


def _type(args: argparse.Namespace) -> int:
    """Print a topic's type."""
    with ros.node(args) as own:
        types = dict(own.get_topic_names_and_types()).get(args.topic_name, [])
    for one in types:
        print(one)
    return 0 if types else 1


def _add_find(parser: argparse.ArgumentParser) -> None:
    ros.add_node_arguments(parser)
    parser.add_argument("topic_type", help="type, for example 'std_msgs/msg/String'")
    parser.add_argument("-c", "--count-topics", action="store_true", help="only how many")
    parser.add_argument(
        "--include-hidden-topics", action="store_true", help="hidden topics as well"
    )


def _find(args: argparse.Namespace) -> None:
    """Output a list of available topics of a given type."""
    with ros.node(args) as own:
        topics = ros.visible(own.get_topic_names_and_types(), args.include_hidden_topics)
    names = [name for name, types in topics if args.topic_type in types]
    for line in [len(names)] if args.count_topics else names:
        print(line)
