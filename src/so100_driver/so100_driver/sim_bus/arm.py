# SPDX-License-Identifier: Apache-2.0
"""The SO-101 as LeRobot sets it up: ids, gains, limits of the gripper, homing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from so100_driver.core import description
from so100_driver.core.calibration import JOINTS, Calibration, JointCalibration
from so100_driver.core.registers import RAD_PER_TICK
from so100_driver.core.scale import FULL_TURN_TICKS

from .bus import SimulatedBus
from .plant import FreeShafts
from .servo import Servo

# Folded on its rests, rad, in the order of the ids.
REST_RAD = tuple(description.REST_RAD[name] for name in JOINTS)


def so101_calibration(zero_ticks: int = 2048) -> Calibration:
    """Return the file of a person who swept every joint of `so101_servos` to its ends."""
    joints = {}
    for number, name in enumerate(JOINTS, start=1):
        ends = [encoder_ticks(end, zero_ticks) for end in description.RANGES_RAD[name]]
        if name == "wrist_roll":
            ends = [0, FULL_TURN_TICKS]
        joints[name] = JointCalibration(number, 0, 0, ends[0], ends[1])
    return Calibration(joints)


def simulated_so101(
    start_rad: Sequence[float] = REST_RAD, seed: int = 0, now_s: float = 0.0
) -> SimulatedBus:
    """Return a calibrated arm on a bus, with the stops at the ends of its joints.

    Args:
        start_rad: Where it begins, in the order of the ids.
        seed: Of what gets lost.
        now_s: Its time.
    """
    plant = FreeShafts(np.array(start_rad))
    for index, name in enumerate(JOINTS):
        # At the last tick within: an arm that rests on a stop is not shown beyond it.
        low, high = description.RANGES_RAD[name]
        plant.low_rad[index] = math.ceil(low / RAD_PER_TICK) * RAD_PER_TICK
        plant.high_rad[index] = math.floor(high / RAD_PER_TICK) * RAD_PER_TICK
    return SimulatedBus(so101_servos(), plant, seed=seed, now_s=now_s)


def so101_servos(zero_ticks: int = 2048) -> list[Servo]:
    """Return the six servos of an arm that LeRobot has configured and calibrated.

    Args:
        zero_ticks: What the encoders show where a joint's angle is 0.
    """
    servos = []
    for joint in so101_calibration(zero_ticks).joints.values():
        servo = Servo(joint.servo_id, angle_offset_ticks=zero_ticks)
        servo.keep("Min_Position_Limit", joint.range_min)
        servo.keep("Max_Position_Limit", joint.range_max)
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
