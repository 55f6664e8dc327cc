# SPDX-License-Identifier: Apache-2.0
"""The command line: ``embedded-ros2 launch``, ``run``, ``topic`` and so on, as in ``ros2``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

_COMMANDS = {
    "launch": "Run a launch file",
    "run": "Run a package specific executable",
}


class CommandError(Exception):
    """A command cannot be carried out; the message is all that the user sees."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments, without the name of the program.

    Returns:
        The exit code.
    """
    from embedded_ros2 import __version__, fallback

    fallback.install()
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments and arguments[0] in _COMMANDS else None
    parser = argparse.ArgumentParser(
        prog="embedded-ros2", description="The ros2 command line where no ROS 2 is installed."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="command", dest="command")
    for command, text in _COMMANDS.items():
        # Only the module of the command at hand is imported: nodes and launches start quickly.
        if name is None or command == name:
            sub = commands.add_parser(command, help=text, description=text)
            if command == name:
                module = importlib.import_module(f"embedded_ros2.cli.{command}")
                module.add_arguments(sub)
    args = parser.parse_args(arguments)
    if name is None:
        parser.print_help()
        return 0
    try:
        return int(module.main(args) or 0)
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # else the interpreter complains that it cannot flush
        return 1
    except KeyboardInterrupt:
        return 130
