# SPDX-License-Identifier: Apache-2.0
"""Find the share directories of ROS packages: installed ones and source folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

SHARE_VARIABLE = "EMBEDDED_ROS2_SHARE"


def _paths(variable: str) -> list[Path]:
    return [Path(item) for item in os.environ.get(variable, "").split(os.pathsep) if item]


def prefixes() -> list[Path]:
    """Return the install prefixes in order: `AMENT_PREFIX_PATH`, then Python's own prefix."""
    return [*_paths("AMENT_PREFIX_PATH"), Path(sys.prefix)]


def _is_package(directory: Path) -> bool:
    return (directory / "package.xml").is_file()


def find_prefix(package: str) -> Path | None:
    """Return the prefix below which ``share/<package>`` is installed, or None."""
    for prefix in prefixes():
        if (prefix / "share" / package).is_dir():
            return prefix
    return None


def find_share_directory(package: str) -> Path | None:
    """Return the share directory of `package`, or None.

    `EMBEDDED_ROS2_SHARE` names share roots (folders that hold one folder a package) and source
    folders of packages (they hold a package.xml); it goes before the install prefixes.
    """
    for root in _paths(SHARE_VARIABLE):
        if root.name == package and _is_package(root):
            return root
        if (root / package).is_dir() and _is_package(root / package):
            return root / package
    prefix = find_prefix(package)
    return None if prefix is None else prefix / "share" / package


def packages() -> Iterator[tuple[str, Path]]:
    """Yield the (name, share directory) of every package that can be found, first one wins."""
    seen: set[str] = set()
    candidates: list[Path] = []
    for root in _paths(SHARE_VARIABLE):
        if _is_package(root):
            candidates.append(root)
        elif root.is_dir():
            candidates += [item for item in sorted(root.iterdir()) if _is_package(item)]
    for prefix in prefixes():
        directory = prefix / "share"
        if directory.is_dir():
            candidates += [item for item in sorted(directory.iterdir()) if _is_package(item)]
    for directory in candidates:
        if directory.name not in seen:
            seen.add(directory.name)
            yield directory.name, directory
