# SPDX-License-Identifier: Apache-2.0
"""What a servo says of itself, as the bus reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DriveSettings:
    """What a servo keeps of its orders, until it loses power.

    Attributes:
        torque: It pushes.
        acceleration: Of its own profile, units of 100 ticks/s^2.
        goal: ticks.
        torque_limit: Share of its torque, 0 to 1.
    """

    torque: bool
    acceleration: int
    goal: int
    torque_limit: float


@dataclass(frozen=True)
class ServoState:
    """What one servo says of itself.

    Attributes:
        servo_id: Which one.
        position: Shown position, ticks.
        velocity: ticks/s.
        load: Share of its torque, -1 to 1.
        voltage_v: Supply at the servo.
        temperature_c: Inside it.
        current_a: Magnitude follows the load's sign.
        moving: It says that it moves.
        faults: Names of the faults that it reports.
    """

    servo_id: int
    position: int
    velocity: int
    load: float
    voltage_v: float
    temperature_c: float
    current_a: float
    moving: bool
    faults: tuple[str, ...]
