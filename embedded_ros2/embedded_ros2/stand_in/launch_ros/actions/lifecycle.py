# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""Nodes with a lifecycle, and their transitions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from launch.action import Action
from launch.event import Event
from launch.event_handler import BaseEventHandler, EventHandler
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.logging import get_logger
from launch.some_substitutions_type import SomeSubstitutionsType

from ..events import ChangeState, StateTransition, matches_node_name
from ..ros_adapters import get_ros_node
from .node import Node

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

_POLL_S = 0.05


class LifecycleNode(Node):
    """Runs a node with a lifecycle; takes ChangeState events and emits StateTransition events.

    Args:
        name: The name of the node.
        namespace: Its namespace.
        **kwargs: See Node.
    """

    def __init__(
        self, *, name: SomeSubstitutionsType, namespace: SomeSubstitutionsType, **kwargs: Any
    ) -> None:
        super().__init__(name=name, namespace=namespace, **kwargs)
        self.__client: Any = None
        self.__subscription: Any = None

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        from lifecycle_msgs.msg import TransitionEvent
        from lifecycle_msgs.srv import ChangeState as ChangeStateService

        self._perform_substitutions(context)
        node = get_ros_node(context)
        loop = context.asyncio_loop

        def on_transition(message: Any) -> None:  # in the thread of the node
            event = StateTransition(action=self, msg=message)
            loop.call_soon_threadsafe(context.emit_event_sync, event)

        self.__subscription = node.create_subscription(
            TransitionEvent, f"{self.node_name}/transition_event", on_transition, 10
        )
        self.__client = node.create_client(ChangeStateService, f"{self.node_name}/change_state")
        context.register_event_handler(_OnChangeState(self))
        return super().execute(context)

    async def _change_state(self, context: LaunchContext, transition_id: int) -> None:
        from lifecycle_msgs.srv import ChangeState as ChangeStateService

        logger = get_logger(self.name)
        while not self.__client.service_is_ready():
            if context.is_shutdown:
                logger.warning(
                    "Abandoning wait for the '%s' service, due to shutdown.",
                    self.__client.srv_name,
                )
                return
            await asyncio.sleep(_POLL_S)
        request = ChangeStateService.Request()
        request.transition.id = transition_id
        answer = self.__client.call_async(request)
        while not answer.done():
            if context.is_shutdown:
                answer.cancel()
                return
            await asyncio.sleep(_POLL_S)
        if not answer.result().success:
            logger.error(
                "Failed to make transition '%s' for LifecycleNode '%s'",
                ChangeState.valid_transitions[transition_id],
                self.node_name,
            )


class _OnChangeState(BaseEventHandler):
    """Has a node make the transition that an event asks for."""

    def __init__(self, node: LifecycleNode) -> None:
        super().__init__(
            matcher=lambda event: (
                isinstance(event, ChangeState) and event.lifecycle_node_matcher(node)
            )
        )
        self._node = node

    def handle(self, event: Event, context: LaunchContext) -> None:
        super().handle(event, context)
        assert isinstance(event, ChangeState)
        task = context.asyncio_loop.create_task(
            self._node._change_state(context, event.transition_id)
        )
        context.add_completion_future(task)


def _after(name: str, goal_state: str, action: Action) -> EventHandler:
    """Return a handler that visits an action when a node has reached a state, once."""
    is_meant = matches_node_name(name)
    return EventHandler(
        matcher=lambda event: (
            isinstance(event, StateTransition)
            and is_meant(event.action)
            and event.goal_state == goal_state
        ),
        entities=[action],
        handle_once=True,
    )
