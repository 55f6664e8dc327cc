# SPDX-License-Identifier: Apache-2.0
"""The six services through which others read and set a node's parameters."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import ListParametersResult, SetParametersResult
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)

from rclpy.exceptions import ParameterNotDeclaredException, ParameterUninitializedException
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_parameters

if TYPE_CHECKING:
    from rclpy.node import Node


class ParameterService:
    """Serves a node's parameters."""

    def __init__(self, node: Node) -> None:
        self._reference = weakref.ref(node)
        for kind, name, callback in (
            (DescribeParameters, "describe_parameters", self._describe),
            (GetParameters, "get_parameters", self._get),
            (GetParameterTypes, "get_parameter_types", self._get_types),
            (ListParameters, "list_parameters", self._list),
            (SetParameters, "set_parameters", self._set),
            (SetParametersAtomically, "set_parameters_atomically", self._set_atomically),
        ):
            node.create_service(
                kind, f"{node.get_name()}/{name}", callback, qos_profile=qos_profile_parameters
            )

    @property
    def _node(self) -> Node:
        node = self._reference()
        if node is None:
            raise ReferenceError("Expected valid node weak reference")
        return node

    def _describe(self, request: Any, response: Any) -> Any:
        try:
            response.descriptors = self._node.describe_parameters(request.names)
        except ParameterNotDeclaredException:
            response.descriptors = []
        return response

    def _get(self, request: Any, response: Any) -> Any:
        try:
            parameters = self._node.get_parameters(request.names)
            response.values = [parameter.get_parameter_value() for parameter in parameters]
        except (ParameterNotDeclaredException, ParameterUninitializedException):
            response.values = []
        return response

    def _get_types(self, request: Any, response: Any) -> Any:
        try:
            types = self._node.get_parameter_types(request.names)
            response.types = [getattr(item, "value", item) for item in types]
        except ParameterNotDeclaredException:
            response.types = []
        return response

    def _list(self, request: Any, response: Any) -> Any:
        try:
            response.result = self._node.list_parameters(list(request.prefixes), request.depth)
        except (TypeError, ValueError):
            response.result = ListParametersResult()
        return response

    def _set(self, request: Any, response: Any) -> Any:
        response.results = [self._apply([message]) for message in request.parameters]
        return response

    def _set_atomically(self, request: Any, response: Any) -> Any:
        response.result = self._apply(request.parameters)
        return response

    def _apply(self, messages: Any) -> SetParametersResult:
        try:
            parameters = [Parameter.from_parameter_msg(message) for message in messages]
            return self._node.set_parameters_atomically(parameters)
        except (ParameterNotDeclaredException, ValueError) as error:
            return SetParametersResult(successful=False, reason=str(error))
