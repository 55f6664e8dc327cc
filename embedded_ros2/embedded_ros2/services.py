# SPDX-License-Identifier: Apache-2.0
"""Servers and clients of services over Zenoh."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import zenoh

from embedded_ros2 import threads
from embedded_ros2.network import Endpoint, NodeToken
from embedded_ros2.wire import attachment, tokens
from embedded_ros2.wire.attachment import Attachment
from embedded_ros2.wire.qos import WireQos

# rmw_zenoh's. Until it is over Zenoh keeps some 650 bytes of each request, answered or not.
_DEFAULT_TIMEOUT_S = 600.0
# A result may be hours away; Zenoh wants a number.
_UNLIMITED_S = 10 * 365 * 86400.0
# A server's token can arrive before the route to it: a request waits that long for the route.
# Zenoh could tell when there is one, but on a thread that must not need the GIL (see below).
_ROUTE_S = 2.0
_ROUTE_POLL_S = 0.005
# Bytes of a request or reply that take a tenth of what fits into a connection's queue.
_LARGE = 100_000


class ReceivedMessage(NamedTuple):
    """A payload as it came, with its attachment and the time of its arrival."""

    payload: bytes
    attachment: Attachment
    received_ns: int


def _beside(send: Callable[[], None], payload: bytes | bytearray) -> None:
    """Send a request or a reply; one that could fill a connection, on a thread of its own.

    These are never dropped: who sends waits until Zenoh closes a connection that stays full. The
    thread that calls serves others too, who must not wait with it.
    """
    if len(payload) < _LARGE:
        send()
    else:
        threading.Thread(target=send, daemon=True).start()


class ServiceEndpoint(Endpoint):
    """A service's server; `on_query` gets each request, on Zenoh's thread."""

    def __init__(
        self,
        node: NodeToken,
        name: str,
        type_name: str,
        qos: WireQos,
        on_query: Callable[[zenoh.Query, int], None],
    ) -> None:
        super().__init__(node, tokens.SERVICE, name, type_name, qos)

        @threads.called_back
        def enqueue(query: zenoh.Query) -> None:
            on_query(query, time.time_ns())

        handler = zenoh.handlers.Callback(enqueue, indirect=False)
        self._queryable = self.network.session.declare_queryable(self.key, handler, complete=True)
        self._announce()

    def read(self, query: zenoh.Query, received_ns: int) -> ReceivedMessage | None:
        """Return what a request carries; count it and return None if it is malformed."""
        payload, extra = query.payload, query.attachment
        try:
            if payload is None or extra is None:
                raise ValueError("no payload or no attachment")
            decoded = attachment.decode(extra.to_bytes())
        except ValueError:
            self.network.counters.malformed_requests += 1
            query.drop()
            return None
        return ReceivedMessage(payload.to_bytes(), decoded, received_ns)

    def reply(self, query: zenoh.Query, request: Attachment, payload: bytes | bytearray) -> None:
        """Answer a request and finish it."""
        if self.network.closed:
            return
        extra = attachment.encode(request.sequence, time.time_ns(), request.gid)

        def send() -> None:
            with contextlib.suppress(zenoh.ZError):  # closed at this very moment
                query.reply(self.key, payload, attachment=extra)
            query.drop()

        _beside(send, payload)

    def close(self) -> None:
        """Stop serving."""
        if self._withdraw():
            self._queryable.undeclare()


class ClientEndpoint(Endpoint):
    """A service's client; `on_reply` gets each reply, on Zenoh's thread."""

    def __init__(
        self,
        node: NodeToken,
        name: str,
        type_name: str,
        qos: WireQos,
        on_reply: Callable[[ReceivedMessage], None],
    ) -> None:
        super().__init__(node, tokens.CLIENT, name, type_name, qos)
        self._sequence = itertools.count(1)
        self._on_reply = on_reply
        timeout_s = _UNLIMITED_S if "/_action/get_result" in name else _DEFAULT_TIMEOUT_S
        self._querier = self.network.session.declare_querier(
            self.key,
            target=zenoh.QueryTarget.ALL_COMPLETE,
            consolidation=zenoh.ConsolidationMode.NONE,
            timeout=timeout_s,
            priority=zenoh.Priority.INTERACTIVE_LOW,
        )
        self._announce()

    @property
    def has_route(self) -> bool:
        """Whether a request sent now would reach a server."""
        status: Any = self._querier.matching_status  # the stub says bool
        return bool(status.matching)

    def next_sequence(self) -> int:
        """Return the number of the next request."""
        return next(self._sequence)

    def call(self, payload: bytes | bytearray, sequence: int) -> None:
        """Send the request with this number; without any server it is lost, as in rmw_zenoh."""
        if self.has_route:
            self._send(payload, sequence)
        else:
            threading.Thread(
                target=self._send_when_possible, args=(payload, sequence), daemon=True
            ).start()

    def _send_when_possible(self, payload: bytes | bytearray, sequence: int) -> None:
        deadline = time.monotonic() + _ROUTE_S
        with contextlib.suppress(zenoh.ZError):  # closed at this very moment
            while not self._closed and not self.network.closed:
                if self.has_route:
                    self._send(payload, sequence)
                    return
                if time.monotonic() > deadline:
                    return
                time.sleep(_ROUTE_POLL_S)

    def _send(self, payload: bytes | bytearray, sequence: int) -> None:
        extra = attachment.encode(sequence, time.time_ns(), self.gid)

        def send() -> None:
            with contextlib.suppress(zenoh.ZError):  # closed at this very moment
                self._querier.get(
                    zenoh.handlers.Callback(self._receive, indirect=False),
                    payload=payload,
                    attachment=extra,
                )

        _beside(send, payload)

    @threads.called_back
    def _receive(self, reply: zenoh.Reply) -> None:
        sample = reply.ok
        try:
            if sample is None or sample.attachment is None:
                raise ValueError("an error reply, or no attachment")
            decoded = attachment.decode(sample.attachment.to_bytes())
        except ValueError:
            self.network.counters.malformed_replies += 1
            return
        if decoded.gid == self.gid:
            self._on_reply(ReceivedMessage(sample.payload.to_bytes(), decoded, time.time_ns()))

    def close(self) -> None:
        """Stop calling; replies still under way are ignored."""
        if self._withdraw():
            self._querier.undeclare()
