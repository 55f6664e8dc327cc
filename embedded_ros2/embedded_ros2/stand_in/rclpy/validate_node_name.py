# SPDX-License-Identifier: Apache-2.0
"""Validation of node's name."""

from embedded_ros2 import names
from rclpy.exceptions import InvalidNodeNameException


def validate_node_name(node_name: str) -> bool:
    """Return True for a node's name.

    Raises:
        InvalidNodeNameException: If it is none.
    """
    try:
        names.check_node_name(node_name)
    except names.InvalidName as error:
        raise InvalidNodeNameException(node_name, error.message, error.index) from None
    return True
