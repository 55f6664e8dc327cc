# SPDX-License-Identifier: Apache-2.0
"""Closes a gripper until its jaws meet, with little torque and in small steps."""

from __future__ import annotations

from dataclasses import dataclass, field

TORQUE_SHARE = 0.15
_STEP_TICKS = 8
_STILL_TICKS = 3
_STILL_S = 0.4
_LONGEST_S = 20.0
_BACK_TICKS = 40


@dataclass
class GentleClosing:
    """One closing; call `look` every cycle.

    Attributes:
        start_ticks: Where it begins.
        stop_ticks: Where the jaws met; None until then.
        failed: Why it was given up; empty while it was not.
    """

    start_ticks: int
    stop_ticks: int | None = None
    failed: str = ""
    _goal: float = field(default=0.0)
    _began_s: float | None = None
    _last: int = 0
    _still_since_s: float = 0.0

    @property
    def over(self) -> bool:
        """Return whether it has ended, one way or the other."""
        return self.stop_ticks is not None or bool(self.failed)

    def look(self, shown_ticks: int, now_s: float) -> int:
        """Return the next goal.

        Args:
            shown_ticks: Where the gripper is.
            now_s: Steady time.
        """
        if self._began_s is None:
            self._began_s = self._still_since_s = now_s
            self._goal, self._last = float(shown_ticks), shown_ticks
        if abs(shown_ticks - self._last) > _STILL_TICKS:
            self._last, self._still_since_s = shown_ticks, now_s
        # The goal runs no further ahead than what the little torque can push.
        behind = shown_ticks - self._goal
        if behind < 120:
            self._goal -= _STEP_TICKS
        elif now_s - self._still_since_s >= _STILL_S:
            self.stop_ticks = shown_ticks
            return shown_ticks + _BACK_TICKS
        if now_s - self._began_s > _LONGEST_S:
            self.failed = f"no stop within {_LONGEST_S:g} s"
            return shown_ticks
        return max(0, round(self._goal))
