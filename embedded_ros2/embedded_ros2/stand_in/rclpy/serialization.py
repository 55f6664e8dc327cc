# SPDX-License-Identifier: Apache-2.0
"""Messages as CDR."""

from __future__ import annotations

from typing import Any

from embedded_ros2.interfaces import cdr


def serialize_message(message: Any) -> bytes:
    """Return a message as CDR with its header."""
    return bytes(cdr.serialize(message))


def deserialize_message(serialized_message: bytes, message_type: type) -> Any:
    """Return the message that CDR with its header holds.

    Raises:
        ValueError: If it is no message of that type.
    """
    return cdr.deserialize(bytes(serialized_message), message_type)
