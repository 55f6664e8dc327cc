# SPDX-License-Identifier: Apache-2.0
"""What executors see of subscriptions, timers, services and the like."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import CallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.service_introspection import ServiceIntrospectionState

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node
    from rclpy.qos import QoSProfile

Work = Callable[[], "Coroutine[Any, Any, Any] | None"]


class Entity:
    """Something of a node that has callbacks to run.

    Work arrives on any thread; `_notify` then puts the entity into the queue of the node's
    executor, where it stands at most once. Nothing is scanned or polled.
    """

    def __init__(self, callback_group: CallbackGroup) -> None:
        self.callback_group = callback_group
        self._node_reference: Callable[[], Node | None] = lambda: None
        self._queued_in: Executor | None = None
        self._destroyed = False

    def _attach(self, node: Node) -> None:
        self._node_reference = weakref.ref(node)
        if self.callback_group is not None:
            self.callback_group.add_entity(self)

    @property
    def handle(self) -> Entity:
        """The entity itself: there is no C object behind it."""
        return self

    def __enter__(self) -> Any:
        if self._destroyed:
            raise InvalidHandle(f"cannot use {type(self).__name__} because it was destroyed")
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def _has_work(self) -> bool:
        """Return whether `_take` would give something."""
        raise NotImplementedError

    def _take(self) -> Work | None:
        """Take one piece of work; calling it does it. None if there is none."""
        raise NotImplementedError

    def _notify(self) -> None:
        """Tell the executor that there is work."""
        node = self._node_reference()
        executor = None if node is None else node._executor_reference()
        if executor is not None and self._queued_in is not executor:
            self._queued_in = executor
            executor._ready.put(self)

    def destroy(self) -> None:
        """Stop offering work."""
        self._destroyed = True


class ServiceEntity(Entity):
    """What servers and clients of services share."""

    _full_name: str
    _endpoint: Any
    _queue: Any

    @property
    def service_name(self) -> str:
        """The service's fully qualified name, after remapping."""
        return self._full_name

    def configure_introspection(
        self,
        clock: Any,
        service_event_qos_profile: QoSProfile,
        introspection_state: ServiceIntrospectionState,
    ) -> None:
        """Refuse every state but OFF: service introspection is not offered."""
        if introspection_state != ServiceIntrospectionState.OFF:
            raise NotImplementedError("embedded_ros2 does not offer service introspection")

    def destroy(self) -> None:
        """Withdraw it; `Node.destroy_service` and `Node.destroy_client` call this."""
        if not self._destroyed:
            super().destroy()
            if self._endpoint is not None:
                self._endpoint.close()
            self._queue.clear()
