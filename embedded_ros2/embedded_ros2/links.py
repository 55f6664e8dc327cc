# SPDX-License-Identifier: Apache-2.0
"""The sockets of a Zenoh session.

Closing one never waits for its other end, and two processes that lost each other meet again.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

import zenoh

from embedded_ros2 import threads

_NO_LINGER = struct.pack("ii", 0, 0)
_FD_DIRECTORY = "/proc/self/fd"


def look_after(session: zenoh.Session) -> None:
    """Let the connections of a session, present and future, be closed at once and made again.

    **Closed at once.** Zenoh sets SO_LINGER to 10 s on each socket, a number fixed when it was
    compiled, and closes sockets on the threads that receive. A connection whose other end does not
    read any more is given up after Zenoh's lease; with data left to send, `close` then holds such
    a thread for the 10 s. Zenoh has two of them: three readers that hang, and nothing is received
    from anybody. Without the option the kernel still sends what is left, after `close` as after
    the end of the process.

    **Made again.** Two processes learn of each other from the router, once, when one of them
    connects to it, and Zenoh does not connect them while an old connection between them is still
    there. A process that was stopped for long loses all of its connections, in any order. Where
    the one to the router is made again before the old one to another process has gone, the two
    would never meet again: this process then greets the router once more.

    The listeners live as long as the session.
    """
    if not os.path.isdir(_FD_DIRECTORY):
        return
    links = _Links()
    # Not by a channel and a thread: one that wakes while the interpreter ends, aborts the process.
    session.info.declare_transport_events_listener(
        zenoh.handlers.Callback(links.on_transport, indirect=False), history=True
    )
    session.info.declare_link_events_listener(
        zenoh.handlers.Callback(links.on_link, indirect=False), history=True
    )


class _Links:
    """The connections of one session, in the order in which they were made."""

    def __init__(self) -> None:
        self._routers: set[str] = set()
        self._made: dict[tuple[str, str], str] = {}  # source and destination: whose

    @threads.called_back
    def on_transport(self, event: Any) -> None:
        if event.transport.whatami == zenoh.WhatAmI.ROUTER:
            self._routers.add(str(event.transport.zid))

    @threads.called_back
    def on_link(self, event: Any) -> None:
        ends, whose = (event.link.src, event.link.dst), str(event.link.zid)
        if event.kind == zenoh.SampleKind.PUT:
            self._made[ends] = whose
            _on_socket(ends, _do_not_linger)
            return
        made = list(self._made.items())
        if self._made.pop(ends, None) is None or whose in self._routers:
            return
        newer = made[made.index((ends, whose)) + 1 :]
        for router in [other for other, its in newer if its in self._routers]:
            _on_socket(router, _shut_down)  # Zenoh connects again


def _do_not_linger(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


def _shut_down(one: socket.socket) -> None:
    one.shutdown(socket.SHUT_RDWR)


def _on_socket(ends: tuple[str, str], action: Callable[[socket.socket], None]) -> None:
    """Do something with the socket between two of Zenoh's locators, `tcp/127.0.0.1:7447`."""
    ports = _port(ends[0]), _port(ends[1])
    if None in ports:
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
                if (one.getsockname()[1], one.getpeername()[1]) == ports:
                    action(one)


def _port(locator: str) -> int | None:
    protocol, _, address = locator.partition("/")
    if protocol not in ("tcp", "tls"):
        return None
    digits = address.partition("?")[0].partition("#")[0].rpartition(":")[2]
    return int(digits) if digits.isdigit() else None
