# SPDX-License-Identifier: Apache-2.0
"""Nodes."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rcl_interfaces.msg import Log, ParameterDescriptor, ParameterEvent

from embedded_ros2 import arguments, names
from rclpy._node_entities import (  # noqa: F401  (the real module has these names too)
    MutuallyExclusiveCallbackGroup,
    NodeEntities,
    PublisherEventCallbacks,
    QoSOverridingOptions,
    QoSProfile,
    Rate,
    ReentrantCallbackGroup,
    SubscriptionEventCallbacks,
    qos_profile_services_default,
)
from rclpy._node_graph import NodeGraph
from rclpy._parameters import NodeParameters
from rclpy._rclpy_pybind11 import RCLError
from rclpy.callback_groups import (
    CallbackGroup,
)
from rclpy.client import Client
from rclpy.clock import Clock, ROSClock
from rclpy.constants import S_TO_NS
from rclpy.context import Context
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
    qos_profile_parameter_events,
    qos_profile_rosout_default,
)
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.time_source import TimeSource
from rclpy.timer import Timer
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


class NodeNameNonExistentError(Exception):
    """A node was asked for that is not in the graph."""


class Node(NodeParameters, NodeEntities, NodeGraph):
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
        self._init_entities()
        self._executor_reference: Callable[[], Executor | None] = lambda: None

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

    def destroy_node(self) -> None:
        """Destroy the node and all it has; it vanishes from the graph."""
        if self._destroyed:
            return
        self._destroyed = True
        log_settings.outputs.pop(self._logger.name, None)
        executor = self._executor_reference()
        if executor is not None:
            executor.remove_node(self)
        self._destroy_entities()
        self._token.close()
