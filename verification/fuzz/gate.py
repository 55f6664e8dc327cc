# SPDX-License-Identifier: Apache-2.0
"""Throw trajectories at the whole monitor and judge what the controllers behind it do.

    python -m verification.fuzz.gate [--trajectories 10000] [--seed 0] [--results FILE]

The monitor's core stands between an attacker and two emulated joint_trajectory_controllers, of arm
and gripper, with all of a real one's pitfalls (a stamp of 0 starts now, what is past is entered in
its middle, a first point ahead is approached from the measured joints). Messages take their time:
states come late, in bursts or not at all, controllers stall and catch up, trajectories to them
come late or never, on the topic or as action goals. The attacker knows everything and sends what
is nearly right: see `ATTACKS`. In between the arm is stopped, reset, slowed down.

The arm's reference must keep position, velocity, acceleration and jerk, by divided differences,
to 1.001 of the limits; the gripper's its rate. No detector of the controller's command may trip,
and nothing may raise.

A long run is made of runs of 10,000 trajectories with the seeds S, S + 1 and so on. With
`--results` each adds a line to the file, and those that the file has are passed over. `--write`
puts the sum of the file into docs/measurements. `--seed S --episode E` runs a failure again.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import inspect
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import smooth_motion
import smoothness_monitor.core
from benchmarks.pages import DOCS, fill, machine
from smooth_motion import (
    Chunk,
    GripperLimits,
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
from smooth_motion.clocks import Now
from smooth_motion.messages import ControllerState, JointStates, Trajectory
from smoothness_monitor.core.monitor import Monitor
from smoothness_monitor.core.types import Call, CallRequest, CallResult, MonitorOutputs, StopState
from smoothness_monitor.params import MonitorConfig, load_config
from verification.fuzz import runs as runs_file
from verification.fuzz.planner import EPOCH, MS, RATIO, ROBOTS, SECOND, SHARES, altered
from vla_contract.robot import Robot
from vla_sim.core import trajectory as jtc
from vla_sim.core.trajectory_controller import ControllerConfig, Goal, TrajectoryController

MONITOR_FILE = Path(__file__).resolve().parents[2] / "config" / "robots" / "so101" / "monitor.yaml"
AN_EPISODE = 200
A_RUN = 10_000
# What a receiver drops as too old; less than the overlap by a control period.
MAX_AGE_NS = 140 * MS
LAG_NS = 30 * MS
# rad; how far a joint of a rough arm drifts off its reference.
DRIFT = 0.26
KINDS = ("position", "velocity", "acceleration", "jerk", "gripper")
# What the attacks and the broken links may trip. Anything else is a finding.
MAY_TRIP = {
    *("plan_rejected", "non_finite", "operator", "plan_not_adopted"),
    *("stale_controller_state", "stale_joint_states", "clock_skew"),
}


class Lenient(Monitor):
    """A monitor whose refusals stop nothing, so that the attack goes on in mid-motion."""

    def __init__(self, robot: Robot, config: MonitorConfig) -> None:
        super().__init__(robot, config)
        refuse = self.plans.refuse
        self.plans.refuse = lambda reason, trips, now: refuse(reason, "", now)  # type: ignore[method-assign]


@dataclass
class Result:
    """What was done and seen; adds up."""

    counts: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    failures: list[str] = field(default_factory=list)

    def __iadd__(self, other: Result) -> Result:
        self.counts += other.counts
        self.worst = {kind: max(self.worst[kind], other.worst[kind]) for kind in KINDS}
        self.failures += other.failures
        return self


class FuzzedController:
    """An emulated controller, what it was sent, and its references."""

    def __init__(self, names: tuple[str, ...], home: np.ndarray, period_ns: int, config: Any):
        self.names, self.period_ns, self.config = names, period_ns, config
        self.active = True
        self.segments: list[list[np.ndarray]] = []
        self.position = home
        self.past: deque[np.ndarray] = deque([home], maxlen=LAG_NS // period_ns + 1)
        self.goals = 0
        self.begin()

    def begin(self) -> None:
        """Activate it, at its last command."""
        config = ControllerConfig(self.names, self.period_ns, **self.config)
        self.emulated = TrajectoryController(config, self.position, 0.0 * self.position)
        self.active = True
        self.segments.append([])

    def receive(self, trajectory: Trajectory, now_ns: int, as_goal: bool) -> bool:
        """Take a trajectory from the topic, or as an action goal; return whether it is taken."""
        points = tuple(
            jtc.TrajectoryPoint(
                p.time_from_start_ns, *(np.array(values, float) for values in p[1:])
            )
            for p in trajectory.points
        )
        message = jtc.JointTrajectory(trajectory.stamp_ns, trajectory.joint_names, points)
        if not self.active:
            return False
        if not as_goal:
            return self.emulated.receive(message, now_ns) is None
        if self.emulated.check(message, now_ns) is not None:
            return False
        self.goals += 1
        self.emulated.accept(Goal(self.goals, message))
        return True

    def cycle(self, now_ns: int) -> ControllerState | None:
        """Run a cycle; the joints are where the reference was `LAG_NS` ago."""
        self.past.append(self.position)
        if not self.active:
            return None
        measured = self.past[0]
        state = self.emulated.update(now_ns, self.period_ns, measured, 0.0 * measured).state
        reference = state.reference
        self.position = reference.positions
        self.segments[-1].append(reference.positions)
        return ControllerState(
            now_ns,
            reference.time_from_start_ns,
            self.names,
            reference.positions.tolist(),
            reference.velocities.tolist(),
            reference.accelerations.tolist() or [0.0] * len(self.names),
        )


class GateEpisode:
    """One robot, one history."""

    def __init__(self, seed: int, number: int) -> None:
        self.rng = rng = np.random.default_rng([seed, number])
        self.name = str(rng.choice(list(ROBOTS), p=SHARES))
        joints = int(rng.choice([1, 2, 3, 7], p=[0.55, 0.3, 0.13, 0.02]))
        rates = [value * rng.uniform(0.7, 1.4, joints) for value in ROBOTS[self.name]]
        names = tuple(f"joint{j}" for j in range(joints))
        low, high = rng.uniform(-3.0, -0.2, joints), rng.uniform(0.2, 3.0, joints)
        self.limits = Limits(names, low, high, *rates)
        gripper = GripperLimits("gripper_controller", "finger", 0.0, 1.0, rng.uniform(0.5, 3.0))
        home = rng.uniform(low, high)
        self.robot = Robot(
            self.name,
            "base",
            "tip",
            "arm_controller",
            self.limits,
            gripper,
            dict(zip((*names, "finger"), (*home, 0.5), strict=True)),
            1 << 24,
        )
        self.fast = bool(rng.random() < 0.06)
        self.period_ns = 2 * MS if self.fast else 10 * MS
        # Broken one way at a time: of two at once nobody could tell what runs.
        ways = ("sound", "states", "commands", "goals", "late")
        self.way = str(rng.choice(ways, p=[0.2, 0.3, 0.3, 0.1, 0.1]))
        self.lenient = bool(rng.random() < 0.85)
        behind_s = (LAG_NS + self.period_ns) * 1e-9
        config = replace(
            load_config(MONITOR_FILE),
            joint_states_rate_hz=1e9 / self.period_ns,
            gripper_step_rad=1e-9,
            # Joints that follow as they do here are no health check: on top of its drift one is
            # behind by what it goes in LAG_NS and a cycle, which is beyond what trips.
            tracking_error_rad=0.01 + DRIFT + float(max(rates[0])) * behind_s,
            slow_patience_s=10.0,
            measured_jerk_factor=100.0,
            slow_jerk_factor=100.0,
        )
        self.overlap_ns = round(config.plan_overlap_s * SECOND)
        self.monitor = (Lenient if self.lenient else Monitor)(self.robot, config)
        for controller in ("arm_controller", "gripper_controller"):
            self.monitor.on_controller_parameters(controller, "")
        options = {"interpolate_from_desired_state": bool(rng.random() < 0.5)}
        self.arm = FuzzedController(names, home, self.period_ns, options)
        self.gripper = FuzzedController(("finger",), np.array([0.5]), self.period_ns, options)
        self.now = EPOCH + int(rng.integers(10**9))
        self.began = self.cycle_ns = self.now
        # Cycles of a controller that stalls: it runs them later, all at once, by their own time.
        self.stalled_until = 0
        self.backlog: list[int] = []
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.order = 0
        self.delivered: dict[str, int] = {}
        self.sent: deque[Trajectory] = deque(maxlen=40)
        self.bases: deque[Plan] = deque(maxlen=12)
        self.slow_from = self.now + int(rng.integers(1, 20)) * SECOND // 2
        self.slow = bool(rng.random() < 0.15)
        self.result = Result()

    # -- time and ways ---------------------------------------------------------------------------

    @property
    def clocks(self) -> Now:
        return Now(self.now, self.now - EPOCH + 5 * SECOND)

    def later(self, delay_ns: int, what: Callable[[], None], way: str = "") -> None:
        """Do something later; what goes one way stays in order."""
        due = self.now + delay_ns
        if way:
            due = self.delivered[way] = max(due, self.delivered.get(way, 0))
        self.order += 1
        heapq.heappush(self.events, (due, self.order, what))

    def run_until(self, t_ns: int) -> None:
        """Let time pass."""
        while True:
            due = self.events[0][0] if self.events else t_ns + 1
            if self.cycle_ns + self.period_ns <= min(due, t_ns):
                self.cycle_ns += self.period_ns
                self.now = self.cycle_ns
                self.cycle()
            elif due <= t_ns:
                self.now, _, what = heapq.heappop(self.events)
                what()
            else:
                self.now = t_ns
                return

    def state_delay(self) -> int | None:
        """Return how long a state takes, None when it is lost."""
        rng = self.rng
        if self.way == "states":
            draw = rng.random()
            if draw < 0.1:
                return None
            if draw < 0.13:
                return int(rng.integers(20, 350)) * MS
        return int(rng.gamma(1.5, 1.5) * MS)

    def cycle(self) -> None:
        """Run the cycles that are due, and the monitor's tick."""
        if self.way == "late" and not self.backlog and self.rng.random() < 0.05:
            self.stalled_until = self.now + int(self.rng.integers(20, 90)) * MS
        self.backlog.append(self.now)
        if self.now >= self.stalled_until:
            for due in self.backlog:
                self.controllers(due)
            self.backlog.clear()
        if (self.now - self.began) % (10 * MS) < self.period_ns:
            self.take(self.monitor.tick(self.clocks))

    def controllers(self, now: int) -> None:
        """Run both controllers and the encoders; tell the monitor."""
        self.result.counts["cycles"] += 1
        monitor = self.monitor
        state, grip = self.arm.cycle(now), self.gripper.cycle(now)
        delay = self.state_delay()
        if state is not None and delay is not None:
            self.later(
                delay,
                lambda: self.take(monitor.on_controller_state(state, self.clocks)),
                "state",
            )
        delay = self.state_delay()
        if grip is not None and delay is not None:
            self.later(delay, lambda: monitor.on_gripper_state(grip), "gripper")
        position = self.arm.past[0].copy()
        if self.slow:
            # One joint drifts away from its reference and comes back: the motion is slowed down.
            x = (now - self.slow_from) * 1e-9
            share = min(max(min(x, 2.2 - x), 0.0), 1.0)
            position[0] += DRIFT * share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
        joints = JointStates(now, (*self.limits.joint_names,), position.tolist())
        self.later(
            int(self.rng.gamma(1.5, 1.0) * MS),
            lambda: self.take(monitor.on_joint_states(joints, self.clocks)),
            "joints",
        )

    def take(self, outputs: MonitorOutputs) -> None:
        """Carry out what the monitor wants."""
        for trajectory in outputs.arm:
            self.result.counts["forwarded"] += 1
            self.command(self.arm, trajectory, "arm")
        for trajectory in outputs.gripper:
            self.result.counts["forwarded to the gripper"] += 1
            self.command(self.gripper, trajectory, "finger")
        for call in outputs.calls:
            self.later(int(self.rng.integers(1, 30)) * MS, partial(self.carry_out, call))

    def command(self, controller: FuzzedController, trajectory: Trajectory, way: str) -> None:
        rng, sent_ns = self.rng, self.now
        delay = int(rng.gamma(1.5, 3.0) * MS)
        if self.way == "commands":
            draw = rng.random()
            if draw < 0.15:
                self.result.counts["lost on the way to a controller"] += 1
                return
            if draw < 0.22:
                delay = int(rng.integers(20, 85)) * MS
            elif draw < 0.25:
                delay = int(rng.integers(150, 400)) * MS
        as_goal = self.way == "goals" and way == "arm"

        def arrive() -> None:
            if self.now - sent_ns > MAX_AGE_NS:
                self.result.counts["dropped as too old"] += 1
            elif not controller.receive(trajectory, self.now, as_goal):
                self.result.counts["refused by a controller"] += 1

        self.later(delay, arrive, way)

    def carry_out(self, call: Call) -> None:
        done = True
        if call.request is CallRequest.BRAKE_AS_GOAL:
            assert call.trajectory is not None
            self.result.counts["brakes as goals"] += 1
            done = self.arm.receive(call.trajectory, self.now, True)
        elif call.request is CallRequest.DEACTIVATE:
            # At rest after a stop; in motion where no brake arrives, which ends it at once.
            self.arm.active = False
        elif call.request is CallRequest.ACTIVATE:
            self.arm.begin()
        else:
            done = False
        self.take(self.monitor.on_answer(CallResult(call.request, done, "fuzz"), self.clocks))

    # -- the attack ------------------------------------------------------------------------------

    def run(self, count: int) -> Result:
        """Send so many trajectories, and see the arm come to rest."""
        self.run_until(self.now + SECOND)
        while self.result.counts["trajectories"] < count:
            self.tick()
        self.run_until(self.now + 3 * SECOND)
        self.judge()
        return self.result

    def tick(self) -> None:
        rng, monitor = self.rng, self.monitor
        state = monitor.state
        self.result.counts["slowed down"] += monitor.snapshot().speed_scaling < 1.0
        if state is StopState.READY and rng.random() < 0.004:
            self.result.counts["stops"] += 1
            self.take(monitor.request_stop("fuzz", self.clocks)[2])
        if state is StopState.STOPPED_LATCHED:
            self.finish_stop()
        elif state is StopState.FAULT:
            self.result.counts["given up"] += 1
            self.renew()
        elif state is not StopState.READY:
            self.run_until(self.now + 50 * MS)
            if rng.random() < 0.9:
                return
        base = self.fresh()
        for _ in range(int(rng.choice([1, 2, 3, 30], p=[0.5, 0.3, 0.19, 0.01]))):
            attack = ATTACKS[rng.integers(len(ATTACKS))]
            trajectory = attack(self, base)
            if trajectory is None:
                continue
            self.give(attack.__name__, trajectory)
        if rng.random() < 0.2:
            self.give_gripper()
        most = 20 if self.fast else 80
        self.run_until(self.now + int(rng.integers(0, most)) * MS)

    def give(self, name: str, trajectory: Trajectory) -> None:
        """Hand a trajectory to the monitor, now or a little later."""
        counts = self.result.counts
        counts["trajectories"] += 1
        counts[name] += 1
        self.sent.append(trajectory)

        def arrive() -> None:
            before = counts["forwarded"]
            self.take(self.monitor.on_plan(trajectory, self.clocks))
            counts[f"{name}: forwarded"] += counts["forwarded"] - before

        if self.rng.random() < 0.7:
            arrive()
        else:
            self.later(int(self.rng.gamma(1.5, 10.0) * MS), arrive)

    def finish_stop(self) -> None:
        causes = set(self.monitor.snapshot().causes)
        self.note_causes(causes)
        for _ in range(12):
            self.run_until(self.now + 100 * MS)
            if self.monitor.request_reset(self.clocks)[0] is not None:
                break
        # The answer's calls are in the outputs that were thrown away: ask for them anew.
        if self.monitor.state is not StopState.READY:
            self.renew()

    def note_causes(self, causes: set[str]) -> None:
        for cause in causes:
            self.result.counts[f"tripped: {cause}"] += 1
        wrong = causes - MAY_TRIP
        if wrong:
            detail = self.monitor.snapshot().first_cause_detail
            self.result.failures.append(f"tripped {', '.join(sorted(wrong))}: {detail}")

    def fresh(self) -> Plan | None:
        """Return a plan that continues what may run, as a correct policy would make it."""
        rng, tracker = self.rng, self.monitor.tracker
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
        tracker, limits = self.monitor.gripper, self.robot.gripper
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
        self.take(self.monitor.on_gripper(trajectory, self.clocks))

    # -- the verdict -----------------------------------------------------------------------------

    def renew(self) -> None:
        """Begin anew after a stop that does not end here: the record so far is judged."""
        self.judge()
        fresh = GateEpisode.__new__(GateEpisode)
        fresh.__dict__.update(self.__dict__)
        seed = int(self.rng.integers(2**31))
        other = GateEpisode(seed, 0)
        kept = (self.result, self.rng)
        self.__dict__.update(other.__dict__)
        self.result, self.rng = kept
        self.run_until(self.now + SECOND)

    def judge(self) -> None:
        limits, h = self.monitor.view.limits, self.period_ns * 1e-9
        if self.monitor.state is not StopState.READY:
            self.note_causes(set(self.monitor.snapshot().causes))
        span = limits.position_upper - limits.position_lower
        centre = (limits.position_upper + limits.position_lower) / 2.0
        for rows in self.arm.segments:
            if len(rows) < 4:
                continue
            table = np.stack(rows)
            self.worst("position", 2.0 * np.abs(table - centre) / span)
            for kind in ("velocity", "acceleration", "jerk"):
                table = np.diff(table, axis=0) / h
                self.worst(kind, np.abs(table) / getattr(limits, kind))
        for rows in self.gripper.segments:
            rate = np.abs(np.diff(np.stack(rows)[:, 0])) / h if len(rows) > 1 else np.zeros(1)
            self.worst("gripper", rate / self.robot.gripper.velocity)

    def worst(self, kind: str, ratios: np.ndarray) -> None:
        worst = float(ratios.max(initial=0.0))
        if not (worst <= RATIO):
            at = int(np.argmax(~(ratios <= RATIO))) // max(1, ratios[0].size)
            self.result.failures.append(
                f"{kind} is {worst:.6f} of its limit, first in cycle {at} ({self.way})"
            )
        self.result.worst[kind] = max(self.result.worst[kind], worst)


