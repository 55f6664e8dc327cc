# SPDX-License-Identifier: Apache-2.0
"""Callbacks for QoS events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy._rclpy_pybind11 import UnsupportedEventTypeError

__all__ = [
    "PublisherEventCallbacks",
    "SubscriptionEventCallbacks",
    "UnsupportedEventTypeError",
]

# Over Zenoh all profiles and types of one hash are compatible: these events cannot occur.
_NEVER_OCCUR = ("incompatible_qos", "incompatible_type", "use_default_callbacks")


def _refuse(kind: str, callbacks: dict[str, Any]) -> None:
    for name, callback in callbacks.items():
        if name not in _NEVER_OCCUR and callback is not None:
            raise NotImplementedError(f"embedded_ros2 does not offer the {kind} event '{name}'")


class SubscriptionEventCallbacks:
    """Callbacks for a subscription's events; only those that cannot occur are accepted."""

    def __init__(
        self,
        *,
        deadline: Callable[[Any], None] | None = None,
        incompatible_qos: Callable[[Any], None] | None = None,
        liveliness: Callable[[Any], None] | None = None,
        message_lost: Callable[[Any], None] | None = None,
        incompatible_type: Callable[[Any], None] | None = None,
        matched: Callable[[Any], None] | None = None,
        use_default_callbacks: bool = True,
    ) -> None:
        _refuse(
            "subscription",
            {
                "deadline": deadline,
                "liveliness": liveliness,
                "message_lost": message_lost,
                "matched": matched,
            },
        )
        self.incompatible_qos = incompatible_qos
        self.incompatible_type = incompatible_type
        self.use_default_callbacks = use_default_callbacks


class PublisherEventCallbacks:
    """Callbacks for a publisher's events; only those that cannot occur are accepted."""

    def __init__(
        self,
        *,
        deadline: Callable[[Any], None] | None = None,
        liveliness: Callable[[Any], None] | None = None,
        incompatible_qos: Callable[[Any], None] | None = None,
        incompatible_type: Callable[[Any], None] | None = None,
        matched: Callable[[Any], None] | None = None,
        use_default_callbacks: bool = True,
    ) -> None:
        _refuse("publisher", {"deadline": deadline, "liveliness": liveliness, "matched": matched})
        self.incompatible_qos = incompatible_qos
        self.incompatible_type = incompatible_type
        self.use_default_callbacks = use_default_callbacks
