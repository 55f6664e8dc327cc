# SPDX-License-Identifier: Apache-2.0
"""What the trajectory controller rejects: the same checks in the same order as the original.

Positions are not looked at. A NaN anywhere passes, also as the velocity of the last point.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from vla_sim.core.trajectory import JointTrajectory, TrajectoryPoint

_FLOAT32_EPSILON = float(np.finfo(np.float32).eps)


class Reason(enum.Enum):
    """Why a trajectory was rejected."""

    JOINT_COUNT = "joint count"
    NO_POINTS = "no points"
    UNKNOWN_JOINT = "unknown joint"
    MOVING_AT_THE_END = "moving at the end"
    ENDS_IN_THE_PAST = "ends in the past"
    TIMES_NOT_INCREASING = "times not increasing"
    SIZE_MISMATCH = "size mismatch"
    EFFORT = "effort"


@dataclass(frozen=True)
class Rejection:
    """Why a trajectory was not accepted; `detail` completes "the trajectory ..."."""

    reason: Reason
    detail: str


def check(
    trajectory: JointTrajectory,
    joint_names: tuple[str, ...],
    now_ns: int,
    *,
    may_end_moving: bool = False,
) -> Rejection | None:
    """Return what is wrong with a trajectory for a controller of `joint_names`, or None."""
    names, points = trajectory.joint_names, trajectory.points
    if len(names) != len(joint_names):
        return Rejection(
            Reason.JOINT_COUNT, f"names {len(names)} joints, the controller has {len(joint_names)}"
        )
    if not points:
        return Rejection(Reason.NO_POINTS, "has no points")
    for name in names:
        if name not in joint_names:
            return Rejection(
                Reason.UNKNOWN_JOINT, f"names joint '{name}', not one of {list(joint_names)}"
            )
    for index, velocity in enumerate(points[-1].velocities):
        if not may_end_moving and abs(velocity) > _FLOAT32_EPSILON:
            return Rejection(
                Reason.MOVING_AT_THE_END, f"ends with velocity {index} at {velocity:.9g} rad/s"
            )
    if trajectory.stamp_ns != 0:
        end_ns = trajectory.stamp_ns + points[-1].time_from_start_ns
        if end_ns < now_ns:
            return Rejection(Reason.ENDS_IN_THE_PAST, f"ended {(now_ns - end_ns) / 1e9:.3f} s ago")
    before_ns: int | None = None
    for index, point in enumerate(points):
        if before_ns is not None and point.time_from_start_ns <= before_ns:
            return Rejection(
                Reason.TIMES_NOT_INCREASING,
                f"has point {index} at {point.time_from_start_ns / 1e9:.9f} s, "
                f"not after point {index - 1} at {before_ns / 1e9:.9f} s",
            )
        before_ns = point.time_from_start_ns
        rejection = _check_sizes(index, point, len(names))
        if rejection is not None:
            return rejection
    return None


def _check_sizes(index: int, point: TrajectoryPoint, joints: int) -> Rejection | None:
    for name, values, optional in (
        ("positions", point.positions, False),
        ("velocities", point.velocities, True),
        ("accelerations", point.accelerations, True),
    ):
        if values.size != joints and not (optional and values.size == 0):
            return Rejection(
                Reason.SIZE_MISMATCH, f"has {values.size} {name} in point {index}, not {joints}"
            )
    if point.effort.size:
        return Rejection(Reason.EFFORT, f"has effort in point {index}, which is not commanded")
    return None
