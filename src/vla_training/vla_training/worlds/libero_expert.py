# SPDX-License-Identifier: Apache-2.0
"""Our expert for LIBERO's tasks with a basket: picks up the named thing and lets it fall in there.

As the teacher of the tabletop it is a function of the situation and remembers nothing, so it can
be asked wherever somebody else has brought the arm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_training.worlds.interface import Array

OPEN, CLOSE = -1.0, 1.0
_STEP_M, _STEP_RAD = 0.05, 0.5  # of an action of 1
_GAIN = 0.8  # of the way that is left, a step
_OVER = 0.11  # m over the top of the thing, where the hand comes from
_CARRY = 0.26  # m over the floor, at which a held thing is carried
_NEAR = 0.012  # m beside the thing, within which the hand may be down
_FUNNEL = 0.03  # m beside, within which it comes down
_DOWN = 0.012  # m of height, within which the fingers close
_FINGERS = 0.030  # m from the top of a thing to where it is held; the palm is 45 mm up
_LEAST = 0.012  # m over the floor, of the fingertips' middle
_OVER_BASKET = 0.03  # m beside its middle, within which the thing is let go
_FULL = 0.075  # m of opening: fingers that have not begun to close
_STILL = 0.02  # m/s of the fingers
_HELD = 0.06  # m from the thing's middle to the hand
_ALIKE = 0.003  # m, of widths between which the hand does not choose
_TURNED = 0.12  # rad from how the hand shall be turned, within which it comes down


@dataclass(frozen=True, eq=False)
class Situation:
    """Where everything is.

    Attributes:
        hand: Pose of the point between the fingers (4, 4), m.
        opening: Between the fingers, m.
        closing: Speed of the faster finger, m/s.
        touched: Both fingers touch the thing.
        place: Of the thing (3,), m.
        frame: Its rotation (3, 3).
        basket: Its position (3,), m.
    """

    hand: Array
    opening: float
    closing: float
    touched: bool
    place: Array
    frame: Array
    basket: Array


class BasketExpert:
    """Shows what to do in a situation."""

    def __init__(self, outline: Array, floor: float) -> None:
        """Know the thing.

        Args:
            outline: Points around the thing in its own frame (N, 3), m.
            floor: Height of what it stands on, m.
        """
        self._outline, self._floor = outline, floor

    def act(self, now: Situation) -> Array:
        """Return the action (7,)."""
        at = now.hand[:3, 3]
        points = now.frame @ self._outline.T
        points = points.T + now.place
        middle, top = 0.5 * (points.min(0) + points.max(0)), float(points[:, 2].max())
        over = middle[:2] - now.basket[:2]
        if float(np.hypot(*over)) < 2.5 * _OVER_BASKET and not now.touched:
            # It falls, or lies in the basket.
            return self._to(now, np.append(at[:2], self._floor + _CARRY), OPEN, None)
        if self._holds(now, middle):
            return self._carry(now, at, middle)
        return self._fetch(now, at, middle, top, points)

    def _holds(self, now: Situation, middle: Array) -> bool:
        near = float(np.linalg.norm(middle[:2] - now.hand[:2, 3])) < _HELD
        return now.touched and near and now.opening < _FULL and now.closing < _STILL

    def _carry(self, now: Situation, at: Array, middle: Array) -> Array:
        away = now.basket[:2] - middle[:2]
        high = self._floor + _CARRY
        if float(np.hypot(*away)) < _OVER_BASKET:
            return self._to(now, at, OPEN, None)
        # Up first: things stand around.
        aside = at[:2] + (away if at[2] > high - 0.05 else 0.0)
        return self._to(now, np.append(aside, high), CLOSE, None)

    def _fetch(self, now: Situation, at: Array, middle: Array, top: float, points: Array) -> Array:
        grip = max(self._floor + _LEAST, top - _FINGERS)
        beside = float(np.hypot(*(middle[:2] - at[:2])))
        turn = self._turn(now, points)
        ready = beside < _NEAR and abs(turn) < _TURNED
        closing = now.opening < _FULL and beside < _FUNNEL and abs(at[2] - grip) < 2.0 * _DOWN
        if (ready and abs(at[2] - grip) < _DOWN) or closing:
            return self._to(now, np.append(middle[:2], grip), CLOSE, turn)
        down = grip if ready else grip + (_OVER + top - grip) * min(1.0, beside / _FUNNEL)
        if not ready and beside < _FUNNEL and abs(turn) >= _TURNED:
            down = top + 0.5 * _OVER
        if beside >= _FUNNEL and at[2] < top + 0.5 * _OVER:
            # Up before it goes across.
            return self._to(now, np.append(at[:2], top + _OVER), OPEN, turn)
        return self._to(now, np.append(middle[:2], down), OPEN, turn)

    def _turn(self, now: Situation, points: Array) -> float:
        """Return by how much to turn the hand about the vertical, rad, to hold the thin side."""
        fingers = now.hand[:2, 0]  # along which they move
        bearing = float(np.arctan2(fingers[1], fingers[0]))
        angles = np.radians(np.arange(-90.0, 90.0, 2.0))
        ways = np.column_stack([np.cos(bearing + angles), np.sin(bearing + angles)])
        across = points[:, :2] @ ways.T
        widths = across.max(0) - across.min(0)
        # A can is round: of the angles that are as good, the one that turns least.
        fitting = np.flatnonzero(widths < widths.min() + _ALIKE)
        return float(angles[fitting[np.argmin(np.abs(angles[fitting]))]])

    def _to(self, now: Situation, target: Array, gripper: float, turn: float | None) -> Array:
        """Return the action towards a place, with the hand straight down and turned by `turn`."""
        way = _GAIN * (target - now.hand[:3, 3]) / _STEP_M
        # Along a straight line where it cannot go as fast as that.
        way /= max(1.0, float(np.abs(way).max()))
        down = np.cross(now.hand[:3, 2], [0.0, 0.0, -1.0])  # upright again, as a rotation vector
        spin = down + np.array([0.0, 0.0, 0.0 if turn is None else turn])
        return np.concatenate([way, np.clip(_GAIN * spin / _STEP_RAD, -1.0, 1.0), [gripper]])
