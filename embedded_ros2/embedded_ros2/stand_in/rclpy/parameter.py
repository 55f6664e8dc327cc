# SPDX-License-Identifier: Apache-2.0
"""Parameters: a name, a type and a value."""

from __future__ import annotations

import array
from collections.abc import Sequence
from enum import Enum
from typing import Any

import yaml
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterType, ParameterValue

PARAMETER_SEPARATOR_STRING = "."
_LIST_TYPES = (list, tuple, array.array)


class Parameter:
    """A parameter; it does not change once made."""

    class Type(Enum):
        """Types of parameters."""

        NOT_SET = ParameterType.PARAMETER_NOT_SET
        BOOL = ParameterType.PARAMETER_BOOL
        INTEGER = ParameterType.PARAMETER_INTEGER
        DOUBLE = ParameterType.PARAMETER_DOUBLE
        STRING = ParameterType.PARAMETER_STRING
        BYTE_ARRAY = ParameterType.PARAMETER_BYTE_ARRAY
        BOOL_ARRAY = ParameterType.PARAMETER_BOOL_ARRAY
        INTEGER_ARRAY = ParameterType.PARAMETER_INTEGER_ARRAY
        DOUBLE_ARRAY = ParameterType.PARAMETER_DOUBLE_ARRAY
        STRING_ARRAY = ParameterType.PARAMETER_STRING_ARRAY

        @classmethod
        def from_parameter_value(cls, parameter_value: Any) -> Parameter.Type:
            """Return the type of a value; an empty list counts as BYTE_ARRAY, as in rclpy.

            Raises:
                TypeError: If no parameter can have the value.
            """
            if parameter_value is None:
                return cls.NOT_SET
            for kind, type_ in _SCALARS:
                if isinstance(parameter_value, kind):
                    return cls[type_]
            if isinstance(parameter_value, _LIST_TYPES):
                for kind, type_ in _ARRAYS:
                    if all(isinstance(item, kind) for item in parameter_value):
                        return cls[type_]
                raise TypeError(
                    "The given value is not a list of one of the allowed types "
                    f"'{parameter_value}'."
                )
            raise TypeError(
                f"The given value is not one of the allowed types '{parameter_value}'."
            )

        def check(self, parameter_value: Any) -> bool:
            """Return whether a value is of this type."""
            if self is Parameter.Type.NOT_SET:
                return parameter_value is None
            for kind, type_ in _SCALARS:
                if type_ == self.name:
                    return isinstance(parameter_value, kind)
            kind = {type_: kind for kind, type_ in _ARRAYS}[self.name]
            return isinstance(parameter_value, _LIST_TYPES) and all(
                isinstance(item, kind) for item in parameter_value
            )

    def __init__(self, name: str, type_: Parameter.Type | None = None, value: Any = None) -> None:
        if type_ is None:
            type_ = Parameter.Type.from_parameter_value(value)
        if not isinstance(type_, Parameter.Type):
            raise TypeError(f"type must be an instance of '{Parameter.Type!r}'")
        if not type_.check(value):
            raise ValueError(f"Type '{type_}' and value '{value}' do not agree")
        self._name, self._type_, self._value = name, type_, value

    @classmethod
    def from_parameter_msg(cls, param_msg: ParameterMsg) -> Parameter:
        """Return the parameter that a message holds."""
        type_ = cls.Type(param_msg.value.type)
        if type_ is cls.Type.NOT_SET:
            return cls(param_msg.name, type_, None)
        return cls(param_msg.name, type_, getattr(param_msg.value, _field(type_)))

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    @property
    def type_(self) -> Parameter.Type:
        """The type."""
        return self._type_

    @property
    def value(self) -> Any:
        """The value; None if it is not set."""
        return self._value

    def __repr__(self) -> str:
        return f"Parameter(name={self._name!r}, type_={self._type_}, value={self._value!r})"

    def get_parameter_value(self) -> ParameterValue:
        """Return type and value as a message."""
        message = ParameterValue(type=self._type_.value)
        if self._type_ is not Parameter.Type.NOT_SET:
            setattr(message, _field(self._type_), self._value)
        return message

    def to_parameter_msg(self) -> ParameterMsg:
        """Return the parameter as a message."""
        return ParameterMsg(name=self._name, value=self.get_parameter_value())


# bool before int, since a bool is one.
_SCALARS: tuple[tuple[type, str], ...] = (
    (bool, "BOOL"),
    (int, "INTEGER"),
    (float, "DOUBLE"),
    (str, "STRING"),
)
_ARRAYS: tuple[tuple[type, str], ...] = (
    (bytes, "BYTE_ARRAY"),
    (bool, "BOOL_ARRAY"),
    (int, "INTEGER_ARRAY"),
    (float, "DOUBLE_ARRAY"),
    (str, "STRING_ARRAY"),
)


def _field(type_: Parameter.Type) -> str:
    """Return the field of ParameterValue that holds values of a type."""
    return f"{type_.name.lower()}_value"


def get_parameter_value(string_value: str) -> ParameterValue:
    """Return the value that a text means, a string if it means nothing else."""
    try:
        value = yaml.safe_load(string_value)
    except yaml.YAMLError:
        value = string_value
    if value is None or isinstance(value, dict):
        value = string_value
    try:
        type_ = Parameter.Type.from_parameter_value(value)
    except TypeError:
        type_, value = Parameter.Type.STRING, string_value
    return Parameter("", type_, value).get_parameter_value()


def parameter_value_to_python(parameter_value: ParameterValue) -> Any:
    """Return the Python value of a message, None if it is not set.

    Raises:
        RuntimeError: If the type is unknown.
    """
    try:
        type_ = Parameter.Type(parameter_value.type)
    except ValueError:
        raise RuntimeError(f"unexpected parameter type {parameter_value.type}") from None
    if type_ is Parameter.Type.NOT_SET:
        return None
    value = getattr(parameter_value, _field(type_))
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def parameter_dict_from_yaml_file(
    parameter_file: str,
    use_wildcard: bool = False,
    target_nodes: list[str] | None = None,
    namespace: str = "",
) -> dict[str, ParameterMsg]:
    """Return {name: message} of the parameters in a file.

    Args:
        parameter_file: The path.
        use_wildcard: Whether the `/**` section counts.
        target_nodes: The sections that count; all if None or empty.
        namespace: A prefix for the names.

    Raises:
        RuntimeError: If a section is missing or the file is not a parameter file.
    """
    with open(parameter_file, encoding="utf-8") as file:
        content = yaml.safe_load(file)
    keys = ["/**"] if use_wildcard and "/**" in content else []
    for node in target_nodes or []:
        if node not in content:
            raise RuntimeError(
                f"Param file does not contain parameters for {node}, "
                f"only for nodes: {list(content)}"
            )
        keys.append(node)
    if not target_nodes:
        keys += [key for key in content if key != "/**"]
    if not keys:
        raise RuntimeError("Param file does not contain selected parameters")
    parameters: dict[str, Any] = {}
    for key in keys:
        section = content[key]
        if not isinstance(section, dict) or "ros__parameters" not in section:
            raise RuntimeError(f"YAML file is not a valid ROS parameter file for node {key}")
        parameters.update(section["ros__parameters"])
    return _flatten(namespace, parameters)


def _flatten(prefix: str, parameters: dict[str, Any]) -> dict[str, ParameterMsg]:
    flat: dict[str, ParameterMsg] = {}
    for key, value in parameters.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat.update(_flatten(name + PARAMETER_SEPARATOR_STRING, value))
        else:
            flat[name] = ParameterMsg(name=name, value=get_parameter_value(str(value)))
    return flat
