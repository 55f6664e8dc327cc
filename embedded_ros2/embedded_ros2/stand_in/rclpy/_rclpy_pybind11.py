# SPDX-License-Identifier: Apache-2.0
"""The exceptions of rclpy's C extension; nothing else of it exists here."""


class RCLError(RuntimeError):
    """An operation on an entity failed."""


class InvalidHandle(RuntimeError):  # noqa: N818  (rclpy's name)
    """An entity was used after it was destroyed."""


class UnknownROSArgsError(RuntimeError):
    """An argument after `--ros-args` is unknown."""


class RCLInvalidROSArgsError(RuntimeError):
    """An argument after `--ros-args` is malformed."""


class NodeNameNonExistentError(RuntimeError):
    """A node was asked for that is not in the graph."""


class UnsupportedEventTypeError(RuntimeError):
    """A QoS event is not offered."""


class TimerCancelledError(RuntimeError):
    """A cancelled timer was asked for its next call."""
