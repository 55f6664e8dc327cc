# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 topic pub``."""

from __future__ import annotations

import argparse
import time

from rclpy.publisher import Publisher

from . import CommandError, messages, qos, ros

_LOOK_S = 0.1
_WARN_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    ros.add_node_arguments(parser)
    parser.add_argument("topic_name", help="name of the topic")
    parser.add_argument("message_type", help="type, for example 'std_msgs/msg/String'")
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "values",
        nargs="?",
        default="{}",
        help="the message, in YAML; a header may be 'auto' and a time 'now'",
    )
    group.add_argument("--stdin", action="store_true", help="read the message from stdin")
    parser.add_argument(
        "-r", "--rate", metavar="N", type=ros.positive_float, default=1.0, help="N times a second"
    )
    parser.add_argument(
        "-p", "--print", metavar="N", type=int, default=1, help="print every N-th message only"
    )
    count = parser.add_mutually_exclusive_group()
    count.add_argument("-1", "--once", action="store_true", help="publish once and end")
    count.add_argument("-t", "--times", type=ros.positive_int, help="publish N times and end")
    parser.add_argument(
        "-w",
        "--wait-matching-subscriptions",
        type=int,
        metavar="N",
        help="wait for N subscriptions; 1 with --once or --times, else 0, by default",
    )
    parser.add_argument(
        "--max-wait-time-secs", type=ros.positive_float, metavar="S", help="wait S at most"
    )
    parser.add_argument(
        "--keep-alive", metavar="S", type=float, default=0.1, help="stay S after the last message"
    )
    parser.add_argument("-n", "--node-name", help="name of the publishing node")
    qos.add_arguments(parser, "default")


def pub(args: argparse.Namespace) -> None:
    """Publish a message to a topic."""
    times = 1 if args.once else args.times
    wanted = args.wait_matching_subscriptions
    if wanted is None:
        wanted = 0 if times is None else 1
    if wanted == 0 and args.max_wait_time_secs is not None:
        raise CommandError(
            "--max-wait-time-secs option is only effective with "
            "--wait-matching-subscriptions, --once or --times"
        )
    message_class = messages.interface(args.message_type, "msg")
    message = message_class()
    stamps: list[messages.Stamp] = []
    values = messages.read_mapping(ros.values_text(args, args.values))
    messages.fill(message, values, stamps=stamps)
    with ros.node(args, name=args.node_name) as own:
        publisher = own.create_publisher(message_class, args.topic_name, qos.from_arguments(args))
        _wait_for_subscriptions(publisher, wanted, args.max_wait_time_secs)
        print("publisher: beginning loop", flush=True)
        count = 0
        due = time.monotonic()
        while times is None or count < times:
            now = own.get_clock().now().to_msg()
            for stamp in stamps:
                stamp(now)
            count += 1
            if args.print and count % args.print == 0:
                print(f"publishing #{count}: {message!r}\n", flush=True)
            publisher.publish(message)
            due += 1.0 / args.rate
            if count != times:
                ros.spin(own, lambda: time.monotonic() >= due)  # noqa: B023
        time.sleep(args.keep_alive)


def _wait_for_subscriptions(publisher: Publisher, wanted: int, limit_s: float | None) -> None:
    started = time.monotonic()
    said = float("-inf")
    while publisher.get_subscription_count() < wanted:
        ros.check_running()
        now = time.monotonic()
        if now - said >= _WARN_S:
            print(f"Waiting for at least {wanted} matching subscription(s)...", flush=True)
            said = now
        if limit_s is not None and now - started >= limit_s:
            raise CommandError(
                f"Timed out waiting for subscribers: Expected {wanted} subscribers but only got "
                f"{publisher.get_subscription_count()} subscribers"
            )
        time.sleep(_LOOK_S)
