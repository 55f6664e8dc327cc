# SPDX-License-Identifier: Apache-2.0
"""A node for the length of a command, and what several commands ask of the graph."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from . import CommandError

SERVICE_TIMEOUT_S = 5.0
_HIDDEN = "_"
_QUIET_S = 0.2
_LONGEST_LOOK_S = 2.0

NamesAndTypes = list[tuple[str, list[str]]]


def add_node_arguments(parser: argparse.ArgumentParser, *sim_time_flags: str) -> None:
    """Add the arguments of commands that look at the graph."""
    parser.add_argument(
        "--spin-time",
        type=positive_float,
        metavar="S",
        help="look for S seconds; by default, until nothing new turns up",
    )
    flags = sim_time_flags or ("-s", "--use-sim-time")
    parser.add_argument(*flags, action="store_true", help="follow /clock")
    parser.add_argument(
        "--no-daemon", action="store_true", help="accepted for scripts; there is no daemon"
    )


@contextmanager
def node(
    args: argparse.Namespace | None = None,
    *,
    name: str | None = None,
    signals: SignalHandlerOptions = SignalHandlerOptions.ALL,
) -> Iterator[Node]:
    """Yield a node, hidden unless it is given a name; `signals` end what it can be used for."""
    rclpy.init(args=[], signal_handler_options=signals)
    try:
        overrides = [Parameter("start_type_description_service", value=False)]
        if getattr(args, "use_sim_time", False):
            overrides.append(Parameter("use_sim_time", value=True))
        own = rclpy.create_node(
            name or f"{_HIDDEN}ros2cli_{os.getpid()}",
            enable_rosout=False,
            start_parameter_services=False,
            parameter_overrides=overrides,
        )
        try:
            time.sleep(getattr(args, "spin_time", None) or 0.0)
            _wait_for_quiet(own)
            yield own
        finally:
            own.destroy_node()
    finally:
        rclpy.try_shutdown()


def _wait_for_quiet(own: Node) -> None:
    """Wait until the graph has told what it knows: it arrives piece by piece."""
    end = time.monotonic() + _LONGEST_LOOK_S
    known, since = -1, 0.0
    while time.monotonic() < min(end, since + _QUIET_S) or known < 0:
        count = len(own.get_node_names()) + len(own.get_topic_names_and_types())
        if count != known:
            known, since = count, time.monotonic()
        time.sleep(0.02)


def call(own: Node, service_type: Any, name: str, request: Any) -> Any:
    """Return the response of a service.

    Raises:
        CommandError: If there is no such service, or if it does not answer in time.
    """
    client = own.create_client(service_type, name)
    try:
        if not client.wait_for_service(timeout_sec=SERVICE_TIMEOUT_S):
            raise CommandError(f"Wait for service timed out: nobody serves '{name}'")
        future = client.call_async(request)
        rclpy.spin_until_future_complete(own, future, timeout_sec=SERVICE_TIMEOUT_S)
        if not future.done():
            future.cancel()
            raise CommandError(f"'{name}' did not answer within {SERVICE_TIMEOUT_S:g} s")
        if future.exception() is not None:
            raise CommandError(f"Exception while calling '{name}': {future.exception()}")
        return future.result()
    finally:
        own.destroy_client(client)


def spin(own: Node, done: Callable[[], bool] = lambda: False) -> None:
    """Run callbacks until done.

    Raises:
        ExternalShutdownException: The process is told to end. A caller that loops must not go on.
    """
    while not done():
        check_running()
        rclpy.spin_once(own, timeout_sec=0.1)


def check_running() -> None:
    """Leave a loop when the process is told to end.

    Raises:
        ExternalShutdownException: It is.
    """
    if not rclpy.ok():
        raise ExternalShutdownException


def is_hidden(name: str) -> bool:
    """Return whether a part of a name begins with an underscore."""
    return any(part.startswith(_HIDDEN) for part in name.split("/"))


def visible(names_and_types: NamesAndTypes, include_hidden: bool) -> NamesAndTypes:
    """Return names and types without the hidden ones."""
    return [item for item in names_and_types if include_hidden or not is_hidden(item[0])]


def node_names(own: Node, include_hidden: bool) -> list[str]:
    """Return the full names of all nodes, sorted; those of hidden ones only if asked for."""
    return sorted(
        f"{namespace.rstrip('/')}/{name}"
        for name, namespace in own.get_node_names_and_namespaces()
        if include_hidden or not name.startswith(_HIDDEN)
    )


def absolute(name: str) -> str:
    """Return a name with a slash in front."""
    return name if name.startswith("/") else f"/{name}"


def split_name(full_name: str) -> tuple[str, str]:
    """Return name and namespace of a node."""
    namespace, _, name = absolute(full_name).rpartition("/")
    return name, namespace or "/"


def wait_for_node(own: Node, name: str, include_hidden: bool, timeout_s: float) -> str:
    """Return the full name of a node that is, or soon will be, in the graph.

    Raises:
        CommandError: If it is not.
    """
    full_name = absolute(name)
    end = time.monotonic() + timeout_s
    while full_name not in node_names(own, include_hidden):
        if time.monotonic() > end:
            raise CommandError("Node not found")
        time.sleep(0.05)
    return full_name


def values_text(args: argparse.Namespace, given: str) -> str:
    """Return YAML from the command line, or from the standard input if ``--stdin`` is given."""
    return sys.stdin.read() if args.stdin else given


def positive_int(text: str) -> int:
    """Return a count given on the command line."""
    value = int(text) if text.isdigit() else 0
    if value <= 0:
        raise argparse.ArgumentTypeError("value must be a positive integer")
    return value


def positive_float(text: str) -> float:
    """Return a positive number given on the command line."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError("value must be a positive number")
    return value
