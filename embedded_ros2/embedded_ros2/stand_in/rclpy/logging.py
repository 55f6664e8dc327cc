# SPDX-License-Identifier: Apache-2.0
"""Logging to the console and to /rosout."""

from __future__ import annotations

import os
from pathlib import Path

from embedded_ros2.arguments import Arguments
from rclpy.impl.logging_severity import LoggingSeverity
from rclpy.impl.rcutils_logger import RcutilsLogger, effective_level, settings

__all__ = [
    "LoggingSeverity",
    "clear_config",
    "get_logger",
    "get_logger_effective_level",
    "get_logger_level",
    "get_logging_directory",
    "get_logging_severity_from_string",
    "initialize",
    "set_logger_level",
    "shutdown",
]

_root_logger = RcutilsLogger()


def get_logger(name: str) -> RcutilsLogger:
    """Return the logger with a name."""
    if not name:
        raise ValueError("Logger name must not be empty.")
    return _root_logger.get_child(name)


def initialize() -> None:
    """Do nothing: logging is always ready."""


def shutdown() -> None:
    """Do nothing: logging is always ready."""


def clear_config() -> None:
    """Forget all levels."""
    settings.levels.clear()
    settings.default = LoggingSeverity.INFO


def set_logger_level(
    name: str, level: int | LoggingSeverity, detailed_error: bool = False
) -> None:
    """Set a logger's level."""
    RcutilsLogger(name).set_level(level)


def get_logger_effective_level(name: str) -> LoggingSeverity:
    """Return the level that holds for a logger."""
    return effective_level(name)


def get_logger_level(name: str) -> LoggingSeverity:
    """Return the level set for a logger itself, UNSET if there is none."""
    if not name:
        return LoggingSeverity(settings.default)
    return LoggingSeverity(settings.levels.get(name, LoggingSeverity.UNSET))


def get_logging_severity_from_string(log_severity: str) -> LoggingSeverity:
    """Return the severity with a name, in whatever case."""
    try:
        return LoggingSeverity[log_severity.upper()]
    except KeyError:
        raise RuntimeError(f"'{log_severity}' is no log severity") from None


def get_logging_directory() -> Path:
    """Return the directory for log files, by ROS_LOG_DIR or ROS_HOME; nodes here write none."""
    directory = os.environ.get("ROS_LOG_DIR")
    if directory:
        return Path(directory).expanduser()
    return Path(os.environ.get("ROS_HOME") or "~/.ros").expanduser() / "log"


def _configure(arguments: Arguments) -> None:
    """Take the levels and outputs from the command line."""
    for name, level in arguments.log_levels.items():
        RcutilsLogger(name).set_level(level)
    settings.console = arguments.stdout
