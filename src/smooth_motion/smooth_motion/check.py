# SPDX-License-Identifier: Apache-2.0
"""Judge a trajectory before a controller sees it.

A controller accepts a NaN, a step, or a trajectory that comes too late, and says nothing. So all
of it is checked here, on the numbers as they were received. Where the jerk is constant between two
knots (which is checked first, to `POSITION_RESIDUAL` and `VELOCITY_RESIDUAL`) the quintic that a
joint_trajectory_controller draws through them is that same cubic, and its extrema between the
knots have a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from smooth_motion.limits import FloatArray, Limits
from smooth_motion.plan import (
    POSITION_RESIDUAL,
    VELOCITY_RESIDUAL,
    Knots,
    Plan,
    cubic_position,
)

LIMIT_TOLERANCE = 1e-6
# More knots or more time than any plan of this suite needs: a tracker's plan has some 300 knots.
MAX_KNOTS = 1000
MAX_DURATION_NS = 600 * 1_000_000_000
# Each knot may be off by `POSITION_RESIDUAL`, so their number within a control period is bounded
# too, or the residuals of many add up to a step. A plan needs no more than a few.
CROWD, CROWD_NS = 64, 10_000_000


class ViolationKind(Enum):
    """What is wrong. The values are stable: logs and messages carry them."""

    SHAPE = "shape"
    SIZE = "size"
    STAMP = "stamp"
    JOINTS = "joints"
    NOT_FINITE = "not_finite"
    TIMES = "times"
    NOT_AT_REST = "not_at_rest"
    JERK_NOT_CONSTANT = "jerk_not_constant"
    POSITION = "position"
    VELOCITY = "velocity"
    ACCELERATION = "acceleration"
    JERK = "jerk"
    STEP = "step"
    SPLICE_TOO_EARLY = "splice_too_early"
    STARTS_LATER = "starts_later"
    ENDED = "ended"


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with a trajectory; `str()` gives it in one line.

    Attributes:
        kind: What is wrong.
        joint: The joint concerned, or "" for the trajectory as a whole.
        value: The worst value found, SI units.
        limit: What it had to respect.
        detail: The line that a person reads.
    """

    kind: ViolationKind
    joint: str
    value: float
    limit: float
    detail: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.detail}"


@dataclass(frozen=True)
class CheckConfig:
    """How strict `check` is.

    Attributes:
        min_overlap_ns: How long from now a trajectory must still equal the running plan. It
            covers delivery and a control period; 50 ms was too little on a loaded machine.
        max_start_ahead_ns: How far in the future the first knot may lie. A controller draws a line
            of its own to a first point in the future, so this covers clock skew only.
        max_knots: More of them are not even looked at.
        max_duration_ns: From the first knot to the last.
        limit_tolerance: Relative; of the range for positions, of the limit for the rest.
        position_step: Largest difference from the running plan, rad.
        velocity_step: Likewise, rad/s.
        acceleration_step: Likewise, rad/s^2.
    """

    min_overlap_ns: int = 100_000_000
    max_start_ahead_ns: int = 2_000_000
    max_knots: int = MAX_KNOTS
    max_duration_ns: int = MAX_DURATION_NS
    limit_tolerance: float = LIMIT_TOLERANCE
    position_step: float = 1e-12
    velocity_step: float = 1e-11
    acceleration_step: float = 1e-9


def check(
    knots: Knots,
    running: Plan,
    limits: Limits,
    *,
    now_ns: int,
    config: CheckConfig | None = None,
) -> list[Violation]:
    """Judge a trajectory that is to replace the running plan.

    Args:
        knots: The trajectory, as received.
        running: The plan that the controller runs.
        limits: The robot's limits. Outside the position range, where the running plan may be if
            the arm woke up there, a trajectory may go no further out.
        now_ns: The time now.
        config: How strict.

    Returns:
        What is wrong, the worst case for each kind and joint; empty if `Plan` accepts the numbers,
        every limit holds at and between the knots, and the trajectory equals the running plan from
        its start until `min_overlap_ns` from now.
    """
    config = config or CheckConfig()
    malformed = _malformed(knots, limits.joint_names, config)
    if malformed:
        return malformed
    running_at_start = running.sample(knots.start_ns)
    widened = limits.widened_to(running_at_start.position)
    return [
        *_unsound(knots),
        *limit_violations(knots, widened, tolerance=config.limit_tolerance),
        *_discontinuous(knots, running, now_ns, config),
        *_untimely(knots, now_ns, config),
    ]


