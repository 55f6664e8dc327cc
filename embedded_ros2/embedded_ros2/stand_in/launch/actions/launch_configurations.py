# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""Actions on the launch configurations, of which the launch arguments are some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..action import Action
from ..condition import Condition
from ..logging import get_logger
from ..some_substitutions_type import SomeSubstitutionsType
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class DeclareLaunchArgument(Action):
    """Declares what can be given to a launch file as ``name:=value``.

    Attributes:
        name: The name.
        default_value: The value if none is given; None if one must be given.
        description: What it is for, with the valid choices.
        choices: The valid values, or None if any is.
    """

    def __init__(
        self,
        name: str,
        *,
        default_value: SomeSubstitutionsType | None = None,
        description: str | None = None,
        choices: list[str] | None = None,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        if choices is not None and not choices:
            raise RuntimeError(f"launch argument '{name}': choices must not be empty")
        if choices and isinstance(default_value, str) and default_value not in choices:
            raise RuntimeError(
                f"launch argument '{name}': default value '{default_value}' "
                f"is not one of {choices}"
            )
        self.name = name
        self.default_value = (
            None if default_value is None else normalize_to_list_of_substitutions(default_value)
        )
        self.choices = choices
        if description is None:
            description = f"One of: {choices}" if choices else "no description given"
        elif choices:
            description = f"{description.removesuffix('.')}. Valid choices are: {choices}"
        self.description = description
        self._conditionally_included = False

    def execute(self, context: LaunchContext) -> None:
        """Set the default unless a value was given; check the value.

        Raises:
            RuntimeError: If a value is missing or not among the choices.
        """
        context._declared.add(self.name)
        if self.name not in context.launch_configurations:
            if self.default_value is None:
                raise RuntimeError(
                    f"Required launch argument '{self.name}' was not provided "
                    f"(description: '{self.description}'); add {self.name}:=<value>"
                )
            value = perform_substitutions(context, self.default_value)
            context.launch_configurations[self.name] = value
        value = context.launch_configurations[self.name]
        if self.choices is not None and value not in self.choices:
            raise RuntimeError(
                f"Argument '{self.name}' provided value '{value}' is not valid. "
                f"Valid options are: {self.choices}"
            )


class SetLaunchConfiguration(Action):
    """Sets a launch configuration.

    Attributes:
        name: The name.
        value: The value.
    """

    def __init__(
        self,
        name: SomeSubstitutionsType,
        value: SomeSubstitutionsType,
        *,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self.name = normalize_to_list_of_substitutions(name)
        self.value = normalize_to_list_of_substitutions(value)

    def execute(self, context: LaunchContext) -> None:
        name = perform_substitutions(context, self.name)
        context.launch_configurations[name] = perform_substitutions(context, self.value)


class UnsetLaunchConfiguration(Action):
    """Removes a launch configuration, if it is set."""

    def __init__(self, name: SomeSubstitutionsType, *, condition: Condition | None = None) -> None:
        super().__init__(condition=condition)
        self.name = normalize_to_list_of_substitutions(name)

    def execute(self, context: LaunchContext) -> None:
        context.launch_configurations.pop(perform_substitutions(context, self.name), None)


class PushLaunchConfigurations(Action):
    """Saves the launch configurations."""

    def execute(self, context: LaunchContext) -> None:
        context._push_launch_configurations()


class PopLaunchConfigurations(Action):
    """Returns to the launch configurations saved last."""

    def execute(self, context: LaunchContext) -> None:
        context._pop_launch_configurations()


class ResetLaunchConfigurations(Action):
    """Removes all launch configurations but those given."""

    def __init__(
        self,
        launch_configurations: Mapping[SomeSubstitutionsType, SomeSubstitutionsType] | None = None,
        *,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self.__kept = [
            (normalize_to_list_of_substitutions(name), normalize_to_list_of_substitutions(value))
            for name, value in (launch_configurations or {}).items()
        ]

    def execute(self, context: LaunchContext) -> None:
        kept = {
            perform_substitutions(context, name): perform_substitutions(context, value)
            for name, value in self.__kept
        }
        context.launch_configurations.clear()
        context.launch_configurations.update(kept)


class LogInfo(Action):
    """Logs a message."""

    def __init__(self, *, msg: SomeSubstitutionsType, condition: Condition | None = None) -> None:
        super().__init__(condition=condition)
        self.msg = normalize_to_list_of_substitutions(msg)

    def execute(self, context: LaunchContext) -> None:
        get_logger("launch.user").info(perform_substitutions(context, self.msg))