# -- what is sent ---------------------------------------------------------------------------------


def _shifted(trajectory: Trajectory, stamp_ns: int, absolute: bool) -> Trajectory:
    """Return it under another stamp; `absolute` leaves its knots where they are."""
    points = trajectory.points
    if absolute:
        by = trajectory.stamp_ns - stamp_ns
        rest = (p._replace(time_from_start_ns=p.time_from_start_ns + by) for p in points[1:])
        points = (*points[:1], *rest)
    return replace(trajectory, stamp_ns=stamp_ns, points=points)


def sound(one: GateEpisode, base: Plan | None) -> Trajectory | None:
    return None if base is None else Trajectory.of(base)


def nearly_sound(one: GateEpisode, base: Plan | None) -> Trajectory | None:
    return None if base is None else Trajectory.of(altered(one.rng, base))


def another_stamp(one: GateEpisode, base: Plan | None) -> Trajectory | None:
    """0, hardly more, negative, far away, or a little off."""
    if base is None:
        return None
    rng = one.rng
    fixed = (0, 1, -1, 999_999_999, -(10**18), one.now, one.now + SECOND, one.now - 3600 * SECOND)
    near = base.start_ns + int(10 ** rng.uniform(0, 11)) * int(rng.choice([-1, 1]))
    stamp = int(rng.choice([*fixed, near, near, near, near]))
    return _shifted(Trajectory.of(base), stamp, bool(rng.random() < 0.6))


