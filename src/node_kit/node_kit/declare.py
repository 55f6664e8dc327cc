# SPDX-License-Identifier: Apache-2.0
"""Declares the ROS parameters of a node, as the dataclass of its parameters says."""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from node_kit.parameters import Parameters, check


def declare(node: Node, kind: type[Parameters]) -> Parameters:
    """Declare every parameter and return their checked values.

    Raises:
        ParameterError: A value is missing, of the wrong type or out of bounds.
    """
    values: dict[str, Any] = {}
    for item in fields(kind):  # type: ignore[arg-type]
        default = list(item.default) if isinstance(item.default, tuple) else item.default
        value = node.declare_parameter(item.name, default, descriptor(item)).value
        values[item.name] = tuple(value) if isinstance(value, list) else value
    return check(kind, values)


def show(node: Node, values: object) -> None:
    """Declare the fields of a dataclass, read from elsewhere, to be read and not to be set."""
    for item in fields(values):  # type: ignore[arg-type]
        value = getattr(values, item.name)
        node.declare_parameter(item.name, value, descriptor(item), ignore_override=True)


def descriptor(item: Field[Any]) -> ParameterDescriptor:
    """Return the descriptor of a parameter."""
    meta = item.metadata
    unit = f" Unit: {meta['unit']}." if meta["unit"] else ""
    said = ParameterDescriptor(
        description=meta["doc"] + unit, read_only=not meta.get("live", False)
    )
    lower, upper = meta["lower"], meta["upper"]
    if lower is not None and isinstance(item.default, float):
        said.floating_point_range = [
            FloatingPointRange(from_value=float(lower), to_value=float(upper))
        ]
    elif lower is not None and isinstance(item.default, int):
        said.integer_range = [IntegerRange(from_value=lower, to_value=upper, step=1)]
    return said
