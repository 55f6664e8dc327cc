# SPDX-License-Identifier: Apache-2.0
"""Decide what an import of a ROS name gives where other finders have nothing.

Split from `fallback` so that an interpreter which never imports a ROS name never loads this.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from typing import Any

from embedded_ros2 import refusals

_DIRECTORY = refusals.STAND_INS


def _elsewhere(fullname: str, path: Sequence[str] | None, finders: list[Any]) -> bool:
    """Return whether one of the finders knows a regular module of this name.

    A namespace package does not count: any folder of that name on the path passes for one.
    """
    for finder in finders:
        find_spec = getattr(finder, "find_spec", None)
        spec = find_spec(fullname, path, None) if find_spec else None
        if spec is not None and spec.origin is not None:
            return True
    return False


def _others(ours: tuple[type, ...]) -> list[Any]:
    return [finder for finder in sys.meta_path if not isinstance(finder, ours)]


def find(fullname: str, path: Sequence[str] | None, ours: tuple[type, ...]) -> ModuleSpec | None:
    """Return the spec of a stand-in or of a package's msg, srv or action module, or None.

    Args:
        fullname: A stand-in's name, or ``package.msg``, ``package.srv``, ``package.action``.
        path: The parent package's path, None for a top-level name.
        ours: The finders to leave out when looking for the real one.
    """
    others = _others(ours)
    if _elsewhere(fullname, path, others):
        return None
    # Where a real rclpy is, a stand-in for something it lacks would not fit it.
    if fullname != "rclpy" and _elsewhere("rclpy", None, others):
        return None
    if "." in fullname:
        return _interfaces(fullname)
    return _stand_in(fullname, [_DIRECTORY])


def find_submodule(fullname: str, path: Sequence[str] | None) -> ModuleSpec | None:
    """Return the spec of a stand-in's submodule; None if the package is somebody else's."""
    if not path or not str(next(iter(path))).startswith(_DIRECTORY + os.sep):
        return None
    found = _stand_in(fullname, path)
    return found or _refused(fullname)


def find_refused(fullname: str, ours: tuple[type, ...]) -> ModuleSpec | None:
    """Return a spec that refuses a ROS package; None where there is a real rclpy."""
    return None if _elsewhere("rclpy", None, _others(ours)) else _refused(fullname)


def _refused(fullname: str) -> ModuleSpec | None:
    error = refusals.module_refusal(fullname)
    return None if error is None else ModuleSpec(fullname, refusals.Refuser(error))


def _stand_in(fullname: str, path: Sequence[str]) -> ModuleSpec | None:
    spec = importlib.machinery.PathFinder.find_spec(fullname, path)
    if spec is None or spec.origin is None:
        return None
    loader = refusals.StandInLoader(fullname, spec.origin)
    return importlib.util.spec_from_file_location(
        fullname,
        spec.origin,
        loader=loader,
        submodule_search_locations=spec.submodule_search_locations,
    )


def find_interface_package(fullname: str, ours: tuple[type, ...]) -> ModuleSpec | None:
    """Return the spec of a generated interface package, which no other finder has found."""
    spec = _interfaces(fullname)
    return None if spec is None or _elsewhere("rclpy", None, _others(ours)) else spec


def _interfaces(fullname: str) -> ModuleSpec | None:
    from embedded_ros2.interfaces import packages

    return packages.find(fullname)
