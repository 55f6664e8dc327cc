# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 launch <package> <file> [name:=value ...]``, or with the path of a file."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from embedded_ros2 import share

from . import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launch import Action, LaunchContext, LaunchDescription

# Launch configurations that the launch system itself reads; no launch file declares them.
_BUILT_IN = (
    "emulate_tty",
    "launch-prefix",
    "launch-prefix-filter",
    "ros_namespace",
    "sigkill_timeout",
    "sigterm_timeout",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "-n",
        "--noninteractive",
        action="store_true",
        default=not sys.stdin.isatty(),
        help="run with no terminal associated",
    )
    parser.add_argument("-d", "--debug", action="store_true", help="log more")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "-p",
        "--print",
        "--print-description",
        action="store_true",
        help="print what the file describes instead of launching it",
    )
    shown.add_argument(
        "-s",
        "--show-args",
        "--show-arguments",
        action="store_true",
        help="show the arguments that may be given to the file",
    )
    parser.add_argument(
        "-a",
        "--show-all-subprocesses-output",
        action="store_true",
        help="show the output of all processes, whatever the file says",
    )
    parser.add_argument("--launch-prefix", help="command to put in front of all executables")
    parser.add_argument(
        "--launch-prefix-filter", help="pattern of the executables that the prefix is for"
    )
    parser.add_argument("package_name", help="package with the launch file, or path of the file")
    parser.add_argument("launch_file_name", nargs="?", help="name of the launch file")
    parser.add_argument(
        "launch_arguments", nargs="*", help="'<name>:=<value>' (for duplicates, last one wins)"
    )


def main(args: argparse.Namespace) -> int:
    """Launch the file, or show what is in it."""
    arguments = list(args.launch_arguments)
    if os.path.isfile(args.package_name):
        path = args.package_name
        if args.launch_file_name is not None:
            arguments.insert(0, args.launch_file_name)
    else:
        path = find_launch_file(args.package_name, args.launch_file_name)
    if args.launch_prefix_filter and not args.launch_prefix:
        raise CommandError("--launch-prefix-filter needs --launch-prefix")
    if args.show_all_subprocesses_output:
        os.environ["OVERRIDE_LAUNCH_PROCESS_OUTPUT"] = "both"
    given = parse_launch_arguments(arguments)
    if args.launch_prefix:
        given["launch-prefix"] = args.launch_prefix
    if args.launch_prefix_filter:
        given["launch-prefix-filter"] = args.launch_prefix_filter
    if args.print or args.show_args:
        description = _load(path)
        print(_as_tree(description) if args.print else _arguments_text(description))
        return 0
    return _launch(path, given, arguments, args)


def find_launch_file(package: str, file_name: str | None) -> str:
    """Return the path of a launch file in the share folder of a package.

    Raises:
        CommandError: If there is no such package or file, or more than one file of that name.
    """
    folder = share.find_share_directory(package)
    if folder is None:
        raise CommandError(f"Package '{package}' not found, and there is no file of that name")
    files = _files(folder)
    found = [file for file in files if file.name == file_name]
    if len(found) == 1:
        return str(found[0])
    if found:
        raise CommandError(
            f"file '{file_name}' was found more than once in the share directory of package "
            f"'{package}': [{', '.join(repr(str(file)) for file in found)}]"
        )
    names = sorted(file.name for file in files if file.name.endswith(("launch.py", "_launch.py")))
    missing = "no launch file given" if file_name is None else f"file '{file_name}' was not found"
    raise CommandError(
        f"{missing} in the share directory of package '{package}' which is at '{folder}'; "
        f"launch files there: {', '.join(names) or 'none'}"
    )


def _files(folder: Path) -> list[Path]:
    """Return all files below a folder, through links too, each folder once."""
    seen: set[str] = set()
    files: list[Path] = []
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        files += [Path(root) / name for name in sorted(names)]
    return files


def parse_launch_arguments(arguments: list[str]) -> dict[str, str]:
    """Return the launch arguments by name.

    Raises:
        CommandError: If one is not of the form ``name:=value``.
    """
    given: dict[str, str] = {}
    for argument in arguments:
        name, sign, value = argument.partition(":=")
        if not name or not sign or not value:
            raise CommandError(
                f"malformed launch argument '{argument}', expected format '<name>:=<value>'"
            )
        given[name] = value
    return given


def _load(path: str) -> LaunchDescription:
    from launch.launch_description_sources import get_launch_description_from_any_launch_file

    try:
        return get_launch_description_from_any_launch_file(path)
    except Exception as error:  # a launch file is a program: anything can go wrong in it
        raise CommandError(f"{path}: {type(error).__name__}: {error}") from error


def _as_tree(description: LaunchDescription) -> str:
    from launch import LaunchIntrospector

    tree: str = LaunchIntrospector().format_launch_description(description)
    return tree


def _arguments_text(description: LaunchDescription) -> str:
    declared = description.get_launch_arguments()
    lines = ["Arguments (pass arguments as '<name>:=<value>'):"]
    for argument in declared:
        star = "*" if argument._conditionally_included else ""
        lines += ["", f"    '{argument.name}':{star}", f"        {argument.description}"]
        if argument.default_value is not None:
            default = " + ".join(part.describe() for part in argument.default_value)
            lines.append(f"        (default: {default})")
    if not declared:
        lines += ["", "  No arguments."]
    if any(argument._conditionally_included for argument in declared):
        lines += ["", "* argument(s) which are only used if specific conditions occur"]
    return "\n".join(lines)


def _warn_of_unknown(given: Iterable[str], declared: Iterable[str], path: str) -> None:
    for name in given:
        if name in declared or name in _BUILT_IN:
            continue
        close = difflib.get_close_matches(name, declared, n=1)
        hint = f"did you mean '{close[0]}'?" if close else "see --show-args"
        print(
            f"[WARNING] [launch]: {os.path.basename(path)} declares no launch argument '{name}': "
            f"{hint}",
            file=sys.stderr,
        )


def _launch(
    path: str, given: dict[str, str], arguments: list[str], args: argparse.Namespace
) -> int:
    from launch import LaunchDescription, LaunchService
    from launch.actions import IncludeLaunchDescription, OpaqueFunction
    from launch.launch_description_sources import AnyLaunchDescriptionSource

    service = LaunchService(argv=arguments, noninteractive=args.noninteractive, debug=args.debug)
    source = AnyLaunchDescriptionSource(path)
    description = source.try_get_launch_description_without_context()
    file = IncludeLaunchDescription(source, launch_arguments=given.items())
    actions: list[Action] = [file]
    if description is not None:
        known = {argument.name for argument in description.get_launch_arguments()}

        # Once everything was visited: what an OpaqueFunction includes is not known before.
        def compare(context: LaunchContext) -> None:
            _warn_of_unknown(given, known | context._declared, path)

        actions.append(OpaqueFunction(function=compare))
    service.include_launch_description(LaunchDescription(actions))
    code: int = service.run()
    return code
