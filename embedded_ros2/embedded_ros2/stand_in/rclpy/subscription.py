# SPDX-License-Identifier: Apache-2.0
"""Subscriptions."""

from __future__ import annotations

import collections
import functools
import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any, TypedDict

from embedded_ros2.interfaces import cdr
from embedded_ros2.network import NodeToken
from embedded_ros2.topics import SubscriptionEndpoint
from embedded_ros2.wire import attachment, tokens
from rclpy._entity import Entity, Work
from rclpy.callback_groups import CallbackGroup
from rclpy.qos import HistoryPolicy, QoSProfile, _to_wire
from rclpy.type_support import MsgType  # noqa: F401  (exported)


class MessageInfo(TypedDict):
    """What a callback may get beside a message."""

    source_timestamp: int
    received_timestamp: int
    publication_sequence_number: int | None
    reception_sequence_number: int | None


class Subscription(Entity):
    """Calls back with messages of a topic; `Node.create_subscription` makes it."""

    class CallbackType(Enum):
        """What a callback takes."""

        MessageOnly = 0
        WithMessageInfo = 1

    def __init__(
        self,
        node_token: NodeToken,
        msg_type: Any,
        topic: str,
        full_name: str,
        callback: Callable[..., Any],
        callback_group: CallbackGroup,
        qos_profile: QoSProfile,
        raw: bool,
    ) -> None:
        super().__init__(callback_group)
        self.msg_type = msg_type
        self.topic = topic
        self.callback = callback
        self.qos_profile = qos_profile
        self.raw = raw
        self.event_handlers: list[Any] = []
        self._lost: Any = None  # who counts lost messages, if anybody asked
        self._received = 0
        qos = _to_wire(qos_profile)
        keep_all = qos_profile.history == HistoryPolicy.KEEP_ALL
        # The oldest sample goes when the executor does not keep up.
        self._queue: collections.deque[tuple[Any, int]] = collections.deque(
            maxlen=None if keep_all else qos.depth
        )
        self._endpoint: SubscriptionEndpoint | None = None
        self._node_token = node_token
        self._full_name = full_name
        self._qos = qos

    def _open(self) -> None:
        """Start to receive; the node calls it when callbacks can be run."""
        self._endpoint = SubscriptionEndpoint(
            self._node_token, self._full_name, self.msg_type._structure.name, self._qos, self._push
        )

    def _push(self, sample: Any, received_ns: int) -> None:
        self._queue.append((sample, received_ns))
        self._notify()

    @property
    def callback(self) -> Callable[..., Any]:
        """The function that is called; it may take a second argument, the message's info."""
        return self._callback

    @callback.setter
    def callback(self, value: Callable[..., Any]) -> None:
        self._callback = value
        self._callback_type = Subscription.CallbackType.MessageOnly
        try:
            signature = inspect.signature(value)
        except ValueError:
            return  # a builtin without a signature
        for count, kind in ((1, "MessageOnly"), (2, "WithMessageInfo")):
            try:
                signature.bind(*[None] * count)
            except TypeError:
                continue
            self._callback_type = Subscription.CallbackType[kind]
            return
        raise RuntimeError(
            "Subscription.__init__(): callback should be either be callable with one argument"
            "(to get only the message) or two (to get message and message info)"
        )

    def _has_work(self) -> bool:
        return bool(self._queue) and not self._destroyed

    def _take(self) -> Work | None:
        found = self._next(self.msg_type, self.raw)
        if found is None:
            return None
        value, extra, received_ns = found
        callback = self._callback
        if self._callback_type is Subscription.CallbackType.MessageOnly:
            return functools.partial(callback, value)
        info = self._info(extra, received_ns)
        return lambda: callback(value, info)

    def take_message(self, pymsg_type: Any, raw: bool) -> tuple[Any, MessageInfo] | None:
        """Take the oldest message that waits, as `handle.take_message` does in rclpy.

        Args:
            pymsg_type: Type of the message.
            raw: Whether to return its bytes.

        Returns:
            The message and what a callback may get beside it; None when none waits.
        """
        found = self._next(pymsg_type, raw)
        if found is None:
            return None
        value, extra, received_ns = found
        return value, self._info(extra, received_ns)

    def _next(self, msg_type: Any, raw: bool) -> tuple[Any, bytes, int] | None:
        """Take the oldest message that can be read, with its attachment and when it came."""
        endpoint = self._endpoint
        while endpoint is not None and not self._destroyed:
            try:
                sample, received_ns = self._queue.popleft()
            except IndexError:
                return None
            found = endpoint.read(sample)
            if found is None:
                continue
            value: Any
            value, extra = found
            if self._lost is not None:
                sent = attachment.decode(extra)
                self._lost._count(sent.gid, sent.sequence)
            if not raw:
                try:
                    value = cdr.deserialize(value, msg_type)
                except cdr.CdrError:
                    endpoint.network.counters.malformed_samples += 1
                    continue
            self._received += 1
            return value, extra, received_ns
        return None

    def _info(self, extra: bytes, received_ns: int) -> MessageInfo:
        sent = attachment.decode(extra)
        return {
            "source_timestamp": sent.time_ns,
            "received_timestamp": received_ns,
            "publication_sequence_number": sent.sequence,
            "reception_sequence_number": self._received,
        }

    def get_publisher_count(self) -> int:
        """Return how many publishers the topic has."""
        graph = self._node_token.network.graph
        return len(graph.endpoints(tokens.PUBLISHER, self._full_name))

    @property
    def topic_name(self) -> str:
        """The topic's fully qualified name, after remapping."""
        return self._full_name

    def destroy(self) -> None:
        """Withdraw the subscription; `Node.destroy_subscription` calls this."""
        if not self._destroyed:
            super().destroy()
            for event in self.event_handlers:
                event.destroy()
            if self._endpoint is not None:
                self._endpoint.close()
            self._queue.clear()

    def __exit__(self, *_: object) -> None:
        return None
