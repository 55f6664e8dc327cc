# SPDX-License-Identifier: Apache-2.0
"""A client of the parameter services of another node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterEvent
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_dict_from_yaml_file
from rclpy.qos import QoSProfile, qos_profile_parameter_events, qos_profile_services_default
from rclpy.subscription import Subscription
from rclpy.task import Future

DoneCallback = Callable[[Future], Any]


class AsyncParameterClient:
    """Reads and sets the parameters of another node; each method returns a future.

    Args:
        node: The node that asks.
        remote_node_name: The node that is asked, fully qualified.
        qos_profile: The quality of service.
        callback_group: The group of the clients.
    """

    def __init__(
        self,
        node: Node,
        remote_node_name: str,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> None:
        self.node = node
        self.remote_node_name = remote_node_name

        def client(kind: Any, name: str) -> Any:
            return node.create_client(
                kind,
                f"{remote_node_name}/{name}",
                qos_profile=qos_profile,
                callback_group=callback_group,
            )

        self._get = client(GetParameters, "get_parameters")
        self._list = client(ListParameters, "list_parameters")
        self._set = client(SetParameters, "set_parameters")
        self._get_types = client(GetParameterTypes, "get_parameter_types")
        self._describe = client(DescribeParameters, "describe_parameters")
        self._set_atomically = client(SetParametersAtomically, "set_parameters_atomically")
        self._clients = (
            self._get,
            self._list,
            self._set,
            self._get_types,
            self._describe,
            self._set_atomically,
        )

    def services_are_ready(self) -> bool:
        """Return whether all six services are there."""
        return all(client.service_is_ready() for client in self._clients)

    def wait_for_services(self, timeout_sec: float | None = None) -> bool:
        """Wait until all six services are there; return whether they are."""
        return self.node._graph.wait_for(
            self.services_are_ready, timeout_sec, self.node.context.ok
        )

    def _call(self, client: Any, request: Any, callback: DoneCallback | None) -> Future:
        future: Future = client.call_async(request)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def list_parameters(
        self,
        prefixes: list[str] | None = None,
        depth: int | None = None,
        callback: DoneCallback | None = None,
    ) -> Future:
        """List parameters."""
        request = ListParameters.Request(prefixes=prefixes or [], depth=depth or 0)
        return self._call(self._list, request, callback)

    def get_parameters(self, names: list[str], callback: DoneCallback | None = None) -> Future:
        """Read parameters."""
        return self._call(self._get, GetParameters.Request(names=names), callback)

    def describe_parameters(
        self, names: list[str], callback: DoneCallback | None = None
    ) -> Future:
        """Read parameters' descriptors."""
        return self._call(self._describe, DescribeParameters.Request(names=names), callback)

    def get_parameter_types(
        self, names: list[str], callback: DoneCallback | None = None
    ) -> Future:
        """Read parameters' types."""
        return self._call(self._get_types, GetParameterTypes.Request(names=names), callback)

    def set_parameters(
        self,
        parameters: Sequence[Parameter | ParameterMsg],
        callback: DoneCallback | None = None,
    ) -> Future:
        """Set parameters one by one."""
        request = SetParameters.Request(parameters=_messages(parameters))
        return self._call(self._set, request, callback)

    def set_parameters_atomically(
        self,
        parameters: Sequence[Parameter | ParameterMsg],
        callback: DoneCallback | None = None,
    ) -> Future:
        """Set all parameters or none."""
        request = SetParametersAtomically.Request(parameters=_messages(parameters))
        return self._call(self._set_atomically, request, callback)

    def delete_parameters(self, names: list[str], callback: DoneCallback | None = None) -> Future:
        """Unset parameters, which must be dynamically typed."""
        return self.set_parameters([Parameter(name) for name in names], callback)

    def load_parameter_file(
        self,
        parameter_file: str,
        use_wildcard: bool = False,
        callback: DoneCallback | None = None,
    ) -> Future:
        """Set the parameters of a file one by one, those of every node that it names."""
        return self.set_parameters(_read(parameter_file, use_wildcard), callback)

    def load_parameter_file_atomically(
        self,
        parameter_file: str,
        use_wildcard: bool = False,
        callback: DoneCallback | None = None,
    ) -> Future:
        """Set all parameters of a file, those of every node that it names, or none."""
        return self.set_parameters_atomically(_read(parameter_file, use_wildcard), callback)

    def on_parameter_event(
        self,
        callback: Callable[[ParameterEvent], Any],
        qos_profile: QoSProfile = qos_profile_parameter_events,
        callback_group: CallbackGroup | None = None,
        event_callbacks: Any = None,
        qos_overriding_options: Any = None,
        raw: bool = False,
    ) -> Subscription:
        """Subscribe to the parameter events of all nodes."""
        return self.node.create_subscription(
            ParameterEvent,
            "/parameter_events",
            callback,
            qos_profile,
            callback_group=callback_group,
            event_callbacks=event_callbacks,
            qos_overriding_options=qos_overriding_options,
            raw=raw,
        )


def _messages(parameters: Sequence[Parameter | ParameterMsg]) -> list[ParameterMsg]:
    return [
        item.to_parameter_msg() if isinstance(item, Parameter) else item for item in parameters
    ]


def _read(path: str, use_wildcard: bool) -> list[ParameterMsg]:
    return list(parameter_dict_from_yaml_file(path, use_wildcard).values())
