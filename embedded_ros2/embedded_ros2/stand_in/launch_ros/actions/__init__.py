# SPDX-License-Identifier: Apache-2.0
"""What a launch can do with nodes."""

from launch import _deep_paths

from .node import Node
from .scope import PushROSNamespace, SetParameter, SetRemap

PushRosNamespace = PushROSNamespace

__all__ = ["Node", "PushROSNamespace", "PushRosNamespace", "SetParameter", "SetRemap"]

_deep_paths.publish(
    __name__,
    [name for name in __all__ if name != "Node"],
    also={"PushROSNamespace": "push_ros_namespace"},
)
