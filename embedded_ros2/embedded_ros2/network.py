# SPDX-License-Identifier: Apache-2.0
"""One domain's traffic over one Zenoh session: nodes, topics and services.

Everything that talks Zenoh is here. Callbacks run on Zenoh's threads, so those given to this
module must only enqueue. Payloads that do not follow the protocol are dropped and counted.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import zenoh

from embedded_ros2 import threads
from embedded_ros2.graph import Graph
from embedded_ros2.interfaces import hashes, registry
from embedded_ros2.session import open_session
from embedded_ros2.wire import attachment, keys, tokens
from embedded_ros2.wire.attachment import Attachment
from embedded_ros2.wire.qos import KEEP_ALL, RELIABLE, TRANSIENT_LOCAL, WireQos
from embedded_ros2.wire.tokens import Token

# rmw_zenoh's. Until it is over Zenoh keeps some 650 bytes of each request, answered or not.
_DEFAULT_TIMEOUT_S = 600.0
# A result may be hours away; Zenoh wants a number.
_UNLIMITED_S = 10 * 365 * 86400.0
# A server's token can arrive before the route to it: a request waits that long for the route.
# Zenoh could tell when there is one, but on a thread that must not need the GIL (see below).
_ROUTE_S = 2.0
_ROUTE_POLL_S = 0.005
_RECENT = 32
# Bytes of a request or reply that take a tenth of what fits into a connection's queue.
_LARGE = 100_000


class ReceivedMessage(NamedTuple):
    """A payload as it came, with its attachment and the time of its arrival."""

    payload: bytes
    attachment: Attachment
    received_ns: int


@dataclass
class Counters:
    """Things dropped since the session was opened."""

    malformed_samples: int = 0
    malformed_requests: int = 0
    malformed_replies: int = 0


class Network:
    """A session in a ROS domain."""

    def __init__(self, domain_id: int) -> None:
        self.domain_id = domain_id
        self.counters = Counters()
        self.session = open_session()
        self.zid = str(self.session.zid())
        self._ids = itertools.count()
        self._closed = False
        self.graph = Graph(self.session, domain_id)

    def close(self) -> None:
        """Close the session; every token of it vanishes from the graph. May be called again."""
        if not self._closed:
            self._closed = True
            self.graph.close()
            self.session.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def declare_node(self, namespace: str, name: str, enclave: str = "") -> NodeToken:
        """Announce a node."""
        return NodeToken(self, namespace, name, enclave)

    def declare_token(self, token: Token) -> zenoh.LivelinessToken:
        """Announce a node or endpoint, last of all: whoever sees it may use it at once."""
        return self.session.liveliness().declare_token(token.key)

    def next_id(self) -> int:
        """Return a number not used in this session yet."""
        return next(self._ids)


class NodeToken:
    """A node's announcement, and the parent of its endpoints."""

    def __init__(self, network: Network, namespace: str, name: str, enclave: str) -> None:
        self.network = network
        self.node_id = network.next_id()
        self.namespace, self.name, self.enclave = namespace, name, enclave
        self._token = network.declare_token(
            Token(
                network.domain_id,
                network.zid,
                self.node_id,
                self.node_id,
                tokens.NODE,
                namespace,
                name,
                enclave=enclave,
            )
        )

    def endpoint(
        self, kind: str, name: str, type_name: str, qos: WireQos, extension: str = ""
    ) -> Token:
        """Return the token of a new endpoint, not declared yet.

        Raises:
            DefinitionError: If the type's definition is not found.
        """
        return Token(
            self.network.domain_id,
            self.network.zid,
            self.node_id,
            self.network.next_id(),
            kind,
            self.namespace,
            self.name,
            name,
            keys.dds_type(type_name),
            hashes.type_hash(type_name),
            qos,
            self.enclave,
            extension,
        )

    def close(self) -> None:
        """Withdraw the announcement."""
        if not self.network.closed:
            self._token.undeclare()


class _Endpoint:
    def __init__(
        self,
        node: NodeToken,
        kind: str,
        name: str,
        type_name: str,
        qos: WireQos,
        extension: str = "",
    ) -> None:
        self.network = node.network
        self.token = node.endpoint(kind, name, type_name, qos, extension)
        token = self.token
        self.key = keys.data_key(token.domain_id, token.name, token.dds_type, token.type_hash)
        self.gid = tokens.gid(token.key)
        self._closed = False

    def _announce(self) -> None:
        self._liveliness = self.network.declare_token(self.token)

    def _withdraw(self) -> bool:
        """Undeclare the token; return False if there is nothing left to undeclare."""
        if self._closed or self.network.closed:
            self._closed = True
            return False
        self._closed = True
        self._liveliness.undeclare()
        return True


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


class PublisherEndpoint(_Endpoint):
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


class SubscriptionEndpoint(_Endpoint):
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


def _beside(send: Callable[[], None], payload: bytes | bytearray) -> None:
    """Send a request or a reply; one that could fill a connection, on a thread of its own.

    These are never dropped: who sends waits until Zenoh closes a connection that stays full. The
    thread that calls serves others too, who must not wait with it.
    """
    if len(payload) < _LARGE:
        send()
    else:
        threading.Thread(target=send, daemon=True).start()


class ServiceEndpoint(_Endpoint):
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


class ClientEndpoint(_Endpoint):
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
