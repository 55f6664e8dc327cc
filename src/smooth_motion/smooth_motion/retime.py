# SPDX-License-Identifier: Apache-2.0
"""Carry out a plan more slowly, or at its own speed again, along the same path.

A plan P is a path, and time passes along it: the new motion is P(s(t)), where the path time s
passes at a rate. While the rate is constant this is exact: constant jerk stays constant jerk,
smaller by the rate's cube. While the rate changes it is not: the motion P(s(t)) has no constant
jerk between knots, and where P uses all of its jerk no change of the rate is within the limits.
There a quadratic program finds, joint by joint, the motion of constant jerk within the limits that
is closest to P(s(t)), starts in the state of the plan that runs and ends in a state of P at
the new rate. So the path is left by the deviation that is returned, for that time only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smooth_motion.check import LIMIT_TOLERANCE, limit_violations
from smooth_motion.errors import MotionError, NoPlanError
from smooth_motion.limits import FloatArray, Limits, State
from smooth_motion.overlap import overlap
from smooth_motion.plan import Plan, cubic_position, cubic_velocity
from smooth_motion.rate_problem import RateProblem

# Intervals of a change of rate are no longer than this, so that the path is kept, and no shorter
# than a quarter of it.
_INTERVAL_NS = 20_000_000
# A change of rate lasts this long at least.
_SHORTEST_NS = 5 * _INTERVAL_NS
# Where the asked time for a change of rate is too short for the limits, longer ones are tried.
_LONGER = (1.0, 1.5, 2.0, 3.0)
# A result holds its limits twice as closely as `check` asks for.
_TOLERANCE = LIMIT_TOLERANCE / 2.0
# Largest correction of a jerk that makes an end exact, as a share of the limit.
_CORRECTION = 1e-4
# The first correction leaves its own rounding behind, the next ones that of the numbers alone.
_PASSES = 4
_LAST = 6


@dataclass(frozen=True, eq=False)
class Retimed:
    """A plan that carries out another one's path at another rate.

    Attributes:
        plan: What to send. It equals the plan that ran up to `splice_ns`.
        origin: The plan whose path it is, at the rate 1.
        scale: The rate from `settled_ns` on: path time that passes in a unit of time.
        splice_ns: Where the rate begins to change.
        settled_ns: Where it has changed. From there on the plan is the origin, to rounding.
        splice_path_ns: Path time at `splice_ns`.
        path_ns: Path time at `settled_ns`: a time on `origin`.
        scale_before: The rate at `splice_ns`.
        deviation: Largest distance of a joint from where it would be on the path, rad.
    """

    plan: Plan
    origin: Plan
    scale: float
    splice_ns: int
    settled_ns: int
    splice_path_ns: int
    path_ns: int
    scale_before: float
    deviation: float

    def path_time_ns(self, t_ns: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the path time, as an absolute time on `origin`, at times since `splice_ns`."""
        t = np.asarray(t_ns, dtype=np.int64)
        changing = _Change(
            self.splice_path_ns,
            self.settled_ns - self.splice_ns,
            self.scale_before,
            self.scale,
        )
        during = self.splice_path_ns + changing.passed_ns(t - self.splice_ns)
        after = self.path_ns + np.rint(self.scale * (t - self.settled_ns)).astype(np.int64)
        return np.where(t < self.settled_ns, during, after)


def within_from_ns(plan: Plan, limits: Limits, *, tolerance: float = LIMIT_TOLERANCE) -> int:
    """Return the first knot from which on a plan keeps limits of velocity, acceleration and jerk.

    It is the last knot, at rest, where only that does. Positions are not looked at.
    """
    ratio = 1.0 + tolerance
    jerk, dt = plan.segment_jerk(), plan.intervals_s()[:, None]
    v, a = plan.velocities, plan.accelerations
    turn = np.divide(-a[:-1], jerk, out=np.zeros_like(jerk), where=jerk != 0.0)
    turn = np.clip(turn, 0.0, dt)
    peak = np.maximum(np.abs(v[:-1] + turn * (a[:-1] + turn * jerk / 2.0)), np.abs(v[:-1]))
    peak = np.maximum(peak, np.abs(v[1:]))
    acceleration = np.maximum(np.abs(a[:-1]), np.abs(a[1:]))
    beyond = (
        (peak > limits.velocity * ratio)
        | (acceleration > limits.acceleration * ratio)
        | (np.abs(jerk) > limits.jerk * ratio)
    ).any(axis=1)
    first = int(np.flatnonzero(beyond)[-1]) + 1 if beyond.any() else 0
    return plan.start_ns + int(plan.times_ns[first])


