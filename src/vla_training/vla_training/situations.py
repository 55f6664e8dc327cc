# SPDX-License-Identifier: Apache-2.0
"""Situations that nobody had to come to: a scene, the hand anywhere in it, and a look.

What follows from one another in a demonstration looks much alike; these are all different, and
cost no physics. They teach a model to see. What is right in them the teacher knows too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_policies.color_pick.policy import (
    DOWN,
    GRASP_HEIGHT,
    GRASP_POINT,
    GRIPPER_CLOSED,
    GRIPPER_OPEN,
)
from vla_policies.kinematics import LOWER, PAN_X, UPPER, HandKinematics, link_poses
from vla_sim.world import CUBES
from vla_sim.world.scene import BIN_CENTRE
from vla_training.collect import rows_as_arrays
from vla_training.tabletop import Row, Tabletop
from vla_training.teacher import AIM_POINT

Array = NDArray[np.float64]

BLOCK = 250  # rows of a file

_HAND = HandKinematics(AIM_POINT)
_IN_BIN = 0.35  # of the scenes have cubes in the bin
_HELD = 0.12  # of the situations have a cube between the jaws
_AROUND_CUBE = 0.19  # rad, of jaws around a cube


def situation(table: Tabletop, seed: int) -> tuple[Row, int]:
    """Put the arm and the cubes somewhere; returns what there is to see, and what is asked for."""
    rng = np.random.default_rng([seed, 11])
    world = table.world
    world.reset_scene(seed)
    if rng.random() < _IN_BIN:
        for level, index in enumerate(rng.permutation(len(CUBES))[: int(rng.integers(1, 3))]):
            spot = np.array(BIN_CENTRE) + rng.uniform(-0.035, 0.035, 2)
            height = 0.0145 + 0.026 * level * (rng.random() < 0.5)
            world.place_object(CUBES[index], np.append(spot, height))
    joints = _somewhere(table, rng)
    world.place_arm(joints)
    if rng.random() < _HELD:
        gripper = link_poses(joints[:5])[-1]
        point = gripper[:3, :3] @ np.array(GRASP_POINT) + gripper[:3, 3]
        if point[2] > 0.012:
            joints[-1] = _AROUND_CUBE + rng.normal(0.0, 0.01)
            world.place_arm(joints)
            which = CUBES[int(rng.integers(len(CUBES)))]
            world.place_object(which, point + rng.normal(0.0, 0.002, 3))
    target = int(rng.integers(len(CUBES)))
    return table.look(target, "", int(rng.integers(10**12))), target


def block(table: Tabletop, seeds: range) -> dict[str, NDArray[Any]]:
    """Return the situations of some seeds as arrays of N rows."""
    found = [situation(table, seed) for seed in seeds]
    return rows_as_arrays(table, [row for row, _ in found], [target for _, target in found])


def _somewhere(table: Tabletop, rng: np.random.Generator) -> Array:
    """Return joints (6,), rad: at home, anywhere over the table, at a cube, over the bin."""
    kind = rng.random()
    opening = float(
        rng.choice([GRIPPER_OPEN, rng.uniform(GRIPPER_CLOSED, 0.6), table.world.home[-1], 0.185])
    )
    if kind < 0.2:
        arm = table.world.home[:5] + rng.normal(0.0, 0.02, 5)
        return np.append(arm, opening)
    if kind < 0.5:
        bearing, radius = rng.uniform(-1.2, 1.3), rng.uniform(0.12, 0.26)
        height = rng.uniform(0.012, 0.15)
    elif kind < 0.9:
        cube = table.world.objects()[int(rng.integers(len(CUBES)))].position
        spread = float(rng.choice([0.006, 0.02, 0.05]))
        bearing, radius = _polar(cube[:2] + rng.normal(0.0, spread, 2))
        height = GRASP_HEIGHT + abs(rng.normal(0.0, 1.5 * spread))
    else:
        bearing, radius = _polar(np.array(BIN_CENTRE) + rng.normal(0.0, 0.03, 2))
        height = rng.uniform(0.05, 0.11)
    pitch, roll = DOWN + rng.normal(0.0, 0.08), rng.uniform(-0.8, 0.8)
    arm, _ = _HAND.joints(np.array([bearing, radius, height, pitch, roll]))
    if rng.random() < 0.5:
        arm = arm + rng.normal(0.0, 0.03, 5)
    return np.append(np.clip(arm, LOWER, UPPER), opening)


def _polar(place: Array) -> tuple[float, float]:
    return math.atan2(place[1], place[0] - PAN_X), math.hypot(place[0] - PAN_X, place[1])
