# SPDX-License-Identifier: Apache-2.0
"""Stop within the limits, as soon as they allow."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from smooth_motion.errors import NoPlanError
from smooth_motion.limits import Limits, State
from smooth_motion.plan import Plan

# Shares of the jerk limit tried in turn. A state from which only the full jerk stops without
# turning back leaves no room to round the switching times to nanoseconds; a little less jerk does.
_JERK_SHARES = (1.0 - 1e-6, 0.999, 0.99, 0.9, 0.7, 0.5, 0.1, 1e-2, 1e-3, 1e-4)
# Added to the last phase, so that rounding the others cannot ask more than the limit of it.
_LAST_PHASE_SLACK_NS = 1_000
# A full acceleration is reached in no less than this, s.
_SHORTEST_RISE = 1e-3
# Between two limits so close that every turn leads to the other one, so often it turns.
_MOST_TURNS = 8
# An excess of position below this is rounding.
_POSITION_SLACK = 1e-12


class _Phase(NamedTuple):
    """A stretch of constant jerk."""

    duration_ns: int
    jerk: float


class _Motion(NamedTuple):
    """State of one joint."""

    p: float
    v: float
    a: float

    def after(self, dt: float, jerk: float) -> _Motion:
        return _Motion(
            self.p + dt * (self.v + dt * (self.a / 2.0 + dt * (jerk / 6.0))),
            self.v + dt * (self.a + dt * (jerk / 2.0)),
            self.a + dt * jerk,
        )


def brake(state: State, limits: Limits, *, start_ns: int) -> Plan:
    """Return the plan that brings every joint to rest as soon as its limits allow.

    Each joint stops by itself. A joint that would come to rest beyond a position limit brakes
    harder and turns back, as little as keeps it inside; if that leads it to the other limit, it
    turns there again. Where no motion within the acceleration
    and jerk limits stays inside, the one with the smallest excursion is returned:
    `limit_violations` names it.

    Args:
        state: The commanded state at `start_ns`.
        limits: Limits of the J joints of `state`.
        start_ns: Absolute time of the plan's first knot.

    Returns:
        A plan whose knots are those of all joints' phases together.

    Raises:
        NoPlanError: No stop was found (the state is not one that a plan can be in).
    """
    stops = []
    for j, joint in enumerate(limits.joint_names):
        motion = _Motion(
            float(state.position[j]), float(state.velocity[j]), float(state.acceleration[j])
        )
        phases = _stop(
            motion,
            float(limits.position_lower[j]),
            float(limits.position_upper[j]),
            float(limits.velocity[j]),
            float(limits.acceleration[j]),
            float(limits.jerk[j]),
        )
        stops.append(_joint_plan(joint, motion, phases, start_ns))
    times = np.unique(np.concatenate([stop.times_ns for stop in stops]))
    samples = [stop.sample(start_ns + times) for stop in stops]
    return Plan(
        limits.joint_names,
        start_ns,
        times,
        np.hstack([sample.position for sample in samples]),
        np.hstack([sample.velocity for sample in samples]),
        np.hstack([sample.acceleration for sample in samples]),
    )


def _joint_plan(joint: str, motion: _Motion, phases: list[_Phase], start_ns: int) -> Plan:
    """Return the plan of one joint through its phases, exactly at rest at the end."""
    times, rows = [0], [motion]
    for duration_ns, jerk in phases:
        motion = motion.after(duration_ns * 1e-9, jerk)
        times.append(times[-1] + duration_ns)
        rows.append(motion)
    rows[-1] = _Motion(rows[-1].p, 0.0, 0.0)
    p, v, a = (np.array(column)[:, None] for column in zip(*rows, strict=True))
    return Plan((joint,), start_ns, np.array(times, dtype=np.int64), p, v, a)


def _stop(
    motion: _Motion,
    low: float,
    high: float,
    velocity: float,
    acceleration: float,
    jerk: float,
    turns: int = 0,
) -> list[_Phase]:
    """Return the phases of the shortest stop that stays within [low, high], if one does."""
    # Where the joint already is counts as inside: it must go no further out.
    low, high = min(low, motion.p), max(high, motion.p)
    shortest = _change_velocity(motion, 0.0, acceleration, jerk)
    under, over = _excess(motion, shortest, low, high)
    if max(under, over) <= _POSITION_SLACK:
        return shortest
    side = 0 if under > over else 1

    def by_way_of(speed: float) -> tuple[list[_Phase], float]:
        """Stop after turning away from the limit at some speed; say how far beyond it went."""
        turned = speed if side == 0 else -speed
        there = _change_velocity(motion, turned, acceleration, jerk)
        back = _change_velocity(_Motion(0.0, turned, 0.0), 0.0, acceleration, jerk)
        return there + back, _excess(motion, there + back, low, high)[side]

    # At this speed the joint brakes with all it has until it turns; more does not help.
    fails, holds = 0.0, min(velocity, acceleration**2 / (2.0 * jerk))
    phases, least = by_way_of(holds)
    for _ in range(40):
        middle = (fails + holds) / 2.0
        candidate, beyond = by_way_of(middle)
        if beyond > least + _POSITION_SLACK:
            fails = middle
        else:
            holds, phases = middle, candidate
    if turns == _MOST_TURNS or _excess(motion, phases, low, high)[1 - side] <= _POSITION_SLACK:
        return phases
    # Turned away from one limit it comes too close to the other: brake for that from the turn on.
    until, turn = _until_turn(motion, phases)
    return until + _stop(turn, low, high, velocity, acceleration, jerk, turns + 1)


def _until_turn(motion: _Motion, phases: list[_Phase]) -> tuple[list[_Phase], _Motion]:
    """Return the phases up to the first instant of no velocity, and the state there."""
    until: list[_Phase] = []
    for phase in phases:
        turns = _turns(motion.v, motion.a, phase.jerk, phase.duration_ns * 1e-9)
        whole = [round(t * 1e9) for t in turns if 1 <= round(t * 1e9) < phase.duration_ns]
        if whole:
            until.append(_Phase(min(whole), phase.jerk))
            return until, motion.after(min(whole) * 1e-9, phase.jerk)
        until.append(phase)
        motion = motion.after(phase.duration_ns * 1e-9, phase.jerk)
    return until, motion


def _excess(motion: _Motion, phases: list[_Phase], low: float, high: float) -> tuple[float, float]:
    """Return how far the motion goes below `low` and above `high`."""
    bottom = top = motion.p
    for duration_ns, jerk in phases:
        end = duration_ns * 1e-9
        for t in (*_turns(motion.v, motion.a, jerk, end), end):
            p = motion.after(t, jerk).p
            bottom, top = min(bottom, p), max(top, p)
        motion = motion.after(end, jerk)
    return max(0.0, low - bottom), max(0.0, top - high)


def _turns(v: float, a: float, jerk: float, end: float) -> list[float]:
    """Return the times in (0, end) when the velocity is zero."""
    q = -(a + math.copysign(math.sqrt(max(a * a - 2.0 * jerk * v, 0.0)), a))
    times = [q / jerk] if jerk else []
    times += [2.0 * v / q] if q else []
    return [t for t in times if 0.0 < t < end]


def _change_velocity(
    motion: _Motion, target: float, acceleration: float, jerk: float
) -> list[_Phase]:
    """Return the quickest change to `target` velocity without acceleration.

    Three phases: towards a peak acceleration, hold it, back to zero. Their durations are
    rounded up to nanoseconds, then the two jerks are chosen so that velocity and acceleration end
    exactly where they should.

    Raises:
        NoPlanError: Not with the jerk allowed.
    """
    if motion.v == target and motion.a == 0.0:
        return []
    for share in _JERK_SHARES:
        j = share * jerk
        # The velocity reached by going straight to zero acceleration tells which way to push.
        straight = motion.v + motion.a * abs(motion.a) / (2.0 * j)
        sign = 1.0 if target >= straight else -1.0
        a, change = sign * motion.a, sign * (target - motion.v)
        ceiling = max(acceleration, a)
        peak = math.sqrt(max(j * change + a * a / 2.0, 0.0))
        rise, hold = (peak - a) / j, 0.0
        if peak > ceiling:
            peak = ceiling
            # At its peak already, the first phase would last no time; so part of the hold is its.
            rise = max((peak - a) / j, _SHORTEST_RISE)
            hold = (change - rise * (a + peak) / 2.0 - peak * peak / (2.0 * j)) / peak
        first = max(1, math.ceil(rise * 1e9))
        middle = max(0, math.ceil(hold * 1e9))
        last = math.ceil(peak / j * 1e9) + _LAST_PHASE_SLACK_NS
        t1, t2, t3 = first * 1e-9, middle * 1e-9, last * 1e-9
        peak = (change - a * t1 / 2.0) / (t1 / 2.0 + t2 + t3 / 2.0)
        j1, j3 = (peak - a) / t1, -peak / t3
        if abs(j1) <= jerk and abs(j3) <= jerk and abs(peak) <= ceiling:
            phases = [_Phase(first, sign * j1), _Phase(middle, 0.0), _Phase(last, sign * j3)]
            return [phase for phase in phases if phase.duration_ns]
    raise NoPlanError(
        f"no change from {motion.v} rad/s, {motion.a} rad/s^2 to {target} rad/s "
        f"within {acceleration} rad/s^2, {jerk} rad/s^3"
    )
