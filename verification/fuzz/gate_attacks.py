# SPDX-License-Identifier: Apache-2.0
"""Trajectories that are nearly right, made by one who knows everything that runs."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from smooth_motion import (
    Chunk,
    Knots,
    Limits,
    MotionError,
    Plan,
    Point,
    brake,
    overlap,
    splice_ns,
    track,
)
from smooth_motion.messages import Trajectory
from smoothness_monitor.core.controller_tracker import ControllerTracker
from smoothness_monitor.core.gripper import GripperTracker
from verification.fuzz.planner_chunks import altered
from verification.fuzz.runs import MS, SECOND, Result
from vla_contract.robot import Robot


class Attacker:
    """What an attack looks at, and what a correct policy would send."""

    rng: np.random.Generator
    robot: Robot
    limits: Limits
    # ROS time, ns.
    now: int
    # For how long a plan must equal the running one from now on.
    overlap_ns: int
    result: Result

    def __init__(self) -> None:
        self.sent: deque[Trajectory] = deque(maxlen=40)
        self.bases: deque[Plan] = deque(maxlen=12)

    @property
    def tracker(self) -> ControllerTracker:
        """What the arm's controller may run."""
        raise NotImplementedError

    @property
    def gripper_tracker(self) -> GripperTracker:
        """What the gripper's controller may run."""
        raise NotImplementedError

    def hand_to_gripper(self, trajectory: Trajectory) -> None:
        """Send the gripper a trajectory, now."""
        raise NotImplementedError

    def fresh(self) -> Plan | None:
        """Return a plan that continues what may run, as a correct policy would make it."""
        rng, tracker = self.rng, self.tracker
        if tracker.running is None:
            return None
        choices = [tracker.may_run[-1]] * 6 + tracker.may_run + list(self.bases)
        running = choices[rng.integers(len(choices))]
        spare = int(rng.choice([-60, 0, 1, 5, 30, 120], p=[0.05, 0.05, 0.1, 0.2, 0.4, 0.2])) * MS
        earliest = self.now + self.overlap_ns + spare
        splice = splice_ns(running, earliest) if rng.random() < 0.8 else earliest
        try:
            state = running.state(splice)
            if rng.random() < 0.15:
                tail = brake(state, self.limits, start_ns=splice)
            else:
                rows = int(rng.integers(2, 12))
                low, high = self.limits.position_lower, self.limits.position_upper
                goal = rng.uniform(low, high) if rng.random() < 0.5 else state.position
                goal = goal + rng.normal(0.0, 0.3, low.size)
                q = np.linspace(state.position, np.clip(goal, low, high), rows)
                chunk = Chunk(self.limits.joint_names, splice, 50 * MS, q)
                tail = track(chunk, state, self.limits, start_ns=splice)
            cycle = tracker.cycle
            assert cycle is not None
            back = int(rng.choice([0, 5, 20, 50, 200])) * MS
            cut = self.now - back
            if rng.random() < 0.5:
                cut = min(self.now, cycle.stamp_ns + int(rng.integers(0, 3)) * 5 * MS) - back
            if rng.random() < 0.8:
                cut = max(cut, running.start_ns)
            plan = overlap(running, tail, cut_ns=min(cut, splice))
        except MotionError:
            self.result.counts["without a plan"] += 1
            return None
        self.bases.append(plan)
        return plan

    def give_gripper(self) -> None:
        """Send the gripper something like what it runs, or not."""
        rng, counts = self.rng, self.result.counts
        tracker, limits = self.gripper_tracker, self.robot.gripper
        may_run = tracker.may_run
        if not may_run:
            return
        running = may_run[rng.integers(len(may_run))]
        start = self.now - int(rng.choice([1, 20, 60, 300])) * MS
        splice = self.now + int(rng.choice([0, 100, 155, 200], p=[0.1, 0.1, 0.4, 0.4])) * MS
        knots = running.start_ns + running.times_ns
        inner = knots[(knots > start) & (knots < splice)].tolist()
        times = [start, *inner, splice]
        at = [running.position(t) for t in times]
        for _ in range(int(rng.integers(1, 5))):
            step = int(rng.integers(20, 400)) * MS
            rate = limits.velocity * rng.uniform(-1.0, 1.0)
            if rng.random() < 0.02:
                rate *= 3.0
            at.append(float(np.clip(at[-1] + rate * step * 1e-9, -0.02, 1.02)))
            times.append(times[-1] + step)
        what = rng.integers(12)
        if what == 0:
            at[0] += 10.0 ** rng.uniform(-8, 0)
        elif what == 1:
            start = int(rng.choice([0, -1, 1, start + SECOND, start - SECOND]))
        elif what == 2:
            at[rng.integers(len(at))] = float(rng.choice([np.nan, np.inf, 1e308]))
        points = tuple(Point(t - times[0], [p], [], []) for t, p in zip(times, at, strict=True))
        counts["gripper trajectories"] += 1
        trajectory = Trajectory(start, (limits.joint,), points)
        self.hand_to_gripper(trajectory)


