# SPDX-License-Identifier: Apache-2.0
"""What the real packages have and these do not: refused by name, in one clear line.

`refusals.txt` lists it. A module refuses when it is imported, a name of a module when it is taken
from there, a member of a class when it is looked up.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

STAND_INS = os.path.join(os.path.dirname(__file__), "stand_in")
_TABLE = os.path.join(os.path.dirname(__file__), "refusals.txt")


class NotOffered(ModuleNotFoundError, NotImplementedError):  # noqa: N818  (says what it is)
    """A module or a name of one is not offered.

    Also a `ModuleNotFoundError`: a program that can do without it finds out as it does elsewhere.
    """


class MemberNotOffered(AttributeError, NotImplementedError):  # noqa: N818
    """A member of a class is not offered; `hasattr` says so too."""


@functools.cache
def table() -> dict[str, dict[str, str]]:
    """Return {module: {name: reason}}; the name of a module itself is empty."""
    found: dict[str, dict[str, str]] = {}
    reason = ""
    with open(_TABLE, encoding="utf-8") as file:
        for line in file:
            line = line.rstrip("\n")
            if line.startswith("#") or not line:
                continue
            if line.startswith("= "):
                reason = line[2:]
                continue
            module, _, name = line.partition(":")
            found.setdefault(module, {})[name] = reason
    return found


def module_refusal(name: str) -> NotOffered | None:
    """Return why a module, or a package that it is in, is not offered; None if nothing says so."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        reason = table().get(".".join(parts[:length]), {}).get("")
        if reason is not None:
            return NotOffered(f"embedded_ros2 does not offer {name}: {reason}", name=name)
    return None


class Refuser(importlib.abc.Loader):
    """A loader of modules that are not offered."""

    def __init__(self, error: NotOffered) -> None:
        self._error = error

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Use Python's own module object."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Refuse."""
        raise self._error


class StandInLoader(importlib.machinery.SourceFileLoader):
    """Loads a module of a stand-in, which then answers for what it does not have."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module and add the refusals of its names."""
        super().exec_module(module)
        finish(module)


def finish(module: ModuleType) -> None:
    """Let a module answer for the names and submodules that it does not have."""
    for name, reason in table().get(module.__name__, {}).items():
        owner, dot, member = name.rpartition(".")
        known = vars(module).get(owner)
        # A name that stands for typing.Any is no class of this module, nor, in Python 3.10, any.
        if dot and isinstance(known, type) and known is not Any and not hasattr(known, member):
            setattr(known, member, _Member(owner, member, reason))
    vars(module).setdefault("__getattr__", _answer(module))
    if module.__name__ in _parents() and "__path__" not in vars(module):
        # Python looks for submodules of packages alone, and in the package's folders.
        module.__path__ = [os.path.join(STAND_INS, *module.__name__.split("."))]


@functools.cache
def _parents() -> frozenset[str]:
    return frozenset(name.rpartition(".")[0] for name, names in table().items() if "" in names)


def _answer(module: ModuleType) -> Callable[[str], Any]:
    def answer(name: str) -> Any:
        reason = table().get(module.__name__, {}).get(name)
        if reason is not None:
            raise NotOffered(
                f"embedded_ros2 does not offer {module.__name__}.{name}: {reason}", name=name
            )
        # The real package's modules import one another, so that most are there after the first.
        if "__path__" in vars(module) and not name.startswith("_"):
            try:
                return importlib.import_module(f"{module.__name__}.{name}")
            except ModuleNotFoundError as error:
                if isinstance(error, NotOffered) or error.name != f"{module.__name__}.{name}":
                    raise
        raise AttributeError(f"module '{module.__name__}' has no attribute '{name}'")

    return answer


class _Member:
    """A member of a class that is not offered."""

    def __init__(self, owner: str, name: str, reason: str) -> None:
        self._text = f"embedded_ros2 does not offer {owner}.{name}: {reason}"

    def __get__(self, instance: object, owner: type) -> Any:
        raise MemberNotOffered(self._text)
