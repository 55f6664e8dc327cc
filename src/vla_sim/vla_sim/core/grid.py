# SPDX-License-Identifier: Apache-2.0
"""Picks control ticks at a lower rate."""

from __future__ import annotations


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
