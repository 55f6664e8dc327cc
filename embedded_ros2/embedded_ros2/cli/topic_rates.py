# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 topic hz``, ``bw`` and ``delay``."""

from __future__ import annotations

import argparse
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time

from . import CommandError, ros
from .topic_echo import topic_class

_REPORT_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verbs."""
    ros.add_node_arguments(parser)
    parser.add_argument("topic_name", help="name of the topic")
    parser.add_argument(
        "-w", "--window", type=ros.positive_int, default=10000, help="how many messages count"
    )
    parser.add_argument(
        "--filter", metavar="EXPR", help="only messages m for which the Python expression holds"
    )
    parser.add_argument(
        "--wall-time", action="store_true", help="measure in wall time, even with --use-sim-time"
    )


def _watch(
    args: argparse.Namespace,
    take: Callable[[Any, int], None],
    report: Callable[[], str | None],
    *,
    raw: bool = False,
) -> None:
    """Give each message, with the time of its arrival in ns, to a function; report each second."""
    accept = compile(args.filter, "--filter", "eval") if args.filter else None

    with ros.node(args) as own:

        def on_message(message: Any) -> None:
            if accept is None or eval(accept, {"m": message}):
                take(message, _now_ns(own, args.wall_time))

        message_class = topic_class(own, args.topic_name, wait=True)
        own.create_subscription(
            message_class, args.topic_name, on_message, qos_profile_sensor_data, raw=raw
        )
        if raw:
            print(f"Subscribed to [{args.topic_name}]", flush=True)
        due = time.monotonic() + _REPORT_S
        while rclpy.ok():
            ros.spin(own, lambda: time.monotonic() >= due)  # noqa: B023
            due += _REPORT_S
            text = report()
            if text is not None:
                print(text, flush=True)


def _now_ns(own: Node, wall_time: bool) -> int:
    return time.monotonic_ns() if wall_time else int(own.get_clock().now().nanoseconds)


def _statistics(values_ns: Sequence[int]) -> tuple[float, float, float, float]:
    """Return mean, minimum, maximum and standard deviation, in seconds."""
    count = len(values_ns)
    mean = sum(values_ns) / count
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values_ns) / count)
    return mean * 1e-9, min(values_ns) * 1e-9, max(values_ns) * 1e-9, deviation * 1e-9


def hz(args: argparse.Namespace) -> None:
    """Print the average publishing rate to screen."""
    gaps_ns: deque[int] = deque(maxlen=args.window)
    last_ns: list[int] = []
    reported = [0]

    def take(_: Any, now_ns: int) -> None:
        if last_ns and now_ns >= last_ns[0]:
            gaps_ns.append(now_ns - last_ns[0])
        else:
            gaps_ns.clear()  # the first message, or time that went back
        last_ns[:] = [now_ns]

    def report() -> str | None:
        if not gaps_ns or last_ns[0] == reported[0]:
            return None
        reported[0] = last_ns[0]
        mean, least, most, deviation = _statistics(gaps_ns)
        rate = 1.0 / mean if mean > 0.0 else 0.0
        return (
            f"average rate: {rate:.3f}\n\tmin: {least:.3f}s max: {most:.3f}s "
            f"std dev: {deviation:.5f}s window: {len(gaps_ns)}"
        )

    _watch(args, take, report)


def delay(args: argparse.Namespace) -> None:
    """Display delay of topic from timestamp in header."""
    delays_ns: deque[int] = deque(maxlen=args.window)
    reported = [0]
    count = [0]

    def take(message: Any, now_ns: int) -> None:
        if not hasattr(message, "header"):
            raise CommandError("msg does not have header")
        delays_ns.append(now_ns - Time.from_msg(message.header.stamp).nanoseconds)
        count[0] += 1

    def report() -> str | None:
        if not delays_ns:
            return None
        if count[0] == reported[0]:
            return "no new messages"
        reported[0] = count[0]
        mean, least, most, deviation = _statistics(delays_ns)
        return (
            f"average delay: {mean:.3f}\n\tmin: {least:.3f}s max: {most:.3f}s "
            f"std dev: {deviation:.5f}s window: {len(delays_ns)}"
        )

    _watch(args, take, report)


def bw(args: argparse.Namespace) -> None:
    """Display bandwidth used by topic."""
    arrivals: deque[tuple[int, int]] = deque(maxlen=min(args.window, 100))

    def take(data: bytes, now_ns: int) -> None:
        arrivals.append((now_ns, len(data)))

    def report() -> str | None:
        if len(arrivals) < 2:
            return None
        sizes = [size for _, size in arrivals]
        elapsed_s = max(1, time.time_ns() - arrivals[0][0]) * 1e-9
        per_second = sum(sizes) / elapsed_s
        return (
            f"{_size(per_second, per_second)}/s from {len(sizes)} messages\n"
            f"\tMessage size mean: {_size(sum(sizes) / len(sizes), per_second)} "
            f"min: {_size(min(sizes), per_second)} max: {_size(max(sizes), per_second)}"
        )

    if args.wall_time or args.use_sim_time:
        raise CommandError("bw measures in system time only")
    _watch(args, take, report, raw=True)


def _size(number: float, scale: float) -> str:
    """Return a number of bytes in the unit that suits ``scale``."""
    if scale < 1e3:
        return f"{number:.0f} B"
    return f"{number / 1e3:.2f} KB" if scale < 1e6 else f"{number / 1e6:.2f} MB"
