# SPDX-License-Identifier: Apache-2.0
"""Events of child processes."""

from __future__ import annotations

import signal as signal_module
from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import _deep_paths
from ..event import Event
from ..utilities import ensure_argument_type

if TYPE_CHECKING:
    from ..actions import ExecuteLocal

__all__ = [
    "ProcessExited",
    "ProcessIO",
    "ProcessStarted",
    "ProcessStderr",
    "ProcessStdin",
    "ProcessStdout",
    "ProcessTargetedEvent",
    "RunningProcessEvent",
    "ShutdownProcess",
    "SignalProcess",
    "matches_executable",
    "matches_name",
    "matches_pid",
]


class RunningProcessEvent(Event):
    """Something about one child process.

    Attributes:
        action: The action that started the process.
        process_name: The process as named in the log, ``talker-1``.
        cmd: The command line.
        cwd: The working folder, if one was given.
        env: The environment.
        pid: The process id.
    """

    name = "launch.events.process.RunningProcessEvent"

    def __init__(
        self,
        *,
        action: ExecuteLocal,
        name: str,
        cmd: list[str],
        cwd: str | None,
        env: dict[str, str] | None,
        pid: int,
    ) -> None:
        self.action = action
        self.process_name = name
        self.cmd = cmd
        self.cwd = cwd
        self.env = env
        self.pid = pid

    @property
    def execute_process_action(self) -> ExecuteLocal:
        """The action, by its older name."""
        return self.action


class ProcessStarted(RunningProcessEvent):
    """A process runs."""

    name = "launch.events.process.ProcessStarted"


class ProcessExited(RunningProcessEvent):
    """A process ended.

    Attributes:
        returncode: The exit code; minus the signal number if a signal ended the process.
    """

    name = "launch.events.process.ProcessExited"

    def __init__(
        self,
        *,
        returncode: int,
        action: ExecuteLocal,
        name: str,
        cmd: list[str],
        cwd: str | None,
        env: dict[str, str] | None,
        pid: int,
    ) -> None:
        super().__init__(action=action, name=name, cmd=cmd, cwd=cwd, env=env, pid=pid)
        self.returncode = returncode


class ProcessIO(RunningProcessEvent):
    """A process wrote, or is given, some bytes."""

    name = "launch.events.process.ProcessIO"

    def __init__(
        self,
        *,
        text: bytes,
        fd: int,
        action: ExecuteLocal,
        name: str,
        cmd: list[str],
        cwd: str | None,
        env: dict[str, str] | None,
        pid: int,
    ) -> None:
        super().__init__(action=action, name=name, cmd=cmd, cwd=cwd, env=env, pid=pid)
        self.text = text
        self.__fd = fd

    @property
    def from_stdin(self) -> bool:
        """Whether the bytes are for the standard input."""
        return self.__fd == 0

    @property
    def from_stdout(self) -> bool:
        """Whether the bytes come from the standard output."""
        return self.__fd == 1

    @property
    def from_stderr(self) -> bool:
        """Whether the bytes come from the error output."""
        return self.__fd == 2


class _OneStream(ProcessIO):
    """A ProcessIO whose stream its class says."""

    _fd = -1

    def __init__(
        self,
        *,
        text: bytes,
        action: ExecuteLocal,
        name: str,
        cmd: list[str],
        cwd: str | None,
        env: dict[str, str] | None,
        pid: int,
    ) -> None:
        super().__init__(
            text=text, fd=self._fd, action=action, name=name, cmd=cmd, cwd=cwd, env=env, pid=pid
        )


class ProcessStdin(_OneStream):
    """Bytes to write to a process."""

    name = "launch.events.process.ProcessStdin"
    _fd = 0


class ProcessStdout(_OneStream):
    """Bytes from the standard output of a process."""

    name = "launch.events.process.ProcessStdout"
    _fd = 1


class ProcessStderr(_OneStream):
    """Bytes from the error output of a process."""

    name = "launch.events.process.ProcessStderr"
    _fd = 2


class ProcessTargetedEvent(Event):
    """A request to the processes that the matcher accepts."""

    name = "launch.events.process.ProcessTargetedEvent"

    def __init__(self, *, process_matcher: Callable[[ExecuteLocal], bool]) -> None:
        self.process_matcher = process_matcher


class ShutdownProcess(ProcessTargetedEvent):
    """A request to end: SIGINT, then SIGTERM, then SIGKILL."""

    name = "launch.events.process.ShutdownProcess"


class SignalProcess(ProcessTargetedEvent):
    """A request to send a signal."""

    name = "launch.events.process.SignalProcess"

    def __init__(
        self,
        *,
        signal_number: str | signal_module.Signals,
        process_matcher: Callable[[ExecuteLocal], bool],
    ) -> None:
        super().__init__(process_matcher=process_matcher)
        ensure_argument_type(
            signal_number, (str, signal_module.Signals), "signal_number", "SignalProcess"
        )
        self.signal = signal_number

    @property
    def signal_name(self) -> str:
        """The name of the signal, ``SIGINT``."""
        return self.signal if isinstance(self.signal, str) else self.signal.name


def matches_pid(pid: int) -> Callable[[ExecuteLocal], bool]:
    """Return a matcher for the process with this id."""
    return lambda action: bool(action.process_details and action.process_details.get("pid") == pid)


def matches_name(name: str) -> Callable[[ExecuteLocal], bool]:
    """Return a matcher for the process with this name."""
    return lambda action: bool(action.process_details and action.process_details["name"] == name)


def matches_executable(executable: str) -> Callable[[ExecuteLocal], bool]:
    """Return a matcher for the processes that run this program."""
    return lambda action: bool(
        action.process_details and action.process_details["cmd"][0].endswith(executable)
    )


_deep_paths.publish(
    __name__,
    __all__,
    also={
        "ProcessIO": "process_io",
        "matches_executable": "process_matchers",
        "matches_name": "process_matchers",
        "matches_pid": "process_matchers",
    },
)
