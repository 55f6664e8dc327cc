# SPDX-License-Identifier: Apache-2.0

"""What asyncio tells of a child process: its end and its output."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable


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
