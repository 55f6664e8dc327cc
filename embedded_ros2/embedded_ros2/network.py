# SPDX-License-Identifier: Apache-2.0
"""One domain's traffic over one Zenoh session: who announces what.

What talks Zenoh is here, in `topics` and in `services`. Callbacks run on Zenoh's threads, so those
given to these modules must only enqueue. Payloads that do not follow the protocol are dropped and
counted.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import zenoh

from embedded_ros2.graph import Graph
from embedded_ros2.interfaces import hashes
from embedded_ros2.session import open_session
from embedded_ros2.wire import keys, tokens
from embedded_ros2.wire.qos import WireQos
from embedded_ros2.wire.tokens import Token


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


class Endpoint:
    """What publishers, subscriptions, servers and clients have in common."""

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