def retime(
    running: Plan | Retimed,
    scale: float,
    limits: Limits,
    *,
    splice_ns: int,
    cut_ns: int,
    change_ns: int,
    deviation: float,
) -> Retimed:
    """Return the plan that goes on along the running one's path at another rate.

    Nothing becomes faster than the plan that the path came from: its rate is 1, at most that can
    be asked for.

    Args:
        running: What runs, as a plan of its own (rate 1) or as an earlier result.
        scale: The rate to go on with, above 0 and at most 1.
        limits: Of the joints. A position outside of them may move inwards.
        splice_ns: Absolute time at which the rate begins to change, not before an earlier change
            has settled. Until then the knots are copied as by `overlap`.
        cut_ns: The result's start, which is its identity.
        change_ns: How long the rate takes to change; up to three times as long where the limits
            demand it, or where the path would be left by more than `deviation`.
        deviation: Distance of a joint from the path that is wanted, rad. Where no change keeps
            it, the one that comes closest is taken.

    Raises:
        MotionError: An argument is out of its range.
        NoPlanError: No motion within the limits was found. Later on the path there may be one.
    """
    if not (0.0 < scale <= 1.0):
        raise MotionError(f"scale must be above 0 and at most 1, but is {scale}")
    if not (change_ns >= _SHORTEST_NS and deviation > 0.0):
        raise MotionError(
            f"change_ns must be {_SHORTEST_NS} or more and deviation positive, but they are "
            f"{change_ns} and {deviation}"
        )
    before, origin, rate, path_ns = running, running, 1.0, splice_ns
    if isinstance(running, Retimed):
        if splice_ns < running.settled_ns:
            raise MotionError(
                f"the splice ({splice_ns} ns) lies before the end of an earlier change of rate "
                f"({running.settled_ns} ns); wait for it"
            )
        before, origin, rate = running.plan, running.origin, running.scale
        path_ns = int(running.path_time_ns(splice_ns))
    assert isinstance(before, Plan)
    assert isinstance(origin, Plan)
    if before.joint_names != limits.joint_names:
        raise MotionError("the limits are for other joints than the plan")
    allowed = limits.widened_to(before.state(splice_ns).position)
    best: Retimed | None = None
    for longer in _LONGER:
        change = _Change(path_ns, round(longer * change_ns), rate, scale)
        tail = _change_rate(before, origin, allowed, splice_ns, change)
        if tail is None:
            continue
        plan = overlap(before, tail, cut_ns=cut_ns)
        settled_ns = splice_ns + change.lasts_ns
        ends = (splice_ns, settled_ns, path_ns, change.end_ns)
        found = _with_deviation(Retimed(plan, origin, scale, *ends, rate, 0.0))
        if best is None or found.deviation < best.deviation:
            best = found
        if best.deviation <= deviation:
            break
    if best is not None:
        return best
    raise NoPlanError(
        f"no change of the rate from {rate:g} to {scale:g} within the limits was found at "
        f"{splice_ns} ns; try later"
    )


