# SPDX-License-Identifier: Apache-2.0
"""The memory of the black box: the newest messages, as they came."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """One message as it came.

    Attributes:
        number: Counts up, over all topics.
        received_ns: ROS time of its reception.
        topic: Its topic's name.
        data: The serialised message.
        steady_ns: Clock of the motion at its reception. Ages go by it: ROS time may be set.
    """

    number: int
    received_ns: int
    topic: str
    data: bytes
    steady_ns: int


class Ring:
    """Keeps the newest messages, by time and by size. One thread adds, others may look.

    Of a latched topic the newest message is kept for ever, because it holds until the next one.

    Attributes:
        size: Of the messages in it, bytes.
        dropped_early: Messages forgotten before their time, for their size.
    """

    def __init__(self, seconds: float, max_bytes: int) -> None:
        """Start empty.

        Args:
            seconds: How far back it remembers.
            max_bytes: How much it holds at most; then the oldest go earlier.
        """
        self._span_ns = round(seconds * 1e9)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._records: deque[Record] = deque()
        self._latched: dict[str, Record] = {}
        self.size = 0
        self._count = 0
        self.dropped_early = 0

    def add(
        self, received_ns: int, topic: str, data: bytes, steady_ns: int, *, latched: bool = False
    ) -> None:
        """Add a message; see `Record`."""
        with self._lock:
            self._count += 1
            record = Record(self._count, received_ns, topic, data, steady_ns)
            self._records.append(record)
            self.size += len(data)
            if latched:
                self._latched[topic] = record
            while self._records[0].steady_ns < steady_ns - self._span_ns:
                self.size -= len(self._records.popleft().data)
            while self.size > self._max_bytes and len(self._records) > 1:
                self.size -= len(self._records.popleft().data)
                self.dropped_early += 1

    @property
    def span_s(self) -> float:
        """How far back it reaches now, s."""
        with self._lock:
            if not self._records:
                return 0.0
            return (self._records[-1].steady_ns - self._records[0].steady_ns) * 1e-9

    def since(self, number: int) -> list[Record]:
        """Return the messages after a number, oldest first."""
        with self._lock:
            found = []
            for record in reversed(self._records):
                if record.number <= number:
                    break
                found.append(record)
        found.reverse()
        return found

    def all(self) -> list[Record]:
        """Return everything, oldest first; latched messages of before are moved to its start."""
        with self._lock:
            records = list(self._records)
            latched = list(self._latched.values())
        if not records:
            return []
        first = records[0]
        moved = [
            Record(record.number, first.received_ns, record.topic, record.data, first.steady_ns)
            for record in latched
            if record.number < first.number
        ]
        return [*moved, *records]
