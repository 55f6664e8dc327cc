# SPDX-License-Identifier: Apache-2.0
"""Callbacks for QoS events.

Offered are those that the wire tells of, as in rmw_zenoh: who matches, and messages lost.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from embedded_ros2.graph import Graph
from rclpy._entity import Entity, Work
from rclpy._rclpy_pybind11 import UnsupportedEventTypeError
from rclpy.callback_groups import CallbackGroup
from rclpy.qos import QoSPolicyKind

__all__ = [
    "IncompatibleTypeInfo",
    "PublisherEventCallbacks",
    "QoSLivelinessChangedInfo",
    "QoSLivelinessLostInfo",
    "QoSMessageLostInfo",
    "QoSOfferedDeadlineMissedInfo",
    "QoSOfferedIncompatibleQoSInfo",
    "QoSPublisherMatchedInfo",
    "QoSRequestedDeadlineMissedInfo",
    "QoSRequestedIncompatibleQoSInfo",
    "QoSSubscriptionMatchedInfo",
    "SubscriptionEventCallbacks",
    "UnsupportedEventTypeError",
]


@dataclass
class QoSMessageLostInfo:
    """How many messages of a subscription were lost, and how many since the last event."""

    total_count: int = 0
    total_count_change: int = 0


@dataclass
class QoSPublisherMatchedInfo:
    """How many subscriptions a publisher has met and has now, and what changed."""

    total_count: int = 0
    total_count_change: int = 0
    current_count: int = 0
    current_count_change: int = 0


@dataclass
class QoSSubscriptionMatchedInfo(QoSPublisherMatchedInfo):
    """How many publishers a subscription has met and has now, and what changed."""


@dataclass
class QoSOfferedDeadlineMissedInfo(QoSMessageLostInfo):
    """What a publisher's deadline event would tell; not offered."""


@dataclass
class QoSRequestedDeadlineMissedInfo(QoSMessageLostInfo):
    """What a subscription's deadline event would tell; not offered."""


@dataclass
class QoSLivelinessLostInfo(QoSMessageLostInfo):
    """What a publisher's liveliness event would tell; not offered."""


@dataclass
class QoSLivelinessChangedInfo:
    """What a subscription's liveliness event would tell; not offered."""

    alive_count: int = 0
    not_alive_count: int = 0
    alive_count_change: int = 0
    not_alive_count_change: int = 0


@dataclass
class QoSOfferedIncompatibleQoSInfo(QoSMessageLostInfo):
    """What an event that cannot occur would tell: all profiles are compatible."""

    last_policy_kind: QoSPolicyKind = QoSPolicyKind.INVALID


@dataclass
class QoSRequestedIncompatibleQoSInfo(QoSOfferedIncompatibleQoSInfo):
    """What an event that cannot occur would tell: all profiles are compatible."""


@dataclass
class IncompatibleTypeInfo(QoSMessageLostInfo):
    """What an event that cannot occur would tell: other types have other keys."""


def _refuse(kind: str, callbacks: dict[str, Any]) -> None:
    for name, callback in callbacks.items():
        if callback is not None:
            raise NotImplementedError(f"embedded_ros2 does not offer the {kind} event '{name}'")


class SubscriptionEventCallbacks:
    """Callbacks for a subscription's events; `deadline` and `liveliness` are refused."""

    def __init__(
        self,
        *,
        deadline: Callable[[Any], None] | None = None,
        incompatible_qos: Callable[[Any], None] | None = None,
        liveliness: Callable[[Any], None] | None = None,
        message_lost: Callable[[QoSMessageLostInfo], None] | None = None,
        incompatible_type: Callable[[Any], None] | None = None,
        matched: Callable[[QoSSubscriptionMatchedInfo], None] | None = None,
        use_default_callbacks: bool = True,
    ) -> None:
        _refuse("subscription", {"deadline": deadline, "liveliness": liveliness})
        self.deadline = self.liveliness = None
        self.incompatible_qos = incompatible_qos
        self.message_lost = message_lost
        self.incompatible_type = incompatible_type
        self.matched = matched
        self.use_default_callbacks = use_default_callbacks


class PublisherEventCallbacks:
    """Callbacks for a publisher's events; `deadline` and `liveliness` are refused."""

    def __init__(
        self,
        *,
        deadline: Callable[[Any], None] | None = None,
        liveliness: Callable[[Any], None] | None = None,
        incompatible_qos: Callable[[Any], None] | None = None,
        incompatible_type: Callable[[Any], None] | None = None,
        matched: Callable[[QoSPublisherMatchedInfo], None] | None = None,
        use_default_callbacks: bool = True,
    ) -> None:
        _refuse("publisher", {"deadline": deadline, "liveliness": liveliness})
        self.deadline = self.liveliness = None
        self.incompatible_qos = incompatible_qos
        self.incompatible_type = incompatible_type
        self.matched = matched
        self.use_default_callbacks = use_default_callbacks


class _MatchedEvent(Entity):
    """Watches the graph for the other side of a topic."""

    def __init__(
        self,
        callback: Callable[[Any], None],
        callback_group: CallbackGroup,
        info: QoSPublisherMatchedInfo,
        graph: Graph,
        kind: str,
        topic: str,
    ) -> None:
        super().__init__(callback_group)
        self.callback = callback
        self._info, self._graph, self._kind, self._topic = info, graph, kind, topic
        self._seen: set[str] = set()
        self._changed = False
        self._lock = threading.Lock()

    def _open(self) -> None:
        self._graph.add_listener(self._look)
        self._look()

    def _look(self) -> None:
        with self._lock:
            keys = {token.key for token in self._graph.endpoints(self._kind, self._topic)}
            new, gone = len(keys - self._seen), len(self._seen - keys)
            if not new and not gone:
                return
            self._seen = keys
            self._info.total_count += new
            self._info.total_count_change += new
            self._info.current_count = len(keys)
            self._info.current_count_change += new - gone
            self._changed = True
        self._notify()

    def _has_work(self) -> bool:
        return self._changed and not self._destroyed

    def _take(self) -> Work | None:
        with self._lock:
            if not self._has_work():
                return None
            self._changed = False
            info = replace(self._info)
            self._info.total_count_change = self._info.current_count_change = 0
        return functools.partial(self.callback, info)

    def destroy(self) -> None:
        """Stop watching."""
        super().destroy()
        self._graph.remove_listener(self._look)


class _LostEvent(Entity):
    """Counts the gaps in the numbers of each publisher's messages."""

    def __init__(
        self, callback: Callable[[QoSMessageLostInfo], None], callback_group: CallbackGroup
    ) -> None:
        super().__init__(callback_group)
        self.callback = callback
        self._last: dict[bytes, int] = {}
        self._info = QoSMessageLostInfo()
        self._lock = threading.Lock()

    def _open(self) -> None:
        pass

    def _count(self, gid: bytes, sequence: int) -> None:
        """Note a message's number; what its publisher sent before the first one is not lost."""
        lost = max(0, sequence - self._last.get(gid, sequence - 1) - 1)
        self._last[gid] = max(sequence, self._last.get(gid, 0))
        if lost:
            with self._lock:
                self._info.total_count += lost
                self._info.total_count_change += lost
            self._notify()

    def _has_work(self) -> bool:
        return self._info.total_count_change > 0 and not self._destroyed

    def _take(self) -> Work | None:
        with self._lock:
            if not self._has_work():
                return None
            info = replace(self._info)
            self._info.total_count_change = 0
        return functools.partial(self.callback, info)
