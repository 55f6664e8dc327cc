# SPDX-License-Identifier: Apache-2.0
"""Declares the node's parameters, with their bounds, and reads them."""

from __future__ import annotations

from dataclasses import fields

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from vla_sim.params import Parameters, check


def declare(node: Node) -> Parameters:
    """Declare every parameter and return their checked values.

    Raises:
        ParameterError: A value is missing, of the wrong type or out of bounds.
    """
    values = {}
    for item in fields(Parameters):
        descriptor = ParameterDescriptor(description=item.metadata["doc"], read_only=True)
        lower, upper = item.metadata["lower"], item.metadata["upper"]
        if lower is not None and isinstance(item.default, float):
            bounds = FloatingPointRange(from_value=lower, to_value=upper)
            descriptor.floating_point_range = [bounds]
        elif lower is not None:
            descriptor.integer_range = [IntegerRange(from_value=lower, to_value=upper, step=1)]
        values[item.name] = node.declare_parameter(item.name, item.default, descriptor).value
    return check(values)
