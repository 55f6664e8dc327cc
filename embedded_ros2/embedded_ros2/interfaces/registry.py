# SPDX-License-Identifier: Apache-2.0
"""Find interface definitions: installed packages first, then the tables of this package."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from embedded_ros2 import share
from embedded_ros2.interfaces.parse import (
    SEQUENCE,
    DefinitionError,
    Structure,
    parse_interface,
    split_table,
)

KINDS = ("msg", "srv", "action")
_TABLES = Path(__file__).with_name("definitions")
_SUFFIXES = (
    "_SendGoal_Request",
    "_SendGoal_Response",
    "_SendGoal_Event",
    "_SendGoal",
    "_GetResult_Request",
    "_GetResult_Response",
    "_GetResult_Event",
    "_GetResult",
    "_FeedbackMessage",
    "_Request",
    "_Response",
    "_Event",
    "_Goal",
    "_Result",
    "_Feedback",
)

_structures: dict[str, Structure] = {}


@cache
def _table(package: str) -> dict[tuple[str, str], list[str]]:
    path = _TABLES / f"{package}.txt"
    return split_table(path.read_text(encoding="utf-8")) if path.is_file() else {}


@cache
def _files(package: str) -> dict[tuple[str, str], Path]:
    """Return the definition files of an installed (or source) package."""
    directory = share.find_share_directory(package)
    if directory is None:
        return {}
    return {
        (kind, path.stem): path
        for kind in KINDS
        for path in sorted((directory / kind).glob(f"*.{kind}"))
    }


def interfaces(package: str) -> list[tuple[str, str]]:
    """Return the (kind, name) of every interface that `package` defines; empty if unknown."""
    return sorted(_files(package) or _table(package))


def has_kind(package: str, kind: str) -> bool:
    """Return whether `package` defines messages, services or actions (`kind`)."""
    return any(defined == kind for defined, _ in interfaces(package))


def _owner(name: str) -> str:
    """Return the interface whose definition holds the structure `name`."""
    package, kind, stem = name.split("/")
    if kind == "msg" or (kind, stem) in (_files(package) or _table(package)):
        return name
    for suffix in _SUFFIXES:
        if stem.endswith(suffix):
            return f"{package}/{kind}/{stem[: -len(suffix)]}"
    return name


def is_service_part(name: str) -> bool:
    """Return whether `name` is one of the two services that an action is made of."""
    return "/action/" in name and name.endswith(("_SendGoal", "_GetResult"))


def definition(name: str) -> list[str]:
    """Return the lines of the definition of the interface ``package/kind/Name``.

    Raises:
        DefinitionError: If no definition of it is found.
    """
    package, kind, stem = name.split("/")
    files = _files(package)
    if (kind, stem) in files:
        return files[kind, stem].read_text(encoding="utf-8").splitlines()
    if files or (kind, stem) not in _table(package):
        raise DefinitionError(f"no definition of {name} is installed")
    return _table(package)[kind, stem]


def holds_bytes(name: str) -> bool:
    """Return whether a structure or one within it has a field of type `uint8[]`."""
    return any(
        field.type.base == "uint8" and field.type.shape == SEQUENCE
        if field.type.is_primitive
        else holds_bytes(field.type.base)
        for field in structure(name).fields
    )


def structure(name: str) -> Structure:
    """Return the structure with the full name `name`.

    Raises:
        DefinitionError: If no definition of it is found, or the definition cannot be read.
    """
    if name not in _structures:
        owner = _owner(name)
        for parsed in parse_interface(owner, definition(owner)):
            _structures[parsed.name] = parsed
        if name not in _structures:
            raise DefinitionError(f"{owner} has no part {name}")
    return _structures[name]
