# SPDX-License-Identifier: Apache-2.0
"""What can happen during a launch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import _deep_paths
from ..event import Event
from . import process

if TYPE_CHECKING:
    from ..action import Action
    from ..actions import TimerAction
    from ..launch_description import LaunchDescription

__all__ = [
    "ExecutionComplete",
    "IncludeLaunchDescription",
    "Shutdown",
    "TimerEvent",
    "matches_action",
    "process",
]


def matches_action(target_action: Action) -> Callable[[Action], bool]:
    """Return a matcher for this action."""
    return lambda action: action is target_action


class ExecutionComplete(Event):
    """An action has done its work."""

    name = "launch.events.ExecutionComplete"

    def __init__(self, *, action: Action) -> None:
        self.action = action


class IncludeLaunchDescription(Event):
    """A launch description is to be visited."""

    name = "launch.events.IncludeLaunchDescription"

    def __init__(self, launch_description: LaunchDescription) -> None:
        self.launch_description = launch_description


class Shutdown(Event):
    """The launch is to end.

    Attributes:
        reason: Why, in words.
        due_to_sigint: Whether the user interrupted the launch.
    """

    name = "launch.events.Shutdown"

    def __init__(self, *, reason: str = "reason not given", due_to_sigint: bool = False) -> None:
        self.reason = reason
        self.due_to_sigint = due_to_sigint


class TimerEvent(Event):
    """A timer has run out."""

    name = "launch.events.TimerEvent"

    def __init__(self, *, timer_action: TimerAction) -> None:
        self.timer_action = timer_action


_deep_paths.publish(
    __name__, [name for name in __all__ if name != "process"], also={"matches_action": "matchers"}
)
