# SPDX-License-Identifier: Apache-2.0
"""Logging to the screen and to ``launch.log`` in the log folder of this launch."""

from __future__ import annotations

import datetime
import logging
import os
import re
import socket
import sys
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["get_logger", "get_output_loggers", "launch_config", "log_launch_config", "reset"]

_FORMATS = {
    "screen": "[{levelname}] [{name}]: {message}",
    "file": "{created:.7f} [{levelname}] [{name}]: {message}",
    "raw-screen": "{message}",
    "raw-file": "{created:.7f} {message}",
    "raw-own": "{message}",
}

_DESTINATIONS = {
    "screen": {"both": {"screen"}},
    "log": {"both": {"log"}, "stderr": {"screen"}},
    "both": {"both": {"log", "screen"}},
    "own_log": {"both": {"own_log"}, "stdout": {"own_log"}, "stderr": {"own_log"}},
    "full": {
        "both": {"screen", "log", "own_log"},
        "stdout": {"own_log"},
        "stderr": {"own_log"},
    },
}


def _base_log_dir() -> Path:
    """Return where ROS 2 programs keep their logs."""
    if os.environ.get("ROS_LOG_DIR"):
        return Path(os.environ["ROS_LOG_DIR"]).expanduser()
    return Path(os.environ.get("ROS_HOME") or "~/.ros").expanduser() / "log"


def _new_log_dir() -> Path:
    stamp = datetime.datetime.now().strftime("%Y-%m-%d-%H-%M-%S-%f")
    name = f"{stamp}-{socket.gethostname()}-{os.getpid()}"
    base = _base_log_dir()
    try:
        (base / name).mkdir(parents=True)
    except OSError as error:
        fallback = Path(tempfile.mkdtemp(prefix="launch_log_"))
        sys.stderr.write(f"cannot write logs below {base} ({error.strerror}): using {fallback}\n")
        return fallback
    latest = base / "latest"
    try:
        if latest.is_symlink():
            latest.unlink()
        if not latest.exists():
            latest.symlink_to(base / name, target_is_directory=True)
    except OSError:
        pass  # a convenience only; another launch may have been quicker
    return base / name


_PROCESS_PREFIX = re.compile(r"\[[^\]\s]+-\d+\]")
_PROCESS_COLOURS = (32, 33, 34, 35, 36, 92, 94, 95, 96)
_LEVEL_COLOURS = {logging.WARNING: 33, logging.ERROR: 31, logging.CRITICAL: 31}


def _coloured(line: str, level: int) -> str:
    """Return a line with the name of its process, or a warning as a whole, in colour."""
    if level in _LEVEL_COLOURS:
        return f"\x1b[{_LEVEL_COLOURS[level]}m{line}\x1b[0m"
    prefix = _PROCESS_PREFIX.match(line)
    if prefix is None:
        return line
    colour = _PROCESS_COLOURS[zlib.crc32(prefix[0].encode()) % len(_PROCESS_COLOURS)]
    return f"\x1b[{colour}m{prefix[0]}\x1b[0m{line[prefix.end() :]}"


class _ScreenHandler(logging.Handler):
    """Writes to the standard output as it is when a line is due."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
                line = _coloured(line, record.levelno)
            line += "\n"
            encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
            sys.stdout.write(line.encode(encoding, "replace").decode(encoding))
            sys.stdout.flush()
        except BrokenPipeError:
            # Who read the output (head, tee) is gone. The processes still want an orderly end.
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        except Exception:
            self.handleError(record)


class _LogFileHandler(logging.FileHandler):
    """Opens its file, and makes the log folder, with the first line."""

    def __init__(self, config: LaunchConfig, file_name: str) -> None:
        self._config = config
        self._file_name = file_name
        super().__init__(os.devnull, encoding="utf-8", delay=True)

    def _open(self) -> Any:
        self.baseFilename = self._config.get_log_file_path(self._file_name)
        return super()._open()


class LaunchConfig:
    """How a launch logs: level and log folder."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Return to the defaults."""
        self._log_dir: str | None = None
        self._handlers: dict[tuple[str, str], logging.Handler] = {}
        self._loggers: list[logging.Logger] = []
        self._level = logging.INFO

    @property
    def level(self) -> int:
        """The level from which on the launch system logs."""
        return self._level

    @level.setter
    def level(self, new_level: int) -> None:
        self._level = new_level
        for logger in self._loggers:
            logger.setLevel(new_level)

    @property
    def log_dir(self) -> str:
        """The folder of this launch's log files; made when first asked for."""
        if self._log_dir is None:
            self._log_dir = str(_new_log_dir())
        return self._log_dir

    @log_dir.setter
    def log_dir(self, new_log_dir: str) -> None:
        if not os.path.isdir(new_log_dir):
            raise ValueError(f"{new_log_dir} is not a directory")
        self._log_dir = new_log_dir

    def get_log_file_path(self, file_name: str = "launch.log") -> str:
        """Return the path of a file in the log folder."""
        return os.path.join(self.log_dir, file_name)

    def handler(self, kind: str, file_name: str = "launch.log") -> logging.Handler:
        """Return the handler of a kind: screen, file, raw-screen, raw-file or raw-own."""
        key = (kind, "" if kind.endswith("screen") else file_name)
        if key not in self._handlers:
            handler: logging.Handler
            if kind.endswith("screen"):
                handler = _ScreenHandler()
            else:
                handler = _LogFileHandler(self, file_name)
            handler.setFormatter(logging.Formatter(_FORMATS[kind], style="{"))
            self._handlers[key] = handler
        return self._handlers[key]

    def attach(self, logger: logging.Logger, handlers: Iterable[logging.Handler]) -> None:
        """Give a logger these handlers, and only these."""
        logger.handlers[:] = list(handlers)
        logger.propagate = False
        logger.setLevel(self._level)
        if logger not in self._loggers:
            self._loggers.append(logger)


