# SPDX-License-Identifier: Apache-2.0
"""Resources that packages register in the ament index."""

from __future__ import annotations

from pathlib import Path

from embedded_ros2 import share

_INDEX = Path("share") / "ament_index" / "resource_index"


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
    prefix = _find(resource_type, resource_name)
    if prefix is None:
        raise LookupError(
            f"Could not find the resource '{resource_name}' of type '{resource_type}'"
        )
    path = prefix / _INDEX / resource_type / resource_name
    return path.read_text(encoding="utf-8"), str(prefix)


def has_resource(resource_type: str, resource_name: str) -> str | bool:
    """Return the prefix of a resource, False if it is not registered."""
    prefix = _find(resource_type, resource_name)
    return False if prefix is None else str(prefix)


def get_resources(resource_type: str) -> dict[str, str]:
    """Return {name: prefix} of all resources of a type; packages include source folders."""
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