def stretch(plan: Plan, scale: float, limits: Limits, *, from_ns: int) -> Retimed:
    """Return a plan with the same start that goes on at another rate from where it rests.

    At rest every rate is the same motion, so it needs no time to change and leaves no path.

    Args:
        plan: At rest at `from_ns`.
        scale: The rate from there on, above 0 and at most 1.
        limits: Of the joints.
        from_ns: Absolute time.

    Raises:
        MotionError: The plan moves then, or the scale is out of its range.
        NoPlanError: No motion within the limits was found.
    """
    if not (0.0 < scale <= 1.0):
        raise MotionError(f"scale must be above 0 and at most 1, but is {scale}")
    state = plan.state(from_ns)
    if state.velocity.any() or state.acceleration.any():
        raise MotionError(f"the plan moves at {from_ns} ns; it can be stretched from rest only")
    jerk, ends = _remainder(plan, _Change(from_ns, 0, scale, scale))
    if not ends.size:
        return Retimed(plan, plan, scale, from_ns, from_ns, from_ns, from_ns, scale, 0.0)
    lengths = np.diff(np.concatenate(([0], ends))) * 1e-9
    rest = State.at_rest(plan.positions[-1])
    rows = _arrive(jerk, lengths, state, rest, limits)
    times = np.concatenate(([0], ends))
    tail = None if rows is None else Plan(plan.joint_names, from_ns, times, *rows)
    if tail is None or limit_violations(tail, limits.widened_to(state.position)):
        raise NoPlanError(f"no motion at the rate {scale:g} was found from {from_ns} ns")
    whole = overlap(plan, tail, cut_ns=plan.start_ns)
    return Retimed(whole, plan, scale, from_ns, from_ns, from_ns, from_ns, scale, 0.0)


