# SPDX-License-Identifier: Apache-2.0
"""Validation of fully qualified topic and service names."""

from embedded_ros2 import names
from rclpy.exceptions import InvalidServiceNameException, InvalidTopicNameException


def validate_full_topic_name(name: str, *, is_service: bool = False) -> bool:
    """Return True for a fully qualified name.

    Raises:
        InvalidTopicNameException, InvalidServiceNameException: If it is none.
    """
    try:
        if not name.startswith("/") or "{" in name or "~" in name:
            raise names.InvalidName("topic name must be absolute", 0)
        names.check_topic_name(name)
    except names.InvalidName as error:
        kind = InvalidServiceNameException if is_service else InvalidTopicNameException
        raise kind(name, error.message, error.index) from None
    return True
