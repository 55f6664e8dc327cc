# SPDX-License-Identifier: Apache-2.0
"""Lines for the log of a node, from the part of it that knows no ROS. No ROS here."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


class LogLevel(enum.Enum):
    """How much a line of the log matters."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True)
class LogLine:
    """A line for the log."""

    level: LogLevel
    text: str


def write(logger: Any, line: LogLine) -> None:
    """Write a line to a node's logger."""
    # Apart, because rclpy ties a severity to each line of code that logs.
    if line.level is LogLevel.ERROR:
        logger.error(line.text)
    elif line.level is LogLevel.WARN:
        logger.warning(line.text)
    else:
        logger.info(line.text)
