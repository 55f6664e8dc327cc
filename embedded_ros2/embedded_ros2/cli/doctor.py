# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 doctor``: what there is, and what is wrong with it."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator

from . import CommandError

_DISTRIBUTIONS = ("embedded_ros2", "eclipse-zenoh", "numpy", "PyYAML", "xxhash", "rosbags")
_OPTIONAL = ("rosbags",)
_VARIABLES = (
    "AMENT_PREFIX_PATH",
    "EMBEDDED_ROS2",
    "EMBEDDED_ROS2_SHARE",
    "RMW_IMPLEMENTATION",
    "ROS_AUTOMATIC_DISCOVERY_RANGE",
    "ROS_DISTRO",
    "ROS_LOG_DIR",
    "ZENOH_CONFIG_OVERRIDE",
    "ZENOH_SESSION_CONFIG_URI",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("-r", "--report", action="store_true", help="accepted; always reports")


def main(args: argparse.Namespace) -> int:
    """Print the report; return 1 if something is missing."""
    problems = [*_versions(), *_domain(), *_shared_memory(), *_graph()]
    print("\nPROBLEMS" if problems else "\nAll checks passed")
    for problem in problems:
        print(f"  {problem}")
    return 1 if problems else 0


def _row(name: str, value: object) -> None:
    print(f"  {name:<30}: {value}")


def _versions() -> Iterator[str]:
    print("VERSIONS")
    _row("python", f"{platform.python_version()} ({sys.executable})")
    _row("platform", platform.platform())
    for name in _DISTRIBUTIONS:
        try:
            _row(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            if name == "embedded_ros2":
                _row(name, "run from source")
            elif name in _OPTIONAL:
                _row(name, "not installed; 'bag' needs it")
            else:
                _row(name, "NOT INSTALLED")
                yield f"{name} is not installed: pip install {name}"
    import rclpy

    _row("rclpy", "stand-in" if "embedded_ros2" in str(rclpy.__file__) else rclpy.__file__)


def _domain() -> Iterator[str]:
    print("\nENVIRONMENT")
    text = os.environ.get("ROS_DOMAIN_ID", "")
    _row("ROS_DOMAIN_ID", text or "0 (not set)")
    for name in _VARIABLES:
        if name in os.environ:
            _row(name, os.environ[name])
    if text and not (text.isdigit() and int(text) <= 232):
        yield f"ROS_DOMAIN_ID is '{text}': use a number from 0 to 232"


def _shared_memory() -> Iterator[str]:
    print("\nSHARED MEMORY")
    if not os.path.isdir("/dev/shm"):
        _row("/dev/shm", "none")
        return
    usage = shutil.disk_usage("/dev/shm")
    _row("/dev/shm", f"{usage.free / 1e6:.0f} MB of {usage.total / 1e6:.0f} MB free")
    if usage.free < 64e6:
        yield "/dev/shm is nearly full: images between processes may be lost; give it more room"


def _graph() -> Iterator[str]:
    from embedded_ros2 import router, zenoh_config

    from . import ros

    print("\nNETWORK")
    port = zenoh_config.local_router_port(zenoh_config.session_config())
    if port is None:
        _row("router", "elsewhere, by configuration")
    else:
        state = "runs" if router.is_listening(port) else "starts with the first node"
        _row("router", f"localhost:{port}, {state}")
    try:
        with ros.node() as own:
            _row("nodes", len(ros.node_names(own, False)))
            _row("topics", len(own.get_topic_names_and_types()))
    except (CommandError, RuntimeError, OSError) as error:
        yield f"no node can be made: {error}"
