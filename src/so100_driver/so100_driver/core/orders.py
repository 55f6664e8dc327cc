# SPDX-License-Identifier: Apache-2.0
"""How an arm behaves, what it does, and what its servos are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from .calibration import JOINTS
from .gate import GateLimits
from .health import HealthLevel
from .protection import ProtectionLimits

# Of a joint's controller, where no robot file says so.
SPEED_RAD_S = 2.0
ACCELERATION_RAD_S2 = 10.0


class ArmMode(Enum):
    """What the arm does."""

    OFF = "torque is off"
    WAITING = "holds, and waits for a command near its pose"
    FOLLOWING = "follows commands"
    HOLDING = "holds, and takes no command until a person allows it"
    LOWERING = "lowers itself to its rest"
    APPROACHING = "goes slowly to where it is commanded"


@dataclass(frozen=True)
class ArmLimits:
    """How the loop behaves.

    Attributes:
        gate: What a command may ask for.
        protection: When a joint is protected.
        command_timeout_s: After so long without a command the arm holds.
        stale_s: After so long without an answer of a servo the arm holds.
        restart_s: In less time no servo loses its power and answers again; after more it shows
            first that it has its torque. Longer than two cycles.
        lowering_rad_s: How fast it lowers itself, and goes to where it is commanded if asked to.
        still_s: Before, the controllers must have said the same for so long.
        rest_distance_rad: How near its rest it counts as lowered.
        drop_within_s: How long the consent to drop it counts.
        velocity_rad_s: How fast the controllers move each joint at the most.
        acceleration_rad_s2: How they accelerate it; one that is not in it is not bounded.
        gripper_torque: Share of its torque that the gripper has.
        sag_rad_nm: How far a joint gives way under a torque, rad/(N m): the goals lie so much
            higher that the arm's own weight does not bend it. 0: they do not.
        play_rad: Free play behind an encoder, +-rad, at one side of which the weight holds a link.
        trim_rad: How far a goal is moved at the most for what friction leaves at rest.
    """

    gate: GateLimits = field(default_factory=GateLimits)
    protection: ProtectionLimits = field(default_factory=ProtectionLimits)
    command_timeout_s: float = 0.2
    stale_s: float = 0.1
    restart_s: float = 0.03
    lowering_rad_s: float = 0.4
    still_s: float = 0.5
    rest_distance_rad: float = 0.25
    drop_within_s: float = 10.0
    velocity_rad_s: Mapping[str, float] = field(
        default_factory=lambda: dict.fromkeys(JOINTS, SPEED_RAD_S)
    )
    acceleration_rad_s2: Mapping[str, float] = field(
        default_factory=lambda: dict.fromkeys(JOINTS[:-1], ACCELERATION_RAD_S2)
    )
    gripper_torque: float = 0.5
    sag_rad_nm: float = 0.0
    play_rad: float = 0.0
    trim_rad: float = 0.0


@dataclass(frozen=True)
class Write:
    """A register to be written, with an answer."""

    servo_id: int
    register: str
    value: int


@dataclass(frozen=True)
class Orders:
    """What the servos are told in a cycle.

    Attributes:
        writes: In this order, before the goals. After one that fails, those of the same servo
            are left out, and `Arm.failed` is told.
        goals: ticks by servo.
    """

    writes: tuple[Write, ...] = ()
    goals: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ArmEvent:
    """Something a person should read."""

    level: HealthLevel
    text: str
