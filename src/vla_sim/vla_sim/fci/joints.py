# SPDX-License-Identifier: Apache-2.0
"""The joints of an arm behind libfranka's wire, and the world's arm that goes where they go."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from vla_sim.core.simulation import SimulatedJoints
from vla_sim.fci.reflexes import JOINTS, PERIOD_S, Array


class FciAbortError(RuntimeError):
    """The arm ended the motion. The message names why, as libfranka does."""


class Bridge(Protocol):
    """The way to the arm; `FciBridge` in earnest."""

    last: tuple[str, ...]

    def start(self) -> Array:
        """Begin a motion; return where, (7,) rad."""

    def exchange(self, command: Array) -> Array | None:
        """Send positions (7,), rad, and return the measured ones; None where the arm aborts."""


class FciJoints:
    """An arm at the end of a wire, in a world in which another moves as it does.

    The gripper is the world's: the wire carries none. The world's arm is sent where the one at the
    end of the wire was measured, so cameras see it, and what it holds is held.

    Attributes:
        joint_names: Of the arm, then of the gripper.
    """

    def __init__(self, world: SimulatedJoints, bridge: Bridge) -> None:
        """Begin a motion.

        Args:
            world: Its joints, the arm's first.
            bridge: The way to the arm, which is at the same place.
        """
        self.joint_names = world.joint_names
        self._world, self._bridge = world, bridge
        self._measured = self._before = bridge.start()
        self._command = self._measured
        self._gripper = world.joint_readings()[0][JOINTS:]

    def joint_readings(self) -> tuple[Array, Array, Array]:
        """Return position (8,) rad, velocity (8,) rad/s and effort (8,) N m."""
        position, velocity, effort = self._world.joint_readings()
        position[:JOINTS] = self._measured
        velocity[:JOINTS] = (self._measured - self._before) / PERIOD_S
        return position, velocity, effort

    def command(self, position: Array) -> None:
        """Set the position targets (8,), rad."""
        self._command, self._gripper = position[:JOINTS], position[JOINTS:]

    def step(self, n: int) -> None:
        """Let a millisecond pass on both sides; `n` steps of the world amount to it.

        Raises:
            FciAbortError: The arm ended the motion.
        """
        answer = self._bridge.exchange(self._command)
        if answer is None:
            raise FciAbortError(f"the arm ended the motion: {', '.join(self._bridge.last)}")
        self._before, self._measured = self._measured, answer
        self._world.command(np.concatenate([answer, self._gripper]))
        self._world.step(n)
