# SPDX-License-Identifier: Apache-2.0
"""A thread that an event loop hands its long jobs to."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Worker:
    """A thread that does one thing after another. A daemon: a policy may never return."""

    def __init__(self, name: str) -> None:
        """Start the thread, under a name."""
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._began = 0.0
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def busy_s(self) -> float:
        """Return for how long it has been at its job, 0 when it has none."""
        began = self._began
        return time.monotonic() - began if began else 0.0

    async def do(self, job: Callable[[], Any]) -> Any:
        """Return what the job returns, or raise what it raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._jobs.put((loop, future, job))
        return await future

    def send(self, job: Callable[[], Any]) -> None:
        """Do a job that nobody waits for."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        # What it raises would else be logged as never looked at.
        future.add_done_callback(lambda done: done.exception())
        self._jobs.put((loop, future, job))

    async def end(self, timeout_s: float) -> bool:
        """Return whether the thread ended in time."""
        self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join, timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            loop, future, job = item
            self._began = time.monotonic()
            try:
                result, error = job(), None
            # Whatever it is, it is the asker's.
            except Exception as raised:
                result, error = None, raised
            self._began = 0.0
            # The loop is closed when the server ended without waiting any longer.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, future, result, error)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
