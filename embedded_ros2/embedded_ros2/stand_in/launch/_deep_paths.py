# SPDX-License-Identifier: Apache-2.0
"""Serve the one-class-per-module import paths of the launch packages from larger modules."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from types import ModuleType

from embedded_ros2 import refusals


def _snake(name: str) -> str:
    """Return a class name in the form of its module, ``IfCondition`` as ``if_condition``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def publish(package: str, names: Iterable[str], also: Mapping[str, str] | None = None) -> None:
    """Make ``<package>.<module>`` importable for each exported class.

    Launch files in the field import ``launch.actions.declare_launch_argument`` as well as
    ``launch.actions``; here several classes share a module, so the longer path is an alias.

    Args:
        package: The package that exports the classes.
        names: Names of the exported classes.
        also: Class name to module name, where the two do not correspond.
    """
    home = sys.modules[package]
    for name in names:
        module_name = (also or {}).get(name, _snake(name))
        path = f"{package}.{module_name}"
        module = sys.modules.get(path)
        if module is None:
            module = sys.modules[path] = ModuleType(path)
            vars(home).setdefault(module_name, module)
        setattr(module, name, getattr(home, name))
        refusals.finish(module)
