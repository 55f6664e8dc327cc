# SPDX-License-Identifier: Apache-2.0
"""Nodes that are configured, activated, deactivated and cleaned up on request."""

from rclpy.lifecycle.managed_entity import (
    ManagedEntity,
    SimpleManagedEntity,
    TransitionCallbackReturn,
)
from rclpy.lifecycle.node import LifecycleNode, LifecycleNodeMixin, LifecycleState
from rclpy.lifecycle.publisher import LifecyclePublisher

# So that `from rclpy.lifecycle import Node` can be written.
Node = LifecycleNode
NodeMixin = LifecycleNodeMixin
State = LifecycleState
Publisher = LifecyclePublisher

__all__ = [
    "LifecycleNode",
    "LifecycleNodeMixin",
    "LifecyclePublisher",
    "LifecycleState",
    "ManagedEntity",
    "SimpleManagedEntity",
    "TransitionCallbackReturn",
]
