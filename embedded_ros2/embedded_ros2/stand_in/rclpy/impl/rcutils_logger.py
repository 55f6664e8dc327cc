# SPDX-License-Identifier: Apache-2.0
"""Loggers, with filters by call site."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from rclpy.impl.logging_severity import LoggingSeverity

_COLORS = {
    LoggingSeverity.DEBUG: "\033[32m",
    LoggingSeverity.WARN: "\033[33m",
    LoggingSeverity.ERROR: "\033[31m",
    LoggingSeverity.FATAL: "\033[31m",
}
_OPTIONS = ("throttle_duration_sec", "throttle_time_source_type", "skip_first", "once")
_DEFAULT_FORMAT = "[{severity}] [{time}] [{name}]: {message}"
_HERE = os.path.dirname(os.path.abspath(__file__))
_OWN_FILES = (os.path.abspath(__file__), os.path.join(os.path.dirname(_HERE), "logging.py"))


@dataclass(frozen=True)
class Record:
    """A message that passed its level and filters."""

    time_ns: int
    severity: LoggingSeverity
    name: str
    message: str
    function: str
    file: str
    line: int


@dataclass
class _Settings:
    levels: dict[str, int] = field(default_factory=dict)
    default: int = LoggingSeverity.INFO
    console: bool = True
    # Called with each record: by name of the node whose messages it wants, for /rosout.
    outputs: dict[str, Callable[[Record], None]] = field(default_factory=dict)


settings = _Settings()
_write_lock = threading.Lock()


def effective_level(name: str) -> LoggingSeverity:
    """Return the level of a logger: its own, an ancestor's, or the default."""
    while name:
        level = settings.levels.get(name, LoggingSeverity.UNSET)
        if level:
            return LoggingSeverity(level)
        name = name.rpartition(".")[0]
    return LoggingSeverity(settings.default)


def _caller() -> FrameType:
    frame = sys._getframe(2)
    while frame.f_back is not None and os.path.abspath(frame.f_code.co_filename) in _OWN_FILES:
        frame = frame.f_back
    return frame


def _format(record: Record) -> str:
    values = {
        "severity": record.severity.name,
        "time": f"{record.time_ns // 10**9}.{record.time_ns % 10**9:09d}",
        "time_as_nanoseconds": str(record.time_ns),
        "name": record.name,
        "message": record.message,
        "function_name": record.function,
        "file_name": record.file,
        "line_number": str(record.line),
    }
    template = os.environ.get("RCUTILS_CONSOLE_OUTPUT_FORMAT") or _DEFAULT_FORMAT
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), template)


def _write(record: Record) -> None:
    use_stdout = os.environ.get("RCUTILS_LOGGING_USE_STDOUT") == "1"
    stream = sys.stdout if use_stdout else sys.stderr
    if stream is None:
        return
    text = _format(record)
    wish = os.environ.get("RCUTILS_COLORIZED_OUTPUT")
    if wish == "1" or (wish != "0" and stream.isatty()):
        color = _COLORS.get(record.severity)
        if color:
            text = f"{color}{text}\033[0m"
    try:
        with _write_lock:
            stream.write(text + "\n")
            stream.flush()
    except (OSError, ValueError):
        pass  # the reader of a pipe is gone: a node must not die of its log


