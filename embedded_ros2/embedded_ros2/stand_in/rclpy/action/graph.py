# SPDX-License-Identifier: Apache-2.0
"""What the graph tells of actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.node import Node

NamesAndTypes = list[tuple[str, list[str]]]
_FEEDBACK = "/_action/feedback"
_TYPE_SUFFIX = "_FeedbackMessage"


def _actions(topics: NamesAndTypes) -> NamesAndTypes:
    return [
        (name.removesuffix(_FEEDBACK), [type_.removesuffix(_TYPE_SUFFIX) for type_ in types])
        for name, types in topics
        if name.endswith(_FEEDBACK)
    ]


def get_action_names_and_types(node: Node) -> NamesAndTypes:
    """Return (name, types) of all actions."""
    return _actions(node.get_topic_names_and_types())


def get_action_server_names_and_types_by_node(
    node: Node, remote_node_name: str, remote_node_namespace: str
) -> NamesAndTypes:
    """Return (name, types) of the actions that a node serves."""
    return _actions(
        node.get_publisher_names_and_types_by_node(remote_node_name, remote_node_namespace)
    )


def get_action_client_names_and_types_by_node(
    node: Node, remote_node_name: str, remote_node_namespace: str
) -> NamesAndTypes:
    """Return (name, types) of the actions that a node has clients of."""
    return _actions(
        node.get_subscriber_names_and_types_by_node(remote_node_name, remote_node_namespace)
    )
