# SPDX-License-Identifier: Apache-2.0
"""Descriptions of parameters; composable nodes are not offered."""

from __future__ import annotations

from typing import Any

from launch import _deep_paths

from .parameter_descriptions import Parameter, ParameterFile, ParameterValue

__all__ = ["ComposableNode", "Parameter", "ParameterFile", "ParameterValue"]


class ComposableNode:
    """A C++ component, which is not offered."""

    def __init__(self, *, package: Any, plugin: Any, **_: Any) -> None:
        raise NotImplementedError(
            f"ComposableNode(package={package!r}, plugin={plugin!r}) is not offered "
            "without ROS 2: run the node by itself with launch_ros.actions.Node"
        )


_deep_paths.publish(__name__, ["ComposableNode"])
