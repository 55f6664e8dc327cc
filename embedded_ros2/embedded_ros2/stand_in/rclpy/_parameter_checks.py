# SPDX-License-Identifier: Apache-2.0
"""What a parameter's declaration and value must be."""

from __future__ import annotations

import math
import warnings
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterValue,
    SetParametersResult,
)

from rclpy.parameter import PARAMETER_SEPARATOR_STRING, Parameter
from rclpy.validate_parameter_name import validate_parameter_name

REL_TOL = 1e-6


def refuse(reason: str) -> SetParametersResult:
    """Return that a parameter cannot be set."""
    return SetParametersResult(successful=False, reason=reason)


def accept() -> SetParametersResult:
    """Return that it can."""
    return SetParametersResult(successful=True)


def check_integer_range(parameter: Parameter, limits: IntegerRange) -> SetParametersResult:
    """Say whether a whole number is within its range, and on a step of it."""
    low, high = sorted((limits.from_value, limits.to_value))
    value = parameter.value
    if value in (low, high):
        return accept()
    where = f"Min: {low}, Max: {high}, value: {value}"
    if not low < value < high:
        return refuse(f"Parameter {parameter.name} out of range. {where}")
    if limits.step and (value - low) % limits.step:
        return refuse(
            f"The parameter value for {parameter.name} is not a valid step. "
            f"{where}, step: {limits.step}"
        )
    return accept()


def check_floating_point_range(
    parameter: Parameter, limits: FloatingPointRange
) -> SetParametersResult:
    """Say whether a number is within its range, and on a step of it."""
    low, high = sorted((limits.from_value, limits.to_value))
    value = parameter.value
    if any(math.isclose(value, edge, rel_tol=REL_TOL) for edge in (low, high)):
        return accept()
    where = f"Min: {low}, Max: {high}, value: {value}"
    if not low < value < high:
        return refuse(f"Parameter {parameter.name} out of range {where}")
    if limits.step:
        nearest = low + round((value - low) / limits.step) * limits.step
        if not math.isclose(nearest, value, rel_tol=REL_TOL):
            return refuse(
                f"The parameter value for {parameter.name} is not close enough to a valid step. "
                f"{where}, step: {limits.step}"
            )
    return accept()


def read_declaration(
    namespace: str, index: int, item: tuple[Any, ...]
) -> tuple[str, Any, ParameterDescriptor]:
    """Return name, value and descriptor of an item of `Node.declare_parameters`."""
    where = f"at index {index} in parameters list"
    if not 1 <= len(item) <= 3:
        raise TypeError(
            f"Invalid parameter tuple length {where}: {item}; expecting length between 1 and 3"
        )
    name = item[0]
    if not isinstance(name, str):
        raise TypeError(f"First element {name} {where} is not a str.")
    if namespace:
        name = f"{namespace}{PARAMETER_SEPARATOR_STRING}{name}"
    validate_parameter_name(name)
    value = item[1] if len(item) > 1 else None
    descriptor = item[2] if len(item) > 2 else ParameterDescriptor()
    if not isinstance(descriptor, ParameterDescriptor):
        raise TypeError(f"Third element {descriptor} {where} is not a ParameterDescriptor.")
    if len(item) == 1:
        warnings.warn(
            f"when declaring parameter named '{name}', declaring a parameter only providing "
            "its name is deprecated; give a value, a type, or a descriptor with "
            "dynamic_typing=True",
            stacklevel=4,
        )
        descriptor.dynamic_typing = True
    if isinstance(value, Parameter.Type):
        if value is Parameter.Type.NOT_SET:
            raise ValueError(
                f"Cannot declare parameter {{{name}}} as statically typed of type NOT_SET"
            )
        if descriptor.dynamic_typing:
            raise ValueError(
                f"When declaring parameter {{{name}}} passing a descriptor with "
                "`dynamic_typing=True` is not allowed when the parameter type is provided"
            )
        descriptor.type = value.value
        return name, None, descriptor
    if not descriptor.dynamic_typing:
        if isinstance(value, ParameterValue):
            descriptor.type = value.type
        else:
            descriptor.type = Parameter.Type.from_parameter_value(value).value
        if descriptor.type == Parameter.Type.NOT_SET.value:
            raise ValueError(
                "Cannot declare a statically typed parameter with default value of type "
                "PARAMETER_NOT_SET"
            )
    return name, value, descriptor


def check_names(names: list[str]) -> None:
    """Raise a TypeError where a name is no text."""
    if not all(isinstance(name, str) for name in names):
        raise TypeError("All names must be instances of type str")
