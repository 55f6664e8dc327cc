# SPDX-License-Identifier: Apache-2.0
"""Demonstrations: a driver acts in many scenes, and the teacher says at each look what is right.

The driver is the teacher itself, pushed off its way now and then so that it shows how to come back
(noise injection), or a student, whose mistakes are then what it learns from (DAgger).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_policies import STATE, Action
from vla_policies.color_pick.policy import GRIPPER_CLOSED, GRIPPER_OPEN
from vla_sim.world import CUBES
from vla_sim.world.scene import BIN_CENTRE
from vla_training.instructions import SPOKEN
from vla_training.store import ACTION, ASKED, AWAY, CHUNK, PHASE, PIXELS
from vla_training.tabletop import COLOURS, Driver, Outcome, Row, Tabletop
from vla_training.teacher import BIN_PLACES, PHASES

Array = NDArray[np.float64]

_LEVELS = (0.0, 0.0, 0.03, 0.06, 0.10)  # rad, standard deviation of a push, one for each episode
_PUSHES = 0.25  # of the chunks of an episode with pushes
_RISE_S = 0.4  # in which a push takes its full size
_SLIPS = 0.02  # of those chunks, in which the gripper does the contrary
_CROWDED = 0.35  # of the scenes have other cubes in the bin already
_ASIDE = 0.012  # m of those from their places, along each side
_ELSEWHERE = 0.15  # of the episodes begin with the arm somewhere over the table


@dataclass(frozen=True)
class EpisodePlan:
    """What an episode begins with, all from its seed."""

    target: int
    task: str
    level: float


def prepare(table: Tabletop, seed: int) -> tuple[EpisodePlan, np.random.Generator]:
    """Lay out the scene of a seed; returns what is to be done in it."""
    rng = np.random.default_rng([seed, 7])
    world = table.world
    target = int(rng.integers(len(CUBES)))
    start = world.home.copy()
    if rng.random() < _ELSEWHERE:
        start += rng.uniform(-1.0, 1.0, len(start)) * [0.9, 0.25, 0.35, 0.3, 0.6, 0.0]
        start[-1] = rng.uniform(0.0, 0.6)
    world.place_arm(start)
    world.reset_scene(seed)
    others = [index for index in range(len(CUBES)) if index != target]
    if rng.random() < _CROWDED:
        rng.shuffle(others)
        for index in others[: int(rng.integers(1, 3))]:
            spot = np.array(BIN_CENTRE) + BIN_PLACES[index] + rng.uniform(-_ASIDE, _ASIDE, 2)
            taken = [each.position for each in world.objects() if each.in_bin]
            height = 0.015 + 0.026 * any(np.max(np.abs(at[:2] - spot)) < 0.036 for at in taken)
            world.place_object(CUBES[index], np.append(spot, height))
            world.step(100)
    task = SPOKEN[int(rng.integers(len(SPOKEN)))].format(COLOURS[target])
    level = float(rng.choice(_LEVELS))
    return EpisodePlan(target, task, level), rng


def pushed(
    joint_names: tuple[str, ...], dt_s: float, level: float, rng: np.random.Generator
) -> Driver:
    """Return the teacher as a driver who is pushed off its way now and then."""

    def drive(row: Row) -> Action:
        chunk = row.lesson.chunk.copy()
        if level > 0.0 and rng.random() < _PUSHES:
            rise = np.minimum(1.0, np.arange(len(chunk)) * dt_s / _RISE_S)
            chunk[:, :-1] += rise[:, None] * rng.normal(0.0, level, chunk.shape[1] - 1)
            if rng.random() < _SLIPS / _PUSHES:
                chunk[:, -1] = GRIPPER_OPEN + GRIPPER_CLOSED - chunk[:, -1]
        return Action(chunk, dt_s, joint_names)

    return drive


def rows_of(table: Tabletop, outcome: Outcome, plan: EpisodePlan) -> dict[str, NDArray[Any]]:
    """Return an episode as arrays of N rows, with what is right for each of K cubes."""
    return rows_as_arrays(table, outcome.rows, [plan.target] * len(outcome.rows))


def rows_as_arrays(
    table: Tabletop, rows: Sequence[Row], targets: Sequence[int]
) -> dict[str, NDArray[Any]]:
    """Return rows as arrays, with what is right for each of K cubes.

    Args:
        table: Whose teacher is asked.
        rows: N of them.
        targets: What each was about.
    """
    found: dict[str, NDArray[Any]] = {
        name: np.array([row.observation.images[name] for row in rows])
        for name in rows[0].observation.images
    }
    lessons = [
        [table.teacher.show(replace(row.situation, target=k)) for k in range(len(CUBES))]
        for row in rows
    ]
    chunks = np.array([[each.chunk for each in shown] for shown in lessons], np.float32)
    found[STATE] = np.array([row.observation.state[STATE] for row in rows], np.float32)
    found[ACTION] = chunks[np.arange(len(rows)), targets, 0]
    found[ASKED] = np.array(targets)
    found[CHUNK] = chunks
    found[AWAY] = np.array([[each.away for each in shown] for shown in lessons], np.float32)
    found[PHASE] = np.array([[PHASES.index(each.phase) for each in shown] for shown in lessons])
    found[PIXELS] = np.array([row.pixels for row in rows], np.float32)
    return found
