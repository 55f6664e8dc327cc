# SPDX-License-Identifier: Apache-2.0
"""What a launch can do with nodes."""

from launch import _deep_paths

from .lifecycle import LifecycleNode
from .node import Node
from .not_offered import ComposableNodeContainer, LoadComposableNodes, ROSTimer, SetUseSimTime
from .scope import (
    PushROSNamespace,
    SetParameter,
    SetRemap,
)

PushRosNamespace = PushROSNamespace
RosTimer = ROSTimer

__all__ = [
    "ComposableNodeContainer",
    "LifecycleNode",
    "LoadComposableNodes",
    "Node",
    "PushROSNamespace",
    "PushRosNamespace",
    "ROSTimer",
    "RosTimer",
    "SetParameter",
    "SetRemap",
    "SetUseSimTime",
]

_deep_paths.publish(
    __name__,
    [name for name in __all__ if name != "Node"],
    also={
        "PushROSNamespace": "push_ros_namespace",
        "ROSTimer": "ros_timer",
    },
)
