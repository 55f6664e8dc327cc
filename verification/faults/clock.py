# SPDX-License-Identifier: Apache-2.0
"""Simulated time: what is due happens in order, and nothing sleeps."""

from __future__ import annotations

import heapq
from collections.abc import Callable

MS = 1_000_000
S = 1_000_000_000
EPOCH_NS = 1_700_000_000 * S
PERIOD_NS = 10 * MS


class SimulatedClock:
    """Time that passes from one event to the next.

    Attributes:
        now_ns: It.
    """

    def __init__(self) -> None:
        """Begin at `EPOCH_NS`."""
        self.now_ns = EPOCH_NS
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, t_ns: int, what: Callable[[], None]) -> None:
        """Do something at a time."""
        self._count += 1
        heapq.heappush(self._events, (t_ns, self._count, what))

    def after(self, delay_ns: int, what: Callable[[], None]) -> None:
        """Do something later."""
        self.at(self.now_ns + delay_ns, what)

    def every(self, period_ns: int, phase_ns: int, what: Callable[[], None]) -> None:
        """Do something again and again, on a grid."""

        def again(due_ns: int) -> None:
            what()
            self.at(due_ns + period_ns, lambda: again(due_ns + period_ns))

        start_ns = EPOCH_NS + phase_ns
        self.at(start_ns, lambda: again(start_ns))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.run_until(lambda: False, seconds)

    def run_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Let time pass until something is the case; return whether it is."""
        end_ns = self.now_ns + round(seconds * S)
        while self._events and self._events[0][0] <= end_ns:
            self.now_ns, _, what = heapq.heappop(self._events)
            what()
            if condition():
                return True
        self.now_ns = end_ns
        return condition()
