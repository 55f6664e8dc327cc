# SPDX-License-Identifier: Apache-2.0
"""The tabletop as a place to teach: scenes by seed, what a camera sees, what the teacher says.

A rollout is in simulated time and without ROS: pictures on a fixed grid, chunks that arrive late,
and the executor of the policy node, which turns them into commands at 100 Hz.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vla_contract.contract import Contract
from vla_contract.observation import Assembled, ObservationBuffer
from vla_contract.robot import Robot, load_robot
from vla_policies import STATE, Action, Observation
from vla_sim.episode import TICK_S, Timing, run_episode
from vla_sim.executors import SmoothExecutor
from vla_sim.world import CUBES, Renderer, World
from vla_sim.world.scene import BIN_CENTRE, BIN_INNER, CUBE_SIDE
from vla_training.teacher import Lesson, Situation, TableLayout, Teacher

Array = NDArray[np.float64]

COLOURS: tuple[str, ...] = tuple(name.removesuffix("_cube") for name in CUBES)
WIDTH, HEIGHT = 640, 480
_LATENCY_S = (0.05, 0.25)  # from a picture to its chunk, on a quiet host and on a busy one
_MOVED_M = 0.004  # of a cube that was disturbed; in the bin they may shift


@dataclass(frozen=True, eq=False)
class Row:
    """One look at the table.

    Attributes:
        observation: What a policy sees.
        situation: Where everything was.
        lesson: What the teacher would do.
        pixels: Where each of N cubes is in each of C pictures (N, C, 2), 0..1 from the upper left.
    """

    observation: Observation
    situation: Situation
    lesson: Lesson
    pixels: Array


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of an instruction.

    Attributes:
        success: The named cube is in the bin, and no other was disturbed.
        delivered: The named cube is in the bin.
        disturbed: Names of other cubes that the gripper touched, or that moved by `_MOVED_M`.
        duration_s: Simulated, until the arm was home again with the cube in the bin.
        rows: What was seen on the way.
        commands: The commanded joints (M, 6), rad, `TICK_S` apart.
    """

    success: bool
    delivered: bool
    disturbed: tuple[str, ...]
    duration_s: float
    rows: tuple[Row, ...]
    commands: Array


Driver = Callable[[Row], Action]


class Tabletop:
    """A world with cameras, a contract's eyes and a teacher. One thread owns it."""

    def __init__(
        self,
        robot_file: Path,
        contract: Contract,
        image_shapes: dict[str, tuple[int | None, ...]],
        *,
        rows: int,
        dt_s: float,
        look_s: float = 0.1,
        randomise: bool = True,
    ) -> None:
        """Build the world.

        Args:
            robot_file: Of the arm.
            contract: How observations are put together.
            image_shapes: Of the image features, (H, W, 3).
            rows: Of the teacher's chunks.
            dt_s: Between two of them, s.
            look_s: Between two rows of a rollout, s.
            randomise: Vary the scenes' look.
        """
        self.robot: Robot = load_robot(robot_file)
        self.world = World(robot_file, randomise=randomise)
        self.renderer = Renderer(self.world, WIDTH, HEIGHT)
        self._contract, self._shapes = contract, image_shapes
        table = TableLayout(np.array(BIN_CENTRE), BIN_INNER, CUBE_SIDE, self.world.home)
        self.teacher = Teacher(table, rows=rows, dt_s=dt_s)
        self._look_ticks = round(look_s / TICK_S)
        self.colours = COLOURS

    def close(self) -> None:
        """Free the graphics context."""
        self.renderer.close()

    def situation(self, target: int) -> Situation:
        """Return where everything is now."""
        objects = self.world.objects()
        return Situation(
            self.world.joint_readings()[0],
            np.array([each.position for each in objects]),
            np.array([rotation(each.quaternion) for each in objects]),
            target,
        )

    def look(self, target: int, task: str, now_ns: int) -> Row:
        """Return what there is to see and to do."""
        snapshot = self.world.snapshot()
        buffer = ObservationBuffer(self._contract, self._shapes)
        now = self.situation(target)
        pixels = []
        for source in self._contract.images:
            camera = source.feature.rsplit(".", 1)[-1]
            picture = self.renderer.render(camera, snapshot)
            buffer.image(source.feature, picture, now_ns, now_ns)
            model = self.world.camera(camera, WIDTH, HEIGHT)
            pixels.append([_seen(model.pose, model.K, cube) for cube in now.cubes])
        buffer.state(STATE, self.world.joint_names, now.joints, now_ns, now_ns)
        seen = buffer.assemble(now_ns, now_ns, task)
        assert isinstance(seen, Assembled), seen
        return Row(seen.observation, now, self.teacher.show(now), np.array(pixels).swapaxes(0, 1))

    def rollout(
        self,
        driver: Driver,
        *,
        target: int,
        task: str,
        rng: np.random.Generator,
        limit_s: float = 30.0,
        after_s: float = 1.0,
    ) -> Outcome:
        """Let a driver carry out one instruction in the scene as it lies.

        Args:
            driver: Returns a chunk for what is seen.
            target: Which cube the instruction names.
            task: The instruction.
            rng: Of latencies.
            limit_s: Simulated time at most, s.
            after_s: How long it goes on when the cube is in the bin and the arm home, s.
        """
        world = self.world
        before = {each.name: each for each in world.objects()}
        name = CUBES[target]

        def finished() -> bool:
            home = np.max(np.abs(world.joint_readings()[0][:5] - world.home[:5])) < 0.05
            return bool(home) and any(each.in_bin for each in world.objects() if each.name == name)

        course = run_episode(
            world,
            SmoothExecutor(self.robot, world.joint_readings()[0]),
            look=lambda now_ns: self.look(target, task, now_ns),
            drive=driver,
            # Looks are on a grid, and the one that is due is not to be missed by a little.
            timing=Timing(
                self._look_ticks, latency_s=_LATENCY_S, period_s=(0.15, 0.25), settle_s=after_s
            ),
            rng=rng,
            limit_s=limit_s,
            finished=finished,
            every_frame=True,
        )
        if course.error is not None:
            raise course.error
        there = {each.name: each for each in world.objects()}
        moved = {
            other
            for other, was in before.items()
            if float(np.linalg.norm(there[other].position - was.position)) > _MOVED_M
            and not (was.in_bin and there[other].in_bin)
        }
        disturbed = tuple(sorted((moved | course.touched) - {name}))
        return Outcome(
            success=there[name].in_bin and not disturbed,
            delivered=there[name].in_bin,
            disturbed=disturbed,
            duration_s=course.duration_s,
            rows=course.looks,
            commands=course.commands,
        )


def _seen(pose: Array, matrix: Array, point: Array) -> Array:
    """Return where a point (3,) is in a picture, 0..1; nan where it is behind the camera."""
    ray = (point - pose[:3, 3]) @ pose[:3, :3] @ matrix.T
    if not ray[2] > 0.005:
        return np.full(2, np.nan)
    return np.asarray((ray[:2] / ray[2] + 0.5) / [WIDTH, HEIGHT])


def rotation(quaternion: Array) -> Array:
    """Return the rotation (3, 3) of a unit quaternion w, x, y, z."""
    w, x, y, z = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
