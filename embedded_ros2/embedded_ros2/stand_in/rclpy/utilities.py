# SPDX-License-Identifier: Apache-2.0
"""The default context and small helpers."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

from embedded_ros2 import arguments
from rclpy.constants import S_TO_NS
from rclpy.context import Context

_default_context: Context | None = None
_lock = threading.RLock()


def get_default_context(*, shutting_down: bool = False) -> Context:
    """Return the process's default context."""
    global _default_context
    with _lock:
        if _default_context is None:
            _default_context = Context()
        context = _default_context
        if shutting_down:
            _default_context = None
        return context


def remove_ros_args(args: Sequence[str] | None = None) -> list[str]:
    """Return the command-line arguments that are not for ROS."""
    return arguments.remove_ros_arguments(sys.argv if args is None else args)


def ok(*, context: Context | None = None) -> bool:
    """Return whether the context is initialized and not shut down."""
    return (get_default_context() if context is None else context).ok()


def shutdown(*, context: Context | None = None) -> None:
    """Shut the context down; an error if that has happened already."""
    (get_default_context(shutting_down=True) if context is None else context).shutdown()


def try_shutdown(*, context: Context | None = None) -> None:
    """Shut the context down unless that has happened already."""
    if context is None:
        context = get_default_context(shutting_down=True)
    context.try_shutdown()


def get_rmw_implementation_identifier() -> str:
    """Return the name of the middleware whose wire protocol this speaks."""
    return "rmw_zenoh_cpp"


def get_available_rmw_implementations() -> set[str]:
    """Return the names of the middlewares on offer."""
    return {get_rmw_implementation_identifier()}


def timeout_sec_to_nsec(timeout_sec: float | None) -> int:
    """Return a timeout in nanoseconds; -1 for None or a negative one, which mean forever."""
    if timeout_sec is None or timeout_sec < 0:
        return -1
    return int(float(timeout_sec) * S_TO_NS)
