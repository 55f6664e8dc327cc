# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""Actions on all nodes that follow within the same group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launch.action import Action
from launch.condition import Condition
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.substitutions import SubstitutionFailure
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

from .. import _names
from .._parameters import evaluate_parameter_dict, normalize_parameter_dict

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


def _append(context: LaunchContext, key: str, item: Any) -> None:
    # A new list: the old one belongs to the scope around this one, too.
    before = context.launch_configurations.get(key, [])
    context.launch_configurations[key] = [*before, item]


class PushROSNamespace(Action):
    """Puts the nodes that follow into a namespace."""

    def __init__(
        self, namespace: SomeSubstitutionsType, *, condition: Condition | None = None
    ) -> None:
        super().__init__(condition=condition)
        self.namespace = normalize_to_list_of_substitutions(namespace)

    def execute(self, context: LaunchContext) -> None:
        pushed = perform_substitutions(context, self.namespace)
        previous = context.launch_configurations.get("ros_namespace")
        combined = _names.make_namespace_absolute(_names.prefix_namespace(previous, pushed))
        assert combined is not None
        try:
            _names.check_namespace(combined)
        except ValueError as error:
            raise SubstitutionFailure(f"PushROSNamespace('{pushed}'): {error}") from None
        context.launch_configurations["ros_namespace"] = combined


class SetParameter(Action):
    """Sets a parameter of the nodes that follow."""

    def __init__(
        self, name: SomeSubstitutionsType, value: Any, *, condition: Condition | None = None
    ) -> None:
        super().__init__(condition=condition)
        self.__parameter = normalize_parameter_dict(
            {tuple(normalize_to_list_of_substitutions(name)): value}
        )

    @property
    def name(self) -> tuple[Substitution, ...]:
        """The name of the parameter."""
        return next(iter(self.__parameter))

    @property
    def value(self) -> Any:
        """The value, as given."""
        return next(iter(self.__parameter.values()))

    def execute(self, context: LaunchContext) -> None:
        for item in evaluate_parameter_dict(context, self.__parameter).items():
            _append(context, "global_params", item)


class SetRemap(Action):
    """Sets a remapping of the nodes that follow.

    Attributes:
        src: The name in the node.
        dst: The name outside.
    """

    def __init__(
        self,
        src: SomeSubstitutionsType,
        dst: SomeSubstitutionsType,
        *,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self.src = normalize_to_list_of_substitutions(src)
        self.dst = normalize_to_list_of_substitutions(dst)

    def execute(self, context: LaunchContext) -> None:
        rule = (perform_substitutions(context, self.src), perform_substitutions(context, self.dst))
        _append(context, "ros_remaps", rule)
