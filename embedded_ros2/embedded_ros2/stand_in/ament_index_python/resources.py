# SPDX-License-Identifier: Apache-2.0
"""Resources that packages register in the ament index."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.constants import RESOURCE_INDEX_SUBFOLDER
from embedded_ros2 import share

_INDEX = Path(RESOURCE_INDEX_SUBFOLDER)


class InvalidResourceTypeNameError(ValueError):
    """A resource type's name is invalid."""


class InvalidResourceNameError(ValueError):
    """A resource's name is invalid."""


def _check(name: str, error: type[ValueError]) -> None:
    if not name or "/" in name or "\\" in name:
        raise error(f"'{name}' is empty or has a slash")


def _find(resource_type: str, resource_name: str) -> Path | None:
    for prefix in share.prefixes():
        path: Path = prefix / _INDEX / resource_type / resource_name
        if path.is_file():
            return prefix
    return None


def get_resource(resource_type: str, resource_name: str) -> tuple[str, str]:
    """Return (content, prefix) of a resource.

    Raises:
        LookupError: If it is not registered.
    """
    _check(resource_type, InvalidResourceTypeNameError)
    _check(resource_name, InvalidResourceNameError)
    prefix = _find(resource_type, resource_name)
    if prefix is None:
        raise LookupError(
            f"Could not find the resource '{resource_name}' of type '{resource_type}'"
        )
    path = prefix / _INDEX / resource_type / resource_name
    return path.read_text(encoding="utf-8"), str(prefix)


def has_resource(resource_type: str, resource_name: str) -> str | bool:
    """Return the prefix of a resource, False if it is not registered."""
    _check(resource_type, InvalidResourceTypeNameError)
    _check(resource_name, InvalidResourceNameError)
    prefix = _find(resource_type, resource_name)
    return False if prefix is None else str(prefix)


def get_resources(resource_type: str) -> dict[str, str]:
    """Return {name: prefix} of all resources of a type; packages include source folders."""
    _check(resource_type, InvalidResourceTypeNameError)
    if resource_type == "packages":
        from ament_index_python.packages import get_packages_with_prefixes

        return get_packages_with_prefixes()
    found: dict[str, str] = {}
    for prefix in share.prefixes():
        directory = prefix / _INDEX / resource_type
        if directory.is_dir():
            for path in sorted(directory.iterdir()):
                found.setdefault(path.name, str(prefix))
    return found


def get_resource_types() -> set[str]:
    """Return the names of all resource types."""
    found = {"packages"} if get_resources("packages") else set()
    for prefix in share.prefixes():
        directory = prefix / _INDEX
        if directory.is_dir():
            found |= {path.name for path in directory.iterdir() if path.is_dir()}
    return found
