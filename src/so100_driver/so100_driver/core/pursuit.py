# SPDX-License-Identifier: Apache-2.0
"""How a goal follows what is commanded: at once, or where that is too far, as a joint may move.

A command that a controller sends in time lies within a cycle's reach, and is the goal. After a gap
in the commands, or where one steps, the goal gains on it within bounds of velocity and
acceleration, and comes to rest where it comes to rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Of the speeds seen up to now, in each cycle: commands and cycles do not alternate exactly.
_NEWEST = 0.3


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
        self._target_speed += _NEWEST * (max(-rad_s, min(rad_s, moved)) - self._target_speed)
        self.gaining |= abs(left) > rad_s * dt_s
        self.gaining &= not (math.isinf(rad_s2) and abs(left) <= rad_s * dt_s)
        if not self.gaining:
            self._speed += _NEWEST * (left / dt_s - self._speed)
            return target, True
        change = rad_s2 * dt_s
        if math.isinf(change):
            self._speed = math.copysign(rad_s, left)
            return goal + self._speed * dt_s, False
        if abs(left / dt_s - self._speed) <= change and abs(left) <= rad_s * dt_s:
            self.gaining, self._speed = False, left / dt_s
            return target, True
        # As fast towards it as it can still be slowed down to the target's own speed.
        nearing = math.sqrt(change * change + 2.0 * rad_s2 * abs(left)) - change
        wanted = self._target_speed + math.copysign(nearing, left)
        wanted = max(-rad_s, min(rad_s, wanted))
        self._speed += max(-change, min(change, wanted - self._speed))
        return goal + self._speed * dt_s, False
