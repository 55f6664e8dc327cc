# SPDX-License-Identifier: Apache-2.0
"""A bench in simulated time: the monitor, an ideal controller, encoders and a planning policy."""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from smooth_motion import Chunk, Knots, Plan, RunningPlan, load_robot, overlap, splice_ns, track
from smoothness_monitor.core.monitor import Monitor
from smoothness_monitor.core.types import (
    Answer,
    Call,
    ControllerState,
    JointStates,
    Now,
    Outputs,
    Request,
    ResetVerdict,
    State,
    Trajectory,
)
from smoothness_monitor.params import MonitorConfig, load_config

CONFIG = Path(__file__).resolve().parents[3] / "config"
MS = 1_000_000
S = 1_000_000_000
EPOCH_NS = 1_700_000_000 * S


@dataclass(frozen=True)
class Motion:
    """Something that moves the reference: `at(t_ns)` gives (position, velocity, acceleration)."""

    start_ns: int
    at: Callable[[int], tuple[np.ndarray, np.ndarray, np.ndarray]]


def motion_of(trajectory: Trajectory) -> Motion:
    knots = Knots.from_points(trajectory.joint_names, trajectory.stamp_ns, trajectory.points)
    plan = Plan(
        knots.joint_names,
        knots.start_ns,
        knots.times_ns,
        knots.positions,
        knots.velocities,
        knots.accelerations,
    )
    return Motion(plan.start_ns, lambda t: plan.sample(t)[:3])


