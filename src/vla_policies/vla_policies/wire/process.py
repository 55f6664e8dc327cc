# SPDX-License-Identifier: Apache-2.0
"""A server as the whole of a process: until a signal, or until its parent is gone."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import BinaryIO

from vla_policies.protocol import Policy
from vla_policies.wire.quiet import STDERR
from vla_policies.wire.server import GRACE_S, PolicyServer, ServerConfig


def serve(
    make_policy: Callable[[], Policy],
    config: ServerConfig,
    ready: Callable[[PolicyServer, int], None],
    parent: BinaryIO | None = None,
    loaded: Callable[[], None] | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM, or until `parent` ends. Call it from the main thread.

    Args:
        make_policy: Makes the policy.
        config: How to serve.
        ready: Called with the server and its port.
        parent: A pipe whose end is the parent's end.
        loaded: Called when the policy is made and is about to be asked for the first time.

    Returns:
        The exit code.

    Raises:
        PolicyError: The policy cannot be made.
        OSError: The address cannot be listened at.
    """
    # A stream of its own, since the usual one is shut while a picture is decoded.
    stream = os.fdopen(os.dup(STDERR), "w", encoding="utf-8", errors="replace", buffering=1)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=stream)
    # Every connection and refused handshake of a stranger would else be a traceback.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    server = PolicyServer(make_policy, config)
    if loaded is not None:
        loaded()

    async def run() -> bool:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if parent is not None:
            watch(parent, lambda: loop.call_soon_threadsafe(stop.set))
        return await server.run(stop, lambda port: ready(server, port))

    if not asyncio.run(run()):
        # The policy's thread would hold up the interpreter's end.
        os._exit(1)
    return 0


def watch(parent: BinaryIO, ended: Callable[[], object]) -> None:
    """Call `ended` when the other end of a pipe is gone; leave the process if that does not."""

    def wait() -> None:
        while parent.read(4096):
            pass
        timer = threading.Timer(2.0 * GRACE_S, os._exit, (1,))
        timer.daemon = True
        timer.start()
        try:
            ended()
        except RuntimeError:
            os._exit(1)

    threading.Thread(target=wait, name="parent", daemon=True).start()
