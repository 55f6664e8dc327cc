# SPDX-License-Identifier: Apache-2.0
"""How a goal follows what is commanded: at once, or where that is too far, as a joint may move.

A command that a controller sends in time lies within a cycle's reach, and is the goal; one that
comes a little late is reached with the largest speed. After a gap in the commands, or where one
steps, the goal gains on it within bounds of velocity and acceleration, and never goes beyond it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Speeds are those of so long: commands and cycles do not alternate exactly.
_SMOOTHED_S = 0.025
# So far behind, in time at its own speed, is no goal by commands and cycles that are uneven.
_LATE_S = 0.03
# Nor any that is as good as at rest: less than this share of the largest speed.
_RESTS = 0.3


@dataclass
class Pursuit:
    """One joint's. Angles in rad.

    Attributes:
        gaining: The goal is behind, and moves within the bounds.
    """

    gaining: bool = False
    _speed: float = 0.0
    _target_speed: float = 0.0
    _target: float | None = None
    # Between these were the goal, when it began to gain, and the commands since.
    _least: float = 0.0
    _most: float = 0.0

    def rest(self) -> None:
        """Begin anew from rest."""
        self.gaining, self._speed, self._target_speed, self._target = False, 0.0, 0.0, None

    def step(
        self, goal: float, target: float, dt_s: float, rad_s: float, rad_s2: float
    ) -> tuple[float, bool]:
        """Return the next goal, and whether it has arrived.

        Args:
            goal: What it was.
            target: What is commanded.
            dt_s: For how long it was that.
            rad_s: Largest speed.
            rad_s2: Largest acceleration.
        """
        left = target - goal
        if dt_s <= 0.0:
            return goal, left == 0.0
        moved = 0.0 if self._target is None else (target - self._target) / dt_s
        self._target = target
        if not self.gaining:
            self._least = self._most = goal
        newest = dt_s / (dt_s + _SMOOTHED_S)
        reach = rad_s * dt_s
        if abs(left) <= reach or self.gaining:
            # A step is no speed.
            self._target_speed += newest * (max(-rad_s, min(rad_s, moved)) - self._target_speed)
        if abs(left) > reach:
            rests = abs(self._speed) < _RESTS * rad_s
            back = self._speed * left < 0.0
            self.gaining |= rests or back or abs(left) > reach + abs(self._speed) * _LATE_S
        self._least, self._most = min(self._least, target), max(self._most, target)
        if not self.gaining or math.isinf(rad_s2):
            step = max(-reach, min(reach, left))
            self._speed += newest * (step / dt_s - self._speed)
            self.gaining = False
            return goal + step, step == left
        change = rad_s2 * dt_s
        meets = left / dt_s
        if max(abs(meets - self._speed), abs(meets - self._target_speed)) <= change:
            self.gaining, self._speed = False, left / dt_s
            return target, True
        # As fast towards it as it can still be slowed down to the target's own speed.
        nearing = math.sqrt(change * change + 2.0 * rad_s2 * abs(left)) - change
        wanted = self._target_speed + math.copysign(nearing, left)
        wanted = max(-rad_s, min(rad_s, wanted))
        self._speed += max(-change, min(change, wanted - self._speed))
        if self._speed * dt_s * math.copysign(1.0, left) >= abs(left):
            # It would go beyond: the commands slowed down meanwhile.
            self.gaining, self._speed = False, left / dt_s
            return target, True
        led = max(self._least, min(self._most, goal + self._speed * dt_s))
        if led != goal + self._speed * dt_s:
            # They stepped back while it was at its fastest: it stops where they have been.
            self._speed = 0.0
        return led, False