def limit_violations(
    knots: Knots, limits: Limits, *, tolerance: float = LIMIT_TOLERANCE
) -> list[Violation]:
    """Find where a trajectory of constant jerk breaks limits, at and between its knots.

    Args:
        knots: Finite knots with constant jerk between them, joints as in `limits`.
        limits: What to respect.
        tolerance: Relative; of the range for positions, of the limit for the rest.

    Returns:
        The worst value of each kind and joint that is not within its limit.
    """
    jerk, dt = knots.segment_jerk(), knots.intervals_s()[:, None]
    low, high = _position_range(knots, jerk, dt)
    slack = tolerance * (limits.position_upper - limits.position_lower)
    above, below = high - limits.position_upper, limits.position_lower - low
    is_high = above >= below
    violations = _over(
        ViolationKind.POSITION,
        "rad",
        limits,
        np.where(is_high, high, low),
        np.where(is_high, limits.position_upper, limits.position_lower),
        np.maximum(above, below) <= slack,
    )
    for kind, unit, peak, limit in (
        (ViolationKind.VELOCITY, "rad/s", _velocity_peak(knots, jerk, dt), limits.velocity),
        (ViolationKind.ACCELERATION, "rad/s^2", _peak(knots.accelerations), limits.acceleration),
        (ViolationKind.JERK, "rad/s^3", _peak(jerk), limits.jerk),
    ):
        violations += _over(kind, unit, limits, peak, limit, peak <= limit * (1.0 + tolerance))
    return violations


def _over(
    kind: ViolationKind,
    unit: str,
    limits: Limits,
    values: FloatArray,
    bounds: FloatArray,
    within: npt.NDArray[np.bool_],
) -> list[Violation]:
    return [
        Violation(
            kind,
            limits.joint_names[j],
            float(values[j]),
            float(bounds[j]),
            f"{kind.value} of {limits.joint_names[j]} reaches {values[j]:.6g} {unit}, "
            f"its limit is {bounds[j]:.6g}",
        )
        for j in np.flatnonzero(~within)
    ]


def _peak(values: FloatArray) -> FloatArray:
    return np.asarray(np.abs(values).max(axis=0, initial=0.0))


def _velocity_peak(knots: Knots, jerk: FloatArray, dt: FloatArray) -> FloatArray:
    """Return the largest |velocity| at and between knots, (J,)."""
    v, a = knots.velocities[:-1], knots.accelerations[:-1]
    turn = np.divide(-a, jerk, out=np.zeros_like(a), where=jerk != 0.0)
    turn = np.minimum(np.maximum(turn, 0.0), dt)
    between = v + turn * (a + turn * jerk / 2.0)
    return np.maximum(_peak(knots.velocities), _peak(between))


