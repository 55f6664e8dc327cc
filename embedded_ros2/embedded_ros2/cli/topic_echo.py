# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 topic echo``."""

from __future__ import annotations

import argparse
import time
from typing import Any

import rclpy
import yaml
from rclpy.node import Node

from . import CommandError, messages, qos, ros

_TRUNCATE_LENGTH = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    ros.add_node_arguments(parser)
    parser.add_argument("topic_name", help="name of the topic")
    parser.add_argument("message_type", nargs="?", help="type, for example 'std_msgs/msg/String'")
    qos.add_arguments(parser, "sensor_data")
    parser.add_argument("--csv", action="store_true", help="all fields on a line, with commas")
    parser.add_argument("--field", help="only this field; '.' selects sub-fields")
    parser.add_argument(
        "-f", "--full-length", action="store_true", help="cut neither sequences nor text"
    )
    parser.add_argument(
        "-l",
        "--truncate-length",
        type=ros.positive_int,
        default=_TRUNCATE_LENGTH,
        help=f"cut after this many elements (default: {_TRUNCATE_LENGTH})",
    )
    parser.add_argument("--no-arr", action="store_true", help="show sequences by length only")
    parser.add_argument("--no-str", action="store_true", help="show text by length only")
    parser.add_argument("--flow-style", action="store_true", help="one line for a message")
    parser.add_argument(
        "--no-lost-messages", action="store_true", help="accepted; lost messages go unreported"
    )
    parser.add_argument("--raw", action="store_true", help="show the bytes")
    parser.add_argument(
        "--filter", metavar="EXPR", help="only messages m for which the Python expression holds"
    )
    count = parser.add_mutually_exclusive_group()
    count.add_argument("--once", action="store_true", help="end after the first message")
    count.add_argument("-n", "--times", type=ros.positive_int, help="end after N messages")
    parser.add_argument(
        "--timeout", metavar="N", type=ros.positive_float, help="end after N seconds"
    )
    parser.add_argument(
        "-i", "--include-message-info", action="store_true", help="show times and numbers too"
    )


def echo(args: argparse.Namespace) -> None:
    """Output messages from a topic."""
    if args.field is not None and not args.field.strip("."):
        raise CommandError(f"Invalid field value '{args.field}'")
    printer = _Printer(args)
    with ros.node(args) as own:
        message_class = topic_class(own, args.topic_name, args.message_type)
        own.create_subscription(
            message_class,
            args.topic_name,
            printer.take,
            qos.for_subscription(own, args.topic_name, args),
            raw=args.raw,
        )
        end = None if args.timeout is None else time.monotonic() + args.timeout
        ros.spin(own, lambda: printer.done or (end is not None and time.monotonic() > end))


def topic_class(
    own: Node, topic: str, message_type: str | None = None, *, wait: bool = False
) -> Any:
    """Return the class of a topic's messages.

    Args:
        own: A node.
        topic: The topic.
        message_type: Its type, if that is known.
        wait: Whether to wait until the topic exists.

    Raises:
        CommandError: If the topic does not exist or has several types.
    """
    if message_type is not None:
        return messages.interface(message_type, "msg")
    name = own.resolve_topic_name(topic)
    types = dict(own.get_topic_names_and_types()).get(name)
    if types is None:
        print(f"WARNING: topic [{topic}] does not appear to be published yet", flush=True)
        if not wait:
            raise CommandError("Could not determine the type for the passed topic")
        while types is None:
            ros.spin(own, lambda: name in dict(own.get_topic_names_and_types()))
            if not rclpy.ok():
                raise CommandError(f"Ended before topic [{topic}] was published")
            types = dict(own.get_topic_names_and_types()).get(name)
    if len(types) > 1:
        raise CommandError(
            f"Cannot echo topic '{topic}', as it contains more than one type: [{', '.join(types)}]"
        )
    return messages.interface(types[0], "msg")


class _Printer:
    """Prints messages until it has printed enough."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._left = 1 if args.once else args.times
        self._filter = compile(args.filter, "--filter", "eval") if args.filter else None
        self._style = {
            "truncate_length": None if args.full_length else args.truncate_length,
            "no_arr": args.no_arr,
            "no_str": args.no_str,
        }

    @property
    def done(self) -> bool:
        """Whether enough messages have been printed."""
        return self._left == 0

    def take(self, message: Any, info: dict[str, Any]) -> None:
        """Print a message, unless the filter refuses it."""
        if self.done:
            return
        value = self._selected(message)
        if self._filter is not None and not eval(self._filter, {"m": value}):
            return
        print(self._text(value, info), flush=True)
        if self._left is not None:
            self._left -= 1

    def _selected(self, message: Any) -> Any:
        for name in filter(None, (self._args.field or "").split(".")):
            try:
                message = getattr(message, name)
            except AttributeError as error:
                raise CommandError(f"Invalid field '{self._args.field}': {error}") from None
        return message

    def _text(self, value: Any, info: dict[str, Any]) -> str:
        shows_info = self._args.include_message_info
        if not hasattr(value, "get_fields_and_field_types"):
            head = f"---Got new message, message info:---\n{info}\n---Message data:---\n"
            return f"{head if shows_info else ''}{value}\n---"
        if self._args.csv:
            prefix = ",".join(map(str, info.values())) + "," if shows_info else ""
            return prefix + messages.to_csv(value, **self._style)
        head = f"{yaml.safe_dump(info)}---\n" if shows_info else ""
        text = messages.to_yaml(value, flow_style=self._args.flow_style, **self._style)
        return f"{head}{text}---"
