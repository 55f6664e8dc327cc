# SPDX-License-Identifier: Apache-2.0
"""Callbacks for changes of parameters, of this node or of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import Parameter, ParameterEvent

from embedded_ros2 import names
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_parameter_events


@dataclass(eq=False)
class ParameterCallbackHandle:
    """A callback for one parameter."""

    parameter_name: str
    node_name: str
    callback: Callable[[Parameter], None]


@dataclass(eq=False)
class ParameterEventCallbackHandle:
    """A callback for all events."""

    callback: Callable[[ParameterEvent], None]


class ParameterEventHandler:
    """Watches parameter events on behalf of a node."""

    def __init__(
        self,
        node: Node,
        qos_profile: QoSProfile = qos_profile_parameter_events,
        callback_group: CallbackGroup | None = None,
        event_callbacks: Any = None,
        qos_overriding_options: Any = None,
        raw: bool = False,
    ) -> None:
        self.node = node
        self.qos_profile = qos_profile
        self._parameter_callbacks: list[ParameterCallbackHandle] = []
        self._event_callbacks: list[ParameterEventCallbackHandle] = []
        self.parameter_event_subscription = node.create_subscription(
            ParameterEvent,
            "/parameter_events",
            self._on_event,
            qos_profile,
            callback_group=callback_group,
            event_callbacks=event_callbacks,
            qos_overriding_options=qos_overriding_options,
            raw=raw,
        )

    def destroy(self) -> None:
        """Stop watching."""
        self.node.destroy_subscription(self.parameter_event_subscription)

    def _on_event(self, event: ParameterEvent) -> None:
        for handle in list(self._parameter_callbacks):
            parameter = self.get_parameter_from_event(
                event, handle.parameter_name, handle.node_name
            )
            if parameter is not None:
                handle.callback(parameter)
        for watcher in list(self._event_callbacks):
            watcher.callback(event)

    @staticmethod
    def get_parameter_from_event(
        event: ParameterEvent, parameter_name: str, node_name: str
    ) -> Parameter | None:
        """Return a node's parameter if the event tells of it."""
        if event.node != node_name:
            return None
        for parameter in ParameterEventHandler.get_parameters_from_event(event):
            if parameter.name == parameter_name:
                return parameter
        return None

    @staticmethod
    def get_parameters_from_event(event: ParameterEvent) -> Iterable[Parameter]:
        """Yield the parameters that an event tells of as new or changed."""
        yield from event.new_parameters
        yield from event.changed_parameters

    def add_parameter_callback(
        self, parameter_name: str, node_name: str, callback: Callable[[Parameter], None]
    ) -> ParameterCallbackHandle:
        """Call `callback` when a node's parameter is declared or changed; the last added first."""
        full_name = node_name or self.node.get_fully_qualified_name()
        if not full_name.startswith("/"):
            full_name = names.join(self.node.get_namespace(), full_name)
        handle = ParameterCallbackHandle(parameter_name, full_name, callback)
        self._parameter_callbacks.insert(0, handle)
        return handle

    def remove_parameter_callback(self, handle: ParameterCallbackHandle) -> None:
        """Undo `add_parameter_callback`."""
        if handle not in self._parameter_callbacks:
            raise RuntimeError("Callback doesn't exist")
        self._parameter_callbacks.remove(handle)

    def add_parameter_event_callback(
        self, callback: Callable[[ParameterEvent], None]
    ) -> ParameterEventCallbackHandle:
        """Call `callback` with every event; the last added first."""
        handle = ParameterEventCallbackHandle(callback)
        self._event_callbacks.insert(0, handle)
        return handle

    def remove_parameter_event_callback(self, handle: ParameterEventCallbackHandle) -> None:
        """Undo `add_parameter_event_callback`."""
        if handle not in self._event_callbacks:
            raise RuntimeError("Callback doesn't exist")
        self._event_callbacks.remove(handle)
