# SPDX-License-Identifier: Apache-2.0
"""Between a servo's ticks and the description's radians, for each joint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .calibration import Calibration
from .registers import RAD_PER_TICK, TICKS_PER_TURN

# LeRobot's homing shows this where the joint was held then.
HOMED_TICKS = TICKS_PER_TURN // 2 - 1
# A joint whose recorded range is almost a turn was not swept: LeRobot does so with wrist_roll.
FULL_TURN_TICKS = TICKS_PER_TURN - 1


@dataclass(frozen=True)
class JointScale:
    """How one servo's shown position follows its joint's angle.

    Attributes:
        servo_id: The servo.
        zero_ticks: What it shows where the description's angle is 0.
        direction: 1, or -1 where it shows less as the angle grows.
        lower_rad: Where the joint may be sent, least.
        upper_rad: And most.
    """

    servo_id: int
    zero_ticks: float
    direction: int
    lower_rad: float
    upper_rad: float

    def radians(self, ticks: float) -> float:
        """Return the angle of a shown position, rad."""
        return self.direction * (ticks - self.zero_ticks) * RAD_PER_TICK

    def ticks(self, angle_rad: float) -> int:
        """Return the shown position of an angle."""
        return round(self.zero_ticks + self.direction * angle_rad / RAD_PER_TICK)

    def rad_s(self, ticks_s: float) -> float:
        """Return a velocity, rad/s."""
        return self.direction * ticks_s * RAD_PER_TICK


def zero_of(
    range_ticks: tuple[int, int], range_rad: tuple[float, float], direction: int = 1
) -> float:
    """Return where the description's zero is, if a recorded range is the whole of its range."""
    low, high = range_ticks
    if high - low >= FULL_TURN_TICKS - 10:
        return float(HOMED_TICKS)
    middle_rad = (range_rad[0] + range_rad[1]) / 2.0
    return (low + high) / 2.0 - direction * middle_rad / RAD_PER_TICK


def scales_of(
    calibration: Calibration,
    ranges_rad: Mapping[str, tuple[float, float]],
    zeros: Mapping[str, float] | None = None,
    margin_rad: float = 0.0,
) -> dict[str, JointScale]:
    """Return the scale of every joint.

    Args:
        calibration: LeRobot's file. Its joints turn the way the description's do: LeRobot's
            Feetech arms know no other way.
        ranges_rad: Ends of each joint in the description, rad.
        zeros: What each servo shows at the description's zero; from the middle of its range
            where there is none.
        margin_rad: How far before its recorded ends a joint is stopped.
    """
    found = {}
    for name, joint in calibration.joints.items():
        low, high = ranges_rad[name]
        ticks = (joint.range_min, joint.range_max)
        zero = zeros[name] if zeros is not None else zero_of(ticks, (low, high))
        lower = (joint.range_min - zero) * RAD_PER_TICK + margin_rad
        upper = (joint.range_max - zero) * RAD_PER_TICK - margin_rad
        found[name] = JointScale(joint.servo_id, zero, 1, max(low, lower), min(high, upper))
    return found


def turned_ticks(before: int, after: int) -> int:
    """Return how far a servo was turned, the shorter way round."""
    way = (after - before) % TICKS_PER_TURN
    return way - TICKS_PER_TURN if way > TICKS_PER_TURN // 2 else way


def wrapped_rad(angle_rad: float) -> float:
    """Return an angle between -pi and pi."""
    return math.remainder(angle_rad, math.tau)
