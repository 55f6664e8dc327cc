# SPDX-License-Identifier: Apache-2.0
"""The monitor as a pure state machine: inputs and times in, trajectories and a state out.

Every public method returns what the node has to send. Nothing here reads a clock or knows ROS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from smooth_motion import Acknowledged, CheckConfig, MotionError, ViolationKind, part_ns
from smooth_motion.clocks import ClockWatch, Now, set_by
from smooth_motion.messages import ControllerState, JointStates, Trajectory
from smoothness_monitor.core import gate
from smoothness_monitor.core.account import Account
from smoothness_monitor.core.detectors import (
    LONGEST_LINE,
    Ages,
    Detector,
    Detectors,
    Measurement,
)
from smoothness_monitor.core.detectors.inputs import Stale, uncompared
from smoothness_monitor.core.gripper import GripperAccount
from smoothness_monitor.core.inputs import (
    MAX_JOINTS,
    Order,
    OwnClock,
    Standstill,
    Stream,
    compared_names,
    plausible,
    stamp_problem,
)
from smoothness_monitor.core.instrument import Instrument, Smoothness
from smoothness_monitor.core.link import LONGEST_LEAD_NS, MARGIN_NS, Link
from smoothness_monitor.core.slowdown import Slowdown
from smoothness_monitor.core.stop import Lock, Phase, Sight, Stop
from smoothness_monitor.core.types import (
    Answer,
    DetectorReport,
    FloatArray,
    Latch,
    Level,
    Outbox,
    Outputs,
    Request,
    ResetVerdict,
    ServoStatus,
    Snapshot,
    State,
    nanoseconds,
)
from smoothness_monitor.params import MonitorConfig
from vla_contract.robot import Robot

# So many callbacks may end in an exception while the arm is being stopped; then only what needs no
# arithmetic is tried.
_MOST_ERRORS = 10
# For so long a step of the clock waits for the controller's next cycle.
STEP_SEEN_NS = 50_000_000
# After a stall an input counts as caught up with when its newest stamp is no older.
CAUGHT_UP_NS = 50_000_000
# Stamps that are off by more are named where a plan is refused for its time.
HINT_S = 0.05
# After what makes plans wait has passed, they wait for so long still.
CALM_NS = 1_000_000_000
# A stop waits no longer for the controller's word because that is heard late.
LATEST_WORD_S = 1.0
_REFERENCE = ("positions", "velocities", "accelerations")
_MEASURED = ("positions",)
_STALE = ("joint_states", "controller_state", "driver_states", "servo_status", "policy")
_POLICY = "lost_policy"
_STATES = {
    Phase.STOPPING: State.STOPPING,
    Phase.LATCHED: State.STOPPED_LATCHED,
    Phase.FAILED: State.FAULT,
}


class Monitor:
    """Gate, detectors and stop of one robot."""

    def __init__(
        self, robot: Robot, config: MonitorConfig, detectors: Sequence[Detector] = ()
    ) -> None:
        """Begin in STARTUP.

        Args:
            robot: The robot.
            config: The thresholds.
            detectors: Of other packages, besides those of the table.
        """
        self.robot = robot
        self.config = config
        self.names = robot.limits.joint_names
        self.detectors = Detectors(robot, config, detectors)
        self.account = Account(self.names, nanoseconds(config.acknowledge_s))
        self.gripper = GripperAccount(robot.gripper.joint)
        self.state = State.STARTUP
        self._limits = robot.limits
        self._check = CheckConfig(
            min_overlap_ns=nanoseconds(config.plan_overlap_s), max_start_ahead_ns=0
        )
        self._clock = OwnClock(config.tick_credit_s)
        self._watch = ClockWatch(nanoseconds(config.clock_step_s))
        self._link = Link()
        self._uncompared_ns: int | None = None
        # That the clock was set, in words, and until when that waits for the controller's word.
        self._step = "", 0
        self._policy_behind_s = 0.0
        self._newest_skews: dict[str, float] = {}
        self._controller, self._joints, self._driver = Stream(), Stream(), Stream()
        self._servos, self._policy = Stream(), Stream()
        inputs = ("controller_state", "joint_states", "driver_states")
        self._orders = {source: Order(self.names) for source in inputs}
        window = (config.standstill_velocity_rad_s, config.standstill_window_s)
        self._standstill, self._driver_standstill = Standstill(*window), Standstill(*window)
        self._waiting: Trajectory | None = None
        self._measured: FloatArray | None = None
        self._cycle_ns: int | None = None
        self._lost = False
        self._causes: dict[str, str] = {}
        self._trip_ns = 0
        self._ready_ns = 0
        self._reset_deadline_ns: int | None = None
        self._forwarded = self._rejected = 0
        # Start of the plan that was forwarded last.
        self._forwarded_ns = 0
        self._last_rejection = ""
        self._errors = 0
        self._restored = False
        # Why plans wait while nothing moves, in words, and until when.
        self._put_off = "", 0
        # Why an input that comes cannot be used, by what the graph and by what its messages say.
        self._graph_says: Mapping[str, str] = {}
        self._names_say: dict[str, str] = {}
        self._out = Outbox()
        self._stop = Stop(self.account, self.gripper, config, self._out)
        # What is wrong with each controller's parameters.
        unknown = "its parameters were not read yet"
        self._parameters = {robot.arm_controller: unknown}
        self.detectors.controller_parameters.report(f"{robot.arm_controller}: {unknown}")
        self._slowdown = Slowdown(
            self.account,
            robot.limits,
            self.detectors.measured_jerk.level(config.slow_jerk_factor),
            config,
            self._out,
        )
        self._instrument = Instrument(self.names, config.smoothness_window_s)

    # -- inputs ----------------------------------------------------------------------------------

    def on_plan(self, trajectory: Trajectory, now: Now) -> Outputs:
        """Take in a trajectory for the arm."""
        self._look_at_the_time(now)
        if self._waiting is not None:
            self._refuse("superseded: a newer plan arrived before it could be judged", "", now)
        self._waiting = trajectory
        self._judge_waiting(now)
        return self._out.take()

    def on_unread_plan(self, why: str, now: Now) -> Outputs:
        """Take in that a trajectory for the arm was too large to be read, or broken."""
        if self.permit:
            kind = ViolationKind.SIZE
            self._refuse(f"{kind.value}: {why}", gate.REACTIONS[kind].trips, now)
        else:
            self._refuse_without_permit(now)
        return self._out.take()

    def on_gripper(self, trajectory: Trajectory, now: Now) -> Outputs:
        """Take in a trajectory for the gripper."""
        if not self.permit:
            self._refuse_without_permit(now)
            return self._out.take()
        reason = self._gripper_unheard()
        if reason:
            self._refuse(f"{gate.Refusal.GRIPPER.value}: {reason}", "", now)
            return self._out.take()
        decision = gate.decide_gripper(
            trajectory,
            self.robot.gripper,
            self.gripper,
            now_ns=now.ros_ns,
            overlap_ns=self._lead_ns,
            step=self.config.gripper_step_rad,
        )
        if decision.plan is None:
            self._refuse(decision.reason + self._hint_at_the_link(), decision.trips, now)
        else:
            self.gripper.sent(decision.plan, now.ros_ns)
            self._out.gripper.append(Trajectory.of_gripper(decision.plan))
            self._out.made_ns = now.ros_ns
        return self._out.take()

    def on_controller_state(self, message: ControllerState, now: Now) -> Outputs:
        """Take in a cycle of the arm's controller."""
        self._look_at_the_time(now)
        order = self._orders["controller_state"]
        columns = (message.position, message.velocity, message.acceleration)
        reference, problem = order(message.joint_names, _REFERENCE, columns)
        stamp_ns = message.stamp_ns
        problem = problem or stamp_problem(stamp_ns, message.time_from_start_ns)
        if problem:
            self._explain("controller_state", f"messages come, but {problem}")
        if not self._usable("controller_state", self._controller, stamp_ns, problem, now):
            return self._out.take()
        own_ns = self._clock.now_ns
        self._link.heard(stamp_ns, now.ros_ns, own_ns)
        cycle = self.account.observe(message, reference, own_ns)
        if self.account.adopted_sent_ns is not None:
            self._link.adopted(self.account.adopted_sent_ns, stamp_ns, own_ns)
        if self._step[0]:
            self._trip_for_a_step(now)
        lost = cycle.verdict.kind is Acknowledged.LOST
        if lost and not self._lost:
            self._out.log(Level.WARN, "the controller does not run the plan forwarded last")
        self._lost = lost
        if self.account.lost:
            adopted = self.detectors.plan_not_adopted
            self._trip_one(adopted.name, adopted.judge(self.account.lost), now)
        command = self.detectors.command_jerk
        before = command.newest
        self._trip_all(self.detectors.on_cycle(cycle), now)
        self._instrument.on_cycle(cycle, None if command.newest is before else command.newest)
        if self.state is not State.READY:
            self._stop.watch(self._sight(now))
        self._judge_waiting(now)
        self._adapt_speed(now)
        self._move_on(now)
        return self._out.take()

    def on_gripper_state(self, message: ControllerState) -> None:
        """Take in a cycle of the gripper's controller."""
        problem = stamp_problem(message.stamp_ns, message.time_from_start_ns)
        few = len(message.joint_names) <= MAX_JOINTS
        # One that cannot be used is passed over, as if it had not come.
        if few and not problem and plausible(message.position):
            self.gripper.observe(message, self._clock.now_ns)

    def on_controller_parameters(self, controller: str, problem: str) -> Outputs:
        """Take in what is wrong with a controller's parameters, empty when nothing is.

        One whose parameters nobody reports on counts as unknown: no plan is forwarded to it.
        """
        if problem == self._parameters.get(controller):
            return self._out.take()
        self._parameters[controller] = problem
        wrong = self._wrong_parameters()
        self.detectors.controller_parameters.report("; ".join(wrong))
        if wrong and self.state is State.READY:
            text = f"no plan is forwarded, what runs goes on to its rest: {'; '.join(wrong)}"
            self._out.log(Level.ERROR, text)
        self._out.changed = True
        return self._out.take()

    def on_joint_states(self, message: JointStates, now: Now) -> Outputs:
        """Take in a measurement."""
        self._look_at_the_time(now)
        position = self._positions("joint_states", self._joints, message, now)
        if position is None:
            return self._out.take()
        self._measured = position
        self._standstill.update(message.stamp_ns, position)
        measurement = self._measurement(message, position)
        if measurement.reference is not None or self.account.cycle is None:
            self._uncompared_ns = None
        elif self._uncompared_ns is None:
            self._uncompared_ns = self._clock.now_ns
        self._trip_all(self.detectors.on_measurement(measurement), now)
        self._look_at_smoothness(measurement, now)
        self._move_on(now)
        return self._out.take()

    def on_driver_states(self, message: JointStates, now: Now) -> Outputs:
        """Take in what the driver read from the servos."""
        position = self._positions("driver_states", self._driver, message, now)
        if position is not None:
            self._driver_standstill.update(message.stamp_ns, position)
            self._trip_all(self.detectors.on_driver(self._measurement(message, position)), now)
        return self._out.take()

    def on_servos(self, statuses: tuple[ServoStatus, ...], now: Now) -> Outputs:
        """Take in diagnostic statuses; those of others than the servos do not count."""
        prefix = self.config.servo_status
        own = [status for status in statuses if prefix and status.name.startswith(prefix)]
        if own:
            self._servos.arrived(now.steady_ns, self._clock.now_ns)
            detector = self.detectors.servo_health
            self._trip_one(detector.name, detector.report_servos(own), now)
        return self._out.take()

    def on_held_up(self, outputs: Outputs, now: Now) -> Outputs | None:
        """Judge whether trajectories that are about to go out still may.

        Between a look at the clock and the publication a process may be held up for longer than
        what it made allows for. A plan is refused then, and a brake made anew.

        Args:
            outputs: Whose trajectories are about to go out.
            now: The clocks.

        Returns:
            What goes out in place of its trajectories, None where they may. All the rest of it has
            to go out in any case.
        """
        stopping = self._stop.phase is Phase.STOPPING
        sight = self._sight(now)
        now_ns = sight.now.ros_ns if stopping else now.ros_ns
        lead_ns = sight.lead_ns if stopping else self._lead_ns
        late_ns = now_ns - outputs.made_ns
        if late_ns <= max(lead_ns - sight.delivery_ns, MARGIN_NS // 2):
            return None
        if not (self._stop.renewable if stopping else self.state is State.READY):
            # What nothing can be made in place of: a hold at once, or what replaces plans at rest.
            return None
        for trajectory in outputs.arm:
            self.account.withdraw(trajectory.stamp_ns)
            self._forwarded -= trajectory.stamp_ns == self._forwarded_ns
        for trajectory in outputs.gripper:
            self.gripper.withdraw(trajectory.stamp_ns)
        if stopping:
            self._stop.renew(sight)
            self._follow_stop()
        else:
            why = f"this process was held up for {late_ns * 1e-9:.2f} s before it could be sent"
            self._refuse(f"{ViolationKind.SPLICE_TOO_EARLY.value}: {why}", "", now)
        return self._out.take()

    def on_silent_clock(self, silent_s: float) -> Outputs:
        """Take in for how long nobody has told the simulated time, s; 0 where time is real."""
        detector = self.detectors.stale_clock
        before = detector.present
        if detector.judge(silent_s) and not before:
            self._out.log(Level.ERROR, f"{detector.name}: {detector.present}")
        self._out.changed |= bool(before) != bool(detector.present)
        return self._out.take()

    def on_doubtful_clock(self, why: str, now: Now) -> Outputs:
        """Take in that the simulated time was told to be another one, in words.

        Args:
            why: What came.
            now: The time that is believed.
        """
        detector = self.detectors.clock_step
        self._trip_one(detector.name, detector.report(why), now)
        return self._out.take()

    def on_policy(self, stamp_ns: int, now: Now) -> None:
        """Take in the policy's heartbeat."""
        self._policy_behind_s = (now.ros_ns - stamp_ns) * 1e-9
        self._policy.arrived(now.steady_ns, self._clock.now_ns)

    def on_activity(self, label: str | None, now: Now) -> Outputs:
        """Take in the state of the arm's controller, None when it is not loaded."""
        detector = self.detectors.controller_inactive
        active = label == "active"
        if self._restored and self._stop.lock is Lock.OPEN and label == "inactive":
            # By the process before this one, as far as can be told; a reset activates it.
            self._stop.lock = Lock.LOCKED
        if self._stop.lock is Lock.LOCKED and active:
            self._out.log(Level.ERROR, "somebody activated the controller, which is locked out")
            self._stop.lock_again()
        # While it is locked out, or about to be, it is not expected to be active.
        wanted = self._stop.lock is Lock.OPEN
        found = f"{self.robot.arm_controller} is {label or 'not loaded'}"
        detector.value = found
        self._trip_one(detector.name, detector.report("" if active or not wanted else found), now)
        return self._out.take()

    def on_publishers(self, others: tuple[str, ...], now: Now) -> Outputs:
        """Take in who else publishes on the controllers' topics: "node on topic", one a line."""
        detector = self.detectors.foreign_publisher
        self._trip_one(detector.name, detector.report("; ".join(others)), now)
        return self._out.take()

    def on_graph(self, notes: Mapping[str, str]) -> None:
        """Take in why inputs may be silent, by who publishes on their topics and how.

        Args:
            notes: By input: joint_states, controller_state, driver_states, servo_status, policy.
        """
        self._graph_says = notes
        for source in _STALE:
            self._explain(source, self._names_say.get(source, ""))

    def on_internal_error(self, detail: str, now: Now) -> Outputs:
        """Take in that a callback ended in an exception; the arm is stopped for it.

        Nothing is known of what the callback left undone, so that this must not fail.
        """
        self._errors += 1
        detail = detail[:LONGEST_LINE]
        try:
            self._trip("internal_error", detail, now)
            if self._errors > _MOST_ERRORS and self._stop.phase is Phase.STOPPING:
                self._stop.fail(f"the monitor is wrong itself: {detail}", self._sight(now))
                self._follow_stop()
        except Exception as error:
            text = f"the monitor is wrong itself: {detail}; then {type(error).__name__}: {error}"
            if not self._stop.failed:
                self._stop.fail(text, self._blind(now))
            self.state = State.FAULT
            self._out.changed = True
        return self._out.take()

    def restore(self, detail: str, *, locked_out: bool, now: Now) -> Outputs:
        """Begin latched, for the process before this one was, or ended without a word.

        Args:
            detail: What is known of it, for a person.
            locked_out: It had the controller deactivated; a reset activates it.
            now: The clocks.
        """
        self._restored = True
        self._stop.restore(self._clock.now_ns, locked_out=locked_out)
        self._trip("restarted", detail, now)
        return self._out.take()

    def on_answer(self, answer: Answer, now: Now) -> Outputs:
        """Take in what came of a call."""
        self._stop.answer(answer, self._sight(now))
        self._follow_stop()
        if answer.request is Request.ACTIVATE and self._reset_deadline_ns is not None:
            if answer.done:
                # It starts with a hold of its own, and has the usual time to be heard.
                self.account.forget()
                self._controller.renew(self._clock.now_ns)
            else:
                self._fail_reset(f"the controller was not activated: {answer.detail}")
        return self._out.take()

    def tick(self, now: Now) -> Outputs:
        """Move on in time. Call it at a steady rate of 50 Hz or more."""
        cycle_ns = 0 if self._cycle_ns is None else now.steady_ns - self._cycle_ns
        self._cycle_ns = now.steady_ns
        self._look_at_the_time(now, tick=True)
        self._clock.tick(now.steady_ns)
        if self._clock.catching_up and self._inputs_are_of(now):
            self._clock.caught_up()
        own_ns = self._clock.now_ns
        # A controller that is locked out says nothing, and need not.
        open_ = self._stop.lock is Lock.OPEN
        ages = Ages(
            joint_states_s=self._joints.age_s(own_ns),
            controller_state_s=self._controller.age_s(own_ns) if open_ else 0.0,
            driver_states_s=self._driver.age_s(own_ns),
            servo_status_s=self._servos.age_s(own_ns),
            policy_s=self._policy.age_s(own_ns),
            cycle_s=cycle_ns * 1e-9,
            skew_s={} if self._clock.catching_up else self._skews(now),
            uncompared_s=self._uncompared_s if open_ else 0.0,
        )
        self._trip_all(self.detectors.on_tick(ages), now)
        if self._put_off[0] and own_ns >= self._put_off[1]:
            self._put_off = "", 0
            self._out.log(Level.INFO, "plans are forwarded again")
            self._out.changed = True
        self._judge_waiting(now)
        self._move_on(now)
        return self._out.take()

    def request_stop(self, detail: str, now: Now) -> tuple[bool, str, Outputs]:
        """Stop and latch, as somebody asks. In FAULT everything is tried once more.

        Returns:
            Whether the stop is under way or done, what happens in words, and what to send.
        """
        if self.state is State.FAULT:
            return False, self._stop_in_fault(now), self._out.take()
        self._trip("operator", detail, now)
        if self.state is State.FAULT:
            return False, "FAULT: the stop could not be shown to work", self._out.take()
        return True, f"{self.state.name}: first cause {self._first_cause()}", self._out.take()

    def request_reset(self, now: Now) -> tuple[bool | None, str, Outputs]:
        """Leave the latch, if nothing speaks against it. Sends nothing: the arm does not move.

        Returns:
            Whether it is READY now (out of FAULT: STOPPED_LATCHED), or None while the controller
            is being activated: then an output's `reset` says it later. Why not in words, and what
            to send.
        """
        if self.state is State.FAULT:
            return (*self._leave_fault(), self._out.take())
        if self.state is not State.STOPPED_LATCHED:
            return False, f"{self.state.name}: there is nothing to reset", self._out.take()
        if self._reset_deadline_ns is not None:
            return False, "STOPPED_LATCHED: a reset is under way", self._out.take()
        missing = self._missing()
        if missing:
            message = f"STOPPED_LATCHED: waiting for {'; '.join(missing)}"
            return False, message, self._out.take()
        if self._stop.lock is not Lock.OPEN:
            self._stop.unlock()
            timeout_ns = nanoseconds(self.config.reset_timeout_s)
            self._reset_deadline_ns = self._clock.now_ns + timeout_ns
            return None, "the controller is being activated", self._out.take()
        self._reset(now)
        return True, "READY", self._out.take()

    # -- outputs ---------------------------------------------------------------------------------

    @property
    def permit(self) -> bool:
        """Whether plans may come: READY and every input fresh."""
        now_ns = self._clock.now_ns
        return (
            self.state is State.READY
            and not self.detectors.controller_parameters.present
            and not self._put_off[0]
            and self._joints.age_s(now_ns) <= self.config.joint_states_stale_s
            and self._controller.age_s(now_ns) <= self.config.controller_state_stale_s
        )

    @property
    def latch(self) -> Latch:
        """What a process after this one must know."""
        first = self._first_cause()
        return Latch(
            latched=self.state in (State.STOPPING, State.STOPPED_LATCHED, State.FAULT),
            locked_out=self._stop.lock is not Lock.OPEN,
            rests=self.account.cycle is None or self.account.rests,
            first_cause=first,
            detail=self._causes.get(first, ""),
            trip_ns=self._trip_ns,
        )

    def waiting_for(self) -> tuple[str, ...]:
        """Return what keeps the state in STARTUP, or what a latched stop waits for."""
        if self.state is State.READY:
            put_off = (self._put_off[0],) if self._put_off[0] else ()
            return (*self._silent_clock(), *self._wrong_parameters(), *put_off)
        missing = self._missing()
        if self._restored and self.state is State.STOPPED_LATCHED:
            return (*missing, f"a person: {self._causes.get('restarted', '')}; call ~/reset")
        return missing

    def _silent_clock(self) -> tuple[str, ...]:
        detector = self.detectors.stale_clock
        return (f"{detector.name}: {detector.present}",) if detector.present else ()

    def _missing(self) -> tuple[str, ...]:
        """Return what keeps the state in STARTUP, or blocks a reset."""
        if self.state not in (State.STARTUP, State.STOPPED_LATCHED, State.FAULT):
            return ()
        # The last words of a controller that is locked out do not count; a reset hears it anew.
        locked = self._stop.lock is Lock.LOCKED
        waiting = [*self._silent_clock(), *self.detectors.present(cycles=not locked)]
        # A controller that is locked out may have been taken away, and its parameters with it.
        waiting += () if locked else self._wrong_parameters()
        if locked:
            pass
        elif self.account.cycle is not None:
            if not self.account.rests:
                waiting.append("controller_state: the reference moves")
        elif math.isfinite(self._controller.age_s(self._clock.now_ns)):
            waiting.append("controller_state: nothing since the controller was activated")
        if self._measured is not None:
            if not self.detectors.measured_jerk.filled:
                rate_hz = self.config.joint_states_rate_hz
                waiting.append(
                    f"joint_states: messages at {rate_hz:g} Hz without a gap, until the estimate "
                    "of the jerk has settled"
                )
            elif not self._standstill.stands:
                waiting.append("joint_states: the joints move")
            if self._uncompared_ns is not None and self._stop.lock is Lock.OPEN:
                waiting.append(uncompared(self._newest_skews))
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
            rung=self._stop.rung,
            rung_log=self._stop.rung_log,
            locked_out=self._stop.lock is Lock.LOCKED,
            waiting_for=self.waiting_for(),
            joint_names=self.names,
            jerk_limit=self.robot.limits.jerk,
            command_jerk=command.newest,
            command_jerk_peak=command.peak.copy(),
            measured_jerk=measured.newest,
            measured_jerk_noise_floor=np.full(len(self.names), estimator.noise_floor),
            measured_jerk_threshold=measured.threshold,
            measured_jerk_delay_s=estimator.delay_s,
            plans_forwarded=self._forwarded,
            plans_rejected=self._rejected,
            last_rejection=self._last_rejection,
            speed_scaling=self._slowdown.scaling,
            slow_reason=self._slowdown.why,
        )

    def smoothness(self) -> Smoothness:
        """Return the smoothness of the motion as it is published."""
        estimator = self.detectors.measured_jerk.estimator
        return self._instrument.report(
            self._clock.now_ns,
            limit=self.robot.limits.jerk,
            noise_floor=estimator.noise_floor,
            delay_s=estimator.delay_s,
            speed_scaling=self._slowdown.scaling,
            deviation=self._slowdown.deviation,
        )

    def reports(self) -> tuple[DetectorReport, ...]:
        """Return every detector's newest finding."""
        return tuple(
            DetectorReport(name, name in self._causes, item.present, item.value)
            for name, item in self.detectors.by_name.items()
        )

    # -- inputs in detail ------------------------------------------------------------------------

    def _usable(self, source: str, stream: Stream, stamp_ns: int, problem: str, now: Now) -> bool:
        """Judge whether a message can be used and is new; trip if it is wrong."""
        finite, order = self.detectors.non_finite, self.detectors.stamp_order
        if stream.follows(stamp_ns) and not (problem or finite.present or order.present):
            stream.arrived(stamp_ns, self._clock.now_ns)
            return True
        if not self._trip_one(finite.name, finite.report_input(source, problem), now):
            return False
        back_s = stream.backwards_s(stamp_ns)
        if back_s:
            self.detectors.clock_skew.begin_anew()
            self._link.clear()
        if back_s and (self._watch.suspected or self._step[0]):
            self._step = f"ROS time was set: {source} went back by {back_s:.3f} s with it", 0
            self._trip_for_a_step(now)
        text = f"stamp went back by {back_s:.6f} s" if back_s else ""
        if not self._trip_one(order.name, order.report_input(source, text), now):
            return False
        if not stream.is_new(stamp_ns):
            return False
        stream.arrived(stamp_ns, self._clock.now_ns)
        return True

    def _positions(
        self, source: str, stream: Stream, message: JointStates, now: Now
    ) -> FloatArray | None:
        """Return the arm's positions, None when the message cannot be used."""
        order = self._orders[source]
        if not order.concerns(message.joint_names):
            if not math.isfinite(stream.age_s(self._clock.now_ns)) and not self._explained(source):
                text = compared_names(message.joint_names, self.names)
                self._explain(source, f"a message came, but it {text}")
            return None
        columns, problem = order(message.joint_names, _MEASURED, (message.position,))
        problem = problem or stamp_problem(message.stamp_ns)
        if problem:
            self._explain(source, f"messages come, but {problem}")
        if not self._usable(source, stream, message.stamp_ns, problem, now):
            return None
        return columns[0]

    def _explained(self, source: str) -> bool:
        return bool(self._names_say.get(source))

    def _explain(self, source: str, why: str) -> None:
        """Note why an input that nothing was received of cannot be used."""
        if why:
            self._names_say[source] = why
        detector = self.detectors.by_name[f"stale_{source}" if source != "policy" else _POLICY]
        assert isinstance(detector, Stale)
        detector.explain(why or self._graph_says.get(source, ""))

    def _measurement(self, message: JointStates, position: FloatArray) -> Measurement:
        compared = self.account.compare(message.stamp_ns, position)
        return Measurement(message.stamp_ns, position, message.position, *compared)

    # -- gate ------------------------------------------------------------------------------------

    def _wrong_parameters(self) -> tuple[str, ...]:
        return tuple(f"{name}: {text}" for name, text in self._parameters.items() if text)

    def _gripper_unheard(self) -> str:
        """Return why nothing is known of the gripper's controller, empty when all is."""
        name = self.robot.gripper.controller
        age_s = self.gripper.age_s(self._clock.now_ns)
        if not (age_s <= self.config.controller_state_stale_s):
            return f"nothing was heard of {name}/controller_state for {age_s:.3g} s"
        if name not in self._parameters:
            return f"{name}: its parameters were not read yet"
        return ""

    def _judge_waiting(self, now: Now) -> None:
        trajectory, account = self._waiting, self.account
        if trajectory is None:
            return
        if not self.permit or account.running is None:
            self._waiting = None
            self._refuse_without_permit(now)
            return
        decision = self._decide(trajectory, now)
        if decision.verdict is gate.Verdict.WAIT:
            return
        self._waiting = None
        if decision.plan is None:
            self._believe(trajectory, decision.trips)
            hint = "" if decision.trips else self._hint_at_the_link() + self._hint_at_clocks(now)
            self._refuse(decision.reason + hint, decision.trips, now)
            return
        own_ns = self._clock.now_ns
        plan, why = self._slowdown.admit(decision.plan, self._limits, now, own_ns)
        if plan is None:
            refused = gate.refuse(gate.Refusal.SLOWED, why)
            self._slowdown.believed.append(decision.plan)
            self._refuse(refused.reason, refused.trips, now)
            return
        if plan is not decision.plan:
            # It was made here, and is judged like everybody's.
            again = self._decide(Trajectory.of(plan), now)
            if again.verdict is not gate.Verdict.FORWARD:
                refused = gate.refuse(gate.Refusal.SLOWED, again.reason or "it cannot be judged")
                self._refuse(refused.reason, refused.trips, now)
                return
        self._forwarded += 1
        self._forwarded_ns = plan.start_ns
        parts_ns = part_ns(plan, account.pending or account.running.plan)
        account.sent(plan, own_ns, now.ros_ns)
        self._out.arm.append(Trajectory.of(plan))
        self._out.made_ns = now.ros_ns
        self._instrument.on_boundary(parts_ns)

    def _decide(self, trajectory: Trajectory, now: Now) -> gate.Decision:
        account = self.account
        assert account.cycle is not None
        return gate.decide(
            trajectory,
            gate.Expected(
                account.may_run,
                account.recent,
                account.known,
                self._ready_ns,
                tuple(self._slowdown.believed),
                account.cycle.stamp_ns,
            ),
            self._limits,
            now_ns=now.ros_ns,
            config=replace(self._check, min_overlap_ns=self._lead_ns),
        )

    @property
    def _lead_ns(self) -> int:
        """For how long a plan that comes now has to continue what may run."""
        return self._link.lead_ns(self._check.min_overlap_ns, self._clock.now_ns)

    def _hint_at_the_link(self) -> str:
        """Say why a plan must leave what runs later than usual, empty when it need not."""
        if self._lead_ns <= self._check.min_overlap_ns:
            return ""
        delay_s = self._link.delay_ns(self._clock.now_ns) * 1e-9
        return f"; the link to the controller is seen to take {delay_s:.2f} s"

    def _believe(self, trajectory: Trajectory, trips: str) -> None:
        """Remember a sound plan that is refused while others may not know what runs."""
        if trips or not self._slowdown.believed:
            return
        try:
            self._slowdown.believed.append(gate.plan_of(trajectory))
        except (MotionError, OverflowError):
            # Not sound: nothing continues it.
            return

    def _refuse(self, reason: str, trips: str, now: Now) -> None:
        self._rejected += 1
        # A policy that does not listen must not flood the log.
        if reason != self._last_rejection:
            self._out.log(Level.WARN, f"plan refused: {reason}")
        self._last_rejection = reason
        self._out.changed = True
        if trips:
            self._trip_all([(trips, f"plan: {reason}")], now)

    def _refuse_without_permit(self, now: Now) -> None:
        why = "; ".join(self.waiting_for()) or "the newest inputs are old"
        but = f", but plans wait: {why}" if self.state is State.READY else ""
        text = f"{gate.Refusal.NOT_READY.value}: the state is {self.state.name}{but}"
        self._refuse(text[:LONGEST_LINE], "", now)

    # -- slower before it stops ------------------------------------------------------------------

    def _look_at_smoothness(self, measurement: Measurement, now: Now) -> None:
        jerk = self.detectors.measured_jerk.newest
        self._instrument.on_measured(measurement.stamp_ns, jerk)
        if self.state is not State.READY:
            return
        own_ns = self._clock.now_ns
        slowdown = self._slowdown
        changed = slowdown.observe(jerk, measurement.error, own_ns)
        if slowdown.roughness.held:
            self._trip("tracking_error", slowdown.roughness.held, now)
            return
        if not changed:
            return
        self._out.changed = True
        if slowdown.why:
            self._instrument.intervenes(own_ns, f"slowed: {slowdown.why.partition(':')[0]}")
            text = f"slowed down to {slowdown.scaling:g} of the speed: {slowdown.why}"
            self._out.log(Level.WARN, text)
        else:
            self._instrument.ends(own_ns, slowdown.deviation)
            text = "at full speed again; the path was left by {:.2g} rad at most"
            self._out.log(Level.INFO, text.format(slowdown.deviation))
        self._adapt_speed(now)

    def _adapt_speed(self, now: Now) -> None:
        # A controller whose parameters are wrong may step at the start of any trajectory.
        wrong = self.detectors.controller_parameters.present
        if self.state is State.READY and self._waiting is None and not wrong:
            self._slowdown.advance(self._limits, now, self._clock.now_ns, self._lead_ns)

    # -- trips and the stop ----------------------------------------------------------------------

    def _trip_all(self, found: list[tuple[str, str]], now: Now) -> None:
        """Let findings stop the arm, except before there is anything to stop."""
        for name, detail in found:
            detector = self.detectors.by_name[name]
            if self.state is State.STARTUP or not detector.trips:
                continue
            if detector.waits_at_rest and self._nothing_moves:
                self._wait_for(name, detail)
            else:
                self._trip(name, detail, now)

    @property
    def _nothing_moves(self) -> bool:
        """Whether all that was forwarded was heard to have ended, and nothing else runs."""
        account = self.account
        running, cycle = account.running, account.cycle
        return (
            self.state is State.READY
            and running is not None
            and cycle is not None
            and account.rests
            and not account.foreign
            and account.pending is None
            and cycle.time_ns >= running.plan.end_ns
            and self.gripper.rests
        )

    def _wait_for(self, name: str, detail: str) -> None:
        """Let plans wait until a finding has passed. Should something move before, it trips."""
        text = f"{name}: {detail}"[:LONGEST_LINE]
        if not self._put_off[0]:
            self._out.log(Level.WARN, f"{text}; nothing moves, so plans wait until it has passed")
            self._out.changed = True
        self._put_off = text, self._clock.now_ns + CALM_NS

    def _trip_one(self, name: str, detail: str, now: Now) -> bool:
        """Let a finding stop the arm; return whether there is none."""
        if detail:
            self._trip_all([(name, detail)], now)
        return not detail

    def _trip(self, name: str, detail: str, now: Now) -> None:
        if name in self._causes:
            return
        detail = detail[:LONGEST_LINE]
        self._causes[name] = detail
        self._out.changed = True
        if len(self._causes) == 1:
            self._trip_ns = now.ros_ns
        self._out.log(Level.ERROR, f"{name}: {detail}")
        if self.state in (State.STARTUP, State.READY):
            self._instrument.intervenes(self._clock.now_ns, f"stopped: {name}")
            self._stop.begin(self._sight(now))
            self._follow_stop()

    def _stop_in_fault(self, now: Now) -> str:
        """Try everything once more; return what was done, in words."""
        sight = self._sight(now)
        if self._stop.phase is Phase.STOPPING:
            done = "what can be tried is being tried already"
        else:
            self._stop.begin(sight)
            done = "everything is tried once more; rung_log in ~/state says what comes of it"
            if self.account.running is None:
                self._stop.fail("nothing was ever heard of the controller", sight)
                done = "the controller's deactivation and the driver's hold are asked for"
        self._out.log(Level.ERROR, f"asked to stop in FAULT: {done}")
        return (
            f"FAULT: a stop could not be shown to work ({self._first_cause()}), and this one is "
            f"not promised either: {done}. Cut the power if the arm moves"
        )

    def _leave_fault(self) -> tuple[bool, str]:
        """Go from FAULT to STOPPED_LATCHED where all is seen to be well; return what became."""
        missing = self._missing()
        if self._stop.phase is Phase.STOPPING:
            missing = ("the stop that is being tried", *missing)
        if missing:
            return False, f"FAULT: waiting for {'; '.join(missing)}"
        self._stop.recover()
        self._errors = 0
        self._follow_stop()
        return True, "STOPPED_LATCHED: out of FAULT, at rest; call ~/reset once more to be READY"

    def _blind(self, now: Now) -> Sight:
        """Return the sight of a monitor that cannot rely on anything it computes."""
        lead_ns = nanoseconds(self.config.stop_overlap_s)
        own_ns = self._clock.now_ns
        return Sight(now, own_ns, 0, 0, lead_ns, self._limits, False, False, False, None)

    def _first_cause(self) -> str:
        return next(iter(self._causes), "")

    def _sight(self, now: Now) -> Sight:
        own_ns = self._clock.now_ns
        fresh = self._joints.age_s(own_ns) <= self.config.joint_states_stale_s
        controllers_ns = self._controller.expected_stamp_ns(own_ns)
        stepped = "clock_step" in self._causes
        clocks = self.detectors.clock_skew
        late_s = 0.0
        link_ns = self._link.delay_ns(own_ns)
        # A trajectory is run by the controller's clock, so the stop goes by that one. But one that
        # seems to be a little behind may as well be heard late: a brake for its past would step,
        # and one for now goes on for a little longer.
        if stepped and controllers_ns is not None:
            # What was seen of the link was seen on another clock.
            now, link_ns = Now(controllers_ns, now.steady_ns), 0
        elif clocks.present:
            behind_s = clocks.behind_s("controller_state")
            late_s = min(clocks.late_s("controller_state"), LATEST_WORD_S)
            if not (0.0 <= behind_s <= self.config.clock_skew_s):
                now = Now(now.ros_ns - nanoseconds(behind_s), now.steady_ns)
                link_ns = nanoseconds(late_s)
        lead_ns = nanoseconds(self.config.stop_overlap_s)
        if link_ns + MARGIN_NS > lead_ns:
            late_s = max(late_s, min(link_ns * 1e-9, LATEST_WORD_S))
            lead_ns = min(link_ns + MARGIN_NS, LONGEST_LEAD_NS)
        return Sight(
            now=now,
            own_ns=own_ns,
            late_ns=nanoseconds(late_s),
            link_ns=link_ns,
            lead_ns=lead_ns,
            limits=self._limits,
            controller_fresh=(
                self._controller.age_s(own_ns) <= self.config.controller_state_stale_s
            ),
            joints_fresh=fresh,
            joints_rest=self._joints_rest(own_ns),
            measured=self._measured,
        )

    def _joints_rest(self, own_ns: int) -> bool:
        """Return whether the joints are seen to stand, by joint_states or by the driver."""
        seen = [
            standstill.stands
            for stream, standstill, stale_s in (
                (self._joints, self._standstill, self.config.joint_states_stale_s),
                (self._driver, self._driver_standstill, self.config.driver_states_stale_s),
            )
            if stream.age_s(own_ns) <= stale_s
        ]
        return bool(seen) and all(seen)

    # -- clocks ----------------------------------------------------------------------------------

    def _look_at_the_time(self, now: Now, *, tick: bool = False) -> None:
        """Find out whether the clock was set or this process was held up, before all else.

        What comes after either looks wrong for reasons of its own.
        """
        step_ns = self._watch.look(now.ros_ns, now.steady_ns)
        if step_ns:
            # Whether the controller's clock is the one that was set is known from its next cycle,
            # and a brake has to go by that.
            self._step = set_by(step_ns), self._clock.now_ns + STEP_SEEN_NS
            self.detectors.clock_skew.begin_anew()
            self._link.clear()
        elif tick and self._clock.now_ns >= self._step[1]:
            self._trip_for_a_step(now)
        overrun = self.detectors.overrun
        stalled = overrun.stalled(self._clock.since_tick_s(now.steady_ns))
        self._trip_one(overrun.name, stalled, now)

    def _trip_for_a_step(self, now: Now) -> None:
        """Stop the arm, if the clock was set."""
        detector = self.detectors.clock_step
        if self._step[0] or detector.present:
            self._trip_one(detector.name, detector.report(self._step[0]), now)
            self._step = "", 0

    def _inputs_are_of(self, now: Now) -> bool:
        """Return whether the inputs' newest stamps are about those of now."""
        streams = [self._joints]
        if self._stop.lock is Lock.OPEN:
            streams.append(self._controller)
        return all(
            each.stamp_ns is not None and now.ros_ns - each.stamp_ns <= CAUGHT_UP_NS
            for each in streams
        )

    @property
    def _uncompared_s(self) -> float:
        """For how long joint_states could not be compared with the reference, s."""
        now_ns = self._clock.now_ns
        heard = self._controller.age_s(now_ns) <= self.config.controller_state_stale_s
        if self._uncompared_ns is None or not heard:
            return 0.0
        return (now_ns - self._uncompared_ns) * 1e-9

    def _hint_at_clocks(self, now: Now) -> str:
        """Say whose clock may be why a plan came at the wrong time, empty when none seems to."""
        skews = {**self._skews(now), "vla_policy_node/status": self._policy_behind_s}
        source, skew_s = max(skews.items(), key=lambda item: abs(item[1]))
        if abs(skew_s) <= HINT_S:
            return ""
        if self.detectors.clock_skew.late_s(source) > 0.5 * abs(skew_s):
            return (
                f"; {source} is heard {skew_s:.2f} s late: this host or network does not keep up"
            )
        way = "behind" if skew_s > 0.0 else "ahead of"
        return (
            f"; {source} is stamped {abs(skew_s):.2f} s {way} this node's clock: synchronise the "
            "clocks of the hosts, or check use_sim_time"
        )

    def _skews(self, now: Now) -> dict[str, float]:
        """Return by how much each input's clock is behind this node's, s."""
        streams = {"controller_state": self._controller, "joint_states": self._joints}
        if self._stop.lock is not Lock.OPEN:
            del streams["controller_state"]
        expected = {
            name: stream.expected_stamp_ns(self._clock.now_ns) for name, stream in streams.items()
        }
        self._newest_skews = {
            name: (now.ros_ns - stamp_ns) * 1e-9
            for name, stamp_ns in expected.items()
            if stamp_ns is not None
        }
        return self._newest_skews

    # -- states ----------------------------------------------------------------------------------

    def _move_on(self, now: Now) -> None:
        """Do what is due after an input or a tick."""
        if self.state is State.READY:
            return
        if self._stop.phase is Phase.STOPPING:
            self._stop.advance(self._sight(now))
        self._follow_stop()
        if self.state is State.STARTUP and not self.waiting_for():
            self._enter_ready("all inputs are there", now)
        elif self._reset_deadline_ns is not None:
            self._advance_reset(self._reset_deadline_ns, now)

    def _follow_stop(self) -> None:
        state = State.FAULT if self._stop.failed else _STATES.get(self._stop.phase)
        if state is not None:
            self._enter(state)

    def _enter(self, state: State) -> None:
        if state is not self.state:
            self._out.log(Level.INFO, f"{self.state.name} -> {state.name}")
            self.state = state
            self._out.changed = True
            if state is not State.STOPPED_LATCHED and self._reset_deadline_ns is not None:
                self._fail_reset(f"the state is {state.name}")

    def _advance_reset(self, deadline_ns: int, now: Now) -> None:
        """Finish a reset once the activated controller is heard, or give it up."""
        if self._stop.lock is Lock.OPEN and not self._missing():
            self._reset_deadline_ns = None
            self._reset(now)
            self._out.reset = ResetVerdict(True, "READY")
        elif self._clock.now_ns >= deadline_ns:
            waiting = "; ".join(self._missing()) or "the controller manager's answer"
            self._fail_reset(f"waited {self.config.reset_timeout_s:g} s for {waiting}")

    def _fail_reset(self, why: str) -> None:
        self._reset_deadline_ns = None
        self._out.reset = ResetVerdict(False, f"{self.state.name}: {why}")
        if self.state is State.STOPPED_LATCHED:
            self._stop.lock_again()

    def _reset(self, now: Now) -> None:
        causes = ", ".join(self._causes)
        self._causes.clear()
        self._trip_ns = 0
        self._errors = 0
        self._restored = False
        self._stop.clear()
        self._enter_ready(f"reset after {causes}", now)

    def _enter_ready(self, why: str, now: Now) -> None:
        cycle = self.account.cycle
        assert cycle is not None
        # An arm that woke up outside of its range may return, and go no further out.
        self._limits = self.robot.limits.widened_to(cycle.position)
        self.detectors.command_position.limits = self._limits
        self.detectors.clear()
        self._put_off = "", 0
        self.account.rebase()
        self._instrument.ends(self._clock.now_ns, self._slowdown.deviation)
        self._instrument.permitted(self._clock.now_ns)
        self._slowdown.clear()
        self._ready_ns = now.ros_ns
        self._waiting = None
        self._enter(State.READY)
        self._out.log(Level.INFO, f"plans are forwarded: {why}")
