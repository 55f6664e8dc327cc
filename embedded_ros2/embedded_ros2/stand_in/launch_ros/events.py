# SPDX-License-Identifier: Apache-2.0
"""Events of nodes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from launch import _deep_paths
from launch.event import Event

from embedded_ros2 import refusals

if TYPE_CHECKING:
    from .actions import LifecycleNode, Node

__all__ = ["lifecycle", "matchers", "matches_node_name"]

# Numbers and names are those of lifecycle_msgs/msg/Transition.
_TRANSITIONS = {
    0: "TRANSITION_CREATE",
    1: "TRANSITION_CONFIGURE",
    2: "TRANSITION_CLEANUP",
    3: "TRANSITION_ACTIVATE",
    4: "TRANSITION_DEACTIVATE",
    5: "TRANSITION_UNCONFIGURED_SHUTDOWN",
    6: "TRANSITION_INACTIVE_SHUTDOWN",
    7: "TRANSITION_ACTIVE_SHUTDOWN",
    8: "TRANSITION_DESTROY",
}


def matches_node_name(node_name: str) -> Callable[[Node], bool]:
    """Return a matcher for the node with this full name."""
    full_name = node_name if node_name.startswith("/") else f"/{node_name}"
    return lambda action: action.node_name == full_name


class ChangeState(Event):
    """A request to lifecycle nodes for a transition.

    Attributes:
        lifecycle_node_matcher: Decides which nodes are meant.
        transition_id: The transition, as in lifecycle_msgs/msg/Transition.
    """

    name = "launch_ros.events.lifecycle.ChangeState"
    valid_transitions = _TRANSITIONS

    def __init__(
        self, *, lifecycle_node_matcher: Callable[[LifecycleNode], bool], transition_id: int
    ) -> None:
        if transition_id not in _TRANSITIONS:
            known = ", ".join(f"{name}: {number}" for number, name in _TRANSITIONS.items())
            raise ValueError(f"transition_id '{transition_id}' is none of {{{known}}}")
        self.lifecycle_node_matcher = lifecycle_node_matcher
        self.transition_id = transition_id


class StateTransition(Event):
    """A lifecycle node has changed its state.

    Attributes:
        action: The node.
        msg: The lifecycle_msgs/msg/TransitionEvent.
    """

    name = "launch_ros.events.lifecycle.StateTransition"

    def __init__(self, *, action: LifecycleNode, msg: Any) -> None:
        self.action = action
        self.msg = msg

    @property
    def timestamp(self) -> int:
        """When, in ns."""
        return int(self.msg.timestamp)

    @property
    def transition(self) -> str:
        """The label of the transition."""
        return str(self.msg.transition.label)

    @property
    def start_state(self) -> str:
        """The label of the state before."""
        return str(self.msg.start_state.label)

    @property
    def goal_state(self) -> str:
        """The label of the state now."""
        return str(self.msg.goal_state.label)


def _module(name: str, **members: Any) -> ModuleType:
    module = sys.modules[f"{__name__}.{name}"] = ModuleType(f"{__name__}.{name}")
    vars(module).update(members, __all__=list(members))
    refusals.finish(module)
    return module


lifecycle = _module(
    "lifecycle",
    ChangeState=ChangeState,
    StateTransition=StateTransition,
    matches_node_name=matches_node_name,
)
matchers = _module("matchers", matches_node_name=matches_node_name)
_deep_paths.publish(lifecycle.__name__, ["ChangeState", "StateTransition"])
_deep_paths.publish(matchers.__name__, ["matches_node_name"])
