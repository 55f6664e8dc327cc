# SPDX-License-Identifier: Apache-2.0
"""The verdict on what running controllers commanded: what kept the limits, what did not, and why.

References are put on the trajectories that they are points of. Over the time of those the
divided differences of their positions keep every limit, however unevenly a loaded host ran the
cycles, and however many were not heard.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from smooth_motion import GripperPlan, part_ns
from smoothness_monitor.core import gripper
from smoothness_monitor.core.types import Rung
from verification.fuzz.runs import DERIVATIVES, MS, RATIO, SECOND
from vla_contract.robot import Robot

# Starts of trajectories, as controller_state tells them, wander by less.
SAME_START_NS = 20 * MS
# rad; a controller that runs a trajectory reports it, to rounding.
ON_IT = 1e-7
# Less than this between two references is no time to divide by.
LEAST_NS = 500_000
# No reference for so long: the controller was off in between.
OFF_NS = 300 * MS
# Steps that are nearer are one.
ONE_STEP_NS = 200 * MS
# Within so long of a step the monitor must have tripped.
SEEN_NS = 500 * MS
TOPICS = ("arm", "gripper")
OWN = "the monitor's own"
# How long before it leaves what runs a trajectory must have been published to be the host's fault:
# by the monitor's own rules, less what it may take from its look at the clock to the topic.
IN_TIME_NS = {True: 40 * MS, False: 120 * MS}
# What the attacks are meant to trip; the rest is told as it came.
MEANT = {"plan_rejected", "non_finite", "operator"}
NEVER = {"internal_error", "restarted", "foreign_publisher"}


@dataclass
class Command:
    """A trajectory on a controller's topic.

    Attributes:
        plan: It.
        published_ns: When, by its publisher, for the first time: a brake is sent twice.
        name: Which attack it is, `OWN` where it is the monitor's.
    """

    plan: Any
    published_ns: int
    name: str


def same(one: Any, other: Any) -> bool:
    """Return whether two plans are the same, bit for bit."""
    return (
        one.start_ns == other.start_ns
        and np.array_equal(one.times_ns, other.times_ns)
        and np.array_equal(one.positions, other.positions)
    )


@dataclass
class LegRecord:
    """What was heard in a leg. Cycles: stamp, time from start, positions, velocities."""

    cycles: dict[str, list[tuple[int, int, np.ndarray, np.ndarray]]] = field(
        default_factory=lambda: {topic: [] for topic in TOPICS}
    )
    commands: dict[str, list[Command]] = field(
        default_factory=lambda: {topic: [] for topic in TOPICS}
    )
    # ROS time, state, causes, detail, rung
    states: list[tuple[int, int, tuple[str, ...], str, int]] = field(default_factory=list)


@dataclass
class Leg:
    """What came of a leg; a line of the results.

    Attributes:
        seed: Of it.
        system: What the controllers were.
        code: Hash of the code that was fuzzed.
        counts: Whatever was counted.
        trips: By first cause.
        worst: Largest ratio of the limit, outside of the host's events.
        host: The host's events: what a late command did, in words.
        failures: Everything that must not be, in words.
        seconds: It took.
    """

    seed: int
    system: str
    code: str
    counts: dict[str, int] = field(default_factory=dict)
    trips: dict[str, int] = field(default_factory=dict)
    worst: dict[str, float] = field(default_factory=dict)
    host: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


def put_on_plans(
    cycles: list[tuple[int, int, np.ndarray, np.ndarray]], commands: list[Command]
) -> tuple[np.ndarray, list[int]]:
    """Return the time of each reference along its trajectory (N,), and which trajectory; -1: none.

    A controller's reference is evaluated for its trajectory's stamp plus the time from start. The
    stamp is told by the difference of two numbers that wander; the positions tell which one it is.
    """
    starts = np.array([command.plan.start_ns for command in commands], dtype=np.int64)
    times, which, last = [], [], -1
    for stamp, since, position, _ in cycles:
        near = np.flatnonzero(np.abs(starts - (stamp - since)) <= SAME_START_NS).tolist()
        found = -1
        # What ran before goes on, where both are as good; else the newest.
        for index in sorted(near, key=lambda each: (each != last, -each)):
            plan = commands[index].plan
            t = plan.start_ns + since
            at = plan.position(t) if isinstance(plan, GripperPlan) else plan.position_at(t)
            if (np.abs(at - position) <= ON_IT).all():
                found = index
                break
        last = found if found >= 0 else last
        times.append(commands[found].plan.start_ns + since if found >= 0 else stamp)
        which.append(found)
    return np.array(times, dtype=np.int64), which


def excess(
    times: np.ndarray, positions: np.ndarray, limits: tuple[np.ndarray, ...], slack: float = 1e-9
) -> tuple[list[tuple[int, str, float]], dict[str, float]]:
    """Return where references leave a limit: index, what, ratio; and the largest ratios.

    Args:
        times: (N,) ns; they may stand or go back.
        positions: (N, J).
        limits: Of the first, second, ... derivative, (J,) each.
        slack: By how much a position may be off without any time for it, rad.
    """
    found: list[tuple[int, str, float]] = []
    worst = dict.fromkeys(DERIVATIVES[: len(limits)], 0.0)
    order = np.argsort(times, kind="stable")
    dt = np.diff(times[order]) * 1e-9
    dq = np.abs(np.diff(positions[order], axis=0))
    steps = np.flatnonzero((dq > RATIO * limits[0] * dt[:, None] + slack).any(axis=1))
    for i in steps:
        ratio = float((dq[i] / limits[0]).max() / max(dt[i], 1e-9))
        found.append((int(max(order[i], order[i + 1])), "step", ratio))
    kept = [0]
    for i in range(1, len(order)):
        if times[order[i]] - times[order[kept[-1]]] >= LEAST_NS:
            kept.append(i)
    index = order[kept]
    rows, t = positions[index], times[index]
    for number, limit in enumerate(limits, start=1):
        if len(t) <= number:
            break
        span = (t[number:] - t[:-number])[:, None] * 1e-9
        rows = number * np.diff(rows, axis=0) / span
        # A gripper may step by `slack`, between straight lines.
        ratios = (np.abs(rows) - (slack if len(limits) == 1 else 0.0) / span) / limit
        largest, what = ratios.max(axis=1), DERIVATIVES[number - 1]
        worst[what] = float(largest.max(initial=0.0))
        for i in np.flatnonzero(~(largest <= RATIO)):
            found.append((int(index[i : i + number + 1].max()), what, float(largest[i])))
    return found, worst


def why(
    at: int, which: list[int], times: np.ndarray, stamps: np.ndarray, commands: list[Command]
) -> tuple[str, str]:
    """Return what a step at a cycle comes from: "late", "own" or "hole", and the evidence.

    Looks for the cycle, among the last few, at which the controller turned to another trajectory.
    """
    turns = [i for i in range(max(1, at - 4), min(at + 1, len(which))) if which[i] != which[i - 1]]
    if not turns:
        return "hole", f"in trajectory {which[at]}, which it had been on for 4 cycles"
    words = []
    for turn in turns:
        new, old = which[turn], which[turn - 1]
        if new < 0 or old < 0:
            what = "to nothing that was sent" if new < 0 else "from a hold or the like"
            words.append(f"turned {what} (trajectories {old} to {new})")
            continue
        plan, before = commands[new].plan, commands[old].plan
        parts = gripper.parts_ns if isinstance(plan, GripperPlan) else part_ns
        left_ns = parts(plan, before)
        published = commands[new].published_ns
        ahead, late = (left_ns - published) * 1e-6, (times[turn] - left_ns) * 1e-6
        gap = (stamps[turn] - stamps[turn - 1]) * 1e-6
        words.append(
            f"trajectory {new} ({commands[new].name}) leaves {old} at {left_ns}, published "
            f"{ahead:.1f} ms before, first reference on it {late:+.1f} ms after (cycle of "
            f"{stamps[turn]}, last on the old one {gap:.1f} ms before)"
        )
        if late > 0.0 and left_ns - published >= IN_TIME_NS[commands[new].name == OWN]:
            return "late", words[-1]
    return "hole", "; ".join(words)


def judge(record: LegRecord, robot: Robot, config: Any, leg: Leg) -> None:
    """Judge everything that was heard."""
    limits = robot.limits
    bounds = (limits.velocity, limits.acceleration, limits.jerk)
    lists = {
        "arm": (bounds, 1e-9),
        "gripper": ((np.array([robot.gripper.velocity]),), config.gripper_step_rad),
    }
    trips = trips_of(record)
    steps: list[int] = []
    worst: dict[str, float] = {}
    for topic, (each, slack) in lists.items():
        cycles, commands = record.cycles[topic], record.commands[topic]
        if len(cycles) < 4:
            leg.failures.append(f"{topic}: only {len(cycles)} references were heard")
            continue
        times, which = put_on_plans(cycles, commands)
        stamps = np.array([cycle[0] for cycle in cycles])
        positions = np.array([cycle[2] for cycle in cycles])
        leg.counts[f"{topic}: references"] = len(cycles)
        leg.counts[f"{topic}: references on a trajectory sent"] = sum(w >= 0 for w in which)
        if not np.isfinite(positions).all():
            leg.failures.append(f"{topic}: a reference that is not finite")
            continue
        off = np.flatnonzero(np.diff(stamps) > OFF_NS) + 1
        leg.counts[f"{topic}: times off or silent"] = int(off.size)
        moving = {int(i): rung_at(record, stamps[i - 1]) for i in off if cycles[i - 1][3].any()}
        # Rung 3 and above end a motion at once; below, silence in mid-motion is the host's.
        for i, rung in moving.items():
            kind = "ended in mid-motion" if rung >= Rung.CONTROLLER_OFF else "silent"
            gap = (stamps[i] - stamps[i - 1]) * 1e-6
            leg.host.append(f"{topic} at {stamps[i]}: {kind}, {gap:.0f} ms, rung {rung}")
        edges = [0, *off.tolist(), len(cycles)]
        for begin, stop in itertools.pairwise(edges):
            found, ratios = excess(times[begin:stop], positions[begin:stop], each, slack)
            events = events_of(found, stamps[begin:stop])
            if not events:
                for name, ratio in ratios.items():
                    key = name if topic == "arm" else "gripper"
                    worst[key] = max(worst.get(key, 0.0), ratio)
            for at, what in events:
                kind, words = why(begin + at, which, times, stamps, commands)
                stamp = int(stamps[begin + at])
                steps.append(stamp)
                seen = [d for t, d in trips if abs(t - stamp) <= SEEN_NS]
                told = f"{topic} at {stamp}: {what}; {words}; tripped: {'; '.join(seen) or 'no'}"
                if kind == "hole":
                    leg.failures.append(f"HOLE: {told}")
                else:
                    leg.host.append(told)
                    if topic == "arm" and not seen:
                        leg.failures.append(f"a late command was not seen: {told}")
        if topic == "arm":
            low, high = limits.position_lower, limits.position_upper
            centre, span = (low + high) / 2.0, (high - low) / 2.0
            worst["position"] = float((np.abs(positions - centre) / span).max())
            if not (worst["position"] <= RATIO):
                leg.failures.append(f"position: {worst['position']:.6f} of its range")
    leg.worst = worst
    judge_trips(record, leg, steps)


def events_of(found: list[tuple[int, str, float]], stamps: np.ndarray) -> list[tuple[int, str]]:
    """Return excesses that belong together as one: the first cycle, and all in words."""
    groups: list[list[tuple[int, str, float]]] = []
    for each in sorted(found):
        if groups and stamps[each[0]] - stamps[groups[-1][-1][0]] <= ONE_STEP_NS:
            groups[-1].append(each)
        else:
            groups.append([each])
    events = []
    for group in groups:
        peak: dict[str, float] = {}
        for _, what, ratio in group:
            peak[what] = max(peak.get(what, 0.0), ratio)
        events.append((group[0][0], ", ".join(f"{w} {r:.4g} x" for w, r in peak.items())))
    return events


def trips_of(record: LegRecord) -> list[tuple[int, str]]:
    """Return each new cause: when it was told, and in which words."""
    found: list[tuple[int, str]] = []
    before: tuple[str, ...] = ()
    for stamp, _, causes, detail, _ in record.states:
        if set(causes) - set(before):
            found.append((stamp, f"{', '.join(sorted(set(causes) - set(before)))} ({detail})"))
        before = causes
    return found


def rung_at(record: LegRecord, stamp: int) -> int:
    """Return the highest rung within a second after a time."""
    return max((r for t, _, _, _, r in record.states if 0 <= t - stamp <= SECOND), default=0)


def judge_trips(record: LegRecord, leg: Leg, steps: list[int]) -> None:
    """Count first causes; the command's own detectors must trip for nothing but a step."""
    firsts: Counter[str] = Counter()
    besides: Counter[str] = Counter()
    before: tuple[str, ...] = ()
    for stamp, _, causes, detail, _ in record.states:
        if causes and not before:
            firsts[detail.partition(":")[0]] += 1
        for cause in set(causes) - set(before):
            besides[cause] += cause not in MEANT
            command = cause.startswith(("command_", "foreign_plan"))
            stepped = any(abs(stamp - each) <= SEEN_NS for each in steps)
            if cause in NEVER or (command and not stepped):
                leg.failures.append(
                    f"tripped {cause} at {stamp}, which nothing explains: {detail}"
                )
        before = causes
    leg.trips = dict(firsts)
    leg.counts |= {f"tripped besides: {cause}": n for cause, n in besides.items() if n}
