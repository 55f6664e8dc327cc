# SPDX-License-Identifier: Apache-2.0
"""The servos in the joints of a simulated world: they push its joints and feel what resists them.

The world is whatever has these joints; that of vla_sim finds the servos by its entry points.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ..cli.prove import keep
from ..core.calibration import JOINTS
from .arm import so101_calibration, so101_servos
from .bus import SimulatedBus
from .plant import FloatArray
from .port import SimulatedPort

ZERO_TICKS = 2048
PORT, CALIBRATION = "port", "arm.json"


class PushedJoints(Protocol):
    """Joints that take torques. Arrays are `(J,)`, in the order of `joint_names`."""

    @property
    def joint_names(self) -> Sequence[str]:
        """Their names."""

    @property
    def timestep_s(self) -> float:
        """Length of a step of the physics."""

    def joint_truth(self) -> tuple[FloatArray, FloatArray]:
        """Return position, rad, and velocity, rad/s."""

    def push(self, torque: FloatArray) -> None:
        """Set the torques, N m."""

    def step(self, n: int) -> None:
        """Advance by n steps."""


class JointsInTheWorld:
    """The world's joints as what the servos move."""

    def __init__(self, joints: PushedJoints) -> None:
        """Take the joints.

        Raises:
            ValueError: They are not this arm's.
        """
        if tuple(joints.joint_names) != JOINTS:
            raise ValueError(f"joints {joints.joint_names}; the servos move {JOINTS}")
        self._joints = joints
        self.encoder, self.velocity = joints.joint_truth()

    def step(self, torque_nm: FloatArray, dt_s: float) -> None:
        """Advance by `dt_s` under these torques."""
        self._joints.push(torque_nm)
        self._joints.step(round(dt_s / self._joints.timestep_s))
        self.encoder, self.velocity = self._joints.joint_truth()


class ServosInTheWorld:
    """Six servos in a world, behind a port, in the world's time.

    They hold the arm from the beginning, as a driver leaves it that was ended.
    """

    def __init__(self, joints: PushedJoints, folder: Path) -> None:
        """Open the port, and write the arm's calibration and its proof.

        Args:
            joints: Take torques; nothing else moves them.
            folder: Gets `port` and `arm.json`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        calibration = so101_calibration(ZERO_TICKS)
        (folder / CALIBRATION).write_text(calibration.to_text(), encoding="utf-8")
        keep(folder / CALIBRATION, calibration, dict.fromkeys(JOINTS, float(ZERO_TICKS)))
        bus = SimulatedBus(so101_servos(ZERO_TICKS), JointsInTheWorld(joints))
        for servo in bus.servos:
            servo.set("Torque_Enable", 1)
        self._port = SimulatedPort(bus, folder / PORT, own_time=False)

    def advance(self, elapsed_s: float) -> None:
        """Let servos and world reach this time after their beginning."""
        with self._port.bus() as bus:
            bus.advance(elapsed_s)

    def close(self) -> None:
        """Remove the port."""
        self._port.close()
