# SPDX-License-Identifier: Apache-2.0
"""Expansion of topic and service names."""

from embedded_ros2 import names
from rclpy.validate_topic_name import validate_topic_name


def expand_topic_name(topic_name: str, node_name: str, node_namespace: str) -> str:
    """Return the fully qualified form of a name.

    Raises:
        InvalidTopicNameException: If the name is invalid.
    """
    validate_topic_name(topic_name)
    return names.expand(topic_name, node_name, node_namespace or "/")
