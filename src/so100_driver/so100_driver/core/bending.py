# SPDX-License-Identifier: Apache-2.0
"""How far from its goal each joint stands, and by how much the goal is moved for that.

Three things keep a link from where it is sent: its own weight bends the servo (a model says by how
much), it hangs at one side of the gears' play (behind the encoder, so nothing measures that), and
dry friction stops the servo short of its goal (what is left at rest is seen, and taken away
slowly, once and in one direction, so that nothing hunts).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from .description import gravity_nm
from .registers import RAD_PER_TICK

# A weight of less does not hold a link at one side of its play for certain.
_HANGS_NM = 0.1
# What is commanded has been the same for so long, before what is left is taken away.
_RESTS_S = 0.3
_RAD_S = 0.02
_SAME_RAD = 1e-4


class Bending:
    """Keeps what the goals are moved by. Angles in rad."""

    def __init__(self, sag_rad_nm: float, play_rad: float, trim_rad: float) -> None:
        """Begin without anything seen.

        Args:
            sag_rad_nm: How far a servo gives way under a torque, rad/(N m).
            play_rad: Free play behind an encoder, +-rad.
            trim_rad: How far a goal is moved at the most for what is left at rest.
        """
        self._sag_rad_nm, self._play_rad, self._trim_rad = sag_rad_nm, play_rad, trim_rad
        self._trims: dict[str, float] = {}
        self._targets: dict[str, float] = {}
        self._rested_s: dict[str, float] = {}
        # The direction in which what is left is taken away; 0 once that is done.
        self._senses: dict[str, float] = {}

    def bends(self, led_rad: Mapping[str, float]) -> dict[str, float]:
        """Return by how much less than its link each servo is to be led, where joints are led."""
        bends = {name: -trim for name, trim in self._trims.items()}
        if self._sag_rad_nm or self._play_rad:
            for name, torque in gravity_nm(led_rad).items():
                bend = torque * self._sag_rad_nm + self._play(torque)
                bends[name] = bends.get(name, 0.0) + bend
        return bends

    def look(
        self, target_rad: Mapping[str, float], seen_rad: Mapping[str, float], dt_s: float
    ) -> None:
        """Take away a little of what is left, of joints that rest.

        Args:
            target_rad: What is commanded.
            seen_rad: Where the encoders of joints that stand still are.
            dt_s: Since the last look.
        """
        if not self._trim_rad:
            return
        plays = {
            name: self._play(torque) if self._play_rad else 0.0
            for name, torque in gravity_nm(target_rad).items()
        }
        for name, target in target_rad.items():
            if not (abs(target - self._targets.get(name, math.inf)) <= _SAME_RAD):
                self._targets[name], self._rested_s[name] = target, 0.0
                self._senses.pop(name, None)
                continue
            self._rested_s[name] += dt_s
            if self._rested_s[name] < _RESTS_S or name not in seen_rad:
                continue
            left = target - plays.get(name, 0.0) - seen_rad[name]
            sense = self._senses.setdefault(name, math.copysign(1.0, left))
            if left * sense <= RAD_PER_TICK:
                self._senses[name] = 0.0
                continue
            trim = self._trims.get(name, 0.0) + sense * _RAD_S * dt_s
            self._trims[name] = max(-self._trim_rad, min(self._trim_rad, trim))

    def _play(self, torque_nm: float) -> float:
        return self._play_rad * max(-1.0, min(1.0, torque_nm / _HANGS_NM))
