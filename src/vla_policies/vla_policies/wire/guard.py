# SPDX-License-Identifier: Apache-2.0
"""Bounds the work of one connection in the event loop, which all of them share.

Bytes alone do not: a ping of six bytes asks for an answer, and so does each message of a few. A
connection may therefore send so many small frames a second, and what it sends is taken in pieces,
between which the count is looked at. Of the connections that have not said yet what they want, so
many are kept, and the oldest makes room for the next.
"""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.asyncio.server import ServerConnection

SMALL_BYTES = 1024
SMALL_BURST, SMALL_PER_S = 1000.0, 500.0
PIECE_BYTES = 1 << 14
WAITING = 64
POLICY_VIOLATION = 1008


class FrameBudget:
    """How many small frames a connection may still send. Time is an argument."""

    def __init__(self, now_s: float) -> None:
        """Begin with a full budget.

        Args:
            now_s: The time, steady, s.
        """
        self._left, self._seen_s = SMALL_BURST, now_s

    def take(self, size: int, now_s: float) -> bool:
        """Return whether a frame of so many bytes may be read."""
        passed_s = max(0.0, now_s - self._seen_s)
        self._seen_s = now_s
        self._left = min(SMALL_BURST, self._left + passed_s * SMALL_PER_S)
        if size < SMALL_BYTES:
            self._left -= 1.0
        return self._left >= 0.0


class Doorway:
    """The connections that have not finished their handshake."""

    def __init__(self) -> None:
        """Begin with none."""
        # In the order in which they came.
        self._waiting: dict[GuardedConnection, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def come(self, connection: GuardedConnection) -> None:
        """Take in a connection; the oldest that waits leaves where there are too many."""
        self._waiting[connection] = None
        if len(self._waiting) > WAITING:
            oldest = next(iter(self._waiting))
            self.leave(oldest)
            oldest.transport.abort()

    def leave(self, connection: GuardedConnection) -> None:
        """Forget a connection: it is in, or gone."""
        self._waiting.pop(connection, None)


class GuardedConnection(ServerConnection):
    """A connection whose work is bounded."""

    def __init__(self, *arguments: Any, doorway: Doorway, **options: Any) -> None:
        """Make it as `websockets` does, for a doorway."""
        super().__init__(*arguments, **options)
        self._doorway = doorway
        self._budget = FrameBudget(self.loop.time())
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take in the connection."""
        super().connection_made(transport)
        self._doorway.come(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._doorway.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what has come, piece by piece, until the budget is spent."""
        for at in range(0, len(data), PIECE_BYTES):
            if self._refused:
                return
            super().data_received(data[at : at + PIECE_BYTES])

    def process_event(self, event: Any) -> None:
        """Count a frame; end the connection with a reason when there are too many."""
        if self._refused:
            return
        size = len(getattr(event, "data", b"") or b"")
        if self._budget.take(size, self.loop.time()):
            super().process_event(event)
            return
        self._refused = True
        reason = f"more than {SMALL_PER_S:.0f} frames of less than {SMALL_BYTES} bytes a second"
        self.protocol.fail(POLICY_VIOLATION, reason)
        self.send_data()
