# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""ROS nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from launch.actions import ExecuteProcess
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.logging import get_logger
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.substitutions import LocalSubstitution
from launch.utilities import (
    ensure_argument_type,
    normalize_to_list_of_substitutions,
    perform_substitutions,
)

from .. import _names
from .._files import write_temporary
from .._parameters import (
    Parameters,
    evaluate_parameters,
    normalize_parameters,
    parameter_rule,
    parameters_yaml,
)
from ..parameter_descriptions import Parameter
from ..substitutions import ExecutableInPackage
from ..utilities import add_node_name, get_node_name_count, normalize_remap_rules

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


class Node(ExecuteProcess):
    """Runs a node; see ExecuteProcess and ExecuteLocal for the further arguments.

    Args:
        executable: The executable.
        package: The package that has it; without one, it is a program on the PATH.
        name: The name of the node.
        namespace: Its namespace, within the one pushed around it.
        exec_name: The name in the log instead of the executable's.
        parameters: Dicts of parameters, nested or with dots, and paths of parameter files.
        remappings: Pairs of names.
        ros_arguments: Further arguments behind ``--ros-args``.
        arguments: Arguments of the executable itself.

    Attributes:
        node_package: The package, as given.
        node_executable: The executable, as given.
        expanded_node_namespace: The namespace, once the action is executed.
        expanded_remapping_rules: The remappings, once the action is executed.
    """

    UNSPECIFIED_NODE_NAME = "<node_name_unspecified>"
    UNSPECIFIED_NODE_NAMESPACE = "<node_namespace_unspecified>"

    def __init__(
        self,
        *,
        executable: SomeSubstitutionsType,
        package: SomeSubstitutionsType | None = None,
        name: SomeSubstitutionsType | None = None,
        namespace: SomeSubstitutionsType | None = None,
        exec_name: SomeSubstitutionsType | None = None,
        parameters: Sequence[Any] | None = None,
        remappings: Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]] | None = None,
        ros_arguments: Iterable[SomeSubstitutionsType] | None = None,
        arguments: Iterable[SomeSubstitutionsType] | None = None,
        **kwargs: Any,
    ) -> None:
        program: SomeSubstitutionsType = executable
        if package is not None:
            program = ExecutableInPackage(package=package, executable=executable)
        cmd: list[SomeSubstitutionsType] = [program, *(arguments or [])]
        if ros_arguments is not None:
            cmd += ["--ros-args", *ros_arguments]
        cmd += ["--ros-args"]
        if name is not None:
            node_name = LocalSubstitution("ros_specific_arguments['name']", "node name")
            cmd += ["-r", node_name]
        super().__init__(cmd=cmd, name=exec_name, **kwargs)
        self.node_package = package
        self.node_executable = executable
        self.__name = name
        self.__namespace = namespace
        self.__parameters: Parameters = ()
        if parameters is not None:
            ensure_argument_type(parameters, list, "parameters", "Node")
            self.__parameters = normalize_parameters(parameters)
        self.__remappings = list(normalize_remap_rules(remappings or []))

        self.__substituted = False
        self.__expanded_name = self.UNSPECIFIED_NODE_NAME
        self.expanded_node_namespace = self.UNSPECIFIED_NODE_NAMESPACE
        self.__full_name: str | None = None
        self.expanded_remapping_rules: list[tuple[str, str]] | None = None

    @property
    def node_name(self) -> str:
        """The full name of the node, with placeholders for what was not given.

        Raises:
            RuntimeError: Before the action is executed.
        """
        if self.__full_name is None:
            raise RuntimeError("cannot access 'node_name' before executing action")
        return self.__full_name

    def is_node_name_fully_specified(self) -> bool:
        """Return whether both name and namespace were given."""
        return not any(
            placeholder in self.node_name
            for placeholder in (self.UNSPECIFIED_NODE_NAME, self.UNSPECIFIED_NODE_NAMESPACE)
        )

    def _perform_substitutions(self, context: LaunchContext) -> None:
        """Add to the command line what is known only now."""
        if self.__substituted:
            return
        self.__substituted = True
        self.__expand_name(context)
        self.__add_global_parameters(context)
        self.__add_parameters(context)
        self.__add_remappings(context)

    def __add(self, *arguments: SomeSubstitutionsType) -> None:
        self.process_description.cmd.extend(
            normalize_to_list_of_substitutions(argument) for argument in arguments
        )

    def __expand_name(self, context: LaunchContext) -> None:
        if self.__name is not None:
            self.__expanded_name = _perform(context, self.__name).lstrip("/")
            _names.check_node_name(self.__expanded_name)
        namespace = None if self.__namespace is None else _perform(context, self.__namespace)
        pushed = context.launch_configurations.get("ros_namespace")
        namespace = _names.make_namespace_absolute(_names.prefix_namespace(pushed, namespace))
        if namespace is not None:
            _names.check_namespace(namespace)
            self.expanded_node_namespace = namespace
            self.__add("-r", LocalSubstitution("ros_specific_arguments['ns']"))
        self.__full_name = _names.prefix_namespace(
            self.expanded_node_namespace, self.__expanded_name
        )

    def __add_global_parameters(self, context: LaunchContext) -> None:
        """Add what SetParameter has set."""
        for item in context.launch_configurations.get("global_params", []):
            self.__add("-p", parameter_rule(*item))

    def __add_parameters(self, context: LaunchContext) -> None:
        for item in evaluate_parameters(context, self.__parameters):
            if isinstance(item, Parameter):
                self.__add("-p", parameter_rule(*item.evaluate(context)))
                continue
            if isinstance(item, dict):
                target = self.node_name if self.is_node_name_fully_specified() else "/**"
                item = write_temporary(parameters_yaml(target, item))
            if not item.is_file():
                get_logger("launch_ros").warning("Parameter file path is not a file: %s", item)
                continue
            self.__add("--params-file", str(item))

    def __add_remappings(self, context: LaunchContext) -> None:
        rules = list(context.launch_configurations.get("ros_remaps", []))
        for source, target in self.__remappings:
            rules.append((_perform(context, source), _perform(context, target)))
        if rules:
            self.expanded_remapping_rules = rules
        for source, target in rules:
            self.__add("-r", f"{source}:={target}")

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        try:
            self._perform_substitutions(context)
        except Exception as error:
            raise RuntimeError(f"{self.__words()}: {error}") from error
        context.extend_locals(
            {
                "ros_specific_arguments": {
                    "name": f"__node:={self.__expanded_name}",
                    "ns": f"__ns:={self.expanded_node_namespace}",
                }
            }
        )
        result = super().execute(context)
        if self.is_node_name_fully_specified():
            add_node_name(context, self.node_name)
            count = get_node_name_count(context, self.node_name)
            if count > 1:
                get_logger(self.name).warning(
                    "there are now at least %d nodes with the name %s created within this "
                    "launch context",
                    count,
                    self.node_name,
                )
        return result

    def __words(self) -> str:
        """Return the node as the launch file has it."""
        given = {
            "package": self.node_package,
            "executable": self.node_executable,
            "name": self.__name,
        }
        texts = [
            f"{key}={' + '.join(p.describe() for p in normalize_to_list_of_substitutions(value))}"
            for key, value in given.items()
            if value is not None
        ]
        return f"Node({', '.join(texts)})"


def _perform(context: LaunchContext, value: SomeSubstitutionsType) -> str:
    parts: list[Substitution] = normalize_to_list_of_substitutions(value)
    return perform_substitutions(context, parts)
