# SPDX-License-Identifier: Apache-2.0
"""The service through which others ask a node for the definitions of its types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import ParameterDescriptor
from type_description_interfaces.msg import Field, FieldType, IndividualTypeDescription
from type_description_interfaces.srv import GetTypeDescription

from embedded_ros2.interfaces import hashes
from embedded_ros2.interfaces.parse import DefinitionError

if TYPE_CHECKING:
    from rclpy.node import Node

START_TYPE_DESCRIPTION_SERVICE_PARAM = "start_type_description_service"


def _individual(description: dict[str, Any]) -> IndividualTypeDescription:
    return IndividualTypeDescription(
        type_name=description["type_name"],
        fields=[
            Field(name=field["name"], type=FieldType(**field["type"]))
            for field in description["fields"]
        ],
    )


class TypeDescriptionService:
    """Serves ``~/get_type_description`` unless the parameter says otherwise."""

    def __init__(self, node: Node) -> None:
        name = START_TYPE_DESCRIPTION_SERVICE_PARAM
        if not node.has_parameter(name):
            node.declare_parameter(name, True, ParameterDescriptor(read_only=True))
        if node.get_parameter(name).value:
            node.create_service(GetTypeDescription, "~/get_type_description", self._answer)

    def _answer(self, request: Any, response: Any) -> Any:
        try:
            described = hashes.describe(request.type_name)
        except (DefinitionError, ValueError) as error:
            response.failure_reason = str(error)
            return response
        if request.type_hash and request.type_hash != hashes.type_hash(request.type_name):
            response.failure_reason = (
                f"the definition of {request.type_name} here has another hash, "
                f"{hashes.type_hash(request.type_name)}"
            )
            return response
        description = response.type_description
        description.type_description = _individual(described["type_description"])
        description.referenced_type_descriptions = [
            _individual(item) for item in described["referenced_type_descriptions"]
        ]
        response.successful = True
        return response
