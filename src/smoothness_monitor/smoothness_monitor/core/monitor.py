# SPDX-License-Identifier: Apache-2.0
"""The monitor as a pure state machine: inputs and times in, trajectories and a state out.

Every public method returns what the node has to send. Nothing here reads a clock or knows ROS.
"""

from __future__ import annotations

import numpy as np

from smooth_motion import (
    Acknowledged,
    Acknowledgement,
    CheckConfig,
    GripperPlan,
    MotionError,
    Plan,
    Point,
    Robot,
    RunningPlan,
    limit_violations,
)
from smooth_motion import State as MotionState
from smoothness_monitor.core import brakes, gate
from smoothness_monitor.core.detectors import Ages, Cycle, Detectors, Measurement
from smoothness_monitor.core.inputs import (
    OwnClock,
    Standstill,
    Stream,
    arm_reference,
    concerns_arm,
    ordered,
)
from smoothness_monitor.core.stop import StopSequence
from smoothness_monitor.core.stop import Verdict as StopVerdict
from smoothness_monitor.core.types import (
    ControllerState,
    DetectorReport,
    FloatArray,
    JointStates,
    Level,
    LogLine,
    Now,
    Outputs,
    Snapshot,
    State,
    Trajectory,
)
from smoothness_monitor.params import MonitorConfig

# Past this, a controller's stamps are of another clock than this node's.
CLOCK_SKEW_NS = 1_000_000_000
# How far the plan may be continued past the controller's newest cycle to compare joints with it.
REFERENCE_AHEAD_NS = 100_000_000
# A stop that is driven off its brake starts again, this many times.
MAX_BRAKES = 3
RECENT_PLANS = 4