def _shifted(trajectory: Trajectory, stamp_ns: int, absolute: bool) -> Trajectory:
    """Return it under another stamp; `absolute` leaves its knots where they are."""
    points = trajectory.points
    if absolute:
        by = trajectory.stamp_ns - stamp_ns
        rest = (p._replace(time_from_start_ns=p.time_from_start_ns + by) for p in points[1:])
        points = (*points[:1], *rest)
    return replace(trajectory, stamp_ns=stamp_ns, points=points)


def sound(one: Attacker, base: Plan | None) -> Trajectory | None:
    return None if base is None else Trajectory.of(base)


def nearly_sound(one: Attacker, base: Plan | None) -> Trajectory | None:
    return None if base is None else Trajectory.of(altered(one.rng, base))


def another_stamp(one: Attacker, base: Plan | None) -> Trajectory | None:
    """0, hardly more, negative, far away, or a little off."""
    if base is None:
        return None
    rng = one.rng
    fixed = (0, 1, -1, 999_999_999, -(10**18), one.now, one.now + SECOND, one.now - 3600 * SECOND)
    near = base.start_ns + int(10 ** rng.uniform(0, 11)) * int(rng.choice([-1, 1]))
    stamp = int(rng.choice([*fixed, near, near, near, near]))
    return _shifted(Trajectory.of(base), stamp, bool(rng.random() < 0.6))


def start_of_another(one: Attacker, base: Plan | None) -> Trajectory | None:
    """Under the stamp of a plan before, to some milliseconds."""
    if base is None or not one.bases:
        return None
    other = one.bases[one.rng.integers(len(one.bases))]
    off = int(one.rng.choice([0, 0, 1, 999_999, -1_500_000, 2_000_000, 2_000_001]))
    absolute = bool(one.rng.random() < 0.7)
    return _shifted(Trajectory.of(base), other.start_ns + off, absolute)


def replayed(one: Attacker, base: Plan | None) -> Trajectory | None:
    """Something that was sent before."""
    return one.sent[one.rng.integers(len(one.sent))] if one.sent else None


def more_knots(one: Attacker, base: Plan | None) -> Trajectory | None:
    """The same motion, with knots added at random: not the same curve to the last bit."""
    if base is None:
        return None
    rng = one.rng
    count = int(rng.choice([1, 5, 60, 700]))
    span = int(base.times_ns[-1])
    extra = rng.integers(0, span + 1, count) if rng.random() < 0.5 else np.arange(1, count + 1)
    times = np.unique(np.concatenate((base.times_ns, extra)))
    sample = base.sample(base.start_ns + times)
    return Trajectory.of(Knots(base.joint_names, base.start_ns, times, *sample[:3]))


