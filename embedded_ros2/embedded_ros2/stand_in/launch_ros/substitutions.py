# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""Text that depends on the packages found and on the parameters set."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from launch import _deep_paths
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.substitutions import SubstitutionFailure
from launch.substitutions.configuration import default_as_substitutions
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

__all__ = [
    "ExecutableInPackage",
    "FindPackage",
    "FindPackagePrefix",
    "FindPackageShare",
    "Parameter",
]


def _words(parts: Iterable[Substitution]) -> str:
    return " + ".join(part.describe() for part in parts)


class FindPackage(Substitution):
    """Something about a package; the base of those below."""

    def __init__(self, package: SomeSubstitutionsType) -> None:
        self.package = normalize_to_list_of_substitutions(package)

    def find(self, package_name: str) -> str:
        """Return what is looked for."""
        raise NotImplementedError(f"{type(self).__name__}.find")

    def describe(self) -> str:
        return f"{type(self).__name__}(pkg={_words(self.package)})"

    def perform(self, context: LaunchContext) -> str:
        name = perform_substitutions(context, self.package)
        from ament_index_python.packages import PackageNotFoundError

        try:
            return self.find(name)
        except PackageNotFoundError as error:
            raise SubstitutionFailure(str(error)) from None


class FindPackagePrefix(FindPackage):
    """The folder below which a package is installed."""

    def find(self, package_name: str) -> str:
        from ament_index_python.packages import get_package_prefix

        return str(get_package_prefix(package_name))


class FindPackageShare(FindPackage):
    """The share folder of a package, where its launch files and configuration are."""

    def find(self, package_name: str) -> str:
        from ament_index_python.packages import get_package_share_directory

        return str(get_package_share_directory(package_name))


class ExecutableInPackage(FindPackage):
    """An executable of a package."""

    def __init__(self, executable: SomeSubstitutionsType, package: SomeSubstitutionsType) -> None:
        super().__init__(package)
        self.executable = normalize_to_list_of_substitutions(executable)

    def describe(self) -> str:
        return f"ExecInPkg(pkg={_words(self.package)}, exec={_words(self.executable)})"

    def perform_program(self, context: LaunchContext) -> tuple[str, list[str]]:
        """Return the name of the executable and the command line that runs it.

        Raises:
            SubstitutionFailure: If there is no such package or executable.
        """
        from embedded_ros2.cli import executables

        package = perform_substitutions(context, self.package)
        executable = perform_substitutions(context, self.executable)
        try:
            program = executables.find(package, executable)
        except executables.ExecutableNotFoundError as error:
            raise SubstitutionFailure(str(error)) from None
        return program.name, list(program.argv)

    def perform(self, context: LaunchContext) -> str:
        return shlex.join(self.perform_program(context)[1])


class Parameter(Substitution):
    """The value of a parameter that SetParameter has set."""

    def __init__(
        self, name: SomeSubstitutionsType, *, default: Any | Iterable[Any] | None = None
    ) -> None:
        self.name = normalize_to_list_of_substitutions(name)
        self.__default = default_as_substitutions(default)

    def describe(self) -> str:
        return f"Parameter(name={_words(self.name)})"

    def perform(self, context: LaunchContext) -> str:
        name = perform_substitutions(context, self.name)
        for item in context.launch_configurations.get("global_params", []):
            if item[0] == name:
                return str(item[1])
        if self.__default is None:
            raise SubstitutionFailure(f"parameter '{name}' not found")
        return perform_substitutions(context, self.__default)


_deep_paths.publish(
    __name__,
    __all__,
    also=dict.fromkeys(["FindPackage", "FindPackagePrefix", "FindPackageShare"], "find_package"),
)
