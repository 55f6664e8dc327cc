# SPDX-License-Identifier: Apache-2.0
"""Planner, gate and emulated controller of one robot, and what the controller commanded."""

from __future__ import annotations

import functools

import numpy as np

from smooth_motion import (
    CheckConfig,
    Chunk,
    Limits,
    MotionError,
    NoPlanError,
    Plan,
    Retimed,
    TrackerConfig,
    brake,
    check,
    limit_violations,
    overlap,
    retime,
    splice_ns,
    stretch,
    track,
    tracker,
)
from verification.fuzz.planner_chunks import REFUSED, ROBOTS, SHARES, altered, chunks
from verification.fuzz.runs import EPOCH, MS, Result, ratios
from verification.fuzz.sampled_controller import SampledController
from vla_sim.core.trajectory import JointTrajectory, TrajectoryPoint
from vla_sim.core.trajectory_controller import ControllerConfig, TrajectoryController
from vla_sim.core.validation import Reason, Rejection

# In one episode of so many the controller is emulated cycle by cycle too, and the two compared.
EMULATED_EVERY = 50
SAME_REFERENCE = 1e-14  # rad
DELIVERY_MS = 90  # less than the overlap by a control period

# The planner keeps the problems of as many sizes as one arm needs; the robots here need more.
tracker._problem = functools.cache(tracker._problem.__wrapped__)

TRACKERS = (
    TrackerConfig(),
    TrackerConfig(),
    TrackerConfig(),
    TrackerConfig(knot_dt_ns=20 * MS, cutoff_hz=4.0),
    TrackerConfig(knot_dt_ns=50 * MS, cutoff_hz=1.0),
)


def message(plan: Plan) -> JointTrajectory:
    """Return the plan as the controller receives it."""
    rows = (plan.times_ns.tolist(), plan.positions, plan.velocities, plan.accelerations)
    points = tuple(TrajectoryPoint(*row) for row in zip(*rows, strict=True))
    return JointTrajectory(plan.start_ns, plan.joint_names, points)


