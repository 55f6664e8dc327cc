# SPDX-License-Identifier: Apache-2.0
"""Actions that need C++ components or a node of the launch system with simulated time."""

from __future__ import annotations

from typing import Any

from launch.action import Action


class _NotOffered(Action):
    """An action that a launch file may import, but not use."""

    _instead = ""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError(
            f"launch_ros.actions.{type(self).__name__} is not offered without ROS 2"
            f"{': ' + self._instead if self._instead else ''}"
        )


class ComposableNodeContainer(_NotOffered):
    """A process for C++ components."""

    _instead = "run each node by itself with launch_ros.actions.Node"


class LoadComposableNodes(_NotOffered):
    """Loads C++ components."""

    _instead = "run each node by itself with launch_ros.actions.Node"


class ROSTimer(_NotOffered):
    """A timer in ROS time."""

    _instead = "use launch.actions.TimerAction, which counts wall time"


class SetUseSimTime(_NotOffered):
    """Sets ``use_sim_time`` of the launch system's own node."""

    _instead = "use SetParameter('use_sim_time', ...), which is for the nodes launched"
