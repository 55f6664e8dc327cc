# SPDX-License-Identifier: Apache-2.0
"""From where the hand is to where it should be: a flow over hand coordinates.

Where the hand goes, and how fast, depends on where it is alone, not on how it came there. So what
is planned a quarter of a second later, from where the arm is then, continues the chunk before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_policies.color_pick.arm import PickHand

Array = NDArray[np.float64]

# Top speed and deceleration: along the table and up, m/s and m/s^2; turning, rad/s and rad/s^2.
_ALONG = (0.25, 0.6)
_UP = (0.14, 0.5)
_TURN = (1.0, 3.0)
_SOFTNESS = 0.005  # of the way's unit, over which the approach of a goal turns exponential
JOINT_SPEED = 1.1  # rad/s, what a chunk asks of a joint at most
_RAMP_S = 0.9  # s, in which the arm takes up speed
_MISALIGNMENT = 0.02  # m of distance that a radian of roll or pitch counts as
_GATE = (0.025, 0.010)  # m under the travel height: no sideways motion, full sideways motion


@dataclass(frozen=True)
class HandGoal:
    """Where the hand should be, and how to come near.

    Attributes:
        place: Hand coordinates (5,): bearing, radius, height, pitch, roll; see `PickHand`.
        funnel: Pairs of horizontal distance from the goal, rising, and height to keep there, m.
            Within the first distance it is the goal's; beyond the last distance, the last height.
        turn_within_m: Horizontal distance from the goal within which the hand takes on its roll;
            farther off it keeps the one that it has.
        sideways: How far under the height to keep the hand may be, m: no sideways motion, full
            sideways motion. Small: it goes up first, off what it has come down on.
        up_m_s: Highest speed up and down, m/s.
        slowing_m_s2: Deceleration towards the goal along the table, m/s^2.
    """

    place: tuple[float, float, float, float, float]
    funnel: tuple[tuple[float, float], ...]
    turn_within_m: float = math.inf
    sideways: tuple[float, float] = _GATE
    up_m_s: float = _UP[0]
    slowing_m_s2: float = _ALONG[1]

    def floor(self, astray: float) -> float:
        """Return the height, m, to keep at a horizontal distance from the goal, m."""
        distances, heights = zip(*self.funnel, strict=True)
        return float(np.interp(astray, distances, heights))

    def distance(self, here: Array) -> tuple[float, float, float]:
        """Return how far `here` (5,) is: m along the table, m of height, rad of turning."""
        bearing = _wrap(self.place[0] - here[0])
        along = math.hypot(bearing * 0.5 * (here[1] + self.place[1]), self.place[1] - here[1])
        turn = max(abs(self.place[3] - here[3]), abs(self.place[4] - here[4]))
        return along, abs(self.place[2] - here[2]), turn


def path(hand: PickHand, joints: Array, goal: HandGoal, rows: int, dt_s: float) -> Array:
    """Follow the flow from `joints` (J,), rad.

    Returns:
        Joints (rows, J), rad, `dt_s` apart, the first row where the arm is.
    """
    here = [float(value) for value in hand.coordinates(joints)]
    places = [list(here)]
    for _ in range(rows - 1):
        velocity = _flow(here, goal, dt_s)
        here = [value + rate * dt_s for value, rate in zip(here, velocity, strict=True)]
        places.append(list(here))
    reachable, _ = hand.joints(np.array(places), joints)
    reachable[0] = joints
    return reachable


def pace(way: Array, dt_s: float, speed_rad_s: float) -> Array:
    """Retime a way (T, J) so that no joint is faster than `JOINT_SPEED` and it starts gently.

    Args:
        way: Joints, rad, `dt_s` apart.
        dt_s: s.
        speed_rad_s: How fast the arm moves already along the way, rad/s of its fastest joint.

    Returns:
        Joints (T, J), rad, `dt_s` apart; the first row is the same.
    """
    steps = np.max(np.abs(np.diff(way, axis=0)), axis=1)
    durations = np.maximum(dt_s, steps / JOINT_SPEED)
    knots = np.concatenate([[0.0], np.cumsum(durations)])
    first_speed = steps[0] / durations[0]
    begin = min(1.0, speed_rad_s / first_speed) if first_speed > 0.0 else 1.0
    times = dt_s * np.arange(len(way))
    # A chunk that begins half way up the ramp goes on from there, as the one before would have.
    passed = 0.5 - math.sin(math.asin(1.0 - 2.0 * begin) / 3.0)
    rise = np.minimum(1.0, passed + (times + 0.5 * dt_s) / _RAMP_S)
    rate = rise * rise * (3.0 - 2.0 * rise)
    progress = np.concatenate([[0.0], np.cumsum(rate[:-1] * dt_s)])
    return np.column_stack([np.interp(progress, knots, column) for column in way.T])


def _flow(here: list[float], goal: HandGoal, dt_s: float) -> tuple[float, ...]:
    """Return the rate of change of the hand coordinates."""
    bearing, radius, height, pitch, roll = here
    to_bearing = _wrap(goal.place[0] - bearing)
    to_radius = goal.place[1] - radius
    mean_radius = max(0.05, 0.5 * (radius + goal.place[1]))
    along = math.hypot(to_bearing * mean_radius, to_radius)
    to_pitch = goal.place[3] - pitch
    to_roll = goal.place[4] - roll if along < goal.turn_within_m else 0.0

    astray = along + _MISALIGNMENT * (abs(to_roll) + abs(to_pitch))
    floor = goal.floor(astray)
    closed, full = floor - goal.sideways[0], floor - goal.sideways[1]
    gate = min(1.0, max(0.0, (height - closed) / (full - closed)))
    limit = (_ALONG[0], goal.slowing_m_s2)
    share = gate * _speed(along, limit, dt_s) / along if along > 0.0 else 0.0
    return (
        share * to_bearing,
        share * to_radius,
        _towards(floor - height, (goal.up_m_s, _UP[1]), dt_s),
        _towards(to_pitch, _TURN, dt_s),
        _towards(to_roll, _TURN, dt_s),
    )


def _speed(distance: float, limit: tuple[float, float], dt_s: float) -> float:
    """Return the speed at which to near something: steady, then falling, at last exponential."""
    top, deceleration = limit
    soft = 2.0 * deceleration * _SOFTNESS
    speed = math.sqrt(2.0 * deceleration * distance + soft) - math.sqrt(soft)
    return min(top, speed, distance / dt_s)


def _towards(difference: float, limit: tuple[float, float], dt_s: float) -> float:
    return math.copysign(_speed(abs(difference), limit, dt_s), difference)


def _wrap(angle: float) -> float:
    return (angle + math.pi) % (2.0 * math.pi) - math.pi
