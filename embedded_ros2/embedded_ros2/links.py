# SPDX-License-Identifier: Apache-2.0
"""The sockets of a Zenoh session: closing one never waits for its other end."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import Any

import zenoh

from embedded_ros2 import threads

_NO_LINGER = struct.pack("ii", 0, 0)
_FD_DIRECTORY = "/proc/self/fd"


def close_without_waiting(session: zenoh.Session) -> None:
    """Let the connections of a session, present and future, be closed at once.

    Zenoh sets SO_LINGER to 10 s on each socket, a number fixed when it was compiled, and closes
    sockets on the threads that receive. A connection whose other end does not read any more is
    given up after Zenoh's lease; with data left to send, `close` then holds such a thread for the
    10 s. Zenoh has two of them: three readers that hang, and nothing is received from anybody.
    Without the option the kernel still sends what is left, after `close` as after the end of the
    process.

    The listener lives as long as the session.
    """
    if not os.path.isdir(_FD_DIRECTORY):
        return

    @threads.called_back
    def on_event(event: Any) -> None:
        if event.kind == zenoh.SampleKind.PUT:
            _do_not_linger(event.link.src, event.link.dst)

    # Not by a channel and a thread: one that wakes while the interpreter ends, aborts the process.
    session.info.declare_link_events_listener(
        zenoh.handlers.Callback(on_event, indirect=False), history=True
    )


def _do_not_linger(source: str, destination: str) -> None:
    """Reset SO_LINGER on the socket between two of Zenoh's locators, `tcp/127.0.0.1:7447`."""
    ends = _port(source), _port(destination)
    if None in ends:
        return  # not TCP or TLS
    for name in os.listdir(_FD_DIRECTORY):
        # Zenoh's threads open and close descriptors meanwhile: one that is gone is no error.
        with contextlib.suppress(OSError, ValueError):
            if not os.readlink(f"{_FD_DIRECTORY}/{name}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as one:
                if one.type != socket.SOCK_STREAM or one.family not in (
                    socket.AF_INET,
                    socket.AF_INET6,
                ):
                    continue
                if (one.getsockname()[1], one.getpeername()[1]) == ends:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


def _port(locator: str) -> int | None:
    protocol, _, address = locator.partition("/")
    if protocol not in ("tcp", "tls"):
        return None
    digits = address.partition("?")[0].partition("#")[0].rpartition(":")[2]
    return int(digits) if digits.isdigit() else None
