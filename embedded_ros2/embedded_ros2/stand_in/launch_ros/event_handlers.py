# SPDX-License-Identifier: Apache-2.0
"""Handlers for the events of nodes."""

from __future__ import annotations

from collections.abc import Callable

from launch import _deep_paths
from launch.event import Event
from launch.event_handler import EventHandler
from launch.some_entities_type import SomeEntitiesType

from .actions.lifecycle import LifecycleNode
from .events import StateTransition

__all__ = ["OnStateTransition"]


class OnStateTransition(EventHandler):
    """Reacts when a lifecycle node has changed its state.

    Args:
        entities: What to visit.
        target_lifecycle_node: The node, or None for any.
        transition: The label of the transition, or None for any.
        start_state: The label of the state before, or None for any.
        goal_state: The label of the state now, or None for any.
        matcher: Decides instead of all of these.
        handle_once: Whether to react to the first one only.
    """

    def __init__(
        self,
        *,
        entities: SomeEntitiesType,
        target_lifecycle_node: LifecycleNode | None = None,
        transition: str | None = None,
        start_state: str | None = None,
        goal_state: str | None = None,
        matcher: Callable[[Event], bool] | None = None,
        handle_once: bool = False,
    ) -> None:
        if not isinstance(target_lifecycle_node, (LifecycleNode, type(None))):
            raise RuntimeError("OnStateTransition requires a 'LifecycleNode' action as the target")

        def fits(event: Event) -> bool:
            return (
                isinstance(event, StateTransition)
                and target_lifecycle_node in (None, event.action)
                and transition in (None, event.transition)
                and start_state in (None, event.start_state)
                and goal_state in (None, event.goal_state)
            )

        super().__init__(matcher=matcher or fits, entities=entities, handle_once=handle_once)

    @property
    def handler_description(self) -> str:
        """What the handler does, in words."""
        return "<actions>"

    @property
    def matcher_description(self) -> str:
        """Which events the handler takes, in words."""
        return "event == StateTransition"


_deep_paths.publish(__name__, __all__)