def start_of_another(one: GateEpisode, base: Plan | None) -> Trajectory | None:
    """Under the stamp of a plan before, to some milliseconds."""
    if base is None or not one.bases:
        return None
    other = one.bases[one.rng.integers(len(one.bases))]
    off = int(one.rng.choice([0, 0, 1, 999_999, -1_500_000, 2_000_000, 2_000_001]))
    absolute = bool(one.rng.random() < 0.7)
    return _shifted(Trajectory.of(base), other.start_ns + off, absolute)


def replayed(one: GateEpisode, base: Plan | None) -> Trajectory | None:
    """Something that was sent before."""
    return one.sent[one.rng.integers(len(one.sent))] if one.sent else None


def more_knots(one: GateEpisode, base: Plan | None) -> Trajectory | None:
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


def longer(one: GateEpisode, base: Plan | None) -> Trajectory | None:
    """At rest for minutes, hours or years after its end."""
    if base is None:
        return None
    trajectory = Trajectory.of(base)
    last = trajectory.points[-1]
    by = int(10 ** one.rng.uniform(6, 17.5))
    end = last._replace(time_from_start_ns=last.time_from_start_ns + by)
    return replace(trajectory, points=(*trajectory.points, end))


def faster(one: GateEpisode, base: Plan | None) -> Trajectory | None:
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


