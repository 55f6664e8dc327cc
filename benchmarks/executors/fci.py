# SPDX-License-Identifier: Apache-2.0
"""Would a Panda or an FR3 carry these commands out? Franka's control interface, emulated at 1 kHz.

The interface differentiates the commanded positions every millisecond and aborts the motion when a
derivative is beyond its limit. The error for the velocity's limit is called a limits violation,
that for the acceleration's a velocity discontinuity, that for the jerk's an acceleration
discontinuity.

Not emulated: limits of torque and power, of velocity near the ends of an FR3's range, and lost
packets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from executors.base import Array
from smooth_motion import Limits

PERIOD_S = 1e-3
FILTER_HZ = 100.0  # of the low-pass that libfranka puts in front by default
# An abort stops the arm until it is recovered. To count how often that would be needed, the
# emulation takes up the commands again once they have been sound for this long.
SOUND_S = 0.01

ERRORS = (
    "joint_motion_generator_position_limits_violation",
    "joint_motion_generator_velocity_limits_violation",
    "joint_motion_generator_velocity_discontinuity",
    "joint_motion_generator_acceleration_discontinuity",
)


@dataclass(frozen=True)
class Abort:
    """One abort.

    Attributes:
        index: Of the command that caused it.
        errors: What the robot would report.
    """

    index: int
    errors: tuple[str, ...]


def aborts(commands: Array, limits: Limits, *, filtered: bool = False) -> list[Abort]:
    """Return the aborts that a stream of joint positions causes.

    Args:
        commands: (N, 7) rad, a millisecond apart, from rest.
        limits: `FER` or `FR3`.
        filtered: Pass them through libfranka's default low-pass first.
    """
    q = np.vstack((commands[:1], commands[:1], commands[:1], commands))
    if filtered:
        q = _low_pass(q)
    broken = np.zeros((len(commands), 4), dtype=bool)
    inside = (limits.position_lower <= commands) & (commands <= limits.position_upper)
    broken[:, 0] = ~inside.all(axis=1)
    for order, limit in enumerate((limits.velocity, limits.acceleration, limits.jerk), start=1):
        q = np.diff(q, axis=0) / PERIOD_S
        broken[:, order] = ~(np.abs(q[3 - order :]) <= limit).all(axis=1)
    found: list[Abort] = []
    last = -np.inf
    for index in np.flatnonzero(broken.any(axis=1)):
        if (index - last) * PERIOD_S > SOUND_S:
            names = tuple(name for name, wrong in zip(ERRORS, broken[index], strict=True) if wrong)
            found.append(Abort(int(index), names))
        last = index
    return found


def _low_pass(q: Array) -> Array:
    gain = PERIOD_S / (PERIOD_S + 1.0 / (2.0 * np.pi * FILTER_HZ))
    result = np.empty_like(q)
    state = q[0]
    for k, row in enumerate(q):
        state = gain * row + (1.0 - gain) * state
        result[k] = state
    return result
