# SPDX-License-Identifier: Apache-2.0
"""What a world has to offer so that demonstrations can be collected in it and policies tried."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vla_training.errors import TrainingError

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class BenchmarkTask:
    """One task of a world.

    Attributes:
        name: In the benchmark's own words.
        instruction: What a policy is told.
        groups: Names under which tables count it, such as a difficulty.
        horizon: Steps after which an episode has failed.
        expert: A scripted expert of it can be asked.
    """

    name: str
    instruction: str
    groups: tuple[str, ...]
    horizon: int
    expert: bool


@dataclass(frozen=True)
class WorldSpec:
    """What all tasks of a world share.

    Attributes:
        name: Of the world.
        version: Of the packages behind it, for records.
        cameras: Names.
        image_size: Height and width of the benchmark's own pictures, pixels.
        state_names: S elements of the state, in the benchmark's own units.
        action_names: A columns of an action, likewise.
        dt_s: Between two steps, s.
        rows: Of a chunk that are carried out before the next look, unless somebody says another.
        things: K names of what `things` places.
        foresees: What the expert would do next can be tried and taken back (`foreseen`). Else a
            dataset's chunks are made of the rows that follow one another.
        held: Of `action_names` those that say where to be; the others say how far to go in a step.
    """

    name: str
    version: str
    cameras: tuple[str, ...]
    image_size: tuple[int, int]
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    dt_s: float
    rows: int
    things: tuple[str, ...]
    foresees: bool = True
    held: tuple[str, ...] = ("gripper",)


class BenchmarkWorld(Protocol):
    """A world. One thread owns it; nothing but `spec` and `tasks` is asked before `begin`."""

    @property
    def spec(self) -> WorldSpec:
        """What all tasks share. Constant."""

    @property
    def tasks(self) -> Mapping[str, BenchmarkTask]:
        """The tasks by name, in the benchmark's order. Constant."""

    def begin(self, task: str, seed: int) -> None:
        """Lay out a task's scene; it is a function of the seed."""

    def picture(self, camera: str, size: tuple[int, int]) -> Picture:
        """Return what a camera sees (H, W, 3), upright, at a height and width in pixels."""

    def state(self) -> Array:
        """Return the state (S,)."""

    def hand(self) -> Array:
        """Return the pose (4, 4) of the hand in the world, m."""

    def things(self) -> Array:
        """Return where the things are (K, 3) in the world, m; nan for one that there is not."""

    def seen(self, camera: str, points: Array) -> Array:
        """Return where points (K, 3) are in a camera's picture (K, 2), 0..1 from the upper left.

        nan for what is behind the camera.
        """

    def idle(self) -> Array:
        """Return the action (A,) that asks for no motion."""

    def expert(self) -> Array:
        """Return what the scripted expert does now (A,).

        Raises:
            TrainingError: There is none for this task.
        """

    def foreseen(self, rows: int) -> Array:
        """Return what the expert would do in the next steps from here (T, A); nothing is changed.

        Raises:
            TrainingError: There is no expert for this task, or it cannot be taken back.
        """

    def step(self, action: Array) -> bool:
        """Carry out an action (A,) for one step; returns whether the task counts as solved now."""

    def close(self) -> None:
        """Free what it holds."""


def chosen(world: BenchmarkWorld, names: Sequence[str]) -> list[BenchmarkTask]:
    """Return tasks by their names or groups, each once, in the world's order.

    Args:
        world: Whose tasks.
        names: Of tasks or groups; ``all`` is every task.

    Raises:
        TrainingError: There is no such task or group.
    """
    tasks = world.tasks
    groups = {"all": set(tasks)}
    for task in tasks.values():
        for group in task.groups:
            groups.setdefault(group, set()).add(task.name)
    wanted: set[str] = set()
    for name in names:
        if name not in tasks and name not in groups:
            known = ", ".join(groups)
            raise TrainingError(
                f"--tasks: {world.spec.name} has no task or group {name!r}; its groups are "
                f"{known}, its tasks {_brief(list(tasks))}"
            )
        wanted |= {name} if name in tasks else groups[name]
    return [task for task in tasks.values() if task.name in wanted]


def _brief(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 60 else f"{', '.join(names[:60])}, ..."


def module(name: str, install: str) -> ModuleType:
    """Import a module of a benchmark's.

    Args:
        name: Of the module.
        install: What to do where it is missing.

    Raises:
        TrainingError: It is not installed here.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise TrainingError(f"{error.name} is not installed here; {install}") from None


def project(points: Array, position: Array, rotation: Array, fovy_rad: float) -> Array:
    """Return where points (K, 3) are in the square picture of a camera (K, 2), 0..1.

    Args:
        points: In the world, m.
        position: Of the camera (3,), m.
        rotation: Of the camera (3, 3); as in MuJoCo it looks along its -z, and y is up.
        fovy_rad: Its vertical field of view, rad.

    Returns:
        From the upper left; nan for what is behind the camera or unknown.
    """
    rays = (points - position) @ rotation
    depth = -rays[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        across = rays[:, :2] / depth[:, None] / (2.0 * np.tan(0.5 * fovy_rad))
    found = np.column_stack([0.5 + across[:, 0], 0.5 - across[:, 1]])
    found[~(depth > 1e-6)] = np.nan
    return np.asarray(found)


def open_world(name: str, **given: Any) -> BenchmarkWorld:
    """Make a world.

    Args:
        name: One of `WORLDS`, or ``module:factory`` of a package that adds one.
        given: Passed on to its factory.

    Raises:
        TrainingError: There is no such world, or what it needs is not installed.
    """
    place = WORLDS.get(name, name)
    where, _, factory = place.partition(":")
    if not factory:
        raise TrainingError(
            f"--world: there is no world {name!r}; there are tabletop, {', '.join(WORLDS)}, or "
            "module:factory of a package of yours"
        )
    try:
        make = getattr(importlib.import_module(where), factory)
    except (ImportError, AttributeError) as error:
        raise TrainingError(f"--world: {place} cannot be imported ({error})") from None
    world: BenchmarkWorld = make(**given)
    return world


WORLDS = {
    "metaworld": "vla_training.worlds.metaworld:MetaWorld",
    "libero": "vla_training.worlds.libero:Libero",
}
