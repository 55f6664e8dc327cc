# SPDX-License-Identifier: Apache-2.0
"""One control tick: read the joints, run the controllers, command, advance the physics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vla_sim.core.trajectory import FloatArray
from vla_sim.core.trajectory_controller import ControllerConfig, CycleOutcome, TrajectoryController

MOVING_RAD_S = 0.05


class SimulatedJoints(Protocol):
    """The joints, as a world offers them."""

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of all joints, N of them."""

    def joint_readings(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return position (N,) rad, velocity (N,) rad/s and effort (N,) N m."""

    def command(self, position: FloatArray) -> None:
        """Set the position targets (N,), rad."""

    def step(self, n: int) -> None:
        """Advance by n physics steps."""


@dataclass(frozen=True)
class Tick:
    """Outcome of one tick.

    Attributes:
        stamp_ns: Time of the tick, at which the joints were read.
        position: (N,) rad.
        velocity: (N,) rad/s.
        effort: (N,) N m.
        arm: The arm controller's cycle.
        gripper: The gripper controller's cycle.
        not_finite: Joints whose command was not finite; their servos keep the target they had.
    """

    stamp_ns: int
    position: FloatArray
    velocity: FloatArray
    effort: FloatArray
    arm: CycleOutcome
    gripper: CycleOutcome
    not_finite: tuple[str, ...]


class Simulation:
    """A plant under an arm and a gripper controller. Calls must not overlap."""

    def __init__(
        self,
        plant: SimulatedJoints,
        arm_joints: Sequence[str],
        gripper_joint: str,
        *,
        period_ns: int,
        steps_per_tick: int,
        allow_trajectory_replacement: bool = False,
    ) -> None:
        """Activate both controllers; they hold where the joints are.

        Args:
            plant: The joints; positions must be finite.
            arm_joints: The arm controller's joints.
            gripper_joint: The gripper controller's.
            period_ns: Time between ticks.
            steps_per_tick: Physics steps that amount to it.
            allow_trajectory_replacement: As in `ControllerConfig`.
        """
        self._plant = plant
        self._period_ns = period_ns
        self._steps = steps_per_tick
        self._replaces = allow_trajectory_replacement
        self._last_ns: int | None = None
        names = plant.joint_names
        self._arm_index = np.array([names.index(name) for name in arm_joints])
        self._gripper_index = np.array([names.index(gripper_joint)])
        position, velocity, _ = plant.joint_readings()
        self._target = position.copy()
        self.arm = self._controller(arm_joints, self._arm_index, position, velocity)
        self.gripper = self._controller((gripper_joint,), self._gripper_index, position, velocity)

    def tick(self, time_ns: int) -> Tick:
        """Run the tick of `time_ns` and advance the physics to the next one."""
        period_ns = self._period_ns if self._last_ns is None else time_ns - self._last_ns
        self._last_ns = time_ns
        position, velocity, effort = self._plant.joint_readings()
        arm, gripper = self._arm_index, self._gripper_index
        arm_cycle = self.arm.update(time_ns, period_ns, position[arm], velocity[arm])
        gripper_cycle = self.gripper.update(
            time_ns, period_ns, position[gripper], velocity[gripper]
        )
        command = self._target.copy()
        command[arm] = self.arm.command
        command[gripper] = self.gripper.command
        finite = np.isfinite(command)
        self._target = np.where(finite, command, self._target)
        self._plant.command(self._target)
        self._plant.step(self._steps)
        not_finite = () if finite.all() else self._names(~finite)
        return Tick(time_ns, position, velocity, effort, arm_cycle, gripper_cycle, not_finite)

    def moving(self) -> str:
        """Return in words why the arm counts as moving; empty when it is at rest."""
        if not self.arm.resting:
            return "a trajectory is running"
        _, velocity, _ = self._plant.joint_readings()
        fastest = self._arm_index[np.argmax(np.abs(velocity[self._arm_index]))]
        if abs(velocity[fastest]) > MOVING_RAD_S:
            name = self._plant.joint_names[fastest]
            return f"{name} moves at {velocity[fastest]:.2f} rad/s"
        return ""

    def _controller(
        self,
        joints: Sequence[str],
        index: np.ndarray[tuple[int], np.dtype[np.intp]],
        position: FloatArray,
        velocity: FloatArray,
    ) -> TrajectoryController:
        config = ControllerConfig(
            tuple(joints), self._period_ns, allow_trajectory_replacement=self._replaces
        )
        return TrajectoryController(config, position[index], velocity[index])

    def _names(self, mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[str, ...]:
        return tuple(self._plant.joint_names[i] for i in np.flatnonzero(mask))
