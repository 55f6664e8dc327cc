# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 pkg``: list, prefix, executables and xml."""

from __future__ import annotations

import argparse
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
    get_packages_with_prefixes,
)

from . import CommandError, add_verbs, executables


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_verbs(
        parser,
        {
            "list": (None, _list),
            "prefix": (_add_prefix, _prefix),
            "executables": (_add_executables, _executables),
            "xml": (_add_xml, _xml),
        },
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb."""
    return int(args.verb(args) or 0)


def _list(args: argparse.Namespace) -> None:
    """Output a list of available packages."""
    for name in sorted(get_packages_with_prefixes()):
        print(name)


def _add_prefix(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("package_name", help="name of the package")
    parser.add_argument("--share", action="store_true", help="show its share directory instead")


def _prefix(args: argparse.Namespace) -> None:
    """Output the prefix path of a package."""
    find = get_package_share_directory if args.share else get_package_prefix
    try:
        print(find(args.package_name))
    except PackageNotFoundError:
        raise CommandError("Package not found") from None


def _add_executables(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("package_name", nargs="?", help="name of the package; all without one")
    parser.add_argument("--full-path", action="store_true", help="show the command lines")


def _executables(args: argparse.Namespace) -> None:
    """Output a list of package specific executables."""
    names = [args.package_name] if args.package_name else sorted(get_packages_with_prefixes())
    for package in names:
        programs = executables.of_package(package)
        if programs is None:
            raise CommandError(f"Package '{package}' not found")
        for name, program in sorted(programs.items()):
            print(" ".join(program.argv) if args.full_path else f"{package} {name}")


def _add_xml(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("package_name", help="name of the package")
    parser.add_argument("-t", "--tag", help="show the text of this tag only, for example version")


def _xml(args: argparse.Namespace) -> None:
    """Output the XML of the package manifest."""
    try:
        path = Path(get_package_share_directory(args.package_name)) / "package.xml"
        text = path.read_text(encoding="utf-8")
    except PackageNotFoundError:
        raise CommandError(f"Package '{args.package_name}' not found") from None
    except OSError:
        raise CommandError(f"Package '{args.package_name}' has no package.xml") from None
    if args.tag is None:
        print(text.rstrip())
        return
    found = ElementTree.fromstring(text).findall(args.tag)
    if not found:
        raise CommandError(f"'{path}' has no tag '{args.tag}'")
    for one in found:
        print((one.text or "").strip())
