# SPDX-License-Identifier: Apache-2.0
"""Arguments that several verbs have, and how they are read."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

INSTALL = "./src/vla_training[torch]"
TABLETOP = "tabletop"  # the world of this suite
INTERRUPTED = 130  # exit code of a command that Ctrl-C ended


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers within bounds, for argparse."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not within {least} to {most}")
        return value

    return read


def seconds(text: str) -> float:
    """Read a positive number of seconds, for argparse."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not 0.0 < value < 1e7:
        raise argparse.ArgumentTypeError(f"{text} is not within 0 to 1e7 s")
    return value


def add_world(parser: argparse.ArgumentParser) -> None:
    """Declare which world it is."""
    parser.add_argument(
        "--robot",
        default="so101",
        metavar="NAME",
        help="its folder in config/robots (%(default)s)",
    )
    parser.add_argument(
        "--contract", default="smolvla_cubes", metavar="NAME",
        help="of <robot>_<name>.yaml in config/policies (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--config", type=Path, default=Path("config"), metavar="FOLDER",
        help="of robots and policies (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--processes", type=whole(1, 256), default=2, metavar="N",
        help="each with a world of its own (%(default)s)",
    )  # fmt: skip


def add_tasks(parser: argparse.ArgumentParser, policy: str) -> None:
    """Declare the world, the tasks of one that has several, and what the policy's file there is.

    Args:
        parser: It is changed.
        policy: What the policy is there for, for the help.
    """
    parser.add_argument(
        "--world", default=TABLETOP, metavar="NAME",
        help="tabletop, metaworld, libero, or module:factory (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--tasks", nargs="+", default=["all"], metavar="NAME",
        help="of a world, or groups of them (all)",
    )  # fmt: skip
    parser.add_argument(
        "--policy", default="smolvla", metavar="NAME",
        help=f"{policy} in a world: <world>_<name>.yaml in config/worlds (%(default)s)",
    )  # fmt: skip


def robot_file(arguments: argparse.Namespace) -> Path:
    """Return the robot file that is meant."""
    return Path(arguments.config, "robots", arguments.robot, "robot.yaml")


def contract_file(arguments: argparse.Namespace) -> Path:
    """Return the contract that is meant."""
    name = f"{arguments.robot}_{arguments.contract}.yaml"
    return Path(arguments.config, "policies", name)
