# SPDX-License-Identifier: Apache-2.0
"""The whole monitor between an attacker and two emulated controllers, and what they commanded."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from smooth_motion import GripperLimits, Limits
from smooth_motion.clocks import Now
from smooth_motion.messages import JointStates, Trajectory
from smoothness_monitor.core.controller_tracker import ControllerTracker
from smoothness_monitor.core.gripper import GripperTracker
from smoothness_monitor.core.monitor import Monitor
from smoothness_monitor.core.types import Call, CallRequest, CallResult, MonitorOutputs, StopState
from smoothness_monitor.params import MonitorConfig, load_config
from verification.fuzz.gate_attacks import ATTACKS, Attacker
from verification.fuzz.gate_controller import LAG_NS, FuzzedController
from verification.fuzz.planner_chunks import ROBOTS, SHARES
from verification.fuzz.runs import EPOCH, MS, SECOND, Result, ratios
from vla_contract.robot import Robot

MONITOR_FILE = Path(__file__).resolve().parents[2] / "config" / "robots" / "so101" / "monitor.yaml"
# What a receiver drops as too old; less than the overlap by a control period.
MAX_AGE_NS = 140 * MS
# rad; how far a joint of a rough arm drifts off its reference.
DRIFT = 0.26
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


class GateEpisode(Attacker):
    """One robot, one history."""

    def __init__(self, seed: int, number: int) -> None:
        super().__init__()
        self.rng = np.random.default_rng([seed, number])
        self.result = Result()
        self.begin(self.rng)

    def begin(self, rng: np.random.Generator) -> None:
        """Draw a robot, its monitor and its controllers, at rest."""
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
        self.sent.clear()
        self.bases.clear()
        self.slow_from = self.now + int(rng.integers(1, 20)) * SECOND // 2
        self.slow = bool(rng.random() < 0.15)

    @property
    def tracker(self) -> ControllerTracker:
        return self.monitor.tracker

    @property
    def gripper_tracker(self) -> GripperTracker:
        return self.monitor.gripper

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

    def hand_to_gripper(self, trajectory: Trajectory) -> None:
        self.take(self.monitor.on_gripper(trajectory, self.clocks))

    # -- the verdict -----------------------------------------------------------------------------

    def renew(self) -> None:
        """Begin anew after a stop that does not end here: the record so far is judged."""
        self.judge()
        self.begin(np.random.default_rng([int(self.rng.integers(2**31)), 0]))
        self.run_until(self.now + SECOND)

    def judge(self) -> None:
        if self.monitor.state is not StopState.READY:
            self.note_causes(set(self.monitor.snapshot().causes))
        where = f" ({self.way})"
        for rows in self.arm.segments:
            if len(rows) < 4:
                continue
            for kind, found in ratios(np.stack(rows), self.monitor.view.limits, self.period_ns):
                self.result.judge(kind, found, where)
        for rows in self.gripper.segments:
            if len(rows) > 1:
                rate = np.abs(np.diff(np.stack(rows)[:, 0])) / (self.period_ns * 1e-9)
                self.result.judge("gripper", rate / self.robot.gripper.velocity, where)
