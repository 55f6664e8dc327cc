# SPDX-License-Identifier: Apache-2.0
"""The SO-101 as LeRobot sets it up: ids, gains, limits of the gripper, homing."""

from __future__ import annotations

import math

from so100_driver.core.calibration import JOINTS

from .servo import Servo

# Folded on its rests, rad, in the order of the ids.
REST_RAD = (0.0, -1.57, 1.57, 0.75, 0.0, 0.1)
# Ends of each joint's range in the arm's description, rad.
RANGES_RAD = (
    (-1.91986, 1.91986),
    (-1.74533, 1.74533),
    (-1.69, 1.69),
    (-1.65806, 1.65806),
    (-2.74385, 2.84121),
    (-0.174533, 1.74533),
)


def so101_servos(zero_ticks: int = 2048) -> list[Servo]:
    """Return the six servos of an arm that LeRobot has configured.

    Args:
        zero_ticks: What the encoders show where a joint's angle is 0.
    """
    servos = []
    for number, _ in enumerate(JOINTS, start=1):
        servo = Servo(number, angle_offset_ticks=zero_ticks)
        servo.keep("Return_Delay_Time", 0)
        servo.keep("P_Coefficient", 16)
        servo.keep("I_Coefficient", 0)
        servo.keep("D_Coefficient", 32)
        servo.keep("Phase", servo.get("Phase") & ~0x10)
        servos.append(servo)
    gripper = servos[-1]
    gripper.keep("Max_Torque_Limit", 500)
    gripper.keep("Protection_Current", 250)
    gripper.keep("Overload_Torque", 25)
    return servos


def encoder_ticks(angle_rad: float, zero_ticks: int = 2048) -> int:
    """Return what an encoder shows at an angle of its joint."""
    return round(angle_rad / math.tau * 4096 + zero_ticks) % 4096
