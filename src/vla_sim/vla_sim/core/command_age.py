# SPDX-License-Identifier: Apache-2.0
"""How old a command is on its arrival, in the time of the control ticks.

A command says where the arm is to be when; one that was held back on its way says it too late. A
ROS middleware stamps every message with the host's time when it is sent, and the ticks may run
slower than that, or stand still. So the ticks are noted against the host's time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

# Longer than any age that is allowed, at any rate of ticks.
_TICKS = 2048


class CommandAge:
    """Notes ticks and tells ages."""

    def __init__(self) -> None:
        """Begin without ticks."""
        self._host_ns: deque[int] = deque(maxlen=_TICKS)
        self._tick_ns: deque[int] = deque(maxlen=_TICKS)

    def ticked(self, host_ns: int, tick_ns: int) -> None:
        """Note a tick.

        Args:
            host_ns: The host's time.
            tick_ns: The tick's own.
        """
        if self._host_ns and host_ns < self._host_ns[-1]:
            # The clock was set back. What was sent before cannot be placed any more.
            self._host_ns.clear()
            self._tick_ns.clear()
        self._host_ns.append(host_ns)
        self._tick_ns.append(tick_ns)

    def age_ns(self, sent_ns: int) -> int:
        """Return the ticks' time that has passed since the host's time `sent_ns`.

        It is short of the truth by a tick at most; 0 where no tick has been noted, or where the
        stamp lies in the future.
        """
        if not self._host_ns or sent_ns >= self._host_ns[-1]:
            return 0
        before = bisect_right(self._host_ns, sent_ns)
        return self._tick_ns[-1] - self._tick_ns[before]
