# SPDX-License-Identifier: Apache-2.0
"""The part of a node that tells of the graph."""

from __future__ import annotations

from collections.abc import Callable

from embedded_ros2 import names
from embedded_ros2.graph import Graph
from embedded_ros2.wire import keys, tokens
from embedded_ros2.wire.tokens import Token
from rclpy._rclpy_pybind11 import NodeNameNonExistentError
from rclpy.qos import _from_wire
from rclpy.topic_endpoint_info import TopicEndpointInfo, TopicEndpointTypeEnum
from rclpy.type_hash import TypeHash

NamesAndTypes = list[tuple[str, list[str]]]


def _names_and_types(endpoints: list[Token]) -> NamesAndTypes:
    found: dict[str, set[str]] = {}
    for token in endpoints:
        found.setdefault(token.name, set()).add(keys.ros_type(token.dds_type))
    return [(name, sorted(types)) for name, types in sorted(found.items())]


class NodeGraph:
    """Queries about the graph; a node offers them."""

    # What the node brings.
    _graph: Graph
    resolve_topic_name: Callable[[str], str]
    resolve_service_name: Callable[[str], str]

    def get_node_names(self) -> list[str]:
        """Return the names of all nodes, without namespaces."""
        return [token.node for token in self._graph.nodes()]

    def get_fully_qualified_node_names(self) -> list[str]:
        """Return the names of all nodes, with namespaces."""
        return [names.join(token.namespace, token.node) for token in self._graph.nodes()]

    def get_node_names_and_namespaces(self) -> list[tuple[str, str]]:
        """Return (name, namespace) of all nodes."""
        return [(token.node, token.namespace) for token in self._graph.nodes()]

    def get_node_names_and_namespaces_with_enclaves(self) -> list[tuple[str, str, str]]:
        """Return (name, namespace, enclave) of all nodes."""
        return [
            (token.node, token.namespace, token.enclave or "/") for token in self._graph.nodes()
        ]

    def get_topic_names_and_types(self, no_demangle: bool = False) -> NamesAndTypes:
        """Return (name, types) of all topics."""
        graph = self._graph
        return _names_and_types(
            graph.endpoints(tokens.PUBLISHER) + graph.endpoints(tokens.SUBSCRIPTION)
        )

    def get_service_names_and_types(self) -> NamesAndTypes:
        """Return (name, types) of all services that have a server."""
        return _names_and_types(self._graph.endpoints(tokens.SERVICE))

    def _by_node(self, kind: str, node_name: str, node_namespace: str) -> NamesAndTypes:
        if (node_name, node_namespace) not in self.get_node_names_and_namespaces():
            raise NodeNameNonExistentError(
                f"Cannot get endpoints of node '{names.join(node_namespace, node_name)}': "
                "it is not in the graph"
            )
        return _names_and_types(
            [
                token
                for token in self._graph.endpoints(kind)
                if token.node == node_name and token.namespace == node_namespace
            ]
        )

    def get_publisher_names_and_types_by_node(
        self, node_name: str, node_namespace: str, no_demangle: bool = False
    ) -> NamesAndTypes:
        """Return (name, types) of the topics that a node publishes."""
        return self._by_node(tokens.PUBLISHER, node_name, node_namespace)

    def get_subscriber_names_and_types_by_node(
        self, node_name: str, node_namespace: str, no_demangle: bool = False
    ) -> NamesAndTypes:
        """Return (name, types) of the topics that a node subscribes to."""
        return self._by_node(tokens.SUBSCRIPTION, node_name, node_namespace)

    def get_service_names_and_types_by_node(
        self, node_name: str, node_namespace: str
    ) -> NamesAndTypes:
        """Return (name, types) of the services that a node serves."""
        return self._by_node(tokens.SERVICE, node_name, node_namespace)

    def get_client_names_and_types_by_node(
        self, node_name: str, node_namespace: str
    ) -> NamesAndTypes:
        """Return (name, types) of the services that a node has clients of."""
        return self._by_node(tokens.CLIENT, node_name, node_namespace)

    def count_publishers(self, topic_name: str) -> int:
        """Return how many publishers a topic has."""
        return len(self._graph.endpoints(tokens.PUBLISHER, self.resolve_topic_name(topic_name)))

    def count_subscribers(self, topic_name: str) -> int:
        """Return how many subscriptions a topic has."""
        return len(self._graph.endpoints(tokens.SUBSCRIPTION, self.resolve_topic_name(topic_name)))

    def count_clients(self, service_name: str) -> int:
        """Return how many clients a service has."""
        return len(self._graph.endpoints(tokens.CLIENT, self.resolve_service_name(service_name)))

    def count_services(self, service_name: str) -> int:
        """Return how many servers a service has."""
        return len(self._graph.endpoints(tokens.SERVICE, self.resolve_service_name(service_name)))

    def get_publishers_info_by_topic(
        self, topic_name: str, no_mangle: bool = False
    ) -> list[TopicEndpointInfo]:
        """Return what is known of a topic's publishers."""
        return self._info(tokens.PUBLISHER, TopicEndpointTypeEnum.PUBLISHER, topic_name)

    def get_subscriptions_info_by_topic(
        self, topic_name: str, no_mangle: bool = False
    ) -> list[TopicEndpointInfo]:
        """Return what is known of a topic's subscriptions."""
        return self._info(tokens.SUBSCRIPTION, TopicEndpointTypeEnum.SUBSCRIPTION, topic_name)

    def _info(
        self, kind: str, endpoint_type: TopicEndpointTypeEnum, topic_name: str
    ) -> list[TopicEndpointInfo]:
        return [
            TopicEndpointInfo(
                node_name=token.node,
                node_namespace=token.namespace,
                topic_type=keys.ros_type(token.dds_type),
                topic_type_hash=TypeHash._parse(token.type_hash),
                endpoint_type=endpoint_type,
                endpoint_gid=list(tokens.gid(token.key)),
                qos_profile=_from_wire(token.qos),
            )
            for token in self._graph.endpoints(kind, self.resolve_topic_name(topic_name))
        ]

    def wait_for_node(self, fully_qualified_node_name: str, timeout: float) -> bool:
        """Wait until a node is in the graph; return whether it is.

        Args:
            fully_qualified_node_name: The node, with its namespace.
            timeout: Seconds.
        """
        name = "/" + fully_qualified_node_name.lstrip("/")
        return self._graph.wait_for(lambda: name in self.get_fully_qualified_node_names(), timeout)
