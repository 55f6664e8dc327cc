# SPDX-License-Identifier: Apache-2.0
"""Takes TCP connections in, never more than there is room for.

Whoever connects and says nothing holds a place until a newcomer needs it: the oldest of those who
were not let in goes first. Pages that are connected keep theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

_HANDSHAKE_S = 5.0
# From the connection to the first whole request, and from one request to the next.
_IDLE_S = 15.0
_LOOK_S = 1.0
_BACKLOG = 128


def listen(address: str, port: int, tries: int = 10) -> socket.socket:
    """Return a socket that listens at the first port of some that is free.

    Raises:
        OSError: None is, or the address is not this computer's.
    """
    for number in range(port, port + tries) if port else (0,):
        family, kind, proto, _, where = socket.getaddrinfo(
            address, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen(_BACKLOG)
            listener.setblocking(False)
            return listener
        except OSError as error:
            listener.close()
            refused = error
    raise refused


class Guest(asyncio.Protocol):
    """One connection: hands everything on, and can be shown out."""

    def __init__(self, door: Door, inner: asyncio.Protocol, now_s: float) -> None:
        """Begin; `inner` speaks HTTP."""
        self._door, self._inner = door, inner
        self.admitted = False
        self.active_s = now_s
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Come in."""
        self.transport = transport
        self._door.entered(self, transport)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand bytes on."""
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Hand the end on."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave."""
        self._door.left(self)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Hand it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand it on."""
        self._inner.resume_writing()


class Door:
    """Accepts connections on one socket."""

    def __init__(
        self,
        listener: socket.socket,
        make: Callable[[], asyncio.Protocol],
        most: int,
        context: ssl.SSLContext | None,
    ) -> None:
        """Begin.

        Args:
            listener: Listens already.
            make: Makes what speaks HTTP on a connection.
            most: Connections at once.
            context: Of TLS, None where it is not spoken.
        """
        self._listener, self._make, self._most, self._context = listener, make, most, context
        self._guests: dict[asyncio.BaseTransport, Guest] = {}
        self._entering: dict[asyncio.Task[None], socket.socket] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Accept from now on, in the loop that runs."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._accept()), loop.create_task(self._look())]

    async def close(self) -> None:
        """Accept nothing any more, and show everybody out."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._listener.close()
        entering = list(self._entering)
        for taken in self._entering.values():
            _hang_up(taken)
        for transport in list(self._guests):
            _abort(transport)
        if entering:
            await asyncio.wait(entering, timeout=_LOOK_S)

    def __len__(self) -> int:
        return len(self._guests) + len(self._entering)

    def entered(self, guest: Guest, transport: asyncio.BaseTransport) -> None:
        """Note a connection that can speak HTTP now."""
        self._guests[transport] = guest

    def left(self, guest: Guest) -> None:
        """Forget a connection that is over."""
        if guest.transport is not None:
            self._guests.pop(guest.transport, None)

    def asked(self, transport: asyncio.BaseTransport | None) -> None:
        """Note that a whole request came on a connection."""
        guest = self._guests.get(transport) if transport is not None else None
        if guest is not None:
            guest.active_s = asyncio.get_running_loop().time()

    def admit(self, transport: asyncio.BaseTransport | None) -> None:
        """Let a connection stay: it is that of a page."""
        guest = self._guests.get(transport) if transport is not None else None
        if guest is not None:
            guest.admitted = True

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                taken, _ = await loop.sock_accept(self._listener)
            except OSError:
                # Too many files are open, in this process or in all. It passes.
                await asyncio.sleep(0.1)
                continue
            if not self._has_room():
                taken.close()
                continue
            task = loop.create_task(self._enter(taken))
            self._entering[task] = taken
            task.add_done_callback(lambda done: self._entering.pop(done, None))

    def _has_room(self) -> bool:
        """Return whether one more may come in, once the oldest that can be spared has gone."""
        if len(self) < self._most:
            return True
        for task, taken in self._entering.items():
            del self._entering[task]
            _hang_up(taken)
            return True
        for transport, guest in self._guests.items():
            if not guest.admitted:
                del self._guests[transport]
                _abort(transport)
                return True
        return False

    async def _enter(self, taken: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        taken.setblocking(False)
        # Whatever goes wrong here, no TLS or gone again: asyncio closes the socket, which is its.
        with contextlib.suppress(OSError):
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.connect_accepted_socket(
                lambda: Guest(self, self._make(), loop.time()),
                taken,
                ssl=self._context,
                ssl_handshake_timeout=None if self._context is None else _HANDSHAKE_S,
            )

    async def _look(self) -> None:
        """Show out whoever has said nothing for long."""
        while True:
            await asyncio.sleep(_LOOK_S)
            now_s = asyncio.get_running_loop().time()
            for transport, guest in list(self._guests.items()):
                if not guest.admitted and not now_s - guest.active_s <= _IDLE_S:
                    _abort(transport)


def _hang_up(taken: socket.socket) -> None:
    """End a connection whose socket is asyncio's already: to it the other side has gone."""
    with contextlib.suppress(OSError):
        taken.shutdown(socket.SHUT_RDWR)


def _abort(transport: asyncio.BaseTransport) -> None:
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
    else:
        transport.close()
