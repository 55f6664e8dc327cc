# SPDX-License-Identifier: Apache-2.0
"""Validation of topic and service names that are not expanded yet."""

from embedded_ros2 import names
from rclpy.exceptions import InvalidServiceNameException, InvalidTopicNameException

TOPIC_SEPARATOR_STRING = "/"


def validate_topic_name(name: str, *, is_service: bool = False) -> bool:
    """Return True for a topic's or service's name.

    Raises:
        InvalidTopicNameException, InvalidServiceNameException: If it is none.
    """
    try:
        names.check_topic_name(name)
    except names.InvalidName as error:
        kind = InvalidServiceNameException if is_service else InvalidTopicNameException
        raise kind(name, error.message, error.index) from None
    return True
