# SPDX-License-Identifier: Apache-2.0
"""Validation of namespace."""

from embedded_ros2 import names
from rclpy.exceptions import InvalidNamespaceException


def validate_namespace(namespace: str) -> bool:
    """Return True for a namespace.

    Raises:
        InvalidNamespaceException: If it is none.
    """
    try:
        names.check_namespace(namespace)
    except names.InvalidName as error:
        raise InvalidNamespaceException(namespace, error.message, error.index) from None
    return True
