# SPDX-License-Identifier: Apache-2.0
"""Limits for an arm, from what its URDF says and what it does not say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_sim.from_urdf.description import ArmChoice, DescribedJoint

Array = NDArray[np.float64]

# Where to begin with an arm that nobody here knows; a person raises them.
_FASTEST, _UNKNOWN = 2.0, 1.0  # rad/s, or m/s where a joint slides: a tenth of it
_TO_FULL_SPEED_S, _TO_FULL_ACCELERATION_S = 0.3, 0.1
_SHARE_OF_EFFORT = 0.5
_LEAST_ACCELERATION = 0.5


@dataclass(frozen=True)
class WrittenLimit:
    """Limits of a joint, and why they are so.

    Attributes:
        name: Of the joint.
        lower: rad, or m where it slides, here and below.
        upper: rad.
        velocity: rad/s.
        acceleration: rad/s^2.
        jerk: rad/s^3.
        reason: Where they come from, in words.
    """

    name: str
    lower: float
    upper: float
    velocity: float
    acceleration: float
    jerk: float
    reason: str


def limits_of(choice: ArmChoice, inertia: Array) -> list[WrittenLimit]:
    """Return the limits of the arm's joints.

    Args:
        choice: The arm.
        inertia: What each joint moves at the most (J,), kg m^2.
    """
    rows = zip(choice.arm, inertia.tolist(), strict=True)
    return [_limit(joint, moved) for joint, moved in rows]


def _limit(joint: DescribedJoint, inertia: float) -> WrittenLimit:
    unit = 0.1 if joint.kind == "prismatic" else 1.0
    fastest, reasons = _FASTEST * unit, []
    if not joint.velocity > 0.0:
        velocity = _UNKNOWN * unit
        reasons.append("no velocity in the description")
    elif joint.velocity > fastest:
        velocity = fastest
        reasons.append(f"velocity lowered from {joint.velocity:g}")
    else:
        velocity = joint.velocity
        reasons.append("velocity of the description")
    acceleration = velocity / _TO_FULL_SPEED_S
    by_effort = _SHARE_OF_EFFORT * joint.effort / inertia
    if 0.0 < by_effort < acceleration:
        acceleration = max(by_effort, _LEAST_ACCELERATION * unit)
        reasons.append(f"acceleration by half its effort of {joint.effort:g}")
    if joint.kind == "continuous":
        reasons.append("turns without end, held to one turn each way")
    if joint.cut():
        reasons.append(joint.cut())
    acceleration = float(f"{acceleration:.3g}")
    return WrittenLimit(
        joint.name,
        joint.lower,
        joint.upper,
        float(f"{velocity:.4g}"),
        acceleration,
        float(f"{acceleration / _TO_FULL_ACCELERATION_S:.3g}"),
        ", ".join(reasons),
    )
