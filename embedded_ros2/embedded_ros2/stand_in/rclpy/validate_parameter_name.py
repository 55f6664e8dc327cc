# SPDX-License-Identifier: Apache-2.0
"""Validation of parameter names."""

from rclpy.exceptions import InvalidParameterException


def validate_parameter_name(name: str) -> bool:
    """Return True for a parameter's name, which is any that is not empty.

    Raises:
        InvalidParameterException: If it is empty.
    """
    if not name:
        raise InvalidParameterException(name)
    return True
