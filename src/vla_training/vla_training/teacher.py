# SPDX-License-Identifier: Apache-2.0
"""The teacher of the tabletop: puts one cube into the bin, knowing where everything is.

What it does is a function of where the arm and the cubes are, and of nothing before. So it can be
asked anywhere a student has come to, also where no teacher would have gone, and two answers to the
same situation are the same. It shares its way of moving with the classical policy `color_pick`,
which sees with a camera and remembers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_policies.color_pick.motion import HandGoal, pace, path
from vla_policies.color_pick.policy import (
    BESIDE_HEIGHT,
    CARRY_HEIGHT,
    DOWN,
    GRASP_HEIGHT,
    GRASP_POINT,
    GRIPPER_CLOSED,
    GRIPPER_OPEN,
    RELEASE_HEIGHT,
    TRAVEL_HEIGHT,
)
from vla_policies.kinematics import PAN_X, HandKinematics, link_poses

Array = NDArray[np.float64]

STEP_S = 1.0 / 30.0  # of the flow that is followed
_MOVING = 100.0  # rad/s: the arm is under way, so a chunk does not ramp up

# What the hand aims with: nearer the jaw that moves. Aimed with the grasp point itself, the jaw
# that does not move comes down 5 mm beside a cube, and a student sees to a few millimetres.
AIM_POINT = (GRASP_POINT[0] + 0.006, *GRASP_POINT[1:])
_BESIDE = 0.006  # m, how far beside a cube the open jaws may come down
_OVER_CUBE = 0.030  # m from the cube, within which the hand comes down
_TURN_WITHIN = 0.05  # m: there the hand's camera shows how a cube is turned, so a student can tell
# A finger that came down on the cube, for a student sees it a little beside where it is: it goes
# up first, and comes down again. And slowly: what a chunk says of its first 0.3 s is past when the
# arm follows it, and the arm is not to be stopped dead by what it touches.
_OFF_FIRST = (0.006, 0.002)  # m under the height to keep
_UP_M_S = 0.07
_SLOWING = 0.15  # m/s^2, of the way along the table
_OVER_BIN = 0.035  # m, likewise
# With a cube in the hand it goes up first, for it may lie beside the bin: an arm that follows cuts
# corners, and a cube that meets the wall is a blow.
_UP_FIRST = (0.010, 0.002)  # m under the height to keep
# Jaws that are not round the cube yet close slowly: one pushes it against the other.
_CLOSING_RAD_S, _ROUND_IT = 0.8, 0.25  # rad/s; rad of jaws that hold a cube, and a little more
# Wide: what a student sees is off by a few millimetres, each time by others, and its arm is 0.4 s
# behind its pictures. Where "close" and "not yet" lie so near one another, it says now this and
# now that, and goes up with jaws half closed.
_AROUND = (0.011, 0.012, 0.20)  # m along the table, m of height, rad: the jaws may close
_CLOSING = (0.020, 0.020, 0.50)  # within which jaws that are closing go on
_HELD = 0.018  # m between the cube's centre and the grasp point, with a cube in the hand
_HELD_OPENING = (0.10, 0.32)  # rad of jaws around a cube
_OPEN_ENOUGH = 0.45  # rad
# Each cube has a place of its own in the bin, from its centre, m: a student knows it by the words.
# Which place is free it cannot tell where its hand hides the bin from its camera: it waited over
# the bin; and with one place for all, the third cube fell off the first two.
BIN_PLACES = ((-0.023, -0.018), (0.023, -0.018), (0.0, 0.023))
_RELEASED = (0.012, 0.010)  # m along the table and of height from there
_ROLL_MOST = 1.4  # rad


@dataclass(frozen=True, eq=False)
class TableLayout:
    """What does not move.

    Attributes:
        bin_centre: (2,) in base_link, m.
        bin_side: Its inner side, m.
        cube_side: m.
        home: Where the arm and the gripper wait (6,), rad.
    """

    bin_centre: Array
    bin_side: float
    cube_side: float
    home: Array


@dataclass(frozen=True, eq=False)
class Situation:
    """Where everything is.

    Attributes:
        joints: Of the arm and the gripper (6,), rad.
        cubes: Their centres (N, 3) in base_link, m.
        rotations: Their rotations (N, 3, 3).
        target: Which of them is to go into the bin.
    """

    joints: Array
    cubes: Array
    rotations: Array
    target: int


@dataclass(frozen=True, eq=False)
class Lesson:
    """What the teacher would do, and why.

    Attributes:
        chunk: Targets (T, 6), rad; row i is for i * dt_s after the situation.
        phase: Of ``fetch``, ``close``, ``carry``, ``release``, ``home``.
        away: From the hand to the named cube (4,): rad of bearing, m of radius, m of height and
            rad of roll until the jaws are around it.
    """

    chunk: Array
    phase: str
    away: Array


PHASES = ("fetch", "close", "carry", "release", "home")


class Teacher:
    """Shows what to do in a situation."""

    def __init__(self, table: TableLayout, *, rows: int, dt_s: float) -> None:
        """Know the table.

        Args:
            table: What does not move.
            rows: T, of a chunk.
            dt_s: Time between two rows, s: a multiple of `STEP_S`.
        """
        self._table = table
        self._every = max(1, round(dt_s / STEP_S))
        self._rows = rows
        self._hand = HandKinematics(AIM_POINT)
        home = _place(self._hand.coordinates(table.home[:5]))
        self._home = HandGoal(home, ((0.02, home[2]), (0.04, max(home[2], CARRY_HEIGHT))))

    def show(self, now: Situation) -> Lesson:
        """Return what to do from here."""
        joints, opening = now.joints[:5], float(now.joints[5])
        here = self._hand.coordinates(joints)
        cube = now.cubes[now.target]
        around = self._around(cube, now.rotations[now.target], float(here[4]))
        phase, goal, gripper = self._decide(now, here, opening, around)
        if goal is None:
            arm = np.repeat(joints[None], self._rows, axis=0)
        else:
            steps = self._rows * self._every
            way = path(self._hand, joints, goal, steps + steps // 2, STEP_S)
            arm = pace(way, STEP_S, _MOVING)[: steps : self._every]
        chunk = np.column_stack([arm, self._jaws(opening, gripper)])
        away = np.array(around.place) - here
        away[0] = _wrap(away[0])
        return Lesson(chunk, phase, away[[0, 1, 2, 4]])

    def _jaws(self, opening: float, target: float) -> Array:
        """Return where the jaws are to be in each row of a chunk, rad."""
        if target != GRIPPER_CLOSED:
            return np.full(self._rows, target)
        times = np.arange(self._rows) * self._every * STEP_S
        slowly = opening - _CLOSING_RAD_S * times
        return np.where(slowly > _ROUND_IT, slowly, target)

    def holds(self, now: Situation) -> bool:
        """Whether the jaws are around the named cube."""
        low, high = _HELD_OPENING
        if not low < now.joints[5] < high:
            return False
        gripper = link_poses(now.joints[:5])[-1]
        point = gripper[:3, :3] @ np.array(GRASP_POINT) + gripper[:3, 3]
        return float(np.linalg.norm(now.cubes[now.target] - point)) < _HELD

    def _decide(
        self, now: Situation, here: Array, opening: float, around: HandGoal
    ) -> tuple[str, HandGoal | None, float]:
        """Return the phase, where to go (None: nowhere) and what the gripper is to do, rad."""
        in_bin = self._in_bin(now.cubes[now.target])
        if self.holds(now):
            over_bin = self._over_bin(now, here)
            along, up, _ = over_bin.distance(here)
            if along < _RELEASED[0] and up < _RELEASED[1]:
                return "release", over_bin, GRIPPER_OPEN
            if not (in_bin and opening > _HELD_OPENING[1] - 0.06):
                return "carry", over_bin, GRIPPER_CLOSED
        if in_bin:
            high = here[2] > CARRY_HEIGHT - 0.015
            gripper = float(self._table.home[5]) if high else GRIPPER_OPEN
            return "home", self._home, gripper
        along, up, turn = around.distance(here)
        closing = opening < GRIPPER_OPEN - 0.06 and opening > _HELD_OPENING[0]
        near = _CLOSING if closing else _AROUND
        ready = closing or opening > _OPEN_ENOUGH
        if ready and along < near[0] and up < near[1] and turn < near[2]:
            return "close", None, GRIPPER_CLOSED
        low = along < _OVER_CUBE and here[2] < TRAVEL_HEIGHT - 0.005
        if opening < _OPEN_ENOUGH and not (low and opening > 0.3):
            waiting = (*around.place[:2], TRAVEL_HEIGHT, *around.place[3:])
            above = HandGoal(_place(waiting), ((0.0, TRAVEL_HEIGHT),), _TURN_WITHIN)
            return "fetch", above, GRIPPER_OPEN
        return "fetch", around, GRIPPER_OPEN

    def _around(self, cube: Array, rotation: Array, rolled: float) -> HandGoal:
        """Return the goal with the open jaws around a cube, rolled to fit its sides."""
        bearing, radius = _polar(cube)
        straight = (bearing, radius, GRASP_HEIGHT, DOWN, 0.0)
        joints, _ = self._hand.joints(np.array(straight))
        roll = _yaw(rotation) - float(self._hand.jaw_yaw(joints))
        # A cube looks the same after a quarter turn: the one nearest to where the hand is rolled.
        quarter = 0.5 * math.pi
        near = max(-0.25 * math.pi, min(0.25 * math.pi, 0.5 * rolled))
        roll = (roll - near + 0.5 * quarter) % quarter - 0.5 * quarter + near
        roll = max(-_ROLL_MOST, min(_ROLL_MOST, roll))
        beside, over = (_BESIDE, BESIDE_HEIGHT), (_OVER_CUBE, TRAVEL_HEIGHT)
        funnel = ((0.5 * _BESIDE, GRASP_HEIGHT), beside, over)
        return HandGoal((*straight[:4], roll), funnel, _TURN_WITHIN, _OFF_FIRST, _UP_M_S, _SLOWING)

    def _over_bin(self, now: Situation, here: Array) -> HandGoal:
        """Return the goal with the held cube over its place in the bin.

        Args:
            now: Where everything is.
            here: Hand coordinates (5,).
        """
        bearing, radius = _polar(self._table.bin_centre + BIN_PLACES[now.target % len(BIN_PLACES)])
        # It is the cube that is to be there: the hand holds it a little beside its own point.
        cube = _polar(now.cubes[now.target])
        beside = (bearing - _wrap(cube[0] - here[0]), radius - (cube[1] - here[1]))
        funnel = ((0.008, RELEASE_HEIGHT), (_OVER_BIN, CARRY_HEIGHT))
        return HandGoal((*beside, RELEASE_HEIGHT, DOWN, 0.0), funnel, sideways=_UP_FIRST)

    def _in_bin(self, cube: Array) -> bool:
        away = np.abs(cube[:2] - self._table.bin_centre)
        low = float(cube[2]) < CARRY_HEIGHT - 0.5 * self._table.cube_side
        return bool(np.max(away) < 0.5 * self._table.bin_side) and low


def _yaw(rotation: Array) -> float:
    """Return how a cube (3, 3) is turned about the vertical, rad, up to quarter turns."""
    # Whichever side it lies on: of its axes, the most level one.
    level = int(np.argmin(np.abs(rotation[2])))
    return math.atan2(float(rotation[1, level]), float(rotation[0, level]))


def _polar(place: Array) -> tuple[float, float]:
    """Return bearing, rad, and radius, m, about the arm's first axis."""
    x, y = float(place[0]) - PAN_X, float(place[1])
    return math.atan2(y, x), math.hypot(x, y)


def _wrap(angle: float) -> float:
    return (angle + math.pi) % (2.0 * math.pi) - math.pi


def _place(values: object) -> tuple[float, float, float, float, float]:
    bearing, radius, height, pitch, roll = (float(value) for value in np.asarray(values))
    return bearing, radius, height, pitch, roll
