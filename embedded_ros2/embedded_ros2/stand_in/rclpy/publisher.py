# SPDX-License-Identifier: Apache-2.0
"""Publishers."""

from __future__ import annotations

from typing import Any

from embedded_ros2.interfaces import cdr
from embedded_ros2.topics import PublisherEndpoint
from embedded_ros2.wire import tokens
from rclpy._rclpy_pybind11 import RCLError
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.exceptions import InvalidHandle
from rclpy.qos import QoSProfile
from rclpy.type_support import MsgType  # noqa: F401  (exported)


class Publisher:
    """Publishes messages on a topic; `Node.create_publisher` makes it."""

    def __init__(
        self,
        endpoint: PublisherEndpoint,
        msg_type: Any,
        topic: str,
        qos_profile: QoSProfile,
        context: Context,
    ) -> None:
        self._endpoint = endpoint
        self._context = context
        self._destroyed = False
        self.msg_type = msg_type
        self.topic = topic
        self.qos_profile = qos_profile
        self.event_handlers: list[Any] = []

    def publish(self, msg: Any) -> None:
        """Publish a message, or CDR with its header as bytes.

        Raises:
            TypeError: If the message is of another type.
            RCLError: If the context is shut down.
            InvalidHandle: If the publisher was destroyed.
        """
        if type(msg) is self.msg_type or isinstance(msg, self.msg_type):
            payload: bytes | bytearray = cdr.serialize(msg)
        elif isinstance(msg, bytes):
            payload = msg
        else:
            raise TypeError(f"Expected {self.msg_type}, got {type(msg)}")
        if self._destroyed:
            raise InvalidHandle("cannot use Publisher because it was destroyed")
        if not self._context.ok():
            raise RCLError("Failed to publish: publisher's context is invalid")
        self._endpoint.put(payload)

    def get_subscription_count(self) -> int:
        """Return how many subscriptions the topic has; none before the first can be reached."""
        token = self._endpoint.token
        if not self._endpoint.has_route:
            return 0
        return len(self._endpoint.network.graph.endpoints(tokens.SUBSCRIPTION, token.name))

    @property
    def topic_name(self) -> str:
        """The topic's fully qualified name, after remapping."""
        return self._endpoint.token.name

    @property
    def handle(self) -> Publisher:
        """The publisher itself: there is no C object behind it."""
        return self

    def assert_liveliness(self) -> None:
        """Refuse: liveliness by topic is not offered."""
        raise NotImplementedError("embedded_ros2 does not offer Publisher.assert_liveliness")

    def wait_for_all_acked(self, timeout: Duration | None = None) -> bool:
        """Return True: what was published is in Zenoh's hands, which acknowledges nothing."""
        return True

    def destroy(self) -> None:
        """Withdraw the publisher; `Node.destroy_publisher` calls this."""
        if not self._destroyed:
            self._destroyed = True
            for event in self.event_handlers:
                event.destroy()
            self._endpoint.close()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()