class Bench:
    """Runs everything on one simulated clock; faults are injected by replacing its hooks."""

    def __init__(self, robot, config: MonitorConfig, *, seed: int = 0, jitter: bool = True):
        self.robot, self.config = robot, config
        self.names = robot.limits.joint_names
        self.monitor = Monitor(robot, config)
        self.random = np.random.default_rng(seed)
        self.jitter = jitter
        self.now_ns = EPOCH_NS
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        rest = robot.home_position
        hold = Plan.hold(self.names, rest, EPOCH_NS - 3 * S + 123_456)
        self.motion = Motion(hold.start_ns, lambda t: hold.sample(t)[:3])
        self._mailbox: Motion | None = None
        self._delivered = {"controller": 0, "joints": 0, "plans": 0}
        # Hooks: what reaches the monitor and the controller.
        self.on_controller_message = lambda message: message
        self.on_joints_message = lambda message: message
        self.deliver_to_controller = lambda trajectory: True
        self.measured_offset = lambda t_ns, position: position
        self.monitor_stalled_until_ns = 0
        # Who answers the calls of the stop ladder: whether it was done, and after how long.
        self.answers: dict[Request, tuple[bool, int] | None] = {}
        self.calls: list[tuple[int, Request]] = []
        self.reset_verdicts: list[ResetVerdict] = []
        self.active = True
        self.held_at: np.ndarray | None = None
        self.stood_at = rest
        # The policy.
        self.policy_on = False
        self.policy_running: RunningPlan | None = None
        self.amplitude = 0.6
        self.mutate_plan = lambda trajectory: trajectory
        self.policy_latency_ns = 40 * MS
        # What happened.
        self.sent: list[tuple[int, Trajectory]] = []
        self.gripper_sent: list[tuple[int, Trajectory]] = []
        self.reference: list[tuple[int, np.ndarray]] = []
        self.transitions: list[tuple[int, State]] = []
        self.log: list[str] = []
        self._every(10 * MS, 0, self._control_cycle)
        self._every(10 * MS, 3 * MS, self._encoders)
        self._every(10 * MS, 7 * MS, self._tick)
        self._every(200 * MS, 11 * MS, self._policy)

    # -- time --------------------------------------------------------------------------------

    @property
    def now(self) -> Now:
        return Now(self.now_ns, self.now_ns - EPOCH_NS + 77 * S)

    def at(self, t_ns: int, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (t_ns, self._count, what))

    def after(self, delay_ns: int, what: Callable[[], None]) -> None:
        self.at(self.now_ns + delay_ns, what)

    def _every(self, period_ns: int, phase_ns: int, what: Callable[[], None]) -> None:
        def again(due_ns: int) -> None:
            what()
            self.at(due_ns + period_ns, lambda: again(due_ns + period_ns))

        self.at(EPOCH_NS + phase_ns, lambda: again(EPOCH_NS + phase_ns))

    def run(self, seconds: float) -> None:
        end_ns = self.now_ns + round(seconds * S)
        while self._events and self._events[0][0] <= end_ns:
            self.now_ns, _, what = heapq.heappop(self._events)
            what()
        self.now_ns = end_ns

    def run_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        end_ns = self.now_ns + round(seconds * S)
        while self._events and self._events[0][0] <= end_ns:
            self.now_ns, _, what = heapq.heappop(self._events)
            what()
            if condition():
                return True
        return condition()

    def _delay(self, stream: str) -> int:
        """Return when a message arrives: in order, some late, some in bursts."""
        delay = 1 * MS
        if self.jitter:
            delay = round(self.random.gamma(1.5, 2.0) * MS)
            if self.random.random() < 0.002:
                delay += round(self.random.uniform(40, 120) * MS)
        arrival = max(self.now_ns + delay, self._delivered[stream])
        if stream != "plans":
            arrival = max(arrival, self.monitor_stalled_until_ns)
        self._delivered[stream] = arrival
        return arrival

    # -- the parts -----------------------------------------------------------------------------

    def _control_cycle(self) -> None:
        if not self.active:
            # An inactive controller publishes nothing and takes nothing; the command stays.
            self._mailbox = None
            self.reference.append((self.now_ns, self.stood_at))
            return
        if self._mailbox is not None:
            self.motion, self._mailbox = self._mailbox, None
        position, velocity, acceleration = self.motion.at(self.now_ns)
        self.stood_at = position
        self.reference.append((self.now_ns, position))
        message = ControllerState(
            self.now_ns + (round(self.random.uniform(-1, 1) * 0.1 * MS) if self.jitter else 0),
            self.now_ns - self.motion.start_ns,
            self.names,
            tuple(position.tolist()),
            tuple(velocity.tolist()),
            tuple(acceleration.tolist()),
        )
        message = self.on_controller_message(message)
        if message is not None:
            self.at(
                self._delay("controller"),
                lambda: self._to_all(self.monitor.on_controller_state(message, self.now), message),
            )

    def _to_all(self, outputs: Outputs, message: ControllerState) -> None:
        self._take(outputs)
        self._policy_observes(message)

    def _encoders(self) -> None:
        t_ns = self.now_ns - 3 * MS
        position = self.motion.at(t_ns)[0] if self.active else self.stood_at
        if self.held_at is not None:
            position = self.held_at
        position = self.measured_offset(t_ns, position)
        quantum = 2.0 * math.pi / self.robot.ticks_per_turn
        measured = np.round(position / quantum) * quantum
        names = (*self.names, self.robot.gripper.joint)
        message = self.on_joints_message(JointStates(t_ns, names, (*measured.tolist(), 0.1)))
        if message is not None:
            self.at(
                self._delay("joints"),
                lambda: self._take(self.monitor.on_joint_states(message, self.now)),
            )

    def _tick(self) -> None:
        if self.now_ns < self.monitor_stalled_until_ns:
            return
        self._take(self.monitor.tick(self.now))

    def _take(self, outputs: Outputs) -> None:
        for trajectory in outputs.arm:
            self.sent.append((self.now_ns, trajectory))
            if self.deliver_to_controller(trajectory):
                self._mail(motion_of(trajectory))
        for trajectory in outputs.gripper:
            self.gripper_sent.append((self.now_ns, trajectory))
        for call in outputs.calls:
            self._call(call)
        if outputs.reset is not None:
            self.reset_verdicts.append(outputs.reset)
        self.log += [line.text for line in outputs.log]
        if not self.transitions or self.transitions[-1][1] is not self.monitor.state:
            self.transitions.append((self.now_ns, self.monitor.state))

    def _call(self, call: Call) -> None:
        """Carry a call out as the test wants it: by default nobody offers any of them."""
        self.calls.append((self.now_ns, call.request))
        reply = self.answers.get(call.request, (False, 0))
        if reply is None:
            return
        done, delay_ns = reply

        def carry_out() -> None:
            if done and call.request is Request.BRAKE_AS_GOAL:
                self._mailbox = motion_of(call.trajectory)
            elif done and call.request is Request.DEACTIVATE:
                self.active = False
            elif done and call.request is Request.ACTIVATE:
                self._activate()
            elif done and call.request is Request.DRIVER_HOLD:
                self.held_at = self.stood_at
            detail = "done" if done else "nobody serves it"
            self._take(self.monitor.on_answer(Answer(call.request, done, detail), self.now))

        if delay_ns:
            self.after(delay_ns, carry_out)
        else:
            carry_out()

    def _activate(self) -> None:
        """Begin with a hold where the command is, as the controller does."""
        at = self.stood_at
        self.active = True
        self.motion = Motion(self.now_ns, lambda t: (at, 0.0 * at, 0.0 * at))

    def _mail(self, motion: Motion) -> None:
        def arrive() -> None:
            self._mailbox = motion

        self.at(self._delay("plans"), arrive)

    # -- the policy ----------------------------------------------------------------------------

    def _policy_observes(self, message: ControllerState) -> None:
        position, velocity = np.array(message.position), np.array(message.velocity)
        if not (np.isfinite(position).all() and np.isfinite(velocity).all()):
            return
        start_ns = message.stamp_ns - message.time_from_start_ns
        if self.policy_running is None or (
            self.monitor.state is not State.READY and not velocity.any()
        ):
            self.policy_running = RunningPlan(Plan.hold(self.names, position, start_ns))
        self.policy_verdict = self.policy_running.observe(
            message.stamp_ns, message.time_from_start_ns, position, velocity, self.now_ns
        )

    def _policy(self) -> None:
        if not (self.policy_on and self.monitor.permit and self.policy_running is not None):
            return
        if self.policy_verdict.kind.value in ("pending", "foreign"):
            return
        trajectory = self.plan()

        def arrive() -> None:
            if self.policy_on:
                self.give(self.mutate_plan(trajectory))

        self.at(max(self.now_ns + self.policy_latency_ns, self.monitor_stalled_until_ns), arrive)

    def plan(self, spare_ns: int = 90 * MS) -> Trajectory:
        """Return a plan that follows random targets out of whatever runs.

        It leaves the running plan `spare_ns` after the last moment at which the gate allows it.
        """
        overlap_ns = round(self.config.plan_overlap_s * S) + spare_ns
        running = self.policy_running.plan
        splice = splice_ns(running, self.now_ns + overlap_ns)
        limits = self.robot.limits
        middle = self.robot.home_position
        targets = np.clip(
            middle + self.random.uniform(-self.amplitude, self.amplitude, len(self.names)),
            limits.position_lower,
            limits.position_upper,
        )
        state = running.state(splice)
        rows = np.linspace(state.position, targets, 20)
        chunk = Chunk(self.names, splice, 50 * MS, rows)
        tail = track(chunk, state, limits, start_ns=splice)
        cut = max(self.now_ns - 20 * MS, running.start_ns)
        plan = overlap(running, tail, cut_ns=cut)
        self.policy_sends = plan
        return Trajectory.of(plan)

    def give(self, trajectory: Trajectory) -> None:
        """Hand a trajectory to the monitor, as the policy node does."""
        forwarded = self.monitor.snapshot().plans_forwarded
        self._take(self.monitor.on_plan(trajectory, self.now))
        if self.monitor.snapshot().plans_forwarded > forwarded:
            self.policy_running.sent(self.policy_sends, self.now_ns)

    def stop(self) -> None:
        self._take(self.monitor.request_stop("a test asks", self.now)[2])

    def reset(self) -> tuple[bool | None, str]:
        accepted, message, outputs = self.monitor.request_reset(self.now)
        assert not outputs.arm
        assert not outputs.gripper
        self._take(outputs)
        return accepted, message

    # -- findings --------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self.monitor.state

    @property
    def first_cause(self) -> str:
        return self.monitor.snapshot().first_cause

    def requests(self) -> list[Request]:
        """Return the calls so far."""
        return [request for _, request in self.calls]

    def entered(self, state: State) -> int:
        """Return when a state was first entered."""
        return next(t for t, s in self.transitions if s is state)

    def peak_jerk_ratio(self, since_ns: int = 0) -> float:
        """Return the largest |jerk| of the reference as a share of the limit."""
        samples = [(t, p) for t, p in self.reference if t >= since_ns]
        times = np.array([t - samples[0][0] for t, _ in samples]) * 1e-9
        table = np.stack([p for _, p in samples])
        for order in (1, 2, 3):
            table = order * np.diff(table, axis=0) / (times[order:] - times[:-order])[:, None]
        return float(np.max(np.abs(table) / self.robot.limits.jerk))

    def travel(self, since_ns: int) -> float:
        """Return how far the reference moved, rad."""
        table = np.stack([p for t, p in self.reference if t >= since_ns])
        return float(np.max(np.ptp(table, axis=0)))

    def get_ready(self) -> "Bench":
        assert self.run_until(lambda: self.state is State.READY, 2.0), self.monitor.waiting_for()
        return self

    def get_moving(self, speed: float = 0.6) -> "Bench":
        """Run until a joint moves at a speed, rad/s."""
        self.get_ready()
        self.amplitude = 1.2
        self.policy_on = True
        moving = self.run_until(lambda: np.abs(self.motion.at(self.now_ns)[1]).max() > speed, 10.0)
        assert moving
        assert self.state is State.READY
        return self


@pytest.fixture(scope="session")
def robot():
    return load_robot(CONFIG / "robots" / "so101.yaml")


@pytest.fixture(scope="session")
def config():
    return load_config(CONFIG / "monitor" / "so101.yaml")


@pytest.fixture
def make_bench(robot, config):
    def make(*, seed: int = 0, jitter: bool = True, **changes) -> Bench:
        return Bench(robot, replace(config, **changes), seed=seed, jitter=jitter)

    return make


@pytest.fixture
def bench(make_bench):
    return make_bench()
