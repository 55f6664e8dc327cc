# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""Actions that belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..action import Action
from ..condition import Condition
from ..launch_description_entity import LaunchDescriptionEntity
from ..some_substitutions_type import SomeSubstitutionsType
from .environment import PopEnvironment, PushEnvironment, ResetEnvironment
from .launch_configurations import (
    PopLaunchConfigurations,
    PushLaunchConfigurations,
    ResetLaunchConfigurations,
    SetLaunchConfiguration,
)

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class GroupAction(Action):
    """Visits actions under one condition and in one scope.

    Args:
        actions: The actions.
        scoped: Whether changes of configurations and environment end with the group.
        forwarding: Whether the group sees the configurations and environment around it.
        launch_configurations: Configurations for the group.
        condition: The condition under which the group is visited.
    """

    def __init__(
        self,
        actions: Iterable[LaunchDescriptionEntity],
        *,
        scoped: bool = True,
        forwarding: bool = True,
        launch_configurations: Mapping[SomeSubstitutionsType, SomeSubstitutionsType] | None = None,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self.__actions = actions
        self.__scoped = scoped
        self.__forwarding = forwarding
        self.__configurations = dict(launch_configurations or {})
        self.__entities: list[LaunchDescriptionEntity] | None = None

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        if self.__entities is None:
            self.__entities = self.__assemble()
        return self.__entities

    def __assemble(self) -> list[LaunchDescriptionEntity]:
        preset: list[Action]
        if self.__scoped and not self.__forwarding:
            preset = [ResetEnvironment(), ResetLaunchConfigurations(self.__configurations)]
        else:
            preset = [SetLaunchConfiguration(*item) for item in self.__configurations.items()]
        entities: list[LaunchDescriptionEntity] = [*preset, *self.__actions]
        if not self.__scoped:
            return entities
        return [
            PushLaunchConfigurations(),
            PushEnvironment(),
            *entities,
            PopEnvironment(),
            PopLaunchConfigurations(),
        ]

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        return self.get_sub_entities()