def elsewhere(one: GateEpisode, base: Plan | None) -> Trajectory | None:
    """The whole plan moved away: a step."""
    if base is None:
        return None
    by = 10.0 ** one.rng.uniform(-14, 0) * one.rng.choice([-1.0, 1.0])
    fields = (base.times_ns, base.positions + by, base.velocities, base.accelerations)
    return Trajectory.of(Knots(base.joint_names, base.start_ns, *fields))


def malformed(one: GateEpisode, base: Plan | None) -> Trajectory | None:
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


def huge_numbers(one: GateEpisode, base: Plan | None) -> Trajectory | None:
    if base is None:
        return None
    rng = one.rng
    values = [np.array(v) for v in (base.positions, base.velocities, base.accelerations)]
    for each in values:
        if rng.random() < 0.5:
            row, joint = rng.integers(each.shape[0]), rng.integers(each.shape[1])
            each[row, joint] = rng.choice([np.nan, np.inf, -np.inf, 1e308, -1e154, 5e-324])
    return Trajectory.of(Knots(base.joint_names, base.start_ns, base.times_ns, *values))


def short_hold(one: GateEpisode, base: Plan | None) -> Trajectory | None:
    """One knot at rest, or two: where the reference is, or was, or will be."""
    tracker = one.monitor.tracker
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