class RcutilsLogger:
    """A logger by name; dots in names make a tree whose levels are inherited."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._sites: dict[tuple[str, int, int], dict[str, Any]] = {}

    def get_child(self, name: str) -> RcutilsLogger:
        """Return the logger called ``<this>.<name>``."""
        if not name:
            raise ValueError("Child logger name must not be empty.")
        return RcutilsLogger(f"{self.name}.{name}" if self.name else name)

    def set_level(self, level: LoggingSeverity | int) -> None:
        """Set the level below which messages are dropped."""
        level = LoggingSeverity(level)
        if self.name:
            settings.levels[self.name] = level
        else:
            settings.default = level or LoggingSeverity.INFO

    def get_effective_level(self) -> LoggingSeverity:
        """Return the level that holds for this logger."""
        return effective_level(self.name)

    def is_enabled_for(self, severity: LoggingSeverity | int) -> bool:
        """Return whether messages of a severity pass the level."""
        return LoggingSeverity(severity) >= effective_level(self.name)

    def log(self, message: str, severity: LoggingSeverity | int, **kwargs: Any) -> bool:
        """Log a message.

        Args:
            message: The text.
            severity: Its severity.
            **kwargs: `once`, `skip_first`, `throttle_duration_sec` (s) with
                `throttle_time_source_type` (a Clock): filters kept for each place in the code.

        Returns:
            Whether the message was logged.

        Raises:
            TypeError: If an option is unknown.
            ValueError: If the same place logs with other options or severity than before.
        """
        severity = LoggingSeverity(severity)
        if severity < effective_level(self.name):
            return False
        name = kwargs.pop("name", self.name)
        frame = _caller()
        if not self._passes(frame, severity, kwargs):
            return False
        code = frame.f_code
        record = Record(
            time.time_ns(),
            severity,
            name,
            str(message),
            code.co_name,
            code.co_filename,
            frame.f_lineno,
        )
        if settings.console:
            _write(record)
        for owner, output in list(settings.outputs.items()):
            if name == owner or name.startswith(owner + "."):
                output(record)
        return True

    def _passes(
        self, frame: FrameType, severity: LoggingSeverity, options: dict[str, Any]
    ) -> bool:
        for option in options:
            if option not in _OPTIONS:
                raise TypeError(
                    f'parameter "{option}" is not one of the recognized logging options '
                    f'"{list(_OPTIONS)}"'
                )
        if "throttle_time_source_type" in options and "throttle_duration_sec" not in options:
            raise TypeError(
                'required parameter "throttle_duration_sec" not specified '
                'but is required for the the logging filter "throttle"'
            )
        key = (frame.f_code.co_filename, frame.f_lineno, frame.f_lasti)
        site = self._sites.get(key)
        if site is None:
            site = self._sites[key] = {"severity": severity, "options": dict(options)}
        elif site["severity"] != severity:
            raise ValueError("Logger severity cannot be changed between calls.")
        elif site["options"] != options:
            raise ValueError("Logging filter parameters cannot be changed between calls.")
        if not options:
            return True
        duration_s = options.get("throttle_duration_sec")
        if duration_s:
            clock = options.get("throttle_time_source_type")
            now_ns = time.time_ns() if clock is None else clock.now().nanoseconds
            if now_ns < site.get("last_ns", 0) + duration_s * 1e9:
                return False
            site["last_ns"] = now_ns
        if options.get("skip_first") and not site.get("skipped"):
            site["skipped"] = True
            return False
        if options.get("once"):
            if site.get("logged"):
                return False
            site["logged"] = True
        return True

    def debug(self, message: str, **kwargs: Any) -> bool:
        """Log with severity DEBUG."""
        return self.log(message, LoggingSeverity.DEBUG, **kwargs)

    def info(self, message: str, **kwargs: Any) -> bool:
        """Log with severity INFO."""
        return self.log(message, LoggingSeverity.INFO, **kwargs)

    def warning(self, message: str, **kwargs: Any) -> bool:
        """Log with severity WARN."""
        return self.log(message, LoggingSeverity.WARN, **kwargs)

    def warn(self, message: str, **kwargs: Any) -> bool:
        """Log with severity WARN."""
        return self.log(message, LoggingSeverity.WARN, **kwargs)

    def error(self, message: str, **kwargs: Any) -> bool:
        """Log with severity ERROR."""
        return self.log(message, LoggingSeverity.ERROR, **kwargs)

    def fatal(self, message: str, **kwargs: Any) -> bool:
        """Log with severity FATAL."""
        return self.log(message, LoggingSeverity.FATAL, **kwargs)
