# SPDX-License-Identifier: Apache-2.0
"""Importable packages (`std_msgs`, `std_msgs.msg`) whose classes are made when asked for."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

from embedded_ros2.interfaces import registry


class _KindModule(ModuleType):
    """`package.msg`, `package.srv` or `package.action`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        from embedded_ros2.interfaces.lookup import lookup
        from embedded_ros2.interfaces.parse import DefinitionError

        package, kind = self.__name__.split(".")
        try:
            value = lookup(package, kind, name)
        except DefinitionError as error:
            raise AttributeError(f"module '{self.__name__}' has no '{name}': {error}") from error
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__all__})


class InterfaceLoader(importlib.abc.Loader):
    """Loads interface packages and their `msg`, `srv` and `action` modules."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Return an empty module of the right class."""
        return _KindModule(spec.name) if "." in spec.name else None

    def exec_module(self, module: ModuleType) -> None:
        """Fill in what is cheap; the classes follow on demand."""
        package, _, kind = module.__name__.partition(".")
        if kind:
            names = [name for defined, name in registry.interfaces(package) if defined == kind]
            module.__all__ = names  # type: ignore[attr-defined]
            sys.modules[package].__dict__.setdefault(kind, module)


def find(fullname: str) -> importlib.machinery.ModuleSpec | None:
    """Return the spec of `package` or `package.kind`, if there are definitions for it."""
    package, _, kind = fullname.partition(".")
    found = registry.has_kind(package, kind) if kind else bool(registry.interfaces(package))
    if not found:
        return None
    spec = importlib.machinery.ModuleSpec(
        fullname, InterfaceLoader(), origin="embedded_ros2", is_package=not kind
    )
    return spec
