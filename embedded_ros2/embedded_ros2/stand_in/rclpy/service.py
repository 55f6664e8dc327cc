# SPDX-License-Identifier: Apache-2.0
"""Service servers."""

from __future__ import annotations

import collections
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from embedded_ros2.interfaces import cdr
from embedded_ros2.interfaces.lookup import interface_name
from embedded_ros2.network import NodeToken
from embedded_ros2.services import ServiceEndpoint
from embedded_ros2.wire.attachment import Attachment
from rclpy._entity import ServiceEntity, Work
from rclpy.callback_groups import CallbackGroup
from rclpy.qos import QoSProfile, _to_wire
from rclpy.type_support import SrvType, SrvTypeRequest, SrvTypeResponse  # noqa: F401  (exported)


class RequestHeader(NamedTuple):
    """Whose request it is; `send_response` needs it."""

    query: Any
    attachment: Attachment


class Service(ServiceEntity):
    """Answers requests; `Node.create_service` makes it."""

    def __init__(
        self,
        node_token: NodeToken,
        srv_type: Any,
        srv_name: str,
        full_name: str,
        callback: Callable[[Any, Any], Any],
        callback_group: CallbackGroup,
        qos_profile: QoSProfile,
    ) -> None:
        super().__init__(callback_group)
        self.srv_type = srv_type
        self.srv_name = srv_name
        self.callback = callback
        self.qos_profile = qos_profile
        # Requests are never dropped for the queue's length: their clients wait for an answer.
        self._queue: collections.deque[tuple[Any, int]] = collections.deque()
        self._node_token = node_token
        self._full_name = full_name
        self._endpoint: ServiceEndpoint | None = None

    def _open(self) -> None:
        """Start to serve; the node calls it when callbacks can be run."""
        self._endpoint = ServiceEndpoint(
            self._node_token,
            self._full_name,
            interface_name(self.srv_type),
            _to_wire(self.qos_profile),
            self._push,
        )

    def _push(self, query: Any, received_ns: int) -> None:
        self._queue.append((query, received_ns))
        self._notify()

    def _has_work(self) -> bool:
        return bool(self._queue) and not self._destroyed

    def _take(self) -> Work | None:
        while self._queue and self._endpoint is not None and not self._destroyed:
            query, received_ns = self._queue.popleft()
            message = self._endpoint.read(query, received_ns)
            if message is None:
                continue
            try:
                request = cdr.deserialize(message.payload, self.srv_type.Request)
            except cdr.CdrError:
                self._endpoint.network.counters.malformed_requests += 1
                query.drop()
                continue
            header = RequestHeader(query, message.attachment)
            return lambda: self._answer(request, header)
        return None

    def _answer(self, request: Any, header: RequestHeader) -> Any:
        response = self.callback(request, self.srv_type.Response())
        if inspect.isawaitable(response):
            return self._answer_later(response, header)
        self.send_response(response, header)
        return None

    async def _answer_later(self, response: Any, header: RequestHeader) -> None:
        self.send_response(await response, header)

    def send_response(self, response: Any, header: RequestHeader) -> None:
        """Send the response to a request.

        Raises:
            TypeError: If the response is of another type.
        """
        if not isinstance(response, self.srv_type.Response):
            raise TypeError(
                f"the callback of service '{self.srv_name}' must return a "
                f"{self.srv_type.Response.__name__}, not {type(response).__name__}"
            )
        if self._endpoint is not None and not self._destroyed:
            self._endpoint.reply(header.query, header.attachment, cdr.serialize(response))
