# SPDX-License-Identifier: Apache-2.0
"""A child process: its start, and what asyncio tells of its output and its end."""

from __future__ import annotations

import asyncio
import codecs
import os
import pty
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import Any

from .._supervisor import Supervisor


class ProcessProtocol(asyncio.SubprocessProtocol):
    """Notices the end of a process, and passes on what it writes into pipes."""

    def __init__(
        self,
        outputs: dict[int, OutputProtocol],
        on_start: Callable[[asyncio.SubprocessTransport], None],
    ) -> None:
        self.exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.outputs = outputs
        self._on_start = on_start

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._on_start(transport)  # type: ignore[arg-type]

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.outputs[fd].data_received(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd in self.outputs:
            self.outputs[fd].connection_lost(exc)

    def process_exited(self) -> None:
        # The pipes may stay open: a process that was started by this one may hold them.
        if not self.exited.done():
            self.exited.set_result(None)


class OutputProtocol(asyncio.Protocol):
    """Cuts what a process writes into lines."""

    def __init__(self, on_data: Callable[[bytes], None], on_line: Callable[[str], None]) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_data = on_data
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def data_received(self, data: bytes) -> None:
        self._on_data(data)
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        for line in lines:
            self._on_line(line.rstrip("\r"))

    def connection_lost(self, exc: Exception | None) -> None:
        # A terminal ends with an error, which says no more than that its last user closed it.
        if not self.closed.done():
            self.closed.set_result(None)

    def flush(self) -> None:
        """Pass on the last line even if it has no end."""
        rest, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        if rest:
            self._on_line(rest.rstrip("\r"))


async def spawn(
    details: Mapping[str, Any],
    protocol: ProcessProtocol,
    supervisor: Supervisor,
    *,
    shell: bool,
    in_terminal: bool,
) -> asyncio.SubprocessTransport:
    """Start a process as leader of a session of its own.

    So a Ctrl-C in the terminal reaches the launch only, which passes it on once.

    Args:
        details: Its cmd, cwd and env.
        protocol: Is told of its output and its end.
        supervisor: Of the launch.
        shell: Whether a shell reads the command line.
        in_terminal: Whether it shall believe that it writes to a terminal.

    Raises:
        OSError: It cannot be started.
    """
    loop = asyncio.get_running_loop()
    cmd = _with_program(details["cmd"])
    supervisor.start()
    terminals = [pty.openpty(), pty.openpty()] if in_terminal else []
    options: dict[str, Any] = {
        "stdin": asyncio.subprocess.PIPE,
        "stdout": terminals[0][1] if terminals else asyncio.subprocess.PIPE,
        "stderr": terminals[1][1] if terminals else asyncio.subprocess.PIPE,
        "cwd": details["cwd"],
        "env": supervisor.environment(details["env"]),
        "start_new_session": True,
    }
    try:
        if shell:
            process, _ = await loop.subprocess_shell(lambda: protocol, " ".join(cmd), **options)
        else:
            process, _ = await loop.subprocess_exec(lambda: protocol, *cmd, **options)
    except BaseException:
        for ours, _ in terminals:
            os.close(ours)
        raise
    finally:
        for _, its in terminals:
            os.close(its)
    for output, (ours, _) in zip(protocol.outputs.values(), terminals, strict=False):
        await loop.connect_read_pipe(
            lambda output=output: output,  # type: ignore[misc]
            os.fdopen(ours, "rb", buffering=0),
        )
    return process


def _with_program(cmd: list[str]) -> list[str]:
    """Return the command line with ``ros2`` replaced where there is no such program."""
    if cmd[0] == "ros2" and shutil.which("ros2") is None:
        return [sys.executable, "-m", "embedded_ros2.cli", *cmd[1:]]
    return cmd
