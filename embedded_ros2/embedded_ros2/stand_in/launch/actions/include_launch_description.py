# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""Launch files within launch files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..action import Action
from ..condition import Condition
from ..launch_description_entity import LaunchDescriptionEntity
from ..launch_description_source import LaunchDescriptionSource
from ..launch_description_sources import AnyLaunchDescriptionSource
from ..some_substitutions_type import SomeSubstitutionsType
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions
from .launch_configurations import SetLaunchConfiguration
from .opaque import OpaqueFunction

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

_LOCALS = ("current_launch_file_path", "current_launch_file_directory")


class IncludeLaunchDescription(Action):
    """Visits another launch file.

    Its arguments are set as launch configurations and, as in ROS 2, stay set afterwards; put the
    include into a GroupAction to keep them apart.

    Attributes:
        launch_description_source: Where the launch description comes from.
        launch_arguments: Names and values of the arguments.
    """

    def __init__(
        self,
        launch_description_source: LaunchDescriptionSource | SomeSubstitutionsType,
        *,
        launch_arguments: Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]]
        | None = None,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        if not isinstance(launch_description_source, LaunchDescriptionSource):
            launch_description_source = AnyLaunchDescriptionSource(launch_description_source)
        self.launch_description_source = launch_description_source
        self.launch_arguments = tuple(launch_arguments or ())

    def describe(self) -> str:
        return f"IncludeLaunchDescription({self.launch_description_source.location})"

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        description = self.launch_description_source.try_get_launch_description_without_context()
        return [] if description is None else [description]

    def _argument_names(self, context: LaunchContext) -> list[str]:
        return [
            perform_substitutions(context, normalize_to_list_of_substitutions(name))
            for name, _ in self.launch_arguments
        ]

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        source = self.launch_description_source
        description = source.get_launch_description(context)
        path = os.path.abspath(source.location)
        folder = os.path.dirname(path) if os.path.exists(path) else source.location
        outside = context.get_locals_as_dict()
        context.extend_locals({_LOCALS[0]: path, _LOCALS[1]: folder})

        def leave(context: LaunchContext) -> None:
            for key in _LOCALS:
                context._restore_local(key, outside)

        given = self._argument_names(context)
        declared = description.get_launch_arguments_with_include_launch_description_actions()
        for argument, includes in declared:
            if argument._conditionally_included or argument.default_value is not None:
                continue
            known = set(given)
            for include in includes:
                known.update(include._argument_names(context))
            if argument.name not in known:
                raise RuntimeError(
                    f"Included launch description '{source.location}' is missing required "
                    f"argument '{argument.name}' (description: '{argument.description}'), "
                    f"given: [{', '.join(given)}]"
                )
        return [
            *(SetLaunchConfiguration(name, value) for name, value in self.launch_arguments),
            description,
            OpaqueFunction(function=leave),
        ]
