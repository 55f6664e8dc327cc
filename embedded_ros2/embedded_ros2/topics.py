# SPDX-License-Identifier: Apache-2.0
"""Publishers and subscriptions over Zenoh."""

from __future__ import annotations

import collections
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import zenoh

from embedded_ros2 import threads
from embedded_ros2.interfaces import registry
from embedded_ros2.network import Endpoint, NodeToken
from embedded_ros2.wire import attachment, tokens
from embedded_ros2.wire.qos import KEEP_ALL, RELIABLE, TRANSIENT_LOCAL, WireQos

_RECENT = 32


def _delivery(type_name: str, qos: WireQos) -> dict[str, Any]:
    """Return what a publisher does about a connection whose other end does not keep up.

    Each priority of each connection has a queue of its own, so that what waits for one reader
    holds up neither other messages to it nor anything to others.
    """
    if qos.reliability == RELIABLE and qos.history == KEEP_ALL:
        # The publisher itself waits, as in rmw_zenoh, until Zenoh closes the connection.
        return {
            "congestion_control": zenoh.CongestionControl.BLOCK,
            "priority": zenoh.Priority.DATA_LOW,
        }
    if registry.holds_bytes(type_name):
        # One of these may fill the queue. One waits beside the publisher's thread; those that
        # come in the meantime are dropped for this reader.
        return {
            "congestion_control": zenoh.CongestionControl.BLOCK_FIRST,
            "priority": zenoh.Priority.DATA_LOW,
        }
    return {"congestion_control": zenoh.CongestionControl.DROP}


class PublisherEndpoint(Endpoint):
    """A topic's publisher."""

    def __init__(self, node: NodeToken, name: str, type_name: str, qos: WireQos) -> None:
        super().__init__(node, tokens.PUBLISHER, name, type_name, qos)
        self._sequence = itertools.count(1)
        self._lock = threading.Lock()
        session = self.network.session
        delivery = _delivery(type_name, qos)
        if qos.durability == TRANSIENT_LOCAL:
            # No heartbeat: nothing is lost that it could bring back, and `undeclare` waits for its
            # task, holding the GIL that other tasks may need (10 s, in Zenoh 1.10.2).
            self._publisher: Any = zenoh.ext.declare_advanced_publisher(
                session,
                self.key,
                **delivery,
                cache=zenoh.ext.CacheConfig(max(qos.depth, 1)),
                publisher_detection=True,
            )
        else:
            self._publisher = session.declare_publisher(self.key, **delivery)
        self._announce()

    def put(self, payload: bytes | bytearray) -> None:
        """Publish CDR."""
        with self._lock:  # sequence numbers must leave in order
            extra = attachment.encode(next(self._sequence), time.time_ns(), self.gid)
            try:
                self._publisher.put(payload, attachment=extra)
            except zenoh.ZError:
                if not self.network.closed:  # another thread closes the session right now
                    raise
        threads.make_up()

    @property
    def has_route(self) -> bool:
        """Whether a message sent now would reach a subscription, as far as can be told."""
        if isinstance(self._publisher, zenoh.Publisher):
            status: Any = self._publisher.matching_status  # the stub says bool
            return bool(status.matching)
        return True

    def close(self) -> None:
        """Stop publishing."""
        if self._withdraw():
            self._publisher.undeclare()


class SubscriptionEndpoint(Endpoint):
    """A topic's subscription; `on_sample` gets each sample, on Zenoh's thread."""

    def __init__(
        self,
        node: NodeToken,
        name: str,
        type_name: str,
        qos: WireQos,
        on_sample: Callable[[zenoh.Sample, int], None],
    ) -> None:
        takes_buffers = qos.durability != TRANSIENT_LOCAL and registry.holds_bytes(type_name)
        super().__init__(
            node,
            tokens.SUBSCRIPTION,
            name,
            type_name,
            qos,
            tokens.BUFFER_BACKENDS if takes_buffers else "",
        )
        # A sample that comes on both keys counts once.
        self._recent: collections.deque[tuple[bytes, int]] | None = None
        self._buffer_subscriber: Any = None

        @threads.called_back
        def enqueue(sample: zenoh.Sample) -> None:
            on_sample(sample, time.time_ns())
            threads.keep_state()

        handler = zenoh.handlers.Callback(enqueue, indirect=False)
        session = self.network.session
        if qos.durability == TRANSIENT_LOCAL:
            recovery = None
            if qos.reliability == RELIABLE:
                recovery = zenoh.ext.RecoveryConfig(periodic_queries=None, heartbeat=True)
            limit = None if qos.history == KEEP_ALL else max(qos.depth, 1)
            self._subscriber: Any = zenoh.ext.declare_advanced_subscriber(
                session,
                self.key,
                handler,
                history=zenoh.ext.HistoryConfig(detect_late_publishers=True, max_samples=limit),
                recovery=recovery,
                subscriber_detection=True,
            )
        else:
            self._subscriber = session.declare_subscriber(self.key, handler)
        if takes_buffers:
            self._recent = collections.deque(maxlen=_RECENT)
            self._buffer_subscriber = session.declare_subscriber(
                f"{self.key}/{tokens.BUFFER_KEY}", handler
            )
        self._announce()

    def read(self, sample: zenoh.Sample) -> tuple[bytes, bytes] | None:
        """Return a sample's payload and its attachment, which is sound but not decoded.

        None if the sample is malformed, which counts, or a repetition.
        """
        extra = sample.attachment
        data = b"" if extra is None else extra.to_bytes()
        if not attachment.is_sound(data):
            self.network.counters.malformed_samples += 1
            return None
        if self._recent is not None:
            decoded = attachment.decode(data)
            identity = (decoded.gid, decoded.sequence)
            if identity in self._recent:
                return None
            self._recent.append(identity)
        return sample.payload.to_bytes(), data

    def close(self) -> None:
        """Stop receiving."""
        if self._withdraw():
            self._subscriber.undeclare()
            if self._buffer_subscriber is not None:
                self._buffer_subscriber.undeclare()