def longer(one: Attacker, base: Plan | None) -> Trajectory | None:
    """At rest for minutes, hours or years after its end."""
    if base is None:
        return None
    trajectory = Trajectory.of(base)
    last = trajectory.points[-1]
    by = int(10 ** one.rng.uniform(6, 17.5))
    end = last._replace(time_from_start_ns=last.time_from_start_ns + by)
    return replace(trajectory, points=(*trajectory.points, end))


def faster(one: Attacker, base: Plan | None) -> Trajectory | None:
    """The same path in a little less time, or a lot."""
    if base is None:
        return None
    rate = 1.0 + 10 ** one.rng.uniform(-8, 0.5)
    times = np.unique(np.rint(base.times_ns / rate).astype(np.int64))
    if times.size != base.times_ns.size:
        return None
    return Trajectory.of(
        Knots(
            base.joint_names,
            base.start_ns,
            times,
            base.positions,
            base.velocities * rate,
            base.accelerations * rate**2,
        )
    )


def elsewhere(one: Attacker, base: Plan | None) -> Trajectory | None:
    """The whole plan moved away: a step."""
    if base is None:
        return None
    by = 10.0 ** one.rng.uniform(-14, 0) * one.rng.choice([-1.0, 1.0])
    fields = (base.times_ns, base.positions + by, base.velocities, base.accelerations)
    return Trajectory.of(Knots(base.joint_names, base.start_ns, *fields))


def malformed(one: Attacker, base: Plan | None) -> Trajectory | None:
    """Counts, lengths and names that are wrong."""
    if base is None:
        return None
    rng, whole = one.rng, Trajectory.of(base)
    points, names = whole.points, whole.joint_names
    what = int(rng.integers(9))
    if what == 0:
        points = ()
    elif what == 1:
        points = points * (1 + 1001 // len(points))
    elif what == 2:
        points = tuple(p._replace(velocities=[], accelerations=[]) for p in points)
    elif what == 3:
        points = tuple(p._replace(accelerations=[]) for p in points)
    elif what == 4:
        names = (*names, "stranger")
    elif what == 5:
        names = (names[0],) * len(names) if len(names) > 1 else ("stranger",)
    elif what == 6:
        at = int(rng.integers(len(points)))
        points = (*points[:at], points[at]._replace(positions=[0.0] * 40), *points[at + 1 :])
    elif what == 7:
        points = points[::-1]
    else:
        points = (*points, points[-1])
    return replace(whole, joint_names=names, points=points)


def huge_numbers(one: Attacker, base: Plan | None) -> Trajectory | None:
    if base is None:
        return None
    rng = one.rng
    values = [np.array(v) for v in (base.positions, base.velocities, base.accelerations)]
    for each in values:
        if rng.random() < 0.5:
            row, joint = rng.integers(each.shape[0]), rng.integers(each.shape[1])
            each[row, joint] = rng.choice([np.nan, np.inf, -np.inf, 1e308, -1e154, 5e-324])
    return Trajectory.of(Knots(base.joint_names, base.start_ns, base.times_ns, *values))


def short_hold(one: Attacker, base: Plan | None) -> Trajectory | None:
    """One knot at rest, or two: where the reference is, or was, or will be."""
    tracker = one.tracker
    if tracker.running is None:
        return None
    rng = one.rng
    plan = tracker.may_run[rng.integers(len(tracker.may_run))]
    at = plan.sample(one.now + int(rng.integers(-200, 400)) * MS).position
    hold = Trajectory.of(Plan.hold(one.limits.joint_names, at, one.now - 10 * MS))
    if rng.random() < 0.7:
        (point,) = hold.points
        hold = replace(hold, points=(point, point._replace(time_from_start_ns=300 * MS)))
    return hold


ATTACKS = (
    *(sound,) * 10,
    *(nearly_sound,) * 6,
    *(another_stamp,) * 5,
    *(start_of_another,) * 4,
    *(replayed,) * 5,
    *(more_knots,) * 2,
    *(longer,) * 2,
    *(faster,) * 2,
    *(elsewhere,) * 2,
    *(malformed,) * 2,
    huge_numbers,
    short_hold,
)
