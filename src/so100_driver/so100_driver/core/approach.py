# SPDX-License-Identifier: Apache-2.0
"""An arm that holds somewhere else than where its controllers hold: which way back there is.

After it was silent, or a busy host's commands came too late, the controllers stand where their
plan ended, and every command is refused as too far. A person can have the arm go there, slowly.
"""

from __future__ import annotations

from collections.abc import Mapping

# Commands that differ by less are one and the same.
_SAME_RAD = 0.002


class OfferedCommand:
    """What is commanded, whether it is followed or not."""

    def __init__(self, still_s: float, newest_s: float) -> None:
        """Begin without a command.

        Args:
            still_s: Controllers that say the same for so long stand.
            newest_s: Older commands count no more.
        """
        self._still_s, self._newest_s = still_s, newest_s
        self.rad: dict[str, float] = {}
        self._since_s = self._last_s = -1.0

    def take(self, command: Mapping[str, float], now_s: float) -> bool:
        """Take a command; return whether it says what the one before it said."""
        same = self.rad.keys() == command.keys() and all(
            abs(command[name] - self.rad[name]) <= _SAME_RAD for name in command
        )
        if not same or not self.fresh(now_s):
            # What it is measured against stays, so that no drift passes for standing.
            self.rad, self._since_s = dict(command), now_s
        self._last_s = now_s
        return same

    def fresh(self, now_s: float) -> bool:
        """Return whether there was a command lately."""
        # One that came while the servos were read is newer than the cycle.
        return bool(self.rad) and abs(now_s - self._last_s) <= self._newest_s

    def problem(self, now_s: float) -> str:
        """Say why the arm cannot go there; empty where it can."""
        if not self.fresh(now_s):
            return "nothing is commanded: are the controllers active?"
        if not (now_s - self._since_s >= self._still_s):
            return "what is commanded moves: stop that first (the monitor's ~/stop)"
        return ""
