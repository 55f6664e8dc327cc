# SPDX-License-Identifier: Apache-2.0
"""A bench in simulated time: the monitor's core, a controller, encoders and a planning policy.

Everything that travels takes its time: a few milliseconds, some messages late, some in bursts, in
order. Nothing sleeps, so an hour passes in minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from smooth_motion import (
    Acknowledgement,
    Chunk,
    GripperPlan,
    MotionError,
    Plan,
    RunningPlan,
    overlap,
    splice_ns,
    track,
)
from smooth_motion.clocks import Now
from smooth_motion.messages import ControllerState, JointStates, Trajectory
from smoothness_monitor.core.monitor import Monitor
from smoothness_monitor.core.types import (
    Call,
    CallRequest,
    CallResult,
    FloatArray,
    MonitorOutputs,
    ResetVerdict,
    StopState,
)
from smoothness_monitor.params import MonitorConfig
from verification.faults.clock import EPOCH_NS, MS, PERIOD_NS, S, SimulatedClock
from verification.faults.plant import Plant
from vla_contract.robot import Robot
from vla_sim.faults.operations import Link


class Bench(SimulatedClock):
    """Runs everything on one simulated clock; faults go into its links and hooks.

    Attributes:
        links: Ways of the messages: `joint_states` and `controller_state` to the monitor, `plans`
            from the policy to it, `commands` from it to the controller.
        answers: Who answers the calls of the stop ladder: whether it is done, and after how long,
            ns; None for no answer. Nobody does unless it says so.
        policy_on: The policy plans.
        insistent: It plans on without a permit.
    """

    def __init__(
        self,
        robot: Robot,
        config: MonitorConfig,
        plant: Plant,
        *,
        seed: int = 0,
        jitter: bool = True,
        control_period_ns: int = PERIOD_NS,
    ) -> None:
        """Set everything up at rest.

        Args:
            robot: The robot.
            config: The monitor's thresholds.
            plant: The controller, active and at the robot's home.
            seed: Of everything random.
            jitter: Whether messages take random times.
            control_period_ns: Of the controller and the encoders.
        """
        super().__init__()
        self.robot, self.config, self.plant = robot, config, plant
        self.names = robot.limits.joint_names
        self.monitor = Monitor(robot, config)
        self.random = np.random.default_rng(seed)
        self.jitter = jitter
        self._delivered: dict[tuple[str, int], int] = {}
        self.links = {
            name: Link() for name in ("joint_states", "controller_state", "plans", "commands")
        }
        self.monitor_stalled_until_ns = 0
        self.clock_off_ns = 0
        self.answers: dict[CallRequest, tuple[bool, int] | None] = {}
        # The policy.
        self.policy_on = False
        self.insistent = False
        self.policy_running: RunningPlan | None = None
        self.policy_verdict: Acknowledgement | None = None
        self.policy_latency_ns = 40 * MS
        self.policy_spare_ns = 90 * MS
        self.amplitude = 0.6
        # What happened.
        self.sent: list[tuple[int, Trajectory]] = []
        self.gripper_sent: list[tuple[int, Trajectory]] = []
        self.calls: list[tuple[int, CallRequest]] = []
        self.reset_verdicts: list[ResetVerdict] = []
        self.references: list[tuple[int, FloatArray]] = []
        self.joints: list[tuple[int, FloatArray]] = []
        self.transitions: list[tuple[int, StopState]] = []
        self.slowed: list[tuple[int, float]] = []
        self.log: list[str] = []
        for controller in (robot.arm_controller, robot.gripper.controller):
            self.monitor.on_controller_parameters(controller, "")
        # The gripper's controller: ideal, and nothing is lost on the way to it.
        hold = GripperPlan.hold(
            robot.gripper.joint, robot.home[robot.gripper.joint], EPOCH_NS - 3 * S + 654_321
        )
        self.gripper_running = hold
        self.every(control_period_ns, 0, self._control_cycle)
        self.every(control_period_ns, 3 * MS, self._encoders)
        self.every(PERIOD_NS, 7 * MS, self._tick)
        self.every(200 * MS, 11 * MS, self._policy)

    # -- time ------------------------------------------------------------------------------------

    @property
    def now(self) -> Now:
        """The monitor's clocks."""
        return Now(self.now_ns + self.clock_off_ns, self.now_ns - EPOCH_NS + 77 * S)

    def _arrival_ns(self, way: tuple[str, int], later_ns: int) -> int:
        """Return when a message arrives: in order, some late, some in bursts."""
        delay = 1 * MS
        if self.jitter:
            delay = round(self.random.gamma(1.5, 2.0) * MS)
            if self.random.random() < 0.002:
                delay += round(self.random.uniform(40, 120) * MS)
        arrival = max(self.now_ns + delay + later_ns, self._delivered.get(way, 0))
        if way[0] != "commands":
            arrival = max(arrival, self.monitor_stalled_until_ns)
        self._delivered[way] = arrival
        return arrival

    def _carry(self, stream: str, message: Any, deliver: Callable[[Any], None]) -> None:
        carried = self.links[stream].carry(message, self.now_ns)
        for later_ns, each in carried:
            # What a fault delivers once more, later, is in order among its like.
            copy = later_ns - carried[0][0]
            arrival_ns = self._arrival_ns((stream, copy), later_ns)
            self.at(arrival_ns, lambda each=each: deliver(each))  # type: ignore[misc]

    # -- the parts -------------------------------------------------------------------------------

    def _control_cycle(self) -> None:
        message = self.plant.update(self.now_ns)
        self.references.append((self.now_ns, self.plant.reference(self.now_ns)))
        self.joints.append((self.now_ns, self.plant.measured(self.now_ns)))
        self._gripper_cycle()
        if message is None:
            return
        if self.jitter:
            wander = round(self.random.uniform(-0.1, 0.1) * MS)
            message = replace(message, stamp_ns=message.stamp_ns + wander)

        def deliver(each: ControllerState) -> None:
            self.take(self.monitor.on_controller_state(each, self.now))

        self._carry("controller_state", message, deliver)
        self.at(self.now_ns + MS, lambda: self._policy_observes(message))

    def _gripper_cycle(self) -> None:
        plan = self.gripper_running
        at = [plan.position(t) for t in (self.now_ns, self.now_ns + 1000)]
        state = ControllerState(
            self.now_ns,
            self.now_ns - plan.start_ns,
            (plan.joint,),
            (at[0],),
            ((at[1] - at[0]) * 1e6,),
            (0.0,),
        )
        self.at(self.now_ns + MS, lambda: self.monitor.on_gripper_state(state))

    def run_gripper(self, trajectory: Trajectory) -> None:
        """Let the gripper's controller turn to a trajectory."""
        self.gripper_running = GripperPlan(
            trajectory.joint_names[0],
            trajectory.stamp_ns,
            np.array([point.time_from_start_ns for point in trajectory.points], dtype=np.int64),
            np.array([point.positions[0] for point in trajectory.points]),
        )

    def measured(self, t_ns: int) -> FloatArray:
        """Return what the encoders show, (J,) rad."""
        quantum = 2.0 * math.pi / self.robot.ticks_per_turn
        return np.asarray(np.round(self.plant.measured(t_ns) / quantum) * quantum)

    def _encoders(self) -> None:
        t_ns = self.now_ns - 3 * MS
        names = (*self.names, self.robot.gripper.joint)
        message = JointStates(t_ns, names, (*self.measured(t_ns).tolist(), 0.1))

        def deliver(each: JointStates) -> None:
            self.take(self.monitor.on_joint_states(each, self.now))

        self._carry("joint_states", message, deliver)

    def _tick(self) -> None:
        if self.now_ns >= self.monitor_stalled_until_ns:
            self.take(self.monitor.tick(self.now))

    def take(self, outputs: MonitorOutputs) -> None:
        """Carry out what the monitor wants."""
        for trajectory in outputs.arm:
            self.sent.append((self.now_ns, trajectory))
            self._carry("commands", trajectory, lambda each: self.plant.receive(each, self.now_ns))
        for trajectory in outputs.gripper:
            self.gripper_sent.append((self.now_ns, trajectory))
            self.after(2 * MS, lambda each=trajectory: self.run_gripper(each))  # type: ignore[misc]
        for call in outputs.calls:
            self._call(call)
        if outputs.reset is not None:
            self.reset_verdicts.append(outputs.reset)
        self.log += [line.text for line in outputs.log]
        if not self.transitions or self.transitions[-1][1] is not self.monitor.state:
            self.transitions.append((self.now_ns, self.monitor.state))
        if outputs.changed:
            scaling = self.monitor.snapshot().speed_scaling
            if scaling != (self.slowed[-1][1] if self.slowed else 1.0):
                self.slowed.append((self.now_ns, scaling))

    def _call(self, call: Call) -> None:
        self.calls.append((self.now_ns, call.request))
        reply = self.answers.get(call.request, (False, 0))
        if reply is None:
            return
        done, delay_ns = reply

        def carry_out() -> None:
            accepted = done
            if done and call.request is CallRequest.BRAKE_AS_GOAL:
                assert call.trajectory is not None
                accepted = self.plant.goal(call.trajectory, self.now_ns)
            elif done and call.request is CallRequest.DEACTIVATE:
                self.plant.deactivate()
            elif done and call.request is CallRequest.ACTIVATE:
                self.plant.activate(self.now_ns)
            elif done and call.request is CallRequest.DRIVER_HOLD:
                self.plant.hold()
            detail = "done" if accepted else "nobody serves it"
            self.take(self.monitor.on_answer(CallResult(call.request, accepted, detail), self.now))

        if delay_ns:
            self.after(delay_ns, carry_out)
        else:
            carry_out()

    # -- the policy ------------------------------------------------------------------------------

    def _policy_observes(self, message: ControllerState) -> None:
        position, velocity = np.array(message.position), np.array(message.velocity)
        start_ns = message.stamp_ns - message.time_from_start_ns
        rests = self.monitor.state is not StopState.READY and not velocity.any()
        if self.policy_running is None or rests:
            self.policy_running = RunningPlan(Plan.hold(self.names, position, start_ns))
        self.policy_verdict = self.policy_running.observe(
            message.stamp_ns, message.time_from_start_ns, position, velocity, self.now_ns
        )
        if self.policy_verdict.kind.value == "foreign" and not velocity.any():
            # As the policy node does: what moved was not its own, and now it rests.
            self.policy_running = RunningPlan(Plan.hold(self.names, position, start_ns))

    def _policy(self) -> None:
        permit = self.monitor.permit or self.insistent
        if not (self.policy_on and permit and self.policy_running and self.policy_verdict):
            return
        if not self.insistent and self.policy_verdict.kind.value in ("pending", "foreign"):
            return
        try:
            plan = self.next_plan()
        except MotionError:
            return

        def arrive(each: Trajectory) -> None:
            if self.policy_on:
                self.give(each, plan)

        for later_ns, each in self.links["plans"].carry(Trajectory.of(plan), self.now_ns):
            due_ns = self.now_ns + self.policy_latency_ns + later_ns
            arrival_ns = max(due_ns, self.monitor_stalled_until_ns)
            self.at(arrival_ns, lambda each=each: arrive(each))  # type: ignore[misc]

    def next_plan(self) -> Plan:
        """Return a plan that follows random targets out of whatever runs.

        It leaves the running plan `policy_spare_ns` after the last moment at which the gate
        allows it.
        """
        assert self.policy_running is not None
        overlap_ns = round(self.config.plan_overlap_s * S) + self.policy_spare_ns
        running = self.policy_running.plan
        splice = splice_ns(running, self.now_ns + overlap_ns)
        limits = self.robot.limits
        targets = np.clip(
            self.robot.home_position
            + self.random.uniform(-self.amplitude, self.amplitude, len(self.names)),
            limits.position_lower,
            limits.position_upper,
        )
        state = running.state(splice)
        rows = np.linspace(state.position, targets, 20)
        chunk = Chunk(self.names, splice, 50 * MS, rows)
        tail = track(chunk, state, limits, start_ns=splice)
        return overlap(running, tail, cut_ns=max(self.now_ns - 20 * MS, running.start_ns))

    def give(self, trajectory: Trajectory, plan: Plan | None) -> None:
        """Hand a trajectory to the monitor; note the plan in it as sent if it is forwarded."""
        forwarded = self.monitor.snapshot().plans_forwarded
        self.take(self.monitor.on_plan(trajectory, self.now))
        if plan is not None and self.monitor.snapshot().plans_forwarded > forwarded:
            assert self.policy_running is not None
            try:
                self.policy_running.sent(plan, self.now_ns)
            except MotionError:
                self.policy_running = None

    def stop(self, why: str = "a test asks") -> None:
        """Call the stop service."""
        self.take(self.monitor.request_stop(why, self.now)[2])

    def reset(self) -> tuple[bool | None, str]:
        """Call the reset service; return its answer. None means that it comes later."""
        accepted, message, outputs = self.monitor.request_reset(self.now)
        assert not outputs.arm, "a reset sent a trajectory"
        assert not outputs.gripper, "a reset moved the gripper"
        self.take(outputs)
        return accepted, message

    # -- findings --------------------------------------------------------------------------------

    @property
    def state(self) -> StopState:
        """The monitor's state."""
        return self.monitor.state

    @property
    def first_cause(self) -> str:
        """Name of the detector that tripped first, empty when none did."""
        return self.monitor.snapshot().first_cause

    def requests(self) -> list[CallRequest]:
        """Return the calls of the stop ladder so far."""
        return [request for _, request in self.calls]

    def entered(self, state: StopState) -> int:
        """Return when a state was first entered."""
        return next(t for t, s in self.transitions if s is state)

    def peak_jerk_ratio(self, since_ns: int = 0, until_ns: int = 2**62) -> float:
        """Return the largest |jerk| of the command as a share of the limit, 0 without motion."""
        samples = [(t, p) for t, p in self.references if since_ns <= t <= until_ns]
        if len(samples) < 4:
            return 0.0
        times = np.array([t - samples[0][0] for t, _ in samples]) * 1e-9
        table = np.stack([p for _, p in samples])
        for order in (1, 2, 3):
            table = order * np.diff(table, axis=0) / (times[order:] - times[:-order])[:, None]
        return float(np.max(np.abs(table) / self.robot.limits.jerk))

    def travel(self, since_ns: int = 0) -> float:
        """Return how far the command moved, rad."""
        table = np.stack([p for t, p in self.references if t >= since_ns])
        return float(np.max(np.ptp(table, axis=0)))

    def forget(self) -> None:
        """Drop the record of the command, in runs of hours."""
        self.references = self.references[-8:]
        self.joints = self.joints[-8:]
        self.sent = self.sent[-8:]
        self.log = self.log[-100:]

    def get_ready(self) -> None:
        """Run until plans are forwarded."""
        ready = self.run_until(lambda: self.state is StopState.READY, 3.0)
        assert ready, self.monitor.waiting_for()

    def get_moving(self, speed: float = 0.6) -> None:
        """Run until the command of a joint moves at a speed, rad/s."""
        self.get_ready()
        self.amplitude = 1.2
        self.policy_on = True

        def moves() -> bool:
            if len(self.references) < 2:
                return False
            (_, before), (_, now) = self.references[-2:]
            return float(np.max(np.abs(now - before))) > speed * PERIOD_NS * 1e-9

        assert self.run_until(moves, 10.0), "the arm did not get moving"
        assert self.state is StopState.READY, self.first_cause
