# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""Nodes with a lifecycle, and their transitions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from launch.action import Action
from launch.actions import EmitEvent, RegisterEventHandler
from launch.condition import Condition
from launch.event import Event
from launch.event_handler import BaseEventHandler, EventHandler
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.logging import get_logger
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

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


class LifecycleTransition(Action):
    """Takes lifecycle nodes through transitions, each when the one before has succeeded.

    Args:
        lifecycle_node_names: Full names of the nodes.
        transition_ids: The transitions, as in lifecycle_msgs/msg/Transition.
        condition: The condition under which this is done.
    """

    # Transition to the label of the state that it leads to.
    _GOALS = {  # noqa: RUF012
        1: "inactive",
        2: "unconfigured",
        3: "active",
        4: "inactive",
        5: "finalized",
        6: "finalized",
        7: "finalized",
    }

    def __init__(
        self,
        *,
        lifecycle_node_names: Sequence[SomeSubstitutionsType],
        transition_ids: Sequence[int | SomeSubstitutionsType],
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        if not transition_ids:
            raise ValueError("No transition_ids provided.")
        if not lifecycle_node_names:
            raise ValueError("No lifecycle_node_names provided.")
        self.__names = [normalize_to_list_of_substitutions(name) for name in lifecycle_node_names]
        self.__ids = [
            normalize_to_list_of_substitutions(str(one) if isinstance(one, int) else one)
            for one in transition_ids
        ]

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        ids = [self.__number(perform_substitutions(context, one)) for one in self.__ids]
        actions: list[LaunchDescriptionEntity] = []
        for parts in self.__names:
            name = perform_substitutions(context, parts)
            requests = [
                EmitEvent(
                    event=ChangeState(
                        lifecycle_node_matcher=matches_node_name(name), transition_id=one
                    )
                )
                for one in ids
            ]
            for done, following in zip(ids, requests[1:], strict=False):
                reaction = _after(name, self._GOALS[done], following)
                actions.append(RegisterEventHandler(reaction))
            actions.append(requests[0])
        return actions

    def __number(self, text: str) -> int:
        if not text.isdigit() or int(text) not in self._GOALS:
            raise ValueError(
                f"expected a lifecycle transition, one of {list(self._GOALS)}, got '{text}'"
            )
        return int(text)


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