# -- runs that add up -----------------------------------------------------------------------------


def episode(seed: int, number: int, count: int) -> Result:
    """Run one episode; every exception is a failure."""
    one = GateEpisode(seed, number)
    try:
        with np.errstate(all="ignore"):
            result = one.run(count)
    except Exception:
        result = one.result
        result.failures.append(traceback.format_exc())
    result.failures = [f"--seed {seed} --episode {number}: {line}" for line in result.failures]
    result.counts["episodes"] = 1
    return result


def run(seed: int, count: int) -> Result:
    """Run the episodes of one seed."""
    total = Result()
    for number in range(-(-count // AN_EPISODE)):
        result = episode(seed, number, min(AN_EPISODE, count - number * AN_EPISODE))
        for line in result.failures:
            print(line, flush=True)
        total += result
    return total


COUNTS = (
    *("trajectories", "gripper trajectories", "forwarded", "forwarded to the gripper"),
    *("episodes", "cycles", "stops", "lost on the way to a controller", "dropped as too old"),
    *("refused by a controller", "brakes as goals", "given up", "slowed down", "without a plan"),
)
NAMES = tuple(dict.fromkeys(attack.__name__ for attack in ATTACKS))
SENT = tuple(part for name in NAMES for part in (name, f"{name}: forwarded"))
HEADER = ("seed", "code", *COUNTS, *SENT, *KINDS, "failures", "seconds")


def code() -> str:
    """Return a short hash of all that is fuzzed."""
    files = [
        path
        for package in (smooth_motion, smoothness_monitor.core)
        for path in sorted(Path(inspect.getfile(package)).parent.rglob("*.py"))
    ]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]


def line_of(seed: int, result: Result, seconds: float) -> list[str]:
    """Return the file's line for one run."""
    return [
        *(str(seed), code()),
        *(str(result.counts[name]) for name in (*COUNTS, *SENT)),
        *(f"{result.worst[kind]:.9f}" for kind in KINDS),
        *(str(len(result.failures)), f"{seconds:.0f}"),
    ]


def report(runs: list[dict[str, str]]) -> str:
    """Return what all runs together did and saw, in lines."""
    sums = {name: sum(int(run[name]) for run in runs) for name in (*COUNTS, *SENT)}
    lines = [f"{name}: {sums[name]}" for name in COUNTS]
    lines += [f"  {n}: {sums[n]}, {sums[f'{n}: forwarded']} forwarded" for n in NAMES]
    lines += [f"largest {kind} / limit: {max(float(r[kind]) for r in runs):.7f}" for kind in KINDS]
    lines.append(f"failures: {sum(int(run['failures']) for run in runs)}")
    return "\n".join(lines)


def summary(runs: list[dict[str, str]]) -> str:
    """Return the block of the page."""
    seeds = sorted(int(run["seed"]) for run in runs)
    total = sum(int(run["trajectories"]) for run in runs)
    present = sum(int(run["trajectories"]) for run in runs if run["code"] == code())
    hours = sum(float(run["seconds"]) for run in runs) / 3600.0
    text = f"**{total:,} trajectories, {sum(int(run['failures']) for run in runs)} failures**: "
    text += (
        f"{len(runs)} runs, seeds {seeds[0]} to {seeds[-1]}, {hours:.1f} hours on a part of one "
    )
    text += f"core of a shared machine; {machine()}. {present:,} of them with the present code. "
    text += "Every run is in [fuzz_gate.csv](fuzz_gate.csv)."
    return f"{text}\n\n```\n{report(runs)}\n```"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trajectories", type=int, default=A_RUN)
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--episode", type=int, help="run only this one of the first run")
    parser.add_argument("--results", type=Path, help="CSV file with one line a run, gone on with")
    parser.add_argument(
        "--write", action="store_true", help="the sum of the file into docs/measurements"
    )
    given = parser.parse_args()
    if given.trajectories < 1:
        parser.error("--trajectories must be 1 or more")
    if given.write and not given.results:
        parser.error("--write needs --results")
    if given.episode is not None:
        result = episode(given.seed, given.episode, AN_EPISODE)
        print("\n".join(result.failures) or "no failure")
        for name, number in sorted(result.counts.items()):
            print(f"{name}: {number}")
        print(result.worst)
        return 1 if result.failures else 0
    runs = runs_file.read(given.results, HEADER) if given.results else []
    known = {int(run["seed"]) for run in runs}
    for number in range(-(-given.trajectories // A_RUN)):
        seed, began = given.seed + number, time.monotonic()
        if seed in known:
            continue
        count = min(A_RUN, given.trajectories - number * A_RUN)
        line = line_of(seed, run(seed, count), time.monotonic() - began)
        runs.append(dict(zip(HEADER, line, strict=True)))
        if given.results:
            runs_file.append(given.results, HEADER, line)
        told = f"seed {seed}: {count} trajectories, {runs[-1]['failures']} failures"
        print(f"{told}, {runs[-1]['seconds']} s", file=sys.stderr, flush=True)
    print(report(runs))
    if given.write:
        fill(DOCS / "fuzz_gate.md", {"run": summary(runs)})
    return 1 if any(int(run["failures"]) for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