def _position_range(
    knots: Knots, jerk: FloatArray, dt: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and highest position at and between knots, (J,) each."""
    low, high = knots.positions.min(axis=0), knots.positions.max(axis=0)
    p, v, a = knots.positions[:-1], knots.velocities[:-1], knots.accelerations[:-1]
    root = np.sqrt(np.maximum(a * a - 2.0 * jerk * v, 0.0))
    q = -(a + np.copysign(root, a))
    for numerator, denominator in ((q, jerk), (2.0 * v, q)):
        turn = np.divide(numerator, denominator, out=np.zeros_like(a), where=denominator != 0.0)
        turn = np.minimum(np.maximum(np.where(np.isnan(turn), 0.0, turn), 0.0), dt)
        between = cubic_position(p, v, a, jerk, turn)
        low = np.minimum(low, between.min(axis=0, initial=np.inf))
        high = np.maximum(high, between.max(axis=0, initial=-np.inf))
    return low, high


def _malformed(knots: Knots, joint_names: tuple[str, ...], config: CheckConfig) -> list[Violation]:
    """Find what keeps the numbers from being read as a trajectory at all."""
    whole = ""
    count = int(np.size(knots.times_ns))
    if not (count <= config.max_knots):
        detail = f"it has {count} knots, {config.max_knots} are allowed"
        return [_violation(ViolationKind.SIZE, whole, count, config.max_knots, detail)]
    if not (knots.start_ns > 0):
        # A joint_trajectory_controller takes a stamp of 0 for "start now".
        detail = f"its stamp is {knots.start_ns * 1e-9:.9f} s; stamp it with the start's ROS time"
        return [_violation(ViolationKind.STAMP, whole, knots.start_ns * 1e-9, 0.0, detail)]
    if tuple(knots.joint_names) != joint_names:
        detail = f"joints are [{', '.join(knots.joint_names)}], not [{', '.join(joint_names)}]"
        return [
            _violation(
                ViolationKind.JOINTS, whole, len(knots.joint_names), len(joint_names), detail
            )
        ]
    times = np.asarray(knots.times_ns)
    if times.ndim != 1 or times.size == 0 or not np.issubdtype(times.dtype, np.integer):
        detail = "times_ns must be one or more integers"
        return [_violation(ViolationKind.SHAPE, whole, times.size, 1, detail)]
    shape = (times.size, len(joint_names))
    for field in ("positions", "velocities", "accelerations"):
        values = np.asarray(getattr(knots, field))
        if values.shape != shape:
            detail = f"{field} have shape {values.shape}, not {shape}"
            return [
                _violation(ViolationKind.SHAPE, whole, values.size, shape[0] * shape[1], detail)
            ]
        finite = np.isfinite(values)
        if not finite.all():
            k, j = (int(i) for i in np.argwhere(~finite)[0])
            detail = f"{field} of {joint_names[j]} is {values[k, j]} at knot {k}"
            return [
                _violation(ViolationKind.NOT_FINITE, joint_names[j], values[k, j], 0.0, detail)
            ]
    steps = np.diff(times)
    if times[0] != 0 or not (steps > 0).all():
        k = 0 if times[0] != 0 else 1 + int(np.argmin(steps > 0))
        detail = f"times must start at 0 and increase; knot {k} is at {times[k] * 1e-9:.9f} s"
        return [_violation(ViolationKind.TIMES, whole, times[k] * 1e-9, 0.0, detail)]
    lasts_s, allowed_s = int(times[-1]) * 1e-9, config.max_duration_ns * 1e-9
    if not (times[-1] <= config.max_duration_ns):
        detail = f"it lasts {lasts_s:.6g} s, {allowed_s:g} s are allowed"
        return [_violation(ViolationKind.SIZE, whole, lasts_s, allowed_s, detail)]
    crowds = times[CROWD:] - times[:-CROWD]
    if not (crowds >= CROWD_NS).all():
        k = int(np.argmin(crowds))
        detail = (
            f"knots {k} to {k + CROWD} lie within {crowds[k] * 1e-6:.3f} ms, so many need "
            f"{CROWD_NS * 1e-6:g} ms"
        )
        return [_violation(ViolationKind.TIMES, whole, crowds[k] * 1e-9, CROWD_NS * 1e-9, detail)]
    return []


def _violation(
    kind: ViolationKind, joint: str, value: float, limit: float, detail: str
) -> Violation:
    return Violation(kind, joint, float(value), float(limit), detail)


def _unsound(knots: Knots) -> list[Violation]:
    """Find what `Plan` would refuse: motion at the end, jerk that is not constant."""
    violations = []
    for field, unit in (("velocities", "rad/s"), ("accelerations", "rad/s^2")):
        last = getattr(knots, field)[-1]
        for j in np.flatnonzero(last):
            detail = f"{knots.joint_names[j]} still has {last[j]:.3g} {unit} at the last knot"
            violations.append(
                _violation(ViolationKind.NOT_AT_REST, knots.joint_names[j], last[j], 0.0, detail)
            )
    dp, dv = knots.residual()
    dp = dp / np.maximum(1.0, np.abs(knots.positions[1:]))
    dv = dv / np.maximum(1.0, np.abs(knots.velocities[1:]))
    for j in np.flatnonzero(~((dp <= POSITION_RESIDUAL) & (dv <= VELOCITY_RESIDUAL)).all(axis=0)):
        # In units of the tolerance, to compare the two.
        excess = np.maximum(dp[:, j] / POSITION_RESIDUAL, dv[:, j] / VELOCITY_RESIDUAL)
        k = int(np.argmax(excess))
        detail = (
            f"the jerk of {knots.joint_names[j]} is not constant between knots {k} and {k + 1}: "
            f"off by {dp[k, j]:.1e} rad and {dv[k, j]:.1e} rad/s"
        )
        violations.append(
            _violation(
                ViolationKind.JERK_NOT_CONSTANT,
                knots.joint_names[j],
                dp[k, j],
                POSITION_RESIDUAL,
                detail,
            )
        )
    return violations


def _discontinuous(
    knots: Knots, running: Plan, now_ns: int, config: CheckConfig
) -> list[Violation]:
    """Find where the trajectory differs from the running plan before it may.

    Both are cubics between the knots of the two together. Where those agree in position, velocity
    and acceleration, the trajectories agree everywhere.
    """
    until_ns = max(now_ns + config.min_overlap_ns, knots.start_ns)
    times = np.concatenate((knots.knots_ns, running.knots_ns, [knots.start_ns, until_ns]))
    times = np.unique(times[(times >= knots.start_ns) & (times <= until_ns)])
    ours, theirs = _evaluate(knots, times), running.sample(times)[:3]
    names = ("position", "velocity", "acceleration")
    units = ("rad", "rad/s", "rad/s^2")
    bounds = (config.position_step, config.velocity_step, config.acceleration_step)
    differ = np.stack(
        [
            ~(np.abs(a - b) <= bound * np.maximum(1.0, np.abs(b)))
            for a, b, bound in zip(ours, theirs, bounds, strict=True)
        ]
    )
    if not differ.any():
        return []
    first = int(np.argmax(differ.any(axis=(0, 2))))
    if first > 0:
        left_s = (int(times[first - 1]) - now_ns) * 1e-9
        needed_s = config.min_overlap_ns * 1e-9
        detail = (
            f"it leaves the running plan {left_s * 1e3:.1f} ms from now, "
            f"{needed_s * 1e3:.1f} ms are needed"
        )
        return [_violation(ViolationKind.SPLICE_TOO_EARLY, "", left_s, needed_s, detail)]
    violations = []
    for i, j in np.argwhere(differ[:, 0]):
        step, joint = float(np.abs(ours[i][0, j] - theirs[i][0, j])), knots.joint_names[j]
        detail = f"the {names[i]} of {joint} starts {step:.3g} {units[i]} off the running plan"
        violations.append(_violation(ViolationKind.STEP, joint, step, bounds[i], detail))
    return violations


def _evaluate(
    knots: Knots, times: npt.NDArray[np.int64]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Evaluate position, velocity and acceleration at N times not before the start, (N, J)."""
    since = times - knots.start_ns
    left = np.searchsorted(knots.times_ns, since, side="right") - 1
    dt = np.where(left < knots.times_ns.size - 1, since - knots.times_ns[left], 0)[:, None] * 1e-9
    jerk = np.vstack((knots.segment_jerk(), np.zeros((1, len(knots.joint_names)))))[left]
    p, v, a = knots.positions[left], knots.velocities[left], knots.accelerations[left]
    return cubic_position(p, v, a, jerk, dt), v + dt * (a + dt * jerk / 2.0), a + dt * jerk


def _untimely(knots: Knots, now_ns: int, config: CheckConfig) -> list[Violation]:
    """Find what is wrong with when the trajectory starts and ends."""
    ahead_s, allowed_s = (knots.start_ns - now_ns) * 1e-9, config.max_start_ahead_ns * 1e-9
    violations = []
    if not (ahead_s <= allowed_s):
        detail = f"its first knot lies {ahead_s * 1e3:.1f} ms in the future; stamp it in the past"
        violations.append(_violation(ViolationKind.STARTS_LATER, "", ahead_s, allowed_s, detail))
    left_s = (knots.end_ns - now_ns) * 1e-9
    if not (left_s > 0.0):
        detail = f"it ended {-left_s * 1e3:.1f} ms ago"
        violations.append(_violation(ViolationKind.ENDED, "", left_s, 0.0, detail))
    return violations
