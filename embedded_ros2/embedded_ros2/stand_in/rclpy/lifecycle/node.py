# SPDX-License-Identifier: Apache-2.0
"""Managed nodes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import lifecycle_msgs.msg
import lifecycle_msgs.srv

from rclpy._rclpy_pybind11 import RCLError
from rclpy.callback_groups import CallbackGroup
from rclpy.lifecycle.managed_entity import ManagedEntity, TransitionCallbackReturn
from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.lifecycle.state_machine import (
    ERROR,
    FAILURE,
    LABELS,
    STEPS,
    SUCCESS,
    InvalidTransition,
    StateMachine,
    Step,
)
from rclpy.node import Node

_State = lifecycle_msgs.msg.State
_Transition = lifecycle_msgs.msg.Transition

_CALLBACKS = {
    _State.TRANSITION_STATE_CONFIGURING: "on_configure",
    _State.TRANSITION_STATE_CLEANINGUP: "on_cleanup",
    _State.TRANSITION_STATE_SHUTTINGDOWN: "on_shutdown",
    _State.TRANSITION_STATE_ACTIVATING: "on_activate",
    _State.TRANSITION_STATE_DEACTIVATING: "on_deactivate",
    _State.TRANSITION_STATE_ERRORPROCESSING: "on_error",
}
_OUTCOMES = {
    TransitionCallbackReturn.SUCCESS: SUCCESS,
    TransitionCallbackReturn.FAILURE: FAILURE,
    TransitionCallbackReturn.ERROR: ERROR,
}


class LifecycleState(NamedTuple):
    """A state by label and number."""

    label: str
    state_id: int


def _state_message(state: int) -> Any:
    return _State(id=state, label=LABELS[state])


class LifecycleNodeMixin(ManagedEntity):
    """What makes a managed node of a `Node`; the two are inherited from together.

    Args:
        enable_communication_interface: Whether others may ask for transitions.
        callback_group: The group of the services.
    """

    def __init__(
        self,
        *,
        enable_communication_interface: bool = True,
        callback_group: CallbackGroup | None = None,
    ) -> None:
        self._managed_entities: list[ManagedEntity] = []
        self._state_machine = StateMachine()
        self._transition_event_publisher: Any = None
        if not enable_communication_interface:
            return
        node: Any = self
        self._transition_event_publisher = node.create_publisher(
            lifecycle_msgs.msg.TransitionEvent, "~/transition_event", 10
        )
        services = lifecycle_msgs.srv
        for kind, name, callback in (
            (services.ChangeState, "change_state", self._on_change_state),
            (services.GetState, "get_state", self._on_get_state),
            (services.GetAvailableStates, "get_available_states", self._on_get_available_states),
            (
                services.GetAvailableTransitions,
                "get_available_transitions",
                self._on_get_available_transitions,
            ),
            (
                services.GetAvailableTransitions,
                "get_transition_graph",
                self._on_get_transition_graph,
            ),
        ):
            node.create_service(kind, f"~/{name}", callback, callback_group=callback_group)

    # --- transitions from within ---

    def trigger_configure(self) -> TransitionCallbackReturn:
        """Go from unconfigured to inactive."""
        return self._change_state(_Transition.TRANSITION_CONFIGURE)

    def trigger_cleanup(self) -> TransitionCallbackReturn:
        """Go from inactive to unconfigured."""
        return self._change_state(_Transition.TRANSITION_CLEANUP)

    def trigger_activate(self) -> TransitionCallbackReturn:
        """Go from inactive to active."""
        return self._change_state(_Transition.TRANSITION_ACTIVATE)

    def trigger_deactivate(self) -> TransitionCallbackReturn:
        """Go from active to inactive."""
        return self._change_state(_Transition.TRANSITION_DEACTIVATE)

    def trigger_shutdown(self) -> TransitionCallbackReturn:
        """Go to finalized.

        Raises:
            RCLError: If there is no way there from the present state.
        """
        return self._change_state("shutdown")

    def add_managed_entity(self, entity: ManagedEntity) -> None:
        """Let an entity take part in the transitions."""
        if not isinstance(entity, ManagedEntity):
            raise TypeError("Expected a rclpy.lifecycle.ManagedEntity instance.")
        self._managed_entities.append(entity)

    # --- what a transition does, unless overridden ---

    def _ask_entities(self, callback: str, state: LifecycleState) -> TransitionCallbackReturn:
        """Call the entities' callbacks up to the first that does not succeed."""
        for entity in self._managed_entities:
            result = getattr(entity, callback)(state)
            if not isinstance(result, TransitionCallbackReturn):
                raise TypeError(
                    f"{callback}() of {type(entity)} must return a TransitionCallbackReturn, "
                    f"not {result!r}"
                )
            if result is not TransitionCallbackReturn.SUCCESS:
                return result
        return TransitionCallbackReturn.SUCCESS

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go from unconfigured to inactive: by default, what the managed entities do."""
        return self._ask_entities("on_configure", state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go from inactive to unconfigured: by default, what the managed entities do."""
        return self._ask_entities("on_cleanup", state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go to finalized: by default, what the managed entities do."""
        return self._ask_entities("on_shutdown", state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go from inactive to active: by default, what the managed entities do."""
        return self._ask_entities("on_activate", state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go from active to inactive: by default, what the managed entities do."""
        return self._ask_entities("on_deactivate", state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Recover from an error: by default, what the managed entities do."""
        return self._ask_entities("on_error", state)

    # --- publishers ---

    def create_lifecycle_publisher(self, *args: Any, **kwargs: Any) -> LifecyclePublisher:
        """Create a publisher that publishes only while the node is active."""
        if "publisher_class" in kwargs:
            raise TypeError(
                "create_publisher() got an unexpected keyword argument 'publisher_class'"
            )
        publisher = Node.create_publisher(  # type: ignore[misc]
            self, *args, **kwargs, publisher_class=LifecyclePublisher
        )
        self._managed_entities.append(publisher)
        return publisher

    def destroy_lifecycle_publisher(self, publisher: LifecyclePublisher) -> bool:
        """Destroy such a publisher; return False if it is not this node's."""
        if publisher in self._managed_entities:
            self._managed_entities.remove(publisher)
        return Node.destroy_publisher(self, publisher)  # type: ignore[arg-type]

    # --- the machinery ---

    def _step(self, transition: int | str) -> None:
        step = self._state_machine.step(transition)
        node: Any = self
        if self._transition_event_publisher is None or not node.context.ok():
            return
        self._transition_event_publisher.publish(
            lifecycle_msgs.msg.TransitionEvent(
                timestamp=node.get_clock().now().nanoseconds,
                transition=_Transition(id=step.id, label=step.label),
                start_state=_state_message(step.start),
                goal_state=_state_message(step.goal),
            )
        )

    def _call(self, previous: LifecycleState) -> TransitionCallbackReturn:
        """Run the callback of the state on the way; an exception counts as an error."""
        node: Any = self
        name = _CALLBACKS[self._state_machine.state]
        try:
            result = getattr(self, name)(previous)
        except Exception as error:
            node.get_logger().error(f"{name}() raised {type(error).__name__}: {error}")
            return TransitionCallbackReturn.ERROR
        if not isinstance(result, TransitionCallbackReturn):
            node.get_logger().error(f"{name}() must return a TransitionCallbackReturn")
            return TransitionCallbackReturn.ERROR
        return result

    def _change_state(self, transition: int | str) -> TransitionCallbackReturn:
        state = self._state_machine.state
        previous = LifecycleState(label=LABELS[state], state_id=state)
        try:
            self._step(transition)
        except InvalidTransition as error:
            raise RCLError(
                f"Failed to trigger lifecycle state machine transition: {error}"
            ) from error
        result = self._call(previous)
        self._step(_OUTCOMES[result])
        if result is TransitionCallbackReturn.ERROR:
            self._step(_OUTCOMES[self._call(previous)])
        return result

    def _on_change_state(self, request: Any, response: Any) -> Any:
        try:
            result = self._change_state(request.transition.label or request.transition.id)
        except RCLError as error:
            node: Any = self
            node.get_logger().warning(str(error))
            return response
        response.success = result is TransitionCallbackReturn.SUCCESS
        return response

    def _on_get_state(self, request: Any, response: Any) -> Any:
        response.current_state = _state_message(self._state_machine.state)
        return response

    def _on_get_available_states(self, request: Any, response: Any) -> Any:
        response.available_states = [_state_message(state) for state in LABELS]
        return response

    def _on_get_available_transitions(self, request: Any, response: Any) -> Any:
        response.available_transitions = _describe(self._state_machine.available)
        return response

    def _on_get_transition_graph(self, request: Any, response: Any) -> Any:
        response.available_transitions = _describe(STEPS)
        return response


def _describe(steps: Iterable[Step]) -> list[Any]:
    return [
        lifecycle_msgs.msg.TransitionDescription(
            transition=_Transition(id=step.id, label=step.label),
            start_state=_state_message(step.start),
            goal_state=_state_message(step.goal),
        )
        for step in steps
    ]


class LifecycleNode(LifecycleNodeMixin, Node):
    """A managed node.

    Args:
        node_name: The name.
        enable_communication_interface: Whether others may ask for transitions.
        **kwargs: See `rclpy.node.Node`.
    """

    def __init__(
        self, node_name: str, *, enable_communication_interface: bool = True, **kwargs: Any
    ) -> None:
        Node.__init__(self, node_name, **kwargs)
        LifecycleNodeMixin.__init__(
            self, enable_communication_interface=enable_communication_interface
        )
