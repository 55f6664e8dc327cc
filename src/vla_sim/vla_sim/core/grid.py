# SPDX-License-Identifier: Apache-2.0
"""Control ticks at fixed times, whatever the host does in between."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Due:
    """What has to be done by now.

    Attributes:
        ticks_ns: Times of the ticks that are due, oldest first.
        slipped_ns: By how much the grid's next tick was moved to follow the clock; 0 as a rule.
    """

    ticks_ns: range
    slipped_ns: int = 0


class TickGrid:
    """Ticks at the multiples of a period.

    A late caller is given every tick that it missed, so that what is computed on the grid does not
    jump. Only when the clock is further off than `slip_ns`, the missed ticks are given up.
    """

    def __init__(self, start_ns: int, period_ns: int, slip_ns: int) -> None:
        """Begin with the first multiple of `period_ns` at or after `start_ns`."""
        self.period_ns = period_ns
        self.next_ns = -(-start_ns // period_ns) * period_ns
        self._slip_ns = slip_ns

    def due(self, now_ns: int) -> Due:
        """Return the ticks up to now that were not returned before."""
        slipped_ns = 0
        if abs(now_ns - self.next_ns) > self._slip_ns:
            newest_ns = now_ns // self.period_ns * self.period_ns
            slipped_ns = newest_ns - self.next_ns
            self.next_ns = newest_ns
        ticks_ns = range(self.next_ns, now_ns + 1, self.period_ns)
        self.next_ns += len(ticks_ns) * self.period_ns
        return Due(ticks_ns, slipped_ns)


class Divider:
    """Picks ticks at a lower mean rate, which need not divide that of the ticks."""

    def __init__(self, rate_hz: float) -> None:
        self._period_ns = 1e9 / rate_hz
        self._slot: int | None = None

    def due(self, tick_ns: int) -> bool:
        """Tell whether this tick is the first of a new period."""
        slot = int(tick_ns // self._period_ns)
        if slot == self._slot:
            return False
        self._slot = slot
        return True
