# SPDX-License-Identifier: Apache-2.0
"""The gripper: position targets at a bounded rate, apart from the arm.

A grasp ends in contact, where no plan holds. So a gripper is not tracked for jerk: its trajectory
has positions only, which a joint_trajectory_controller joins with straight lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smooth_motion.errors import MotionError
from smooth_motion.limits import FloatArray, IntArray, frozen_array

# Rows further ahead than this are ignored, as the arm's tracker does; of more rows than these some
# are passed over.
HORIZON_NS = 8_000_000_000
MAX_ROWS = 240


@dataclass(frozen=True)
class GripperLimits:
    """What a command may ask of the gripper.

    Attributes:
        controller: Name of its joint_trajectory_controller.
        joint: Name of its joint.
        position_lower: Closed, rad (or m for a sliding finger).
        position_upper: Open, above `position_lower`.
        velocity: Fastest command, per second, positive.

    Raises:
        MotionError: A bound is not finite, the range is empty or the rate not positive.
    """

    controller: str
    joint: str
    position_lower: float
    position_upper: float
    velocity: float

    def __post_init__(self) -> None:
        bounds = (self.position_lower, self.position_upper, self.velocity)
        if not np.isfinite(bounds).all():
            raise MotionError(f"the limits of {self.joint} must be finite, but are {bounds}")
        if not (self.position_lower < self.position_upper):
            raise MotionError(f"the position limits of {self.joint} are empty: {bounds[:2]}")
        if not (self.velocity > 0.0):
            raise MotionError(f"velocity of {self.joint} must be positive, but is {bounds[2]}")


@dataclass(frozen=True, eq=False)
class GripperPlan:
    """Gripper positions joined by straight lines.

    Attributes:
        joint: Name of the joint.
        start_ns: Absolute time of the first point.
        times_ns: (K,) int64 from 0, strictly increasing.
        positions: (K,) float64.
    """

    joint: str
    start_ns: int
    times_ns: IntArray
    positions: FloatArray

    def __post_init__(self) -> None:
        times = np.array(self.times_ns, dtype=np.int64)
        if times.ndim != 1 or times.size == 0 or times[0] != 0 or not (np.diff(times) > 0).all():
            raise MotionError("times_ns of a gripper plan must start at 0 and increase strictly")
        times.setflags(write=False)
        object.__setattr__(self, "times_ns", times)
        object.__setattr__(
            self, "positions", frozen_array(self.positions, "positions", (times.size,))
        )

    @classmethod
    def hold(cls, joint: str, position: float, start_ns: int) -> GripperPlan:
        """Return the plan that stays at `position`."""
        return cls(joint, start_ns, np.zeros(1, dtype=np.int64), np.array([position]))

    def position(self, t_ns: int) -> float:
        """Return the commanded position at an absolute time; the ends are held."""
        return float(np.interp(t_ns - self.start_ns, self.times_ns, self.positions))


def track_gripper(
    chunk_positions: npt.ArrayLike,
    chunk_start_ns: int,
    dt_ns: int,
    running: GripperPlan,
    limits: GripperLimits,
    *,
    cut_ns: int,
    splice_ns: int,
) -> GripperPlan:
    """Follow a chunk's gripper column from where the running plan is, no faster than the limit.

    From the cut to the splice the result repeats the running plan, as the arm's does: a controller
    that receives it in between sees no step. Targets outside the position limits are clipped
    to them. Rows at or before the splice are skipped, and those more than `HORIZON_NS` ahead; of
    more than `MAX_ROWS` that are left as many are kept. The last row kept is approached in any
    case.

    Args:
        chunk_positions: (T,) targets; row i is for `chunk_start_ns + i * dt_ns`.
        chunk_start_ns: Absolute time of row 0.
        dt_ns: Time between rows, positive.
        running: What the controller runs now.
        limits: Range and rate.
        cut_ns: Absolute time of the result's first point.
        splice_ns: Absolute time from which the chunk is followed, not before the cut.

    Returns:
        A plan whose last point is the last target, reached later if the rate asks for it.

    Raises:
        MotionError: A target is not finite, or a shape or a time is wrong.
    """
    targets = np.asarray(chunk_positions, dtype=np.float64)
    if targets.ndim != 1 or targets.size == 0:
        raise MotionError(f"the gripper's chunk must have shape (T,), but has {targets.shape}")
    targets = frozen_array(targets, f"the chunk of {limits.joint}", targets.shape)
    if running.joint != limits.joint:
        raise MotionError(f"the running plan moves {running.joint}, the limits {limits.joint}")
    if dt_ns <= 0:
        raise MotionError(f"dt_ns must be positive, but is {dt_ns}")
    if not (cut_ns <= splice_ns):
        raise MotionError(f"the cut ({cut_ns} ns) must not lie after the splice ({splice_ns} ns)")
    targets = np.clip(targets, limits.position_lower, limits.position_upper)

    knots_ns = running.start_ns + running.times_ns
    kept_ns = knots_ns[(knots_ns > cut_ns) & (knots_ns < splice_ns)].tolist()
    times = [cut_ns, *kept_ns] + [splice_ns] * (splice_ns > cut_ns)
    positions = [running.position(t) for t in times]

    since_ns = splice_ns - chunk_start_ns
    first = min(max(since_ns // dt_ns + 1, 0), targets.size)
    end = min(max((since_ns + HORIZON_NS) // dt_ns + 1, first), targets.size)
    rows = np.arange(first, end)
    if rows.size > MAX_ROWS:
        rows = rows[np.linspace(0, rows.size - 1, MAX_ROWS).astype(np.int64)]
    for row in rows.tolist():
        t, target = chunk_start_ns + dt_ns * row, float(targets[row])
        reach = limits.velocity * (t - times[-1]) * 1e-9
        positions.append(min(max(target, positions[-1] - reach), positions[-1] + reach))
        times.append(t)
    last = float(targets[rows[-1] if rows.size else min(end, targets.size - 1)])
    missing = abs(last - positions[-1])
    if missing > 0.0:
        # Rounded up, so that the rate is never above the limit.
        times.append(times[-1] + int(np.ceil(missing / limits.velocity * 1e9)) + 1)
        positions.append(last)
    times_ns = np.array(times, dtype=np.int64) - cut_ns
    return GripperPlan(limits.joint, cut_ns, times_ns, np.array(positions))
