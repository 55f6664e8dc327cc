# SPDX-License-Identifier: Apache-2.0
"""Service clients."""

from __future__ import annotations

import collections
import threading
from typing import Any

from embedded_ros2.interfaces import cdr
from embedded_ros2.interfaces.lookup import interface_name
from embedded_ros2.network import NodeToken
from embedded_ros2.services import ClientEndpoint, ReceivedMessage
from embedded_ros2.wire import tokens
from rclpy._entity import ServiceEntity, Work
from rclpy._rclpy_pybind11 import RCLError
from rclpy.callback_groups import CallbackGroup
from rclpy.context import Context
from rclpy.qos import QoSProfile, _to_wire
from rclpy.task import Future
from rclpy.type_support import SrvType, SrvTypeRequest, SrvTypeResponse  # noqa: F401  (exported)


class Client(ServiceEntity):
    """Calls a service; `Node.create_client` makes it."""

    def __init__(
        self,
        node_token: NodeToken,
        context: Context,
        srv_type: Any,
        srv_name: str,
        full_name: str,
        qos_profile: QoSProfile,
        callback_group: CallbackGroup,
    ) -> None:
        super().__init__(callback_group)
        self.context = context
        self.srv_type = srv_type
        self.srv_name = srv_name
        self.qos_profile = qos_profile
        self._node_token = node_token
        self._full_name = full_name
        self._queue: collections.deque[ReceivedMessage] = collections.deque()
        self._pending_requests: dict[int, Future] = {}
        self._lock = threading.RLock()
        self._endpoint: ClientEndpoint | None = None

    def _open(self) -> None:
        """Announce the client."""
        self._endpoint = ClientEndpoint(
            self._node_token,
            self._full_name,
            interface_name(self.srv_type),
            _to_wire(self.qos_profile),
            self._push,
        )

    def _push(self, message: ReceivedMessage) -> None:
        self._queue.append(message)
        self._notify()

    def _has_work(self) -> bool:
        return bool(self._queue) and not self._destroyed

    def _take(self) -> Work | None:
        while self._queue and not self._destroyed:
            message = self._queue.popleft()
            with self._lock:
                future = self._pending_requests.get(message.attachment.sequence)
            if future is None:
                continue  # given up, or a second server's reply
            try:
                response = cdr.deserialize(message.payload, self.srv_type.Response)
            except cdr.CdrError:
                self._node_token.network.counters.malformed_replies += 1
                continue
            return lambda: self._complete(future, response)
        return None

    def _complete(self, future: Future, response: Any) -> None:
        node = self._node_reference()
        future._set_executor(None if node is None else node._get_executor())
        future.set_result(response)

    def call(self, request: Any, timeout_sec: float | None = None) -> Any:
        """Call the service and wait; another thread must spin.

        Returns:
            The response; None after the timeout.

        Raises:
            TypeError: If the request is of another type.
        """
        future = self.call_async(request)
        event = threading.Event()
        future._call_when_finished(event.set)
        if not event.wait(timeout_sec):
            self.remove_pending_request(future)
        return future.result()

    def call_async(self, request: Any) -> Future:
        """Call the service and return the future of its response.

        Raises:
            TypeError: If the request is of another type.
        """
        if not isinstance(request, self.srv_type.Request):
            raise TypeError(
                f"service '{self.srv_name}' takes a {self.srv_type.Request.__name__}, "
                f"not {type(request).__name__}"
            )
        if not self.context.ok():
            raise RCLError("Failed to send request: the client's context is invalid")
        payload = cdr.serialize(request)
        future = Future()
        with self, self._lock:
            assert self._endpoint is not None
            # The number must be known before the reply can come, which it does on other threads.
            sequence = self._endpoint.next_sequence()
            self._pending_requests[sequence] = future
        future.add_done_callback(self.remove_pending_request)
        self._endpoint.call(payload, sequence)
        return future

    def get_pending_request(self, sequence_number: int) -> Future:
        """Return the future of a request under way.

        Raises:
            KeyError: If there is none with that number.
        """
        with self._lock:
            return self._pending_requests[sequence_number]

    def remove_pending_request(self, future: Future) -> None:
        """Ignore the response that a future waits for."""
        with self._lock:
            for sequence, pending in self._pending_requests.items():
                if pending is future:
                    del self._pending_requests[sequence]
                    break

    def service_is_ready(self) -> bool:
        """Return whether there is a server."""
        graph = self._node_token.network.graph
        return bool(graph.endpoints(tokens.SERVICE, self._full_name))

    def wait_for_service(self, timeout_sec: float | None = None) -> bool:
        """Wait until there is a server; return whether there is one."""
        graph = self._node_token.network.graph
        return graph.wait_for(self.service_is_ready, timeout_sec, self.context.ok)
