# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 interface``: list, package, packages, show and proto."""

from __future__ import annotations

import argparse
import sys

from embedded_ros2.interfaces.parse import DefinitionError, parse_structure

from . import CommandError, add_verbs, definitions, messages

_TITLES = {"msg": "Messages", "srv": "Services", "action": "Actions"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_verbs(
        parser,
        {
            "list": (_add_kinds, _list),
            "package": (_add_package, _package),
            "packages": (_add_kinds, _packages),
            "show": (_add_show, _show),
            "proto": (_add_proto, _proto),
        },
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb."""
    return int(args.verb(args) or 0)


def _add_kinds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--only-msgs", action="store_true", help="only messages")
    parser.add_argument("-s", "--only-srvs", action="store_true", help="only services")
    parser.add_argument("-a", "--only-actions", action="store_true", help="only actions")


def _kinds(args: argparse.Namespace) -> tuple[str, ...]:
    asked = (("msg", args.only_msgs), ("srv", args.only_srvs), ("action", args.only_actions))
    return tuple(kind for kind, on in asked if on) or tuple(_TITLES)


def _list(args: argparse.Namespace) -> None:
    """List all interface types available."""
    for kind in _kinds(args):
        print(f"{_TITLES[kind]}:")
        for package in definitions.packages():
            for name in definitions.of_package(package, (kind,)):
                print(f"    {name}")


def _add_package(parser: argparse.ArgumentParser) -> None:
    _add_kinds(parser)
    parser.add_argument("package_name", help="name of the package")


def _package(args: argparse.Namespace) -> None:
    """Output a list of available interface types within one package."""
    if args.package_name not in definitions.packages():
        raise CommandError(f"Unknown package '{args.package_name}'")
    for name in definitions.of_package(args.package_name, _kinds(args)):
        print(name)


def _packages(args: argparse.Namespace) -> None:
    """Output a list of packages that provide interfaces."""
    for package in definitions.packages():
        if definitions.of_package(package, _kinds(args)):
            print(package)


def _add_show(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--all-comments", action="store_true", help="comments of nested types too")
    group.add_argument("--no-comments", action="store_true", help="no comments, no blank lines")
    parser.add_argument("type", help="for example 'std_msgs/msg/String'; '-' for standard input")


def _show(args: argparse.Namespace) -> None:
    """Output the interface definition."""
    name = sys.stdin.readline().strip() if args.type == "-" else args.type
    _print(name, 0, not args.no_comments, args.all_comments)


def _print(name: str, depth: int, comments: bool, nested_comments: bool) -> None:
    for line in definitions.lines(name):
        text = line.rstrip()
        if not comments:
            text = text.partition("#")[0].rstrip()
            if not text:
                continue
        print("\t" * depth + text if text else "")
        nested = _nested_type(name, text)
        if nested is not None:
            _print(nested, depth + 1, nested_comments, nested_comments)


def _nested_type(name: str, line: str) -> str | None:
    """Return the message type of the field that a line declares, if it is a nested one."""
    if not line.strip() or line.lstrip().startswith("#") or set(line.strip()) == {"-"}:
        return None
    package = name.split("/")[0]
    try:
        fields = parse_structure(f"{package}/msg/Line", [line]).fields
    except DefinitionError:
        return None
    return next((field.type.base for field in fields if not field.type.is_primitive), None)


def _add_proto(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", help="for example 'std_msgs/msg/String'")
    parser.add_argument("--no-quotes", action="store_true", help="no quotes around the output")


def _proto(args: argparse.Namespace) -> None:
    """Output an interface prototype."""
    kind = args.type.split("/")[1] if args.type.count("/") == 2 else "msg"
    if kind not in _TITLES:
        raise CommandError(f"Invalid name '{args.type}'. Expected package/msg|srv|action/Name")
    found = messages.interface(args.type, kind)
    part = {"msg": found, "srv": "Request", "action": "Goal"}[kind]
    message = (getattr(found, part) if isinstance(part, str) else part)()
    text = messages.to_yaml(message)
    print(text if args.no_quotes else f'"{text}"')
