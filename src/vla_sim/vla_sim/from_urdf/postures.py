# SPDX-License-Identifier: Apache-2.0
"""Postures in which an arm touches neither the table nor itself: where it waits and where to."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_sim.from_urdf.description import DescriptionError
from vla_sim.world import World

Array = NDArray[np.float64]

GOALS = 6
_CLEAR_M = 0.02  # that shapes are apart, at least
_TIP_M = 0.08  # m that the tip is above the table
_SAMPLES, _TRIES = 400, 4000
_OFTEN = 0.5  # share of postures in which two parts touch that are neighbours, not a collision
_ON_THE_WAY = 15  # postures that are looked at between two goals
_WIDTH = (0.6, 0.25)  # rad and share of its range, by which a goal is off home at most
_GRIPPER = (0.2, 0.8)  # share of its range, in turn


class Clearance:
    """Tells whether an arm is clear of the table and of itself."""

    def __init__(self, world: World, lower: Array, upper: Array) -> None:
        """Find out which parts always touch; `lower` and `upper` are those of the arm (J,)."""
        self._arm = world.arm_addresses()
        self._model = world.self_touching_model()
        self._model.geom_margin[:] = 0.5 * _CLEAR_M
        self._data = mujoco.MjData(self._model)
        self._tip = self._model.site("tip").id
        self._neighbours: set[tuple[int, int]] = set()
        self.lower, self.upper = lower, upper
        rng = np.random.default_rng(0)
        seen: dict[tuple[int, int], int] = {}
        for _ in range(_SAMPLES):
            for pair in self.touching(rng.uniform(lower, upper)):
                seen[pair] = seen.get(pair, 0) + 1
        self._neighbours = {pair for pair, count in seen.items() if count > _OFTEN * _SAMPLES}

    def touching(self, arm: Array) -> set[tuple[int, int]]:
        """Return the pairs of bodies that are too near each other, with the arm at (J,)."""
        self._place(arm)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_collision(self._model, self._data)
        body = self._model.geom_bodyid
        found = set()
        for first, second in self._data.contact.geom[: self._data.ncon]:
            one, other = sorted((int(body[first]), int(body[second])))
            found.add((one, other))
        return found - self._neighbours

    def clear(self, arm: Array) -> bool:
        """Return whether nothing touches and the tip is well above the table."""
        self._place(arm)
        return float(self._data.site_xpos[self._tip, 2]) > _TIP_M and not self.touching(arm)

    def _place(self, arm: Array) -> None:
        self._data.qpos[:] = self._model.qpos0
        self._data.qpos[self._arm] = arm
        mujoco.mj_kinematics(self._model, self._data)


def find_home(clearance: Clearance) -> Array:
    """Return the posture (J,) nearest to the middle of the ranges that is clear, and 0 if it is.

    Raises:
        DescriptionError: There is none.
    """
    lower, upper = clearance.lower, clearance.upper
    middle = np.clip(0.0, lower + 0.1 * (upper - lower), upper - 0.1 * (upper - lower))
    rng = np.random.default_rng(1)
    best, best_cost = None, np.inf
    for trial in range(_TRIES):
        width = min(1.0, 0.2 + trial / _TRIES)
        # The elbow bent a little: a stretched arm cannot move its tip outwards.
        posture = middle + rng.uniform(-0.5, 0.5, len(lower)) * width * np.minimum(
            upper - lower, np.pi
        )
        posture = np.clip(posture, lower, upper)
        cost = float(np.sum(((posture - middle) / (upper - lower)) ** 2))
        if cost < best_cost and clearance.clear(posture):
            best, best_cost = posture, cost
        if best is not None and trial > 300:
            break
    if best is None:
        raise DescriptionError(
            "no posture was found in which the arm touches neither the table nor itself: is its "
            "base below the table's top, z = 0?"
        )
    return _rounded(best, lower, upper)


def find_goals(clearance: Clearance, home: Array, gripper: tuple[float, float]) -> Array:
    """Return postures (N, J + 1) around home, clear as the straight ways between them are."""
    rng = np.random.default_rng(2)
    lower, upper = clearance.lower, clearance.upper
    width = np.minimum(_WIDTH[0], _WIDTH[1] * (upper - lower))
    goals = [home]
    for trial in range(_TRIES):
        if len(goals) > GOALS:
            break
        # Nearer where the far ones do not do.
        nearer = 1.0 - 0.9 * trial / _TRIES
        goal = np.clip(home + nearer * rng.uniform(-width, width), lower, upper)
        way = np.linspace(goals[-1], goal, _ON_THE_WAY)
        back = np.linspace(goal, home, _ON_THE_WAY)
        if all(map(clearance.clear, way)) and all(map(clearance.clear, back)):
            goals.append(_rounded(goal, lower, upper))
    low, high = gripper
    shares = [_GRIPPER[row % 2] for row in range(len(goals))]
    hands = np.clip([round(low + share * (high - low), 4) for share in shares], low, high)
    rows = np.column_stack([np.array(goals), hands])
    return np.vstack([rows[1:], rows[:1]])


def _rounded(posture: Array, lower: Array, upper: Array) -> Array:
    """Return a posture as people write one, within its limits still."""
    return np.clip(np.round(posture, 3), lower, upper)
