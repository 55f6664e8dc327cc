# SPDX-License-Identifier: Apache-2.0
"""The part of a node that holds its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import (
    ListParametersResult,
    ParameterDescriptor,
    ParameterEvent,
    ParameterValue,
    SetParametersResult,
)

from rclpy._parameter_checks import (
    REL_TOL,
    accept,
    check_floating_point_range,
    check_integer_range,
    check_names,
    read_declaration,
    refuse,
)
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterImmutableException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from rclpy.parameter import PARAMETER_SEPARATOR_STRING, Parameter, parameter_value_to_python

_WRONG_TYPE = "Wrong parameter type"

PreSetCallback = Callable[[list[Parameter]], list[Parameter]]
OnSetCallback = Callable[[list[Parameter]], SetParametersResult]
PostSetCallback = Callable[[list[Parameter]], None]


class NodeParameters:
    """Declares, reads and sets parameters; a node is one."""

    PARAM_REL_TOL = REL_TOL

    # What the node brings.
    get_fully_qualified_name: Callable[[], str]
    _publish_parameter_event: Callable[[ParameterEvent], None]

    def _init_parameters(self, overrides: dict[str, Parameter], allow_undeclared: bool) -> None:
        self._parameters: dict[str, Parameter] = {}
        self._descriptors: dict[str, ParameterDescriptor] = {}
        self._parameter_overrides = overrides
        self._allow_undeclared_parameters = allow_undeclared
        self._pre_set_parameters_callbacks: list[PreSetCallback] = []
        self._on_set_parameters_callbacks: list[OnSetCallback] = []
        self._post_set_parameters_callbacks: list[PostSetCallback] = []

    # --- declaring ---

    def declare_parameter(
        self,
        name: str,
        value: Any = None,
        descriptor: ParameterDescriptor | None = None,
        ignore_override: bool = False,
    ) -> Parameter:
        """Declare a parameter and return it.

        Args:
            name: The name.
            value: The default value, or a `Parameter.Type` for one without a default.
            descriptor: Its type, range, and whether it is read-only.
            ignore_override: Whether the value from outside does not count.

        Raises:
            ParameterAlreadyDeclaredException: If it is declared already.
            InvalidParameterTypeException: If the value from outside is of another type.
            InvalidParameterValueException: If the value is out of range or refused by a callback.
        """
        item: tuple[Any, ...] = (name,)
        if value is not None or descriptor is not None:
            item = (name, value, ParameterDescriptor() if descriptor is None else descriptor)
        return self.declare_parameters("", [item], ignore_override)[0]

    def declare_parameters(
        self, namespace: str, parameters: list[tuple[Any, ...]], ignore_override: bool = False
    ) -> list[Parameter]:
        """Declare parameters given as (name,), (name, value) or (name, value, descriptor).

        Raises:
            TypeError: If a tuple is none of these; otherwise see `declare_parameter`.
        """
        declared: list[Parameter] = []
        descriptors: dict[str, ParameterDescriptor] = {}
        for index, item in enumerate(parameters):
            name, value, descriptor = read_declaration(namespace, index, item)
            if not ignore_override and name in self._parameter_overrides:
                value = self._parameter_overrides[name].value
            if isinstance(value, ParameterValue):
                value = parameter_value_to_python(value)
            declared.append(Parameter(name, value=value))
            descriptors[name] = descriptor
        repeated = [parameter.name for parameter in declared if parameter.name in self._parameters]
        if repeated:
            raise ParameterAlreadyDeclaredException(repeated)
        for parameter in declared:
            result = self._set_atomically([parameter], descriptors, allow_not_set=True)
            if not result.successful:
                if result.reason.startswith(_WRONG_TYPE):
                    expected = Parameter.Type(descriptors[parameter.name].type).name
                    raise InvalidParameterTypeException(parameter, expected)
                raise InvalidParameterValueException(
                    parameter.name, parameter.value, result.reason
                )
        return [self._parameters[parameter.name] for parameter in declared]

    def undeclare_parameter(self, name: str) -> None:
        """Undo a declaration.

        Raises:
            ParameterNotDeclaredException: If it is not declared.
            ParameterImmutableException: If it is read-only.
        """
        if name not in self._parameters:
            raise ParameterNotDeclaredException(name)
        if self._descriptors[name].read_only:
            raise ParameterImmutableException(name)
        del self._parameters[name]
        del self._descriptors[name]

    # --- reading ---

    def has_parameter(self, name: str) -> bool:
        """Return whether a parameter is declared."""
        return name in self._parameters

    def get_parameter_types(self, names: list[str]) -> list[Any]:
        """Return the types of parameters as numbers; see `get_parameter_type`."""
        check_names(names)
        return [self.get_parameter_type(name) for name in names]

    def get_parameter_type(self, name: str) -> Any:
        """Return a parameter's type as a number, as rclpy does.

        Raises:
            ParameterNotDeclaredException: If it is not declared and need be.
        """
        if name in self._parameters:
            return self._parameters[name].type_.value
        if self._allow_undeclared_parameters:
            return Parameter.Type.NOT_SET
        raise ParameterNotDeclaredException(name)

    def get_parameters(self, names: list[str]) -> list[Parameter]:
        """Return parameters; see `get_parameter`."""
        check_names(names)
        return [self.get_parameter(name) for name in names]

    def get_parameter(self, name: str) -> Parameter:
        """Return a parameter.

        Raises:
            ParameterNotDeclaredException: If it is not declared and need be.
            ParameterUninitializedException: If it has a type and no value.
        """
        parameter = self._parameters.get(name)
        if parameter is None:
            if self._allow_undeclared_parameters:
                return Parameter(name, Parameter.Type.NOT_SET, None)
            raise ParameterNotDeclaredException(name)
        not_set = parameter.type_ is Parameter.Type.NOT_SET
        if not_set and not self._descriptors[name].dynamic_typing:
            raise ParameterUninitializedException(name)
        return parameter

    def get_parameter_or(self, name: str, alternative_value: Parameter | None = None) -> Parameter:
        """Return a parameter, or the alternative if it is not declared or has no value."""
        parameter = self._parameters.get(name)
        if parameter is not None and parameter.type_ is not Parameter.Type.NOT_SET:
            return parameter
        if alternative_value is not None:
            return alternative_value
        return Parameter(name, Parameter.Type.NOT_SET)

    def get_parameters_by_prefix(self, prefix: str) -> dict[str, Parameter]:
        """Return {name without the prefix: parameter} of all below a prefix."""
        if prefix:
            prefix += PARAMETER_SEPARATOR_STRING
        return {
            name[len(prefix) :]: parameter
            for name, parameter in self._parameters.items()
            if name.startswith(prefix)
        }

    def list_parameters(self, prefixes: list[str], depth: int) -> ListParametersResult:
        """Return names and prefixes of parameters.

        Args:
            prefixes: Names and prefixes of what is wanted; all if empty.
            depth: How many levels below a prefix; 0 for all.
        """
        if not isinstance(prefixes, list):
            raise TypeError("The prefixes argument must be a list")
        if not all(isinstance(prefix, str) for prefix in prefixes):
            raise TypeError("All prefixes must be instances of type str")
        if not isinstance(depth, int):
            raise TypeError("The depth must be instance of type int")
        if depth < 0:
            raise ValueError("The depth must be greater than or equal to zero")

        def shallow(name: str) -> bool:
            return depth == 0 or name.count(PARAMETER_SEPARATOR_STRING) < depth

        def wanted(name: str) -> bool:
            if not prefixes:
                return shallow(name)
            return any(
                name == prefix
                or (
                    name.startswith(prefix + PARAMETER_SEPARATOR_STRING)
                    and shallow(name[len(prefix) + 1 :])
                )
                for prefix in prefixes
            )

        result = ListParametersResult()
        for name in self._parameters:
            if wanted(name):
                result.names.append(name)
                prefix = name.rpartition(PARAMETER_SEPARATOR_STRING)[0]
                if prefix and prefix not in result.prefixes:
                    result.prefixes.append(prefix)
        return result

    def describe_parameter(self, name: str) -> ParameterDescriptor:
        """Return a parameter's descriptor.

        Raises:
            ParameterNotDeclaredException: If it is not declared and need be.
        """
        if name in self._descriptors:
            return self._descriptors[name]
        if self._allow_undeclared_parameters:
            return ParameterDescriptor()
        raise ParameterNotDeclaredException(name)

    def describe_parameters(self, names: list[str]) -> list[ParameterDescriptor]:
        """Return parameters' descriptors; see `describe_parameter`."""
        return [self.describe_parameter(name) for name in names]

    # --- setting ---

    def set_parameters(self, parameter_list: list[Parameter]) -> list[SetParametersResult]:
        """Set parameters one by one.

        Raises:
            ParameterNotDeclaredException: If one is not declared and need be.
        """
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Set all parameters or none.

        Raises:
            ParameterNotDeclaredException: If one is not declared and need be.
        """
        if self._pre_set_parameters_callbacks:
            modified: list[Parameter] = []
            for callback in self._pre_set_parameters_callbacks:
                modified.extend(callback(parameter_list))
            parameter_list = modified
            if not parameter_list:
                return refuse(
                    "parameter list cannot be empty, this might be due to "
                    "pre_set_parameters_callback modifying the original parameters list."
                )
        if not all(isinstance(parameter, Parameter) for parameter in parameter_list):
            raise TypeError(f"parameter must be instance of type '{Parameter!r}'")
        if not self._allow_undeclared_parameters:
            undeclared = [
                item.name for item in parameter_list if item.name not in self._parameters
            ]
            if undeclared:
                raise ParameterNotDeclaredException(undeclared)
        return self._set_atomically(parameter_list)

    def _set_atomically(
        self,
        parameter_list: list[Parameter],
        new_descriptors: dict[str, ParameterDescriptor] | None = None,
        allow_not_set: bool = False,
    ) -> SetParametersResult:
        """Check against descriptors and callbacks, then store and publish the event."""
        descriptors = self._descriptors if new_descriptors is None else new_descriptors
        for parameter in parameter_list:
            if parameter.name in descriptors:
                result = self._apply_descriptor(
                    parameter, descriptors[parameter.name], check_read_only=new_descriptors is None
                )
                if not result.successful:
                    return result
        for callback in self._on_set_parameters_callbacks:
            result = callback(parameter_list)
            if not result.successful:
                return result
        event = ParameterEvent(node=self.get_fully_qualified_name())
        for parameter in parameter_list:
            name = parameter.name
            if parameter.type_ is Parameter.Type.NOT_SET and not allow_not_set:
                event.deleted_parameters.append(parameter.to_parameter_msg())
                self._parameters.pop(name, None)
                self._descriptors.pop(name, None)
                continue
            if new_descriptors is not None:
                self._descriptors[name] = new_descriptors[name]
            elif name not in self._descriptors:
                self._descriptors[name] = ParameterDescriptor(name=name, dynamic_typing=True)
            is_new = self.get_parameter_or(name).type_ is Parameter.Type.NOT_SET
            changes = event.new_parameters if is_new else event.changed_parameters
            changes.append(parameter.to_parameter_msg())
            self._parameters[name] = parameter
        self._publish_parameter_event(event)
        for post_callback in self._post_set_parameters_callbacks:
            post_callback(parameter_list)
        return accept()

    def _apply_descriptor(
        self, parameter: Parameter, descriptor: ParameterDescriptor, check_read_only: bool = True
    ) -> SetParametersResult:
        descriptor.name = parameter.name
        not_set = parameter.type_ is Parameter.Type.NOT_SET
        if check_read_only and descriptor.read_only:
            return refuse(f"Trying to set a read-only parameter: {parameter.name}.")
        if descriptor.dynamic_typing:
            descriptor.type = parameter.type_.value
        elif not_set and parameter.name in self._parameters:
            return refuse("Static parameter cannot be undeclared")
        elif not not_set and parameter.type_.value != descriptor.type:
            return refuse(
                f"{_WRONG_TYPE}, expected '{Parameter.Type(descriptor.type)}' "
                f"got '{parameter.type_}'"
            )
        if parameter.type_ is Parameter.Type.INTEGER and descriptor.integer_range:
            return check_integer_range(parameter, descriptor.integer_range[0])
        if parameter.type_ is Parameter.Type.DOUBLE and descriptor.floating_point_range:
            return check_floating_point_range(parameter, descriptor.floating_point_range[0])
        return accept()

    def set_descriptor(
        self,
        name: str,
        descriptor: ParameterDescriptor,
        alternative_value: ParameterValue | None = None,
    ) -> ParameterValue:
        """Give a parameter another descriptor, and a value if the present one does not fit it.

        Raises:
            ParameterNotDeclaredException: If it is not declared and need be.
            ParameterImmutableException: If it is read-only.
            InvalidParameterValueException: If no value fits.
        """
        if name not in self._parameters:
            if self._allow_undeclared_parameters:
                return ParameterValue()
            raise ParameterNotDeclaredException(name)
        if self._descriptors[name].read_only:
            raise ParameterImmutableException(name)
        parameter = self._parameters[name]
        if alternative_value is not None:
            parameter = Parameter(name, value=parameter_value_to_python(alternative_value))
        if not descriptor.dynamic_typing and not descriptor.type:
            descriptor.type = parameter.type_.value
        result = self._set_atomically([parameter], {name: descriptor}, allow_not_set=True)
        if not result.successful:
            raise InvalidParameterValueException(name, parameter.value, result.reason)
        return self._parameters[name].get_parameter_value()

    # --- callbacks ---

    def add_pre_set_parameters_callback(self, callback: PreSetCallback) -> None:
        """Let `callback` change the list of parameters before they are checked."""
        self._pre_set_parameters_callbacks.insert(0, callback)

    def add_on_set_parameters_callback(self, callback: OnSetCallback) -> None:
        """Let `callback` accept or refuse parameters."""
        self._on_set_parameters_callbacks.insert(0, callback)

    def add_post_set_parameters_callback(self, callback: PostSetCallback) -> None:
        """Call `callback` after parameters were set."""
        self._post_set_parameters_callbacks.insert(0, callback)

    def remove_pre_set_parameters_callback(self, callback: PreSetCallback) -> None:
        """Undo `add_pre_set_parameters_callback`."""
        self._pre_set_parameters_callbacks.remove(callback)

    def remove_on_set_parameters_callback(self, callback: OnSetCallback) -> None:
        """Undo `add_on_set_parameters_callback`."""
        self._on_set_parameters_callbacks.remove(callback)

    def remove_post_set_parameters_callback(self, callback: PostSetCallback) -> None:
        """Undo `add_post_set_parameters_callback`."""
        self._post_set_parameters_callbacks.remove(callback)
