# SPDX-License-Identifier: Apache-2.0
"""What a node has: publishers, subscriptions, services, clients, timers and the like."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from embedded_ros2.interfaces.classes import Message
from embedded_ros2.interfaces.lookup import interface_name
from embedded_ros2.topics import PublisherEndpoint
from embedded_ros2.wire import tokens
from rclpy._entity import Entity
from rclpy.callback_groups import (
    CallbackGroup,
    MutuallyExclusiveCallbackGroup,
    ReentrantCallbackGroup,
)
from rclpy.client import Client
from rclpy.clock import Clock
from rclpy.constants import S_TO_NS
from rclpy.context import Context
from rclpy.event_handler import (
    PublisherEventCallbacks,
    QoSPublisherMatchedInfo,
    QoSSubscriptionMatchedInfo,
    SubscriptionEventCallbacks,
    _LostEvent,
    _MatchedEvent,
)
from rclpy.guard_condition import GuardCondition
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, _to_wire, qos_profile_services_default
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.qos_overriding_options import _apply as _override_qos
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.timer import Rate, Timer
from rclpy.waitable import Waitable

_EntityT = TypeVar("_EntityT", bound=Entity)


class NodeEntities:
    """The part of a node that creates and destroys what it communicates with.

    Of the class that inherits it needs `_context`, `_token`, `_graph`, `_clock`, `_wake_executor`,
    `resolve_topic_name` and `resolve_service_name`.
    """

    _context: Context
    _clock: Clock
    _token: Any
    _graph: Any
    _wake_executor: Callable[[], None]
    resolve_topic_name: Callable[..., str]
    resolve_service_name: Callable[..., str]

    def _init_entities(self) -> None:
        self._publishers: list[Publisher] = []
        self._subscriptions: list[Subscription] = []
        self._clients: list[Client] = []
        self._services: list[Service] = []
        self._timers: list[Timer] = []
        self._guards: list[GuardCondition] = []
        self._waitables: list[Waitable] = []
        self._events: list[Any] = []
        self._default_callback_group = MutuallyExclusiveCallbackGroup()
        self._rate_group = ReentrantCallbackGroup()

    def _entities(self) -> Iterator[Entity]:
        return itertools.chain(
            list(self._subscriptions),
            list(self._services),
            list(self._clients),
            list(self._timers),
            list(self._guards),
            list(self._events),
            (entity for waitable in list(self._waitables) for entity in waitable._entities()),
        )

    def _group(self, callback_group: CallbackGroup | None) -> CallbackGroup:
        return self._default_callback_group if callback_group is None else callback_group

    # --- creating ---

    def create_publisher(
        self,
        msg_type: Any,
        topic: str,
        qos_profile: QoSProfile | int,
        *,
        callback_group: CallbackGroup | None = None,
        event_callbacks: PublisherEventCallbacks | None = None,
        qos_overriding_options: QoSOverridingOptions | None = None,
        publisher_class: type[Publisher] = Publisher,
    ) -> Publisher:
        """Create a publisher.

        Args:
            msg_type: The class of the messages.
            topic: The topic's name.
            qos_profile: The quality of service, or the depth of a KEEP_LAST history.
            callback_group: The group of the events' callbacks.
            event_callbacks: See `rclpy.event_handler`.
            qos_overriding_options: Which policies parameters may set.
            publisher_class: The class to create, a `Publisher`.
        """
        _check_message_class(msg_type)
        full_name = self.resolve_topic_name(topic)
        qos_profile = _as_profile(qos_profile)
        if qos_overriding_options is not None:
            qos_profile = _override_qos(
                self, "publisher", full_name, qos_profile, qos_overriding_options
            )
        endpoint = PublisherEndpoint(
            self._token, full_name, interface_name(msg_type), _to_wire(qos_profile)
        )
        publisher = publisher_class(endpoint, msg_type, topic, qos_profile, self._context)
        self._publishers.append(publisher)
        if event_callbacks is not None and event_callbacks.matched is not None:
            event = _MatchedEvent(
                event_callbacks.matched,
                self._group(callback_group),
                QoSPublisherMatchedInfo(),
                self._graph,
                tokens.SUBSCRIPTION,
                full_name,
            )
            publisher.event_handlers.append(self._add(self._events, event))
        return publisher

    def create_subscription(
        self,
        msg_type: Any,
        topic: str,
        callback: Callable[..., Any],
        qos_profile: QoSProfile | int,
        *,
        callback_group: CallbackGroup | None = None,
        event_callbacks: SubscriptionEventCallbacks | None = None,
        qos_overriding_options: QoSOverridingOptions | None = None,
        raw: bool = False,
    ) -> Subscription:
        """Create a subscription.

        Args:
            msg_type: The class of the messages.
            topic: The topic's name.
            callback: Takes the message, or the message and a dictionary about it.
            qos_profile: The quality of service, or the depth of a KEEP_LAST history.
            callback_group: The callback's group.
            event_callbacks: See `rclpy.event_handler`.
            qos_overriding_options: Which policies parameters may set.
            raw: Whether the callback gets CDR as bytes.
        """
        _check_message_class(msg_type)
        full_name = self.resolve_topic_name(topic)
        qos_profile = _as_profile(qos_profile)
        if qos_overriding_options is not None:
            qos_profile = _override_qos(
                self, "subscription", full_name, qos_profile, qos_overriding_options
            )
        group = self._group(callback_group)
        subscription = Subscription(
            self._token, msg_type, topic, full_name, callback, group, qos_profile, raw
        )
        events: list[Entity] = []
        if event_callbacks is not None and event_callbacks.message_lost is not None:
            subscription._lost = _LostEvent(event_callbacks.message_lost, group)
            events.append(subscription._lost)
        if event_callbacks is not None and event_callbacks.matched is not None:
            events.append(
                _MatchedEvent(
                    event_callbacks.matched,
                    group,
                    QoSSubscriptionMatchedInfo(),
                    self._graph,
                    tokens.PUBLISHER,
                    full_name,
                )
            )
        subscription.event_handlers.extend(events)
        for event in events:
            self._add(self._events, event)
        return self._add(self._subscriptions, subscription)

    def create_service(
        self,
        srv_type: Any,
        srv_name: str,
        callback: Callable[[Any, Any], Any],
        *,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> Service:
        """Create a service server; `callback` takes request and response and returns this."""
        _check_service_class(srv_type)
        service = Service(
            self._token,
            srv_type,
            srv_name,
            self.resolve_service_name(srv_name),
            callback,
            self._group(callback_group),
            qos_profile,
        )
        return self._add(self._services, service)

    def create_client(
        self,
        srv_type: Any,
        srv_name: str,
        *,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> Client:
        """Create a service client."""
        _check_service_class(srv_type)
        client = Client(
            self._token,
            self._context,
            srv_type,
            srv_name,
            self.resolve_service_name(srv_name),
            qos_profile,
            self._group(callback_group),
        )
        return self._add(self._clients, client)

    def create_timer(
        self,
        timer_period_sec: float,
        callback: Callable[..., Any] | None,
        callback_group: CallbackGroup | None = None,
        clock: Clock | None = None,
        autostart: bool = True,
    ) -> Timer:
        """Create a timer that calls back every period, measured by the node's clock or another."""
        timer = Timer(
            callback,
            self._group(callback_group),
            int(float(timer_period_sec) * S_TO_NS),
            self._clock if clock is None else clock,
            context=self._context,
            autostart=autostart,
        )
        self._add(self._timers, timer)
        self._wake_executor()
        return timer

    def create_guard_condition(
        self, callback: Callable[[], Any], callback_group: CallbackGroup | None = None
    ) -> GuardCondition:
        """Create a guard condition."""
        guard = GuardCondition(callback, self._group(callback_group), context=self._context)
        return self._add(self._guards, guard)

    def create_rate(self, frequency: float, clock: Clock | None = None) -> Rate:
        """Create a rate in hertz; its `sleep` needs an executor that spins on another thread."""
        if frequency <= 0:
            raise ValueError("frequency must be > 0")
        timer = self.create_timer(1.0 / frequency, None, self._rate_group, clock)
        return Rate(timer, context=self._context)

    def _add(self, entities: list[_EntityT], entity: _EntityT) -> _EntityT:
        """Make an entity this node's: from here on it can call back."""
        entity._attach(self)
        open_entity = getattr(entity, "_open", None)
        if open_entity is not None:
            open_entity()
        entities.append(entity)
        return entity

    def add_waitable(self, waitable: Waitable) -> None:
        """Add an action server or client."""
        self._waitables.append(waitable)
        for entity in waitable._entities():
            entity._attach(self)
        self._wake_executor()

    def remove_waitable(self, waitable: Waitable) -> None:
        """Remove an action server or client."""
        self._waitables.remove(waitable)

    # --- destroying ---

    def destroy_publisher(self, publisher: Publisher) -> bool:
        """Destroy a publisher; return False if it is not this node's."""
        return self._destroy_with_events(self._publishers, publisher)

    def destroy_subscription(self, subscription: Subscription) -> bool:
        """Destroy a subscription; return False if it is not this node's."""
        return self._destroy_with_events(self._subscriptions, subscription)

    def _destroy_with_events(self, entities: list[Any], entity: Any) -> bool:
        self._events = [event for event in self._events if event not in entity.event_handlers]
        return _destroy(entities, entity)

    def destroy_service(self, service: Service) -> bool:
        """Destroy a service; return False if it is not this node's."""
        return _destroy(self._services, service)

    def destroy_client(self, client: Client) -> bool:
        """Destroy a client; return False if it is not this node's."""
        return _destroy(self._clients, client)

    def destroy_timer(self, timer: Timer) -> bool:
        """Destroy a timer; return False if it is not this node's."""
        return _destroy(self._timers, timer)

    def destroy_guard_condition(self, guard: GuardCondition) -> bool:
        """Destroy a guard condition; return False if it is not this node's."""
        return _destroy(self._guards, guard)

    def destroy_rate(self, rate: Rate) -> bool:
        """Destroy a rate; return False if it is not this node's."""
        rate.destroy()
        return self.destroy_timer(rate._timer)

    def _destroy_entities(self) -> None:
        for entities in (
            self._timers,
            self._guards,
            self._subscriptions,
            self._services,
            self._clients,
            self._waitables,
            self._publishers,
        ):
            for entity in list(entities):
                entity.destroy()  # type: ignore[attr-defined]
            entities.clear()  # type: ignore[attr-defined]


def _destroy(entities: list[Any], entity: Any) -> bool:
    if entity not in entities:
        return False
    entities.remove(entity)
    entity.destroy()
    return True


def _as_profile(qos_or_depth: QoSProfile | int) -> QoSProfile:
    if isinstance(qos_or_depth, QoSProfile):
        return qos_or_depth
    if not isinstance(qos_or_depth, int):
        raise TypeError(f"Expected QoSProfile or int, but received {type(qos_or_depth)!r}")
    if qos_or_depth < 0:
        raise ValueError("history depth must be greater than or equal to zero")
    return QoSProfile(depth=qos_or_depth)


def _check_message_class(msg_type: Any) -> None:
    if not (isinstance(msg_type, type) and issubclass(msg_type, Message)):
        raise TypeError(f"{msg_type!r} is not a message class")


def _check_service_class(srv_type: Any) -> None:
    if not (hasattr(srv_type, "Request") and hasattr(srv_type, "Response")):
        raise TypeError(f"{srv_type!r} is not a service class")
