# SPDX-License-Identifier: Apache-2.0
"""Packages and their directories.

A package's source folder, named by `EMBEDDED_ROS2_SHARE`, is its own prefix and share directory.
"""

from __future__ import annotations

import re
from pathlib import Path

from embedded_ros2 import share


class PackageNotFoundError(KeyError):
    """A package is not installed."""

    def __str__(self) -> str:
        return (
            f"\"package '{self.args[0]}' not found, searching: "
            f"{[str(prefix) for prefix in share.prefixes()]}; source folders may be named in "
            f'{share.SHARE_VARIABLE}"'
        )


def _check_name(package_name: str) -> None:
    if not package_name:
        raise ValueError("Expected non-empty package name")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", package_name):
        raise ValueError(f"'{package_name}' is not a valid package name")


def _share_directory(package_name: str) -> Path:
    _check_name(package_name)
    directory = share.find_share_directory(package_name)
    if directory is None:
        raise PackageNotFoundError(package_name)
    return directory


def get_package_prefix(package_name: str) -> str:
    """Return the prefix that a package is installed below.

    Raises:
        PackageNotFoundError: If it is not installed.
        ValueError: If the name is invalid.
    """
    directory = _share_directory(package_name)
    if directory.parent.name == "share":
        return str(directory.parent.parent)
    return str(directory)


def get_package_share_directory(package_name: str, print_warning: bool = True) -> str:
    """Return a package's share directory; see `get_package_prefix`."""
    return str(_share_directory(package_name))


def get_package_share_path(package_name: str, print_warning: bool = True) -> Path:
    """Return a package's share directory; see `get_package_prefix`."""
    return _share_directory(package_name)


def get_packages_with_prefixes() -> dict[str, str]:
    """Return {package: prefix}."""
    return {name: get_package_prefix(name) for name, _ in share.packages()}