launch_config = LaunchConfig()


def reset() -> None:
    """Return the logging of the launch system to its defaults."""
    for logger in launch_config._loggers:
        logger.handlers.clear()
    for handler in launch_config._handlers.values():
        handler.close()
    launch_config.reset()


def log_launch_config(*, logger: logging.Logger | None = None) -> None:
    """Log where the log files are and from which level on is logged."""
    logger = logger or get_logger("launch")
    logger.info("All log files can be found below %s", launch_config.log_dir)
    level = logging.getLevelName(launch_config.level)
    logger.info("Default logging verbosity is set to %s", level)


def get_logger(name: str | None = None) -> logging.Logger:
    """Return a logger that writes to the screen and to ``launch.log``."""
    logger = logging.getLogger(name or "launch")
    launch_config.attach(logger, [launch_config.handler("screen"), launch_config.handler("file")])
    return logger


def _destinations(config: str | Mapping[str, Any]) -> dict[str, set[str]]:
    """Return where each of both, stdout and stderr goes."""
    if isinstance(config, str):
        if config not in _DESTINATIONS:
            raise ValueError(
                f"output '{config}' is not valid; use {', '.join(map(repr, _DESTINATIONS))}, "
                "or a dict with the keys 'stdout', 'stderr', 'both'"
            )
        chosen: Mapping[str, Any] = _DESTINATIONS[config]
    else:
        chosen = config
    result: dict[str, set[str]] = {"both": set(), "stdout": set(), "stderr": set()}
    for source, destinations in chosen.items():
        if source not in result:
            raise ValueError(f"output source '{source}' is not one of stdout, stderr, both")
        result[source] = {destinations} if isinstance(destinations, str) else set(destinations)
        unknown = result[source] - {"screen", "log", "own_log"}
        if unknown:
            raise ValueError(f"output destination {unknown} is not one of screen, log, own_log")
    return result


def get_output_loggers(
    process_name: str, output_config: str | Mapping[str, Any]
) -> tuple[logging.Logger, logging.Logger]:
    """Return the loggers of a process's standard output and error output.

    Args:
        process_name: The process as named in the log.
        output_config: ``screen``, ``log``, ``both``, ``own_log``, ``full``, or a dict that maps
            stdout, stderr and both to sets of screen, log and own_log.

    Raises:
        ValueError: If the configuration is none of these.
    """
    chosen = _destinations(output_config)
    loggers = []
    for source in ("stdout", "stderr"):
        wanted = chosen["both"] | chosen[source]
        handlers = []
        if "screen" in wanted:
            handlers.append(launch_config.handler("raw-screen"))
        if "log" in wanted:
            handlers.append(launch_config.handler("raw-file"))
        if "own_log" in chosen[source]:
            handlers.append(launch_config.handler("raw-own", f"{process_name}-{source}.log"))
        if "own_log" in chosen["both"]:
            handlers.append(launch_config.handler("raw-own", f"{process_name}.log"))
        logger = logging.getLogger(f"{process_name}-{source}")
        launch_config.attach(logger, handlers)
        logger.setLevel(logging.DEBUG)  # what a process writes is shown, whatever launch's level
        loggers.append(logger)
    return loggers[0], loggers[1]
