# SPDX-License-Identifier: Apache-2.0
"""What Franka's Control does with joint positions that arrive every millisecond, or do not.

The rules are the published ones:

1. It differentiates what it is sent by backward Euler over 1 ms; position, velocity, acceleration
   and jerk must lie strictly within their limits, and the first that does not ends the motion.
   (frankarobotics.github.io/docs, "Control Interface Specification and Robot Limits", necessary
   conditions in joint space; libfranka's docs/overview.rst, "Errors due to noncompliant
   commanded values", which names the error of each.)
2. A motion begins at rest at the position that is commanded (ibid., initial trajectory
   requirements).
3. A command that does not come is extrapolated with constant acceleration; 20 in a row end the
   motion. (docs/overview.rst, "Under the hood" and "Errors due to communication problems".)
4. An FR3's velocity limit falls towards the ends of each joint's range (ibid., "Position-Based
   Velocity Limits"); a Panda's does not.

Nothing is tolerated beyond a limit: what tolerance the real Control has is not published. Limits
of torque, power and Cartesian motion are not looked at.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from strict_yaml import read_yaml

Array = NDArray[np.float64]

FILE = "fci_limits.yaml"
PERIOD_S = 1e-3
LOST_IN_A_ROW = 20
JOINTS = 7


class FciError(enum.IntEnum):
    """Errors of a joint motion; the values are those on the wire (research_interface, error.h)."""

    JOINT_MOTION_GENERATOR_POSITION_LIMITS_VIOLATION = 12
    JOINT_MOTION_GENERATOR_VELOCITY_LIMITS_VIOLATION = 13
    JOINT_MOTION_GENERATOR_VELOCITY_DISCONTINUITY = 14  # the acceleration's limit
    JOINT_MOTION_GENERATOR_ACCELERATION_DISCONTINUITY = 15  # the jerk's limit
    COMMUNICATION_CONSTRAINTS_VIOLATION = 25


# Of position, velocity, acceleration and jerk.
BY_ORDER = tuple(FciError)[:4]


@dataclass(frozen=True, eq=False)
class FciLimits:
    """Published limits of an arm, each (7,).

    Attributes:
        lower: rad.
        upper: rad.
        velocity: rad/s.
        acceleration: rad/s^2.
        jerk: rad/s^3.
        offset: rad/s, of the velocity's limit near an end of the range; None where it is constant.
        deceleration: rad/s^2, likewise.
    """

    lower: Array
    upper: Array
    velocity: Array
    acceleration: Array
    jerk: Array
    offset: Array | None = None
    deceleration: Array | None = None

    def velocities(self, position: Array) -> tuple[Array, Array]:
        """Return the least and the greatest velocity (7,) that is allowed at a position, rad/s."""
        if self.offset is None or self.deceleration is None:
            return -self.velocity, self.velocity
        low = np.sqrt(np.maximum(0.0, 2.0 * self.deceleration * (position - self.lower)))
        high = np.sqrt(np.maximum(0.0, 2.0 * self.deceleration * (self.upper - position)))
        return (
            np.maximum(-self.velocity, np.minimum(0.0, self.offset - low)),
            np.minimum(self.velocity, np.maximum(0.0, high - self.offset)),
        )


def published(robot_file: Path) -> FciLimits:
    """Read `fci_limits.yaml` beside a robot file.

    Raises:
        FileNotFoundError: There is none.
    """
    read = dict(read_yaml(robot_file.with_name(FILE)))
    falls = read.pop("velocity_falls") or {}
    lower, upper = read.pop("position_lower"), read.pop("position_upper")
    given = {"lower": lower, "upper": upper, **read, **falls}
    return FciLimits(**{key: np.array(row, dtype=np.float64) for key, row in given.items()})


class Reflexes:
    """Follows one stream of commands, a millisecond at a time.

    Attributes:
        position: What is carried out, q_d (7,), rad.
        velocity: Its backward difference, dq_d, rad/s.
        acceleration: Likewise, ddq_d, rad/s^2.
    """

    def __init__(self, limits: FciLimits, position: Array) -> None:
        """Begin at rest at a position (7,), rad."""
        self._limits = limits
        self._lost = 0
        self.start(position)

    def start(self, position: Array) -> None:
        """Begin another motion, at rest at a position (7,), rad."""
        self.position = np.array(position, dtype=np.float64)
        self.velocity, self.acceleration = np.zeros(JOINTS), np.zeros(JOINTS)
        self._lost = 0

    def take(self, command: Array | None) -> tuple[FciError, ...]:
        """Let a millisecond pass.

        Args:
            command: The positions (7,), rad; None where none came.

        Returns:
            Why the motion ends; empty where it goes on.
        """
        lost = command is None
        if command is None:
            self._lost += 1
            if self._lost >= LOST_IN_A_ROW:
                return (FciError.COMMUNICATION_CONSTRAINTS_VIOLATION,)
            velocity = self.velocity + self.acceleration * PERIOD_S
            command = self.position + velocity * PERIOD_S
        else:
            self._lost = 0
        limits = self._limits
        velocity = (command - self.position) / PERIOD_S
        acceleration = (velocity - self.velocity) / PERIOD_S
        jerk = (acceleration - self.acceleration) / PERIOD_S
        if lost:  # by rounding it would be some 1e-6
            acceleration, jerk = self.acceleration, np.zeros(JOINTS)
        low, high = limits.velocities(command)
        inside = (
            (limits.lower < command) & (command < limits.upper),
            (low < velocity) & (velocity < high),
            np.abs(acceleration) < limits.acceleration,
            np.abs(jerk) < limits.jerk,
        )
        errors = tuple(
            error for error, good in zip(BY_ORDER, inside, strict=True) if not good.all()
        )
        self.position, self.velocity, self.acceleration = command, velocity, acceleration
        return errors


def shares_of(commands: Array, limits: FciLimits) -> Array:
    """Return the largest share (3,) of the limits of velocity, acceleration and jerk.

    Args:
        commands: Positions (N, 7), rad, a millisecond apart; N is 4 or more.
        limits: Published ones.
    """
    velocity, acceleration, jerk = (
        np.diff(commands, order, axis=0) / PERIOD_S**order for order in (1, 2, 3)
    )
    low, high = limits.velocities(commands[1:])
    bound = np.where(velocity < 0.0, low, high)
    share = np.divide(velocity, bound, out=np.zeros_like(velocity), where=velocity != 0.0)
    return np.array(
        [
            share.max(),
            (np.abs(acceleration) / limits.acceleration).max(),
            (np.abs(jerk) / limits.jerk).max(),
        ]
    )
