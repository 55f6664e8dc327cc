# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 run <package> <executable> [arguments]``."""

from __future__ import annotations

import argparse
import os
import shlex
import sys

from . import CommandError, executables


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--prefix", help="command to put in front, for example 'gdb -ex run --args'"
    )
    parser.add_argument("package_name", help="name of the ROS package")
    parser.add_argument("executable_name", help="name of the executable")
    parser.add_argument("argv", nargs=argparse.REMAINDER, help="arguments of the executable")


def main(args: argparse.Namespace) -> int:
    """Become the executable, so that signals and exit code are its own."""
    try:
        program = executables.find(args.package_name, args.executable_name)
    except executables.ExecutableNotFoundError as error:
        raise CommandError(str(error)) from None
    argv = [*shlex.split(args.prefix or ""), *program.argv, *args.argv]
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        raise CommandError(f"cannot start '{argv[0]}': {error.strerror}") from None
