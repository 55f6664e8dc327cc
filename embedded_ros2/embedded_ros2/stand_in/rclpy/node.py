# SPDX-License-Identifier: Apache-2.0
"""Nodes."""

from __future__ import annotations

import contextlib
import itertools
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from rcl_interfaces.msg import Log, ParameterDescriptor, ParameterEvent

from embedded_ros2 import arguments, names
from embedded_ros2.interfaces.classes import Message, interface_name
from embedded_ros2.network import PublisherEndpoint
from embedded_ros2.wire import tokens
from rclpy._entity import Entity
from rclpy._node_graph import NodeGraph
from rclpy._parameters import NodeParameters
from rclpy._rclpy_pybind11 import RCLError
from rclpy.callback_groups import (
    CallbackGroup,
    MutuallyExclusiveCallbackGroup,
    ReentrantCallbackGroup,
)
from rclpy.client import Client
from rclpy.clock import Clock, ROSClock
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
from rclpy.exceptions import InvalidHandle, NotInitializedException
from rclpy.guard_condition import GuardCondition
from rclpy.impl.rcutils_logger import RcutilsLogger, Record
from rclpy.impl.rcutils_logger import settings as log_settings
from rclpy.logging import get_logger
from rclpy.logging_service import LoggingService
from rclpy.parameter import Parameter
from rclpy.parameter_service import ParameterService
from rclpy.publisher import Publisher
from rclpy.qos import (
    QoSProfile,
    _to_wire,
    qos_profile_parameter_events,
    qos_profile_rosout_default,
    qos_profile_services_default,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.qos_overriding_options import _apply as _override_qos
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.time_source import TimeSource
from rclpy.timer import Rate, Timer
from rclpy.type_description_service import TypeDescriptionService
from rclpy.type_support import MsgType, SrvType, SrvTypeRequest, SrvTypeResponse  # noqa: F401  (exported)
from rclpy.utilities import get_default_context
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_node_name import validate_node_name
from rclpy.validate_topic_name import validate_topic_name
from rclpy.waitable import Waitable

if TYPE_CHECKING:
    from rclpy.executors import Executor

HIDDEN_NODE_PREFIX = "_"
ROSOUT_TOPIC = "/rosout"
PARAMETER_EVENTS_TOPIC = "/parameter_events"

_EntityT = TypeVar("_EntityT", bound=Entity)


class NodeNameNonExistentError(Exception):
    """A node was asked for that is not in the graph."""


class Node(NodeParameters, NodeGraph):
    """A participant of the graph: it publishes, subscribes, serves, calls and has parameters.

    Args:
        node_name: The name; remapping may change it.
        context: The context; the default one if None.
        cli_args: Arguments for this node alone, as after `--ros-args`.
        namespace: The namespace; remapping may change it.
        use_global_arguments: Whether the process's arguments count for this node.
        enable_rosout: Whether log messages are published on /rosout.
        start_parameter_services: Whether others may read and set the parameters.
        parameter_overrides: Initial values of parameters, over those from the arguments.
        allow_undeclared_parameters: Whether parameters may be used without being declared.
        automatically_declare_parameters_from_overrides: Whether parameters that are given from
            outside are declared at once.
        enable_logger_service: Whether others may read and set logger levels.

    Raises:
        NotInitializedException: If the context is not initialized, or shut down.
        InvalidNodeNameException, InvalidNamespaceException: If a name is invalid.
    """

    def __init__(
        self,
        node_name: str,
        *,
        context: Context | None = None,
        cli_args: list[str] | None = None,
        namespace: str | None = None,
        use_global_arguments: bool = True,
        enable_rosout: bool = True,
        start_parameter_services: bool = True,
        parameter_overrides: list[Parameter] | None = None,
        allow_undeclared_parameters: bool = False,
        automatically_declare_parameters_from_overrides: bool = False,
        enable_logger_service: bool = False,
    ) -> None:
        self._context = get_default_context() if context is None else context
        if not self._context.ok():
            raise NotInitializedException("cannot create node")
        self._destroyed = False
        self._publishers: list[Publisher] = []
        self._subscriptions: list[Subscription] = []
        self._clients: list[Client] = []
        self._services: list[Service] = []
        self._timers: list[Timer] = []
        self._guards: list[GuardCondition] = []
        self._waitables: list[Waitable] = []
        self._events: list[Any] = []
        self._executor_reference: Callable[[], Executor | None] = lambda: None
        self._default_callback_group = MutuallyExclusiveCallbackGroup()
        self._rate_group = ReentrantCallbackGroup()

        global_arguments = (
            self._context._arguments if use_global_arguments else arguments.Arguments()
        )
        own_arguments = arguments.parse(cli_args or [], in_ros_args=True)
        # The node's own rules come first, and the first remapping that fits wins.
        self._remaps = own_arguments.remaps + global_arguments.remaps
        self._set_names(node_name, namespace or "")
        overrides: dict[str, Parameter] = {}
        for source in (global_arguments, own_arguments):
            values = arguments.parameters_for(source.parameters, self.get_fully_qualified_name())
            overrides.update({name: Parameter(name, value=values[name]) for name in values})
        overrides.update({item.name: item for item in parameter_overrides or []})

        self._logger = get_logger(self.get_fully_qualified_name().strip("/").replace("/", "."))
        network = self._context._get_network()
        self._graph = network.graph
        self._token = network.declare_node(
            self._namespace, self._name, own_arguments.enclave or global_arguments.enclave
        )
        self._init_parameters(overrides, allow_undeclared_parameters)
        self._clock = ROSClock()
        if enable_rosout and global_arguments.rosout and own_arguments.rosout:
            self._rosout = self.create_publisher(Log, ROSOUT_TOPIC, qos_profile_rosout_default)
            log_settings.outputs[self._logger.name] = self._log_to_rosout
        self._parameter_event_publisher = self.create_publisher(
            ParameterEvent, PARAMETER_EVENTS_TOPIC, qos_profile_parameter_events
        )
        if automatically_declare_parameters_from_overrides:
            self.declare_parameters(
                "",
                [(name, item.value, ParameterDescriptor()) for name, item in overrides.items()],
                ignore_override=True,
            )
        self._time_source = TimeSource(node=self)
        self._time_source.attach_clock(self._clock)
        if start_parameter_services:
            self._parameter_service = ParameterService(self)
        if enable_logger_service:
            self._logger_service = LoggingService(self)
        self._type_description_service = TypeDescriptionService(self)

    def _set_names(self, name: str, namespace: str) -> None:
        if not namespace.startswith("/"):
            namespace = "/" + namespace
        validate_node_name(name)
        validate_namespace(namespace)
        name, namespace = names.remap_node(self._remaps, name, namespace)
        if not namespace.startswith("/"):
            namespace = "/" + namespace
        validate_node_name(name)
        validate_namespace(namespace)
        self._name, self._namespace = name, namespace

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.get_fully_qualified_name()}>"

    # --- what the mixins need ---

    def _publish_parameter_event(self, event: ParameterEvent) -> None:
        event.stamp = self._clock.now().to_msg()
        if self._context.ok():
            self._parameter_event_publisher.publish(event)

    def _log_to_rosout(self, record: Record) -> None:
        if self._destroyed or not self._context.ok():
            return
        seconds, nanoseconds = divmod(record.time_ns, S_TO_NS)
        message = Log(
            level=int(record.severity),
            name=record.name,
            msg=record.message,
            file=record.file,
            function=record.function,
            line=record.line,
        )
        message.stamp.sec, message.stamp.nanosec = seconds, nanoseconds
        # A call of the logger never raises, even if a signal ends the context at this moment.
        with contextlib.suppress(RCLError, InvalidHandle):
            self._rosout.publish(message)

    # --- properties and names ---

    @property
    def publishers(self) -> Iterator[Publisher]:
        """The publishers."""
        yield from self._publishers

    @property
    def subscriptions(self) -> Iterator[Subscription]:
        """The subscriptions."""
        yield from self._subscriptions

    @property
    def clients(self) -> Iterator[Client]:
        """The service clients."""
        yield from self._clients

    @property
    def services(self) -> Iterator[Service]:
        """The service servers."""
        yield from self._services

    @property
    def timers(self) -> Iterator[Timer]:
        """The timers."""
        yield from self._timers

    @property
    def guards(self) -> Iterator[GuardCondition]:
        """The guard conditions."""
        yield from self._guards

    @property
    def waitables(self) -> Iterator[Waitable]:
        """The waitables: action servers and clients."""
        yield from self._waitables

    @property
    def context(self) -> Context:
        """The context."""
        return self._context

    @property
    def default_callback_group(self) -> CallbackGroup:
        """The group of what is created without one."""
        return self._default_callback_group

    @property
    def handle(self) -> Node:
        """The node itself: there is no C object behind it."""
        return self

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def get_name(self) -> str:
        """Return the name."""
        return self._name

    def get_namespace(self) -> str:
        """Return the namespace."""
        return self._namespace

    def get_fully_qualified_name(self) -> str:
        """Return the name with its namespace."""
        return names.join(self._namespace, self._name)

    def get_clock(self) -> Clock:
        """Return the clock: simulated time if there is one, the system's otherwise."""
        return self._clock

    def get_logger(self) -> RcutilsLogger:
        """Return the logger."""
        return self._logger

    def resolve_topic_name(self, topic: str, *, only_expand: bool = False) -> str:
        """Return a topic's fully qualified name.

        Raises:
            InvalidTopicNameException: If the name is invalid.
        """
        return self._resolve(topic, "topic", only_expand)

    def resolve_service_name(self, service: str, *, only_expand: bool = False) -> str:
        """Return a service's fully qualified name.

        Raises:
            InvalidServiceNameException: If the name is invalid.
        """
        return self._resolve(service, "service", only_expand)

    def _resolve(self, name: str, kind: str, only_expand: bool = False) -> str:
        validate_topic_name(name, is_service=kind == "service")
        full_name = names.expand(name, self._name, self._namespace)
        if only_expand:
            return full_name
        return names.remap(self._remaps, full_name, kind, self._name, self._namespace)

    # --- the executor ---

    @property
    def executor(self) -> Executor | None:
        """The executor that runs the callbacks."""
        return self._executor_reference()

    @executor.setter
    def executor(self, new_executor: Executor | None) -> None:
        current = self._executor_reference()
        if current is new_executor:
            return
        if current is not None:
            current.remove_node(self)
        if new_executor is None:
            self._executor_reference = lambda: None
        else:
            self._executor_reference = weakref.ref(new_executor)
            new_executor.add_node(self)

    def _get_executor(self) -> Executor | None:
        return self._executor_reference()

    def _executor_removed(self, executor: Executor) -> None:
        if self._executor_reference() is executor:
            self._executor_reference = lambda: None

    def _wake_executor(self) -> None:
        executor = self._executor_reference()
        if executor is not None:
            executor.wake()

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

    def destroy_node(self) -> None:
        """Destroy the node and all it has; it vanishes from the graph."""
        if self._destroyed:
            return
        self._destroyed = True
        log_settings.outputs.pop(self._logger.name, None)
        executor = self._executor_reference()
        if executor is not None:
            executor.remove_node(self)
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
        self._token.close()


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
