# SPDX-License-Identifier: Apache-2.0
"""An arm behind the usual ros2_control plugin for Feetech servos, in place of this driver.

Source: feetech_ros2_driver 0.2.2. With every goal it writes 50 into the register of acceleration
and 2400 ticks/s as speed, whatever the plan; a joint's zero is its parameter `offset`. In its main
branch that parameter has another name, and the same description another zero: so the zero is seen
before a controller is activated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from vla_contract.robot import Robot

from .connection import DriverError, connect, joints_of
from .core.orders import ArmLimits
from .core.registers import RAD_PER_TICK

ACCELERATION_RAD_S2 = 50 * 100 * RAD_PER_TICK
SPEED_RAD_S = 2400 * RAD_PER_TICK
# Between two readings, one of them by the plugin; its ticks are whole.
TOLERANCE_RAD = 0.05
_TRIES = 5


@dataclass(frozen=True)
class PluginArm:
    """An arm for the plugin.

    Attributes:
        servos: Of each joint `id`, and `offset`: what its servo shows at the joint's zero, ticks.
        pose: Where each joint is, rad.
    """

    servos: dict[str, dict[str, int]]
    pose: dict[str, float]

    def write(self, path: Path) -> None:
        """Write the servos where the description reads them: JSON, which is YAML."""
        path.write_text(json.dumps(self.servos), encoding="utf-8")


def examine(port: str, calibration_file: str, robot: Robot) -> PluginArm:
    """Find out whether the plugin can drive an arm as the robot file says; write nothing.

    Args:
        port: Serial port, which is free again afterwards.
        calibration_file: LeRobot's, proved on this arm.
        robot: Joints and limits.

    Raises:
        DriverError: It cannot; one line says why and what to do.
    """
    _judge_limits(robot)
    ranges, _ = joints_of(robot)
    bus, loop = connect(port, calibration_file, ranges, ArmLimits(), 0.1)
    with bus:
        scales = loop.arm.scales
        for _ in range(_TRIES):
            states = bus.read_states([scale.servo_id for scale in scales.values()], 1.0)
            if len(states) == len(scales):
                break
        else:
            missing = [name for name, scale in scales.items() if scale.servo_id not in states]
            raise DriverError(
                f"{port}: no answer from {', '.join(missing)}; `so101 doctor {port}`"
            )
    return PluginArm(
        servos={
            name: {"id": scale.servo_id, "offset": round(scale.zero_ticks)}
            for name, scale in scales.items()
        },
        pose={
            name: scale.radians(states[scale.servo_id].position) for name, scale in scales.items()
        },
    )


def _judge_limits(robot: Robot) -> None:
    limits = robot.limits
    for name, acceleration, velocity in zip(
        limits.joint_names, limits.acceleration, limits.velocity, strict=True
    ):
        if not acceleration <= ACCELERATION_RAD_S2:
            raise DriverError(
                f"{name}: plans accelerate by up to {acceleration:g} rad/s^2, and "
                f"feetech_ros2_driver has its servos accelerate by {ACCELERATION_RAD_S2:.2f} at "
                "the most, so they would re-shape every plan; give robot_file:= a copy with "
                "acceleration: 7.6, or take hardware:=real"
            )
        if not velocity <= SPEED_RAD_S:
            raise DriverError(
                f"{name}: plans move by up to {velocity:g} rad/s, and feetech_ros2_driver has its "
                f"servos move by {SPEED_RAD_S:.2f} at the most; give robot_file:= a copy with less"
            )


def disagreement(expected: dict[str, float], shown: dict[str, float]) -> str:
    """Say which joint the plugin shows elsewhere than it was read; empty where none is.

    Args:
        expected: Where each joint was read, rad.
        shown: Where the plugin says that it is, rad.
    """
    for name, angle in expected.items():
        if name not in shown:
            return f"{name}: the plugin tells nothing of it"
        apart = shown[name] - angle
        if not abs(apart) <= TOLERANCE_RAD:
            return (
                f"{name}: the plugin shows it at {shown[name]:+.3f} rad, it was read at "
                f"{angle:+.3f}: another zero, as of another version of feetech_ros2_driver than "
                "0.2.2, or it was moved meanwhile"
            )
    return ""
