# SPDX-License-Identifier: Apache-2.0
"""Liveliness tokens: each node and endpoint announces itself by one, and the graph is their sum.

Source: rmw_zenoh, docs/design.md ("Graph Cache").
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import xxhash

from embedded_ros2.wire import qos as wire_qos
from embedded_ros2.wire.qos import WireQos

ADMIN_SPACE = "@ros2_lv"
NODE, PUBLISHER, SUBSCRIPTION, SERVICE, CLIENT = "NN", "MP", "MS", "SS", "SC"
KINDS = (NODE, PUBLISHER, SUBSCRIPTION, SERVICE, CLIENT)
_SLASH = "%"
# Since its release for Lyrical (0.10.5) rmw_zenoh publishes types with `uint8[]`, as images, on
# a key of their own, and only to subscriptions that announce the backend they take.
BUFFER_BACKENDS = "backends:cpu:"
BUFFER_KEY = "_buf_cpu"


def mangle(name: str) -> str:
    """Write `/` as `%`; an empty name is `%`."""
    return name.replace("/", _SLASH) or _SLASH


def demangle(text: str) -> str:
    """Undo `mangle`; `%` alone is `/`."""
    return text.replace(_SLASH, "/")


@dataclass(frozen=True)
class Token:
    """A node or an endpoint in the graph.

    Attributes:
        kind: One of `KINDS`.
        session: The Zenoh id of the session that declared it.
        node_id: The node's name within its session, a number if it is one of ours.
        entity_id: The entity's; equal to `node_id` for a node.
        namespace: Absolute, ``/`` for the root.
        name: The topic's or service's fully qualified name; empty for a node.
        extension: What later versions of the protocol append.
    """

    domain_id: int
    session: str
    node_id: int | str
    entity_id: int | str
    kind: str
    namespace: str
    node: str
    name: str = ""
    dds_type: str = ""
    type_hash: str = ""
    qos: WireQos = field(default_factory=WireQos)
    enclave: str = ""
    extension: str = ""

    @property
    def key(self) -> str:
        """The key expression under which the token is declared."""
        namespace = "" if self.namespace == "/" else self.namespace
        parts = [
            ADMIN_SPACE,
            str(self.domain_id),
            self.session,
            str(self.node_id),
            str(self.entity_id),
            self.kind,
            mangle(self.enclave),
            mangle(namespace),
            mangle(self.node),
        ]
        if self.kind != NODE:
            parts += [mangle(self.name), self.dds_type, self.type_hash]
            parts.append(wire_qos.encode(self.qos))
            if self.extension:
                parts.append(self.extension)
        return "/".join(parts)


def _identifier(text: str) -> int | str:
    # rmw_zenoh counts and reads any text; dora-rs calls its node "dora".
    return int(text) if text.isascii() and text.isdigit() and text == str(int(text)) else text


def parse(key: str) -> Token:
    """Read a token's key.

    Raises:
        ValueError: If `key` is not a token's.
    """
    parts = key.split("/")
    if len(parts) < 9 or parts[0] != ADMIN_SPACE or parts[5] not in KINDS:
        raise ValueError(f"'{key}' is not a liveliness token")
    kind = parts[5]
    common = (int(parts[1]), parts[2], _identifier(parts[3]), _identifier(parts[4]), kind)
    namespace, node, enclave = demangle(parts[7]), demangle(parts[8]), demangle(parts[6])
    enclave = "" if enclave == "/" else enclave
    if kind == NODE:
        return Token(*common, namespace, node, enclave=enclave)
    if len(parts) < 13:
        raise ValueError(f"'{key}' lacks the endpoint's topic, type, hash or QoS")
    return Token(
        *common,
        namespace,
        node,
        demangle(parts[9]),
        parts[10],
        parts[11],
        wire_qos.decode(parts[12]),
        enclave,
        "/".join(parts[13:]),
    )


def gid(key: str) -> bytes:
    """Return the 16-byte GID of the endpoint whose token has this key."""
    digest = xxhash.xxh3_128_intdigest(key.encode())
    return struct.pack("<QQ", digest & (2**64 - 1), digest >> 64)