@dataclass(frozen=True)
class _Change:
    """A change of rate: the rate goes from one value to another along 3 x^2 - 2 x^3."""

    start_ns: int
    lasts_ns: int
    first: float
    last: float

    def passed_ns(self, since_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the path time that has passed, after a time since the start."""
        if not self.lasts_ns:
            return np.zeros_like(since_ns)
        x = np.clip(since_ns / self.lasts_ns, 0.0, 1.0)
        mean = self.first * x + (self.last - self.first) * (x**3 - x**4 / 2.0)
        return np.rint(self.lasts_ns * mean).astype(np.int64)

    def rate(self, since_ns: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Return the rate and its derivative, 1/s."""
        x = np.clip(since_ns / self.lasts_ns, 0.0, 1.0)
        gain = self.last - self.first
        slope = gain * 6.0 * x * (1.0 - x) / (self.lasts_ns * 1e-9)
        return self.first + gain * x * x * (3.0 - 2.0 * x), slope

    @property
    def end_ns(self) -> int:
        """Path time at the end."""
        return self.start_ns + int(self.passed_ns(np.int64(self.lasts_ns)))  # type: ignore[arg-type]


def _change_rate(
    before: Plan, origin: Plan, limits: Limits, start_ns: int, change: _Change
) -> Plan | None:
    """Return the plan from the splice on, None if there is none within the limits."""
    since = _grid(before, start_ns, change.lasts_ns)
    state = before.state(start_ns)
    rate, slope = (values[:, None] for values in change.rate(since))
    on_path = origin.sample(change.start_ns + change.passed_ns(since))
    acceleration = on_path.acceleration * rate**2 + on_path.velocity * slope
    end = State(
        on_path.position[-1],
        on_path.velocity[-1] * change.last,
        on_path.acceleration[-1] * change.last**2,
    )
    intervals = np.diff(since) * 1e-9
    problem = RateProblem(intervals)
    jerk = np.empty((intervals.size, limits.jerk.size))
    for j in range(limits.jerk.size):
        nominal = np.diff(acceleration[:, j]) / intervals
        row = problem.solve(j, state, end, on_path.position[:, j], nominal, limits)
        if row is None:
            return None
        jerk[:, j] = row
    pieces = [_arrive(jerk, intervals, state, end, limits)]
    tail_jerk, tail = _remainder(origin, change)
    if tail.size:
        rest = State.at_rest(origin.positions[-1])
        lengths = np.diff(np.concatenate((since[-1:], tail))) * 1e-9
        pieces.append(_arrive(tail_jerk, lengths, end, rest, limits))
    if any(piece is None for piece in pieces):
        return None
    first, *others = (piece for piece in pieces if piece is not None)
    p, v, a = (np.vstack((first[i], *(each[i][1:] for each in others))) for i in range(3))
    try:
        plan = Plan(origin.joint_names, start_ns, np.concatenate((since, tail)), p, v, a)
    except MotionError:
        return None
    return None if limit_violations(plan, limits, tolerance=_TOLERANCE) else plan


def _grid(before: Plan, start_ns: int, lasts_ns: int) -> npt.NDArray[np.int64]:
    """Return the knots of a change of rate, from 0.

    The knots of the plan before are among them: to go on as before is then always a motion of this
    kind, and the limits, which that one keeps, leave one to start with.
    """
    knots = before.knots_ns - start_ns
    kept = [0]
    for knot in (*knots[(knots > 0) & (knots < lasts_ns)].tolist(), lasts_ns):
        if knot - kept[-1] < _INTERVAL_NS // 4:
            if knot < lasts_ns or len(kept) == 1:
                continue
            kept.pop()
        parts = -(-(knot - kept[-1]) // _INTERVAL_NS)
        kept += [kept[-1] + (knot - kept[-1]) * (i + 1) // parts for i in range(parts)]
    return np.array(kept, dtype=np.int64)


def _remainder(origin: Plan, change: _Change) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return the origin's jerks after a change, at its rate, and their ends since its start."""
    knots = origin.knots_ns[origin.knots_ns > change.end_ns]
    ends = np.rint((knots - change.end_ns) / change.last).astype(np.int64)
    jerk = origin.segment_jerk()[origin.segment_jerk().shape[0] - ends.size :]
    jerk = jerk * change.last**3
    # Three intervals are needed to arrive exactly, and a few more lest their jerks become large.
    while 0 < ends.size < 6:
        starts = np.concatenate(([0], ends[:-1]))
        ends = np.column_stack(((starts + ends) // 2, ends)).ravel()
        jerk = np.repeat(jerk, 2, axis=0)
    return jerk, change.lasts_ns + ends


def _arrive(
    jerk: FloatArray, intervals: FloatArray, state: State, end: State, limits: Limits
) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """Integrate jerks (N, J) with the least correction that leads exactly to an end.

    Rounding times to nanoseconds and the solver's residual are corrected this way.

    Returns:
        Positions, velocities and accelerations, (N + 1, J) each, or None if more than a trace of
        correction would be needed.
    """
    weights = intervals.copy()
    for _ in range(_PASSES):
        p, v, a = _integrated(jerk, intervals, state)
        # What the last state gains by a unit of jerk in each interval, (3, N).
        after = np.concatenate((np.cumsum(intervals[::-1])[::-1], [0.0]))
        gains = np.stack((-np.diff(after**3) / 6.0, -np.diff(after**2) / 2.0, intervals))
        missing = np.stack((end.position - p[-1], end.velocity - v[-1], end.acceleration - a[-1]))
        # In units of the whole time the three conditions are of one size.
        unit = float(intervals.sum()) ** np.array([3.0, 2.0, 1.0])[:, None]
        scaled = gains / unit
        weighted = scaled * weights
        try:
            correction = weighted.T @ np.linalg.solve(weighted @ scaled.T, missing / unit)
        except np.linalg.LinAlgError:
            return None
        if not (np.abs(correction) <= _CORRECTION * limits.jerk).all():
            return None
        jerk = jerk + correction
        # What is left is rounding, and the last digit of an early jerk moves the end by more.
        weights[:-_LAST] = 0.0
    p, v, a = _integrated(jerk, intervals, state)
    p[-1], v[-1], a[-1] = end.position, end.velocity, end.acceleration
    return p, v, a


def _integrated(
    jerk: FloatArray, intervals: FloatArray, state: State
) -> tuple[FloatArray, FloatArray, FloatArray]:
    h = intervals[:, None]
    a = np.cumsum(np.vstack((state.acceleration, jerk * h)), axis=0)
    v = np.cumsum(np.vstack((state.velocity, cubic_velocity(0.0 * a[:-1], a[:-1], jerk, h))), 0)
    step = cubic_position(0.0 * a[:-1], v[:-1], a[:-1], jerk, h)
    return np.cumsum(np.vstack((state.position, step)), axis=0), v, a


def _with_deviation(found: Retimed) -> Retimed:
    """Return the same with its deviation from the path, seen eight times an interval.

    From `settled_ns` on there is none, so what comes then, which may be hours of rest, costs
    nothing.
    """
    step = _INTERVAL_NS // 8
    t = np.arange(found.splice_ns, found.settled_ns + step, step)
    on_path = found.origin.sample(found.path_time_ns(t)).position
    away = float(np.abs(found.plan.sample(t).position - on_path).max())
    return Retimed(**{**vars(found), "deviation": away})
