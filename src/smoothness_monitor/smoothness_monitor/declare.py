# SPDX-License-Identifier: Apache-2.0
"""The node's ROS parameters: declared from the dataclasses of `params`, all read-only."""

from __future__ import annotations

from dataclasses import fields

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node

from smoothness_monitor.params import MonitorConfig, NodeParams


def declare_params(node: Node) -> NodeParams:
    """Declare and read what can be set.

    Raises:
        ConfigError: A path is missing.
    """
    values = {}
    for item in fields(NodeParams):
        descriptor = ParameterDescriptor(description=item.metadata["doc"], read_only=True)
        values[item.name] = node.declare_parameter(item.name, "", descriptor).value
    return NodeParams(**values)


def show_config(node: Node, config: MonitorConfig) -> None:
    """Declare the thresholds, to be read and not to be set."""
    for item in fields(config):
        unit = item.metadata["unit"]
        doc = item.metadata["doc"]
        descriptor = ParameterDescriptor(
            description=f"{doc} Unit: {unit}." if unit else doc, read_only=True
        )
        value = getattr(config, item.name)
        node.declare_parameter(item.name, value, descriptor, ignore_override=True)
