# SPDX-License-Identifier: Apache-2.0
"""What the graph tells of a publisher or subscription."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from rclpy.qos import QoSProfile
from rclpy.type_hash import TypeHash


class TopicEndpointTypeEnum(IntEnum):
    """Kinds of endpoints."""

    INVALID = 0
    PUBLISHER = 1
    SUBSCRIPTION = 2


@dataclass(frozen=True)
class TopicEndpointInfo:
    """A publisher or subscription of a topic."""

    node_name: str
    node_namespace: str
    topic_type: str
    topic_type_hash: TypeHash
    endpoint_type: TopicEndpointTypeEnum
    endpoint_gid: list[int]
    qos_profile: QoSProfile
