# SPDX-License-Identifier: Apache-2.0
"""Launch files: Python only."""

from __future__ import annotations

import os
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType
from typing import Any

from . import _deep_paths
from .invalid_launch_file_error import InvalidLaunchFileError
from .launch_description import LaunchDescription
from .launch_description_source import LaunchDescriptionSource
from .some_substitutions_type import SomeSubstitutionsType

__all__ = [
    "AnyLaunchDescriptionSource",
    "InvalidFrontendLaunchFileError",
    "InvalidLaunchFileError",
    "InvalidPythonLaunchFileError",
    "PythonLaunchDescriptionSource",
    "get_launch_description_from_any_launch_file",
    "get_launch_description_from_python_launch_file",
    "load_python_launch_file_as_module",
]

_FRONTENDS = {".xml": "XML", ".yaml": "YAML", ".yml": "YAML"}


class InvalidPythonLaunchFileError(Exception):
    """A Python launch file lacks ``generate_launch_description``."""


class InvalidFrontendLaunchFileError(InvalidLaunchFileError):
    """An XML or YAML launch file is invalid; never raised, as none is read."""


def load_python_launch_file_as_module(python_launch_file_path: str) -> ModuleType:
    """Run a launch file and return it as a module."""
    loader = SourceFileLoader("python_launch_file", python_launch_file_path)
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def get_launch_description_from_python_launch_file(
    python_launch_file_path: str,
) -> LaunchDescription:
    """Return what a Python launch file describes.

    Raises:
        InvalidPythonLaunchFileError: If it has no ``generate_launch_description``, or if that
            returns something else than a launch description.
    """
    path = python_launch_file_path
    if not os.path.isfile(path):
        raise FileNotFoundError(f"launch file '{path}' does not exist")
    module = load_python_launch_file_as_module(path)
    if not hasattr(module, "generate_launch_description"):
        raise InvalidPythonLaunchFileError(
            f"launch file at '{path}' does not contain the required function "
            "'generate_launch_description()'"
        )
    description = module.generate_launch_description()
    if not isinstance(description, LaunchDescription):
        raise InvalidPythonLaunchFileError(
            f"generate_launch_description() in '{path}' returned "
            f"'{type(description).__name__}'; return a LaunchDescription"
        )
    return description


def get_launch_description_from_any_launch_file(
    launch_file_path: str, *, parser: Any = None
) -> LaunchDescription:
    """Return what a launch file describes.

    Raises:
        NotImplementedError: If it is an XML or YAML file.
    """
    kind = _FRONTENDS.get(os.path.splitext(launch_file_path)[1])
    if kind is not None:
        raise NotImplementedError(
            f"{kind} launch files are not offered without ROS 2: write '{launch_file_path}' as a "
            "Python launch file"
        )
    return get_launch_description_from_python_launch_file(launch_file_path)


class PythonLaunchDescriptionSource(LaunchDescriptionSource):
    """A Python launch file."""

    def __init__(self, launch_file_path: SomeSubstitutionsType) -> None:
        super().__init__(None, launch_file_path, "interpreted python launch file")

    def _get_launch_description(self, location: str) -> LaunchDescription:
        return get_launch_description_from_python_launch_file(location)


class AnyLaunchDescriptionSource(LaunchDescriptionSource):
    """A launch file of any kind that is offered, which is Python."""

    def __init__(self, launch_file_path: SomeSubstitutionsType) -> None:
        super().__init__(None, launch_file_path, "interpreted launch file")

    def _get_launch_description(self, location: str) -> LaunchDescription:
        return get_launch_description_from_any_launch_file(location)


_deep_paths.publish(
    __name__,
    __all__,
    also={
        "InvalidPythonLaunchFileError": "python_launch_file_utilities",
        "get_launch_description_from_any_launch_file": "any_launch_file_utilities",
        "get_launch_description_from_python_launch_file": "python_launch_file_utilities",
        "load_python_launch_file_as_module": "python_launch_file_utilities",
    },
)
