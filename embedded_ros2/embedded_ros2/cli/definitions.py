# SPDX-License-Identifier: Apache-2.0
"""The text of message, service and action definitions."""

from __future__ import annotations

from embedded_ros2 import share
from embedded_ros2.interfaces import registry
from embedded_ros2.interfaces.parse import DefinitionError

from . import CommandError


def packages() -> list[str]:
    """Return the names of all packages that define interfaces, sorted."""
    shipped = {path.stem for path in registry._TABLES.glob("*.txt")}
    installed = {name for name, _ in share.packages()}
    return sorted(name for name in shipped | installed if registry.interfaces(name))


def of_package(package: str, kinds: tuple[str, ...]) -> list[str]:
    """Return ``package/kind/Name`` of the interfaces that a package defines."""
    return [
        f"{package}/{kind}/{name}" for kind, name in registry.interfaces(package) if kind in kinds
    ]


def lines(name: str) -> list[str]:
    """Return the lines of the definition of ``package/kind/Name``.

    Raises:
        CommandError: If there is no such definition.
    """
    parts = name.split("/")
    if len(parts) != 3:
        raise CommandError(f"Invalid name '{name}'. Expected three parts separated by '/'")
    try:
        return registry.definition(name)
    except DefinitionError:
        known = "" if registry.interfaces(parts[0]) else f": unknown package '{parts[0]}'"
        raise CommandError(f"Could not find the interface '{name}'{known}") from None


def nested_types(name: str) -> list[str]:
    """Return the message types that a message holds, those within them too, each once."""
    found: list[str] = []

    def collect(message: str) -> None:
        for field in registry.structure(message).fields:
            if not field.type.is_primitive and field.type.base not in found:
                found.append(field.type.base)
                collect(field.type.base)

    try:
        collect(name)
    except DefinitionError as error:
        raise CommandError(str(error)) from None
    return found


def bundle(name: str) -> str:
    """Return the definition of a message with those of the messages that it holds.

    The form is that of MCAP's ``ros2msg`` schemas.
    """
    parts = ["\n".join(lines(name))]
    for nested in nested_types(name):
        package, _, stem = nested.split("/")
        parts.append("=" * 80 + f"\nMSG: {package}/{stem}\n" + "\n".join(lines(nested)))
    return "\n".join(parts) + "\n"
