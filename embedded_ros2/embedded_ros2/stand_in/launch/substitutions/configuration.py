# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""Text from the launch: its configurations, its files, its log folder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import (
    ensure_argument_type,
    normalize_to_list_of_substitutions,
    perform_substitutions,
)
from .substitution_failure import SubstitutionFailure

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


def describe(parts: Iterable[Substitution]) -> str:
    """Return the substitutions in words."""
    return " + ".join(part.describe() for part in parts)


def default_as_substitutions(default: Any | Iterable[Any] | None) -> list[Substitution] | None:
    """Return a default, which may be any value, as substitutions."""
    if default is None:
        return None
    if isinstance(default, (str, Substitution)) or not isinstance(default, Iterable):
        default = [default]
    return normalize_to_list_of_substitutions(
        [item if isinstance(item, (str, Substitution)) else str(item) for item in default]
    )


class LaunchConfiguration(Substitution):
    """The value of a launch configuration, such as a launch argument."""

    def __init__(
        self,
        variable_name: SomeSubstitutionsType,
        *,
        default: Any | Iterable[Any] | None = None,
    ) -> None:
        self.variable_name = normalize_to_list_of_substitutions(variable_name)
        self.__default = default_as_substitutions(default)

    def describe(self) -> str:
        return f"LaunchConfig({describe(self.variable_name)})"

    def perform(self, context: LaunchContext) -> str:
        name = perform_substitutions(context, self.variable_name)
        if name in context.launch_configurations:
            value: str = context.launch_configurations[name]
            return value
        if self.__default is None:
            raise SubstitutionFailure(
                f"launch configuration '{name}' does not exist; "
                "declare it with DeclareLaunchArgument before it is used"
            )
        return perform_substitutions(context, self.__default)


class LocalSubstitution(Substitution):
    """A value from ``context.locals``, known only while an event is handled.

    Attributes:
        expression: The Python expression after ``context.locals.``.
        description: The value in words.
    """

    def __init__(self, expression: str, description: str | None = None) -> None:
        ensure_argument_type(expression, str, "expression", "LocalSubstitution")
        self.expression = expression
        self.description = description

    def describe(self) -> str:
        return f"LocalVar('{self.description or self.expression}')"

    def perform(self, context: LaunchContext) -> str:
        return str(eval(f"context.locals.{self.expression}", {}, {"context": context}))


class ThisLaunchFile(Substitution):
    """The path of the launch file that is being visited."""

    def describe(self) -> str:
        return "ThisLaunchFile()"

    def perform(self, context: LaunchContext) -> str:
        return _of_launch_file(context, "current_launch_file_path", "ThisLaunchFile")


class ThisLaunchFileDir(Substitution):
    """The folder of the launch file that is being visited."""

    def describe(self) -> str:
        return "ThisLaunchFileDir()"

    def perform(self, context: LaunchContext) -> str:
        return _of_launch_file(context, "current_launch_file_directory", "ThisLaunchFileDir")


def _of_launch_file(context: LaunchContext, key: str, who: str) -> str:
    values = context.get_locals_as_dict()
    if key not in values:
        raise SubstitutionFailure(f"{who} used outside of a launch file (in a script)")
    value: str = values[key]
    return value


class LaunchLogDir(Substitution):
    """The folder of this launch's log files."""

    def describe(self) -> str:
        return "LaunchLogDir()"

    def perform(self, context: LaunchContext) -> str:
        from ..logging import launch_config

        return launch_config.log_dir
