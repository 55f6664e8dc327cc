# SPDX-License-Identifier: Apache-2.0
"""Joints that are moved for as long as a button is held, as chunks.

A chunk tells what comes, and a plan takes over from the running one only a little later. So what
is pressed counts from then on, and goes on for no longer than a moment: a page that is lost, or
whose connection hangs, has let go. Nothing that was said of the near future is taken back, or the
arm would go back too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# From sending a chunk to where its plan takes over.
LEAD_S = 0.3
# For so long a press counts without another one.
HELD_S = 0.3
ROW_S = 0.05
LENGTH_S = 1.5
# How much of the past is kept: a chunk begins now, and what counts begins later.
_KEPT_S = 2.0


@dataclass(frozen=True)
class _Leg:
    """From a time on at a speed, then at rest."""

    start_s: float
    end_s: float
    position: FloatArray
    velocity: FloatArray

    def at(self, t_s: float) -> FloatArray:
        """Return the positions at a time not before the start."""
        return self.position + self.velocity * (min(t_s, self.end_s) - self.start_s)


class Jog:
    """Where joints are asked to be, by what is pressed. Times are ROS time, s."""

    def __init__(self, lower: FloatArray, upper: FloatArray, speed: FloatArray) -> None:
        """Begin without an arm.

        Args:
            lower: Where the joints may be sent, least, (J,), rad.
            upper: And most.
            speed: Of each at full rate, (J,), rad/s.
        """
        self._lower, self._upper, self._speed = lower, upper, speed
        self._least, self._most = lower, upper
        self._legs: deque[_Leg] = deque()

    def begin(self, led: FloatArray, now_s: float) -> None:
        """Begin at rest.

        Args:
            led: Where the joints will be led `LEAD_S` from now, (J,), rad.
            now_s: Now.
        """
        rest = np.zeros(len(self._speed))
        # Outside of its range an arm may stay, and come back.
        self._least, self._most = np.minimum(self._lower, led), np.maximum(self._upper, led)
        self._legs = deque([_Leg(now_s, now_s, np.array(led, dtype=np.float64), rest)])

    def press(self, rates: Sequence[float], now_s: float) -> bool:
        """Take in what is pressed.

        Args:
            rates: Of each joint, shares of its speed from -1 to 1, (J,).
            now_s: Now.

        Returns:
            Whether it could be used.
        """
        given = np.asarray(rates, dtype=np.float64)
        if not self._legs or given.shape != self._speed.shape or not (np.abs(given) <= 1.0).all():
            return False
        start_s = now_s + LEAD_S
        newest = self._legs[-1]
        if start_s < newest.start_s:  # time was set back; all begins anew where it was
            self.begin(newest.position, now_s)
            newest = self._legs[-1]
        position = self._within(newest.at(start_s))
        self._legs.append(_Leg(start_s, start_s + HELD_S, position, given * self._speed))
        while len(self._legs) > 1 and self._legs[1].start_s < now_s - _KEPT_S:
            self._legs.popleft()
        return True

    def rows(self, now_s: float) -> FloatArray:
        """Return the chunk of now, (T, J), rad: its row i is for `now_s + i * ROW_S`."""
        times_s = now_s + ROW_S * np.arange(round(LENGTH_S / ROW_S), dtype=np.float64)
        return np.array([self._at(float(t_s)) for t_s in times_s])

    def _at(self, t_s: float) -> FloatArray:
        leg = self._legs[0]
        for each in self._legs:
            if each.start_s <= t_s:
                leg = each
        return self._within(leg.at(max(t_s, leg.start_s)))

    def _within(self, position: FloatArray) -> FloatArray:
        return np.asarray(np.clip(position, self._least, self._most))