class Monitor:
    """Gate, detectors and stop of one robot."""

    def __init__(self, robot: Robot, config: MonitorConfig) -> None:
        self.robot = robot
        self.config = config
        self.names = robot.limits.joint_names
        self.detectors = Detectors(robot, config)
        self.state = State.STARTUP
        self._limits = robot.limits
        self._check = CheckConfig(min_overlap_ns=_ns(config.plan_overlap_s), max_start_ahead_ns=0)
        self._clock = OwnClock(config.tick_credit_s)
        self._controller, self._joints = Stream(), Stream()
        self._standstill = Standstill(config.standstill_velocity_rad_s, config.standstill_window_s)
        self._running: RunningPlan | None = None
        self._newest: Plan | None = None
        self._cycle: Cycle | None = None
        self._recent: list[Plan] = []
        self._waiting: Trajectory | None = None
        self._gripper_plan: GripperPlan | None = None
        self._measured: FloatArray | None = None
        self._clock_skew_ns = 0
        self._stop: StopSequence | None = None
        self._brakes = 0
        self._lost = False
        self._causes: dict[str, str] = {}
        self._trip_ns = 0
        self._ready_ns = 0
        self._forwarded = self._rejected = 0
        self._last_rejection = ""
        self._clear_outputs()

    # -- inputs ----------------------------------------------------------------------------------

    def on_plan(self, trajectory: Trajectory, now: Now) -> Outputs:
        """Take in a trajectory for the arm."""
        if self._waiting is not None:
            self._refuse("superseded: a newer plan arrived before it could be judged", "", now)
        self._waiting = trajectory
        self._judge_waiting(now)
        return self._take_outputs()

    def on_gripper(self, trajectory: Trajectory, now: Now) -> Outputs:
        """Take in a trajectory for the gripper."""
        if not self.permit:
            self._refuse_without_permit(now)
            return self._take_outputs()
        decision = gate.decide_gripper(
            trajectory,
            self.robot.gripper,
            self._gripper_command(now),
            now_ns=now.ros_ns,
            step=self.config.gripper_step_rad,
        )
        if decision.plan is None:
            self._refuse(decision.reason, decision.trips, now)
        else:
            self._send_gripper(decision.plan)
        return self._take_outputs()

    def on_controller_state(self, message: ControllerState, now: Now) -> Outputs:
        """Take in a cycle of the arm's controller."""
        source = "controller_state"
        reference, problem = arm_reference(message, self.names)
        if self._unusable(source, self._controller, message.stamp_ns, problem, now):
            return self._take_outputs()
        if not self._controller.is_new(message.stamp_ns):
            return self._take_outputs()
        self._controller.arrived(message.stamp_ns, self._clock.now_ns)
        self._clock_skew_ns = message.stamp_ns - now.ros_ns
        self._cycle = self._observe(message, reference)
        self._trip_all(self.detectors.on_cycle(self._cycle), now)
        self._watch_latch(now)
        self._judge_waiting(now)
        self._advance_stop(now)
        self._leave_startup(now)
        return self._take_outputs()

    def on_joint_states(self, message: JointStates, now: Now) -> Outputs:
        """Take in a measurement."""
        if not concerns_arm(message, self.names):
            return self._take_outputs()
        columns, problem = ordered(
            message.joint_names, {"positions": message.position}, self.names
        )
        if self._unusable("joint_states", self._joints, message.stamp_ns, problem, now):
            return self._take_outputs()
        if not self._joints.is_new(message.stamp_ns):
            return self._take_outputs()
        self._joints.arrived(message.stamp_ns, self._clock.now_ns)
        self._measured = columns["positions"]
        self._standstill.update(message.stamp_ns, self._measured)
        measurement = Measurement(
            message.stamp_ns,
            self._measured,
            message.position,
            self._reference_at(message.stamp_ns),
        )
        self._trip_all(self.detectors.on_measurement(measurement), now)
        self._advance_stop(now)
        self._leave_startup(now)
        return self._take_outputs()

    def on_publishers(self, others: tuple[str, ...], now: Now) -> Outputs:
        """Take in who else publishes on the controllers' topics: "node on topic", one a line."""
        detector = self.detectors.foreign_publisher
        detail = detector.report("; ".join(others))
        if detail:
            self._trip_all([(detector.name, detail)], now)
        return self._take_outputs()

    def tick(self, now: Now) -> Outputs:
        """Move on in time. Call it at a steady rate of 50 Hz or more."""
        self._clock.tick(now.steady_ns)
        ages = Ages(
            self._joints.age_s(self._clock.now_ns), self._controller.age_s(self._clock.now_ns)
        )
        self._trip_all(self.detectors.on_tick(ages), now)
        self._judge_waiting(now)
        self._advance_stop(now)
        self._leave_startup(now)
        return self._take_outputs()

    def request_stop(self, detail: str, now: Now) -> tuple[bool, str, Outputs]:
        """Stop and latch, as somebody asks.

        Returns:
            Whether the stop was accepted, what happens in words, and what to send.
        """
        self._trip("operator", detail, now)
        return True, f"{self.state.name}: first cause {self._first_cause()}", self._take_outputs()

    def request_reset(self, now: Now) -> tuple[bool, str, Outputs]:
        """Leave the latch, if nothing speaks against it. Sends nothing: the arm does not move.

        Returns:
            Whether it is READY now, why not in words, and what to send.
        """
        if self.state is State.FAULT:
            message = "FAULT: a stop failed; find out why, then restart the monitor"
            return False, message, self._take_outputs()
        if self.state is not State.STOPPED_LATCHED:
            return False, f"{self.state.name}: there is nothing to reset", self._take_outputs()
        missing = self.waiting_for()
        if missing:
            message = f"STOPPED_LATCHED: waiting for {'; '.join(missing)}"
            return False, message, self._take_outputs()
        causes = ", ".join(self._causes)
        self._causes.clear()
        self._trip_ns = 0
        self._enter_ready(f"reset after {causes}", now)
        return True, "READY", self._take_outputs()

    # -- outputs ---------------------------------------------------------------------------------

    @property
    def permit(self) -> bool:
        """Whether plans may come: READY and every input fresh."""
        now_ns = self._clock.now_ns
        return (
            self.state is State.READY
            and self._joints.age_s(now_ns) <= self.config.joint_states_stale_s
            and self._controller.age_s(now_ns) <= self.config.controller_state_stale_s
        )

    def waiting_for(self) -> tuple[str, ...]:
        """Return what keeps the state in STARTUP, or blocks a reset."""
        if self.state not in (State.STARTUP, State.STOPPED_LATCHED):
            return ()
        waiting = list(self.detectors.present())
        if self._cycle is not None:
            if not _rests(self._cycle):
                waiting.append("controller_state: the reference moves")
            if abs(self._clock_skew_ns) > CLOCK_SKEW_NS:
                waiting.append(
                    f"controller_state: stamped {self._clock_skew_ns * 1e-9:.1f} s off this "
                    "node's clock; check use_sim_time"
                )
        if self._measured is not None:
            if not self.detectors.measured_jerk.filled:
                waiting.append(
                    f"joint_states: {self.config.measured_jerk_window} messages in a row at "
                    f"{self.config.joint_states_rate_hz:g} Hz"
                )
            elif not self._standstill.stands:
                waiting.append("joint_states: the joints move")
        return tuple(waiting)

    def snapshot(self) -> Snapshot:
        """Return the state as it is published."""
        first = self._first_cause()
        command, measured = self.detectors.command_jerk, self.detectors.measured_jerk
        estimator = measured.estimator
        return Snapshot(
            state=self.state,
            permit=self.permit,
            first_cause=first,
            first_cause_detail=self._causes.get(first, ""),
            causes=tuple(self._causes),
            trip_ns=self._trip_ns,
            waiting_for=self.waiting_for(),
            joint_names=self.names,
            jerk_limit=self.robot.limits.jerk,
            command_jerk=command.newest,
            command_jerk_peak=command.peak,
            measured_jerk=measured.newest,
            measured_jerk_noise_floor=np.full(len(self.names), estimator.noise_floor),
            measured_jerk_threshold=measured.threshold,
            measured_jerk_delay_s=estimator.delay_s,
            plans_forwarded=self._forwarded,
            plans_rejected=self._rejected,
            last_rejection=self._last_rejection,
        )

    def reports(self) -> tuple[DetectorReport, ...]:
        """Return every detector's newest finding."""
        return tuple(
            DetectorReport(name, name in self._causes, item.present, item.value)
            for name, item in self.detectors.by_name.items()
        )

    # -- inputs in detail ------------------------------------------------------------------------

    def _unusable(
        self, source: str, stream: Stream, stamp_ns: int, problem: str, now: Now
    ) -> bool:
        """Judge whether a message can be used, and trip if it cannot."""
        finite, order = self.detectors.non_finite, self.detectors.stamp_order
        detail = finite.report_input(source, problem)
        if detail:
            self._trip_all([(finite.name, detail)], now)
            return True
        back_s = stream.backwards_s(stamp_ns)
        detail = order.report_input(source, f"stamp went back by {back_s:.6f} s" if back_s else "")
        if detail:
            self._trip_all([(order.name, detail)], now)
            return True
        return False

    def _observe(self, message: ControllerState, reference: dict[str, FloatArray]) -> Cycle:
        position, velocity = reference["positions"], reference["velocities"]
        if self._running is None:
            start = message.stamp_ns - message.time_from_start_ns
            self._running = RunningPlan(
                Plan.hold(self.names, position, start), timeout_ns=_ns(self.config.acknowledge_s)
            )
        verdict = self._running.observe(
            message.stamp_ns, message.time_from_start_ns, position, velocity, self._clock.now_ns
        )
        self._note_lost(verdict)
        time_ns = message.stamp_ns
        if verdict.kind is not Acknowledged.FOREIGN:
            # The controller adds up its periods, so its stamp wanders against the time that its
            # reference was evaluated for. The plan's start is exact.
            time_ns = self._running.plan.start_ns + message.time_from_start_ns
        return Cycle(
            message.stamp_ns, time_ns, position, velocity, reference["accelerations"], verdict
        )

    def _note_lost(self, verdict: Acknowledgement) -> None:
        lost = verdict.kind is Acknowledged.LOST
        if lost and not self._lost:
            self._log(Level.WARN, "the controller does not run the plan that was forwarded last")
        self._lost = lost

    def _reference_at(self, stamp_ns: int) -> FloatArray | None:
        """Return the arm's reference at a time, None when it is not known."""
        cycle = self._cycle
        if cycle is None or self._running is None:
            return None
        if stamp_ns > cycle.time_ns + REFERENCE_AHEAD_NS:
            return None
        if cycle.verdict.kind is Acknowledged.FOREIGN:
            return cycle.position
        return np.asarray(self._running.plan.sample(stamp_ns).position)

    # -- gate ------------------------------------------------------------------------------------

    def _judge_waiting(self, now: Now) -> None:
        trajectory = self._waiting
        if trajectory is None:
            return
        if not self.permit or self._running is None or self._cycle is None:
            self._waiting = None
            self._refuse_without_permit(now)
            return
        running = self._running.plan
        pending = brakes.may_run(running, self._newest, self._cycle.time_ns)
        decision = gate.decide(
            trajectory,
            gate.Expected(running, pending, self._recent, self._newest, self._ready_ns),
            self._limits,
            now_ns=now.ros_ns,
            config=self._check,
        )
        if decision.verdict is gate.Verdict.WAIT:
            return
        self._waiting = None
        if decision.plan is None:
            self._refuse(decision.reason, decision.trips, now)
            return
        self._forwarded += 1
        self._send(decision.plan)

    def _refuse(self, reason: str, trips: str, now: Now) -> None:
        self._rejected += 1
        # A policy that does not listen must not flood the log.
        if reason != self._last_rejection:
            self._log(Level.WARN, f"plan refused: {reason}")
        self._last_rejection = reason
        self._changed = True
        if trips:
            self._trip_all([(trips, f"plan: {reason}")], now)

    def _refuse_without_permit(self, now: Now) -> None:
        self._refuse(f"{gate.Refusal.NOT_READY.value}: the state is {self.state.name}", "", now)

    def _send(self, plan: Plan) -> None:
        assert self._running is not None
        self._recent = [*self._recent, self._running.plan, plan][-RECENT_PLANS:]
        self._running.sent(plan, self._clock.now_ns)
        self._newest = plan
        self._arm.append(Trajectory.of(plan))

    def _sent(self) -> list[Plan]:
        """Return the plans that the controller may know: what runs and what was sent last."""
        assert self._running is not None
        return [plan for plan in (self._running.plan, self._newest) if plan is not None]

    def _send_gripper(self, plan: GripperPlan) -> None:
        self._gripper_plan = plan
        points = tuple(
            Point(int(t), [float(position)], [], [])
            for t, position in zip(plan.times_ns, plan.positions, strict=True)
        )
        self._gripper.append(Trajectory(plan.start_ns, (plan.joint,), points))

    def _gripper_command(self, now: Now) -> float | None:
        plan = self._gripper_plan
        return None if plan is None else plan.position(now.ros_ns)

    # -- trips and the stop ----------------------------------------------------------------------

    def _trip_all(self, found: list[tuple[str, str]], now: Now) -> None:
        """Let findings stop the arm, except before there is anything to stop."""
        for name, detail in found:
            if self.state is not State.STARTUP:
                self._trip(name, detail, now)

    def _trip(self, name: str, detail: str, now: Now) -> None:
        if name in self._causes:
            return
        self._causes[name] = detail
        self._changed = True
        if len(self._causes) == 1:
            self._trip_ns = now.ros_ns
        self._log(Level.ERROR, f"{name}: {detail}")
        if self.state in (State.STARTUP, State.READY):
            self._brakes = 0
            self._begin_stop(now)

    def _first_cause(self) -> str:
        return next(iter(self._causes), "")

    def _watch_latch(self, now: Now) -> None:
        """Stop again what moves although it was stopped, or was driven off its brake."""
        cycle = self._cycle
        assert cycle is not None
        if self.state is State.STOPPED_LATCHED and not _rests(cycle):
            self._log(Level.ERROR, "the reference moves although the stop is latched")
            self._brakes = 0
            self._begin_stop(now)
        elif (
            self.state is State.STOPPING
            and self._stop is not None
            and self._stop.has_run
            and not self._runs(self._stop.plan, cycle)
            and self._brakes < MAX_BRAKES
        ):
            self._log(Level.ERROR, "the controller left the brake trajectory")
            self._begin_stop(now)

    def _begin_stop(self, now: Now) -> None:
        self._brakes += 1
        self._enter(State.STOPPING)
        self._stop = None
        if self._gripper_plan is not None:
            self._send_gripper(
                brakes.hold_gripper(
                    self._gripper_plan,
                    now_ns=now.ros_ns,
                    overlap_ns=_ns(self.config.stop_overlap_s),
                )
            )
        if self._running is None or self._cycle is None:
            # Nothing was ever heard of the controller, so nothing was ever sent to it.
            self._enter(State.STOPPED_LATCHED)
            return
        plan = self._send_brake(self._running, self._cycle, now)
        if plan is None:
            return
        sent_ns = self._clock.now_ns
        self._stop = StopSequence(
            plan,
            resend_ns=sent_ns + _ns(self.config.stop_resend_s),
            deadline_ns=sent_ns + plan.end_ns - now.ros_ns + _ns(self.config.stop_grace_s),
        )

    def _send_brake(self, running: RunningPlan, cycle: Cycle, now: Now) -> Plan | None:
        """Send the brake; return the plan that now stops the arm, None when there is none."""
        foreign = cycle.verdict.kind is Acknowledged.FOREIGN
        base = brakes.may_run(running.plan, self._newest, cycle.time_ns) or running.plan
        try:
            if foreign:
                plan = brakes.brake_from_state(
                    MotionState(cycle.position, cycle.velocity, cycle.acceleration),
                    self._limits,
                    state_ns=cycle.time_ns,
                    now_ns=now.ros_ns,
                    foreign_start_ns=cycle.verdict.start_ns,
                )
                # What was sent before no longer matters, and must not be taken for the brake.
                self._rebase(cycle)
            else:
                plan = brakes.brake_in_plan(
                    base,
                    self._limits,
                    now_ns=now.ros_ns,
                    controller_ns=cycle.time_ns,
                    overlap_ns=_ns(self.config.stop_overlap_s),
                    sent=self._sent(),
                )
        except MotionError as error:
            if foreign:
                self._escalate(f"no brake trajectory exists: {error}", now)
                return None
            self._log(Level.ERROR, f"no brake exists ({error}): the plan runs to its end")
            return base
        for violation in limit_violations(plan, self._limits):
            self._log(Level.WARN, f"the brake cannot keep a limit: {violation}")
        self._send(plan)
        return plan

    def _advance_stop(self, now: Now) -> None:
        if self.state is not State.STOPPING or self._stop is None:
            return
        assert self._cycle is not None
        plan = self._stop.plan
        now_ns = self._clock.now_ns
        fresh = self._joints.age_s(now_ns) <= self.config.joint_states_stale_s
        outcome, why = self._stop.step(
            now_ns,
            runs=self._runs(plan, self._cycle),
            reference_rests=self._cycle.time_ns >= plan.end_ns and _rests(self._cycle),
            measured_rests=fresh and self._standstill.stands,
        )
        if outcome is StopVerdict.STANDS:
            self._stop = None
            self._enter(State.STOPPED_LATCHED)
        elif outcome is StopVerdict.RESEND:
            self._log(Level.WARN, "the controller does not run the brake trajectory: sent again")
            self._arm.append(Trajectory.of(plan))
        elif outcome is StopVerdict.FAILED:
            self._escalate(why, now)

    def _runs(self, plan: Plan, cycle: Cycle) -> bool:
        """Return whether the controller runs a plan, as of its newest cycle."""
        assert self._running is not None
        return self._running.plan is plan and cycle.verdict.kind is not Acknowledged.FOREIGN

    def _escalate(self, why: str, now: Now) -> None:
        """Go beyond the brake: hold at once. A step is better than going on."""
        now_ns = self._clock.now_ns
        self._stop = None
        fresh = self._joints.age_s(now_ns) <= self.config.joint_states_stale_s
        position, where = None, "nothing fresh is known, so nothing more is sent"
        if (
            self._cycle is not None
            and self._controller.age_s(now_ns) <= self.config.controller_state_stale_s
        ):
            position, where = self._cycle.position, "hold sent at the reference"
        elif fresh and self._standstill.stands:
            where = "the joints stand, so nothing more is sent"
        elif fresh:
            position, where = self._measured, "hold sent at the measured joints"
        if position is not None:
            self._send(brakes.hold(self.names, position, now_ns=now.ros_ns, sent=self._sent()))
        self._enter(State.FAULT)
        self._log(
            Level.ERROR,
            f"the stop could not be shown to work: {why}; {where}. Cut the power if the arm "
            "moves, check the controller, then restart the monitor",
        )

    # -- states ----------------------------------------------------------------------------------

    def _enter(self, state: State) -> None:
        if state is not self.state:
            self._log(Level.INFO, f"{self.state.name} -> {state.name}")
            self.state = state
            self._changed = True

    def _leave_startup(self, now: Now) -> None:
        if self.state is State.STARTUP and not self.waiting_for():
            self._enter_ready("all inputs are there", now)

    def _enter_ready(self, why: str, now: Now) -> None:
        assert self._cycle is not None
        # An arm that woke up outside of its range may return, and go no further out.
        self._limits = self.robot.limits.widened_to(self._cycle.position)
        self.detectors.command_position.limits = self._limits
        self.detectors.clear()
        self._rebase(self._cycle)
        self._ready_ns = now.ros_ns
        self._waiting = None
        self._enter(State.READY)
        self._log(Level.INFO, f"plans are forwarded: {why}")

    def _rebase(self, cycle: Cycle) -> None:
        """Forget every plan sent: what counts is where the reference is."""
        assert self._running is not None
        self._running.rebase(Plan.hold(self.names, cycle.position, cycle.verdict.start_ns))
        self._newest = None
        self._recent = []

    # -- plumbing --------------------------------------------------------------------------------

    def _log(self, level: Level, text: str) -> None:
        self._lines.append(LogLine(level, text))

    def _clear_outputs(self) -> None:
        self._arm: list[Trajectory] = []
        self._gripper: list[Trajectory] = []
        self._lines: list[LogLine] = []
        self._changed = False

    def _take_outputs(self) -> Outputs:
        outputs = Outputs(
            tuple(self._arm), tuple(self._gripper), tuple(self._lines), self._changed
        )
        self._clear_outputs()
        return outputs


def _rests(cycle: Cycle) -> bool:
    return not cycle.velocity.any() and not cycle.acceleration.any()


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