class PlannerEpisode:
    """One robot, one history."""

    def __init__(self, seed: int, number: int) -> None:
        self.rng = np.random.default_rng([seed, number])
        rng = self.rng
        self.name = str(rng.choice(list(ROBOTS), p=SHARES))
        # Joints are planned one by one, so few of them find most of what there is to find.
        joints = int(rng.choice([1, 2, 3, 7], p=[0.7, 0.24, 0.055, 0.005]))
        velocity, acceleration, jerk = (
            value * rng.uniform(0.7, 1.4, joints) for value in ROBOTS[self.name]
        )
        low = rng.uniform(-3.0, -0.2, joints)
        high = rng.uniform(0.2, 3.0, joints)
        names = tuple(f"joint{j}" for j in range(joints))
        self.limits = Limits(names, low, high, velocity, acceleration, jerk)
        self.tracker = TRACKERS[rng.integers(len(TRACKERS))]
        home = rng.uniform(low, high)
        self.outside = bool(rng.random() < 0.1)  # woken up beyond a limit
        if self.outside:
            home = np.where(rng.random(joints) < 0.5, low - 0.05, high + 0.05)
        self.allowed = self.limits.widened_to(home)
        self.fast = rng.random() < 0.1
        self.period_ns = MS if self.fast else 10 * MS
        self.now = EPOCH + int(rng.integers(10**9))
        self.plan = Plan.hold(names, home, self.now)
        self.slowed: Retimed | None = None
        from_desired = bool(rng.random() < 0.5)
        self.controller = SampledController(
            home, self.period_ns, interpolate_from_desired_state=from_desired
        )
        self.emulated: TrajectoryController | None = None
        if number % EMULATED_EVERY == 0:
            config = ControllerConfig(
                names, self.period_ns, interpolate_from_desired_state=from_desired
            )
            self.emulated = TrajectoryController(config, home, np.zeros(joints))
        self.position, self.cycle_ns = home, self.now
        self.result = Result()
        self.references = np.empty((0, joints))

    def run(self, ticks: int) -> Result:
        for _ in range(ticks):
            self.tick()
        self.cycles(max(self.plan.end_ns, self.cycle_ns) + 100 * MS)
        if not np.array_equal(self.position, self.plan.positions[-1]):
            self.result.failures.append("the controller does not rest where the plan ends")
        return self.result

    def tick(self) -> None:
        rng, counts = self.rng, self.result.counts
        counts["ticks"] += 1
        earliest = self.now + CheckConfig().min_overlap_ns + int(rng.integers(1, 60)) * MS
        splice = splice_ns(self.plan, earliest) if rng.random() < 0.8 else earliest
        state = self.plan.state(splice)
        tail: Plan | None
        what = rng.random()
        if what < 0.1:
            counts["brakes"] += 1
            tail = brake(state, self.limits, start_ns=splice)
        elif what < 0.103:  # few, because they take long
            tail = None
            self.change_rate(self.running, splice, None)
        else:
            kind, names, start, dt, q = chunks(rng, self.limits, self.plan, self.now)
            try:
                tail = track(
                    Chunk(names, start, dt, q),
                    state,
                    self.limits,
                    start_ns=splice,
                    config=self.tracker,
                )
            except NoPlanError:
                tail = None
                counts["chunks without a plan"] += 1
            except MotionError:
                if kind not in REFUSED:
                    raise
                tail = None
                counts["chunks refused"] += 1
            else:
                if kind in REFUSED:
                    self.result.failures.append(f"a chunk with {kind} was planned")
                counts["chunks planned"] += 1
        if tail is not None:
            plan = overlap(self.plan, tail, cut_ns=self.now - 20 * MS)
            if rng.random() < 0.001:
                self.change_rate(plan, splice, splice)
            else:
                self.send(plan)
        until = self.now + int(rng.integers(1, 20 if self.fast else 100)) * MS
        self.cycles(until)
        self.now = until

    @property
    def running(self) -> Plan | Retimed:
        """What runs, as the result of a change of rate if it is one."""
        if self.slowed is not None and self.slowed.plan is self.plan:
            return self.slowed
        return self.plan

    def change_rate(self, plan: Plan | Retimed, splice: int, part: int | None) -> None:
        """Send a plan, the running one or a new one that leaves it at `part`, at another rate."""
        rng, counts = self.rng, self.result.counts
        counts["changes of rate"] += 1
        scale = float(rng.choice([1.0, 0.5, 0.1, rng.uniform(0.05, 1.0)]))
        absurd = bool(rng.random() < 0.1)
        if absurd:
            scale = float(rng.choice([0.0, -0.5, 1.1, np.nan, np.inf]))
        early = isinstance(plan, Retimed) and splice < plan.settled_ns
        try:
            if part is None:
                start = self.now - 20 * MS
            else:
                assert isinstance(plan, Plan)
                start, splice = plan.start_ns, splice_ns(plan, splice)
            state = plan.state(splice) if isinstance(plan, Plan) else None
            resting = state is not None and not (state.velocity.any() or state.acceleration.any())
            if isinstance(plan, Plan) and part is not None and resting:
                found = stretch(plan, scale, self.limits, from_ns=splice)
            else:
                found = retime(
                    plan,
                    scale,
                    self.limits,
                    splice_ns=splice,
                    cut_ns=start,
                    change_ns=int(rng.integers(100, 1500)) * MS,
                    deviation=10.0 ** rng.uniform(-6, -1),
                )
        except NoPlanError:
            counts["changes of rate without a plan"] += 1
            return
        except MotionError:
            if not (absurd or early):
                raise
            counts["changes of rate refused"] += 1
            return
        if absurd or early:
            self.result.failures.append(f"a change of the rate to {scale} was planned")
            return
        self.send(found.plan)
        self.slowed = found

    def send(self, plan: Plan) -> None:
        """Pass the plan, or something made of it, through the gate and on to the controller."""
        rng, counts = self.rng, self.result.counts
        violations = check(plan, self.plan, self.limits, now_ns=self.now)
        if violations:
            if self.outside and not limit_violations(plan, self.allowed):
                # A plan that began outside may come in and go out again as far as it was. Once the
                # arm is inside the gate takes no other that does so, nor a brake that has to.
                counts["refused on the way in"] += 1
                return
            self.result.failures.append(f"the gate refused a plan of the planner: {violations[0]}")
            return
        if rng.random() < 0.15:
            knots = altered(rng, plan)
            counts["altered"] += 1
            if not check(knots, self.plan, self.limits, now_ns=self.now):
                counts["altered, but let through"] += 1
                # What the gate lets through, `Plan` accepts.
                plan = Plan.of(knots)
        before, replaced, self.plan = self.now, self.plan, plan
        self.cycles(self.now + int(rng.integers(0, DELIVERY_MS)) * MS)
        self.now = max(self.now, self.cycle_ns - self.period_ns)
        at = max(before, self.now)
        rejection = self.controller.receive(plan, at)
        if self.emulated is not None:
            self.compare(rejection, self.emulated.receive(message(plan), at))
        if not rejection:
            return
        self.plan = replaced
        if rejection == Reason.ENDS_IN_THE_PAST.value and plan.end_ns <= self.now:
            # A plan that only holds for less than the delivery takes. What runs goes on.
            counts["arrived after their end"] += 1
        else:
            self.result.failures.append(f"the controller rejected a plan: {rejection}")

    def compare(self, rejection: str, emulated: Rejection | None) -> None:
        """Hold a rejection against the emulation's."""
        expected = "" if emulated is None else emulated.reason.value
        if rejection != expected:
            self.result.failures.append(f"emulation: '{expected}', not '{rejection}'")

    def cycles(self, until_ns: int) -> None:
        """Run the controller up to a time, and judge what it commands."""
        times = np.arange(self.cycle_ns, until_ns + 1, self.period_ns)
        if times.size == 0:
            return
        table = self.controller.references(times)
        if self.emulated is not None:
            self.emulate(self.emulated, times, table)
        self.position = table[-1]
        self.cycle_ns += times.size * self.period_ns
        self.result.counts["cycles"] += times.size
        self.references = np.concatenate((self.references[-3:], table))
        self.judge()

    def emulate(
        self, controller: TrajectoryController, times: np.ndarray, table: np.ndarray
    ) -> None:
        """Hold the references against those of the emulation, cycle by cycle."""
        zero, position = np.zeros_like(self.position), self.position
        for t, row in zip(times.tolist(), table, strict=True):
            state = controller.update(t, self.period_ns, position, zero).state
            position = state.reference.positions
            if not (np.abs(position - row) <= SAME_REFERENCE * np.maximum(1.0, np.abs(row))).all():
                off = np.abs(position - row).max()
                self.result.failures.append(f"the emulation's reference differs by {off:.1e} rad")
            self.result.counts["cycles compared"] += 1

    def judge(self) -> None:
        for kind, found in ratios(self.references, self.allowed, self.period_ns):
            self.result.judge(kind, found)
