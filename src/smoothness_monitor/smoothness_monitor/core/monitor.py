# SPDX-License-Identifier: Apache-2.0
"""The monitor as a pure state machine: inputs and times in, trajectories and a state out.

Every public method returns what the node has to send. Nothing here reads a clock or knows ROS.
`Monitor` is put together out of parts, each in a file of its own, and hands on what arrives:

    Reception      judges messages and clocks            RobotView   what is seen of the robot
    Detectors      say what is wrong                     Conditions  what is missing for READY
    StateMachine   trips, latches, resets                Stop        brings the arm to rest
    PlanGate       forwards or refuses plans             Slowdown    slower along the same path
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from node_kit.log import LogLevel
from smooth_motion import Acknowledged
from smooth_motion.clocks import Now
from smooth_motion.messages import ControllerState, JointStates, Trajectory
from smoothness_monitor.core import readout
from smoothness_monitor.core.conditions import Conditions
from smoothness_monitor.core.controller_tracker import ControllerTracker
from smoothness_monitor.core.detectors import Detector, Detectors
from smoothness_monitor.core.gripper import GripperTracker
from smoothness_monitor.core.inputs import MAX_JOINTS, plausible, stamp_problem
from smoothness_monitor.core.plan_gate import PlanGate
from smoothness_monitor.core.reception import Reception
from smoothness_monitor.core.robot_view import RobotView
from smoothness_monitor.core.slowdown import Slowdown
from smoothness_monitor.core.smoothness_meter import Smoothness, SmoothnessMeter
from smoothness_monitor.core.state_machine import StateMachine
from smoothness_monitor.core.stop import Lock, Stop
from smoothness_monitor.core.types import (
    CallRequest,
    CallResult,
    DetectorReport,
    Latch,
    MonitorOutputs,
    MonitorSnapshot,
    Outbox,
    ServoStatus,
    StopState,
    nanoseconds,
)
from smoothness_monitor.core.workspace import WorkspaceGuard
from smoothness_monitor.params import MonitorConfig
from vla_contract.robot import Robot
from vla_contract.workspace import Workspace


class Monitor:
    """Gate, detectors and stop of one robot.

    Attributes:
        robot: The robot.
        workspace: Judges plans by where they lead, None where there is no workspace file.
        config: The thresholds.
        detectors: What can be wrong.
        tracker: What the arm's controller runs.
        gripper: What the gripper's controller runs.
        view: What is seen of the robot.
        stop: Brings the arm to rest.
        plans: Forwards or refuses plans.
    """

    def __init__(
        self,
        robot: Robot,
        config: MonitorConfig,
        detectors: Sequence[Detector] = (),
        workspace: Workspace | None = None,
    ) -> None:
        """Begin in STARTUP.

        Args:
            robot: The robot.
            config: The thresholds.
            detectors: Of other packages, besides those of the table.
            workspace: Where the arm may be; None: plans are not judged by where they lead.
        """
        self.workspace = (
            None if workspace is None else WorkspaceGuard(workspace, robot.limits.acceleration)
        )
        names = robot.limits.joint_names
        self.robot, self.config = robot, config
        self.detectors = every = Detectors(robot, config, detectors)
        self.tracker = tracker = ControllerTracker(names, nanoseconds(config.acknowledge_s))
        self.gripper = gripper = GripperTracker(robot.gripper.joint)
        self._out = out = Outbox()
        self.stop = stop = Stop(tracker, gripper, config, out)
        self.view = view = RobotView(
            robot.limits, config, tracker, gripper, every.clock_skew, stop
        )
        self._conditions = conditions = Conditions(
            robot.arm_controller, config.joint_states_rate_hz, every, tracker, view, stop
        )
        self._meter = meter = SmoothnessMeter(names, config.smoothness_window_s)
        self._machine = machine = StateMachine(
            every,
            conditions,
            view,
            stop,
            meter,
            self._begin_anew,
            out,
            reset_timeout_s=config.reset_timeout_s,
        )
        self._reception = Reception(names, config.clock_step_s, every, view, machine)
        rough = every.measured_jerk.level(config.slow_jerk_factor)
        self._slowdown = slowdown = Slowdown(tracker, robot.limits, rough, config, out)
        self.plans = PlanGate(
            robot.gripper,
            config,
            tracker,
            gripper,
            view,
            conditions,
            machine,
            stop,
            slowdown,
            meter,
            out,
            self.workspace,
        )
        self._tick_ns: int | None = None
        self._lost = False

    def _begin_anew(self, now: Now) -> None:
        """On the way to READY: what was planned before counts no more."""
        assert self.tracker.cycle is not None
        # An arm that woke up outside of its range may return, and go no further out.
        self.view.limits = self.robot.limits.widened_to(self.tracker.cycle.position)
        self.detectors.command_position.limits = self.view.limits
        self.tracker.rebase()
        own_ns = self.view.clock.now_ns
        self._meter.ends(own_ns, self._slowdown.deviation)
        self._meter.permitted(own_ns)
        self._slowdown.clear()
        self.plans.begin_anew(now)

    # -- what it tells ---------------------------------------------------------------------------

    @property
    def state(self) -> StopState:
        """Where the stop is."""
        return self._machine.state

    @property
    def permit(self) -> bool:
        """Whether plans may come: READY and every input fresh."""
        return self._machine.permit

    @property
    def latch(self) -> Latch:
        """What a process after this one must know."""
        return self._machine.latch(rests=self.tracker.cycle is None or self.tracker.rests)

    def waiting_for(self) -> tuple[str, ...]:
        """Return what keeps the state in STARTUP, or what a latched stop waits for."""
        return self._machine.waiting_for()

    def snapshot(self) -> MonitorSnapshot:
        """Return the state as it is published."""
        limits = self.robot.limits
        machine, stop, plans = self._machine, self.stop, self.plans
        return readout.snapshot(
            limits.joint_names, limits.jerk, self.detectors, machine, stop, plans, self._slowdown
        )

    def smoothness(self) -> Smoothness:
        """Return the smoothness of the motion as it is published."""
        own_ns, limit = self.view.clock.now_ns, self.robot.limits.jerk
        return readout.smoothness(own_ns, limit, self.detectors, self._slowdown, self._meter)

    def reports(self) -> tuple[DetectorReport, ...]:
        """Return every detector's newest finding."""
        return readout.reports(self.detectors, self._machine, self.workspace)

    # -- what people ask for ---------------------------------------------------------------------

    def request_stop(self, detail: str, now: Now) -> tuple[bool, str, MonitorOutputs]:
        """Stop and latch, as somebody asks. In FAULT everything is tried once more.

        Returns:
            Whether the stop is under way or done, what happens in words, and what to send.
        """
        return (*self._machine.request_stop(detail, now), self._out.take())

    def request_reset(self, now: Now) -> tuple[bool | None, str, MonitorOutputs]:
        """Leave the latch, if nothing speaks against it. Sends nothing: the arm does not move.

        Returns:
            Whether it is READY now (out of FAULT: STOPPED_LATCHED), or None while the controller
            is being activated: then an output's `reset` says it later. Why not in words, and what
            to send.
        """
        return (*self._machine.request_reset(now), self._out.take())

    def restore(self, detail: str, *, locked_out: bool, now: Now) -> MonitorOutputs:
        """Begin latched, for the process before this one was, or ended without a word.

        Args:
            detail: What is known of it, for a person.
            locked_out: It had the controller deactivated; a reset activates it.
            now: The clocks.
        """
        self._machine.restore(detail, locked_out=locked_out, now=now)
        return self._out.take()

    def on_internal_error(self, detail: str, now: Now) -> MonitorOutputs:
        """Take in that a callback ended in an exception; the arm is stopped for it."""
        self._machine.internal_error(detail, now)
        return self._out.take()

    # -- plans -----------------------------------------------------------------------------------

    def on_plan(self, trajectory: Trajectory, now: Now) -> MonitorOutputs:
        """Take in a trajectory for the arm."""
        self._reception.look_at_the_time(now)
        self.plans.on_plan(trajectory, now)
        return self._out.take()

    def on_unread_plan(self, why: str, now: Now) -> MonitorOutputs:
        """Take in that a trajectory for the arm was too large to be read, or broken."""
        self.plans.on_unread_plan(why, now)
        return self._out.take()

    def on_gripper(self, trajectory: Trajectory, now: Now) -> MonitorOutputs:
        """Take in a trajectory for the gripper."""
        self.plans.on_gripper(trajectory, now)
        return self._out.take()

    def on_held_up(self, outputs: MonitorOutputs, now: Now) -> MonitorOutputs | None:
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
        return self._out.take() if self.plans.held_up(outputs, now) else None

    # -- the robot -------------------------------------------------------------------------------

    def on_controller_state(self, message: ControllerState, now: Now) -> MonitorOutputs:
        """Take in a cycle of the arm's controller."""
        self._reception.look_at_the_time(now)
        reference = self._reception.reference(message, now)
        if reference is None:
            return self._out.take()
        tracker, machine = self.tracker, self._machine
        own_ns, link = self.view.clock.now_ns, self.view.link
        link.heard(message.stamp_ns, now.ros_ns, own_ns)
        cycle = tracker.observe(message, reference, own_ns)
        if tracker.adopted_sent_ns is not None:
            link.adopted(tracker.adopted_sent_ns, message.stamp_ns, own_ns)
        self._reception.controller_heard(now)
        lost = cycle.verdict.kind is Acknowledged.LOST
        if lost and not self._lost:
            self._out.log(LogLevel.WARN, "the controller does not run the plan forwarded last")
        self._lost = lost
        if tracker.lost:
            adopted = self.detectors.plan_not_adopted
            machine.trip_one(adopted.name, adopted.judge(tracker.lost), now)
        command = self.detectors.command_jerk
        before = command.newest
        machine.trip_all(self.detectors.on_cycle(cycle), now)
        self._meter.on_cycle(cycle, None if command.newest is before else command.newest)
        machine.on_cycle(now)
        self.plans.judge_waiting(now)
        self.plans.adapt_speed(now)
        machine.move_on(now)
        return self._out.take()

    def on_gripper_state(self, message: ControllerState) -> None:
        """Take in a cycle of the gripper's controller."""
        problem = stamp_problem(message.stamp_ns, message.time_from_start_ns)
        few = len(message.joint_names) <= MAX_JOINTS
        # One that cannot be used is passed over, as if it had not come.
        if few and not problem and plausible(message.position):
            self.gripper.observe(message, self.view.clock.now_ns)

    def on_joint_states(self, message: JointStates, now: Now) -> MonitorOutputs:
        """Take in a measurement."""
        self._reception.look_at_the_time(now)
        position = self._reception.positions("joint_states", self.view.joints, message, now)
        if position is None:
            return self._out.take()
        measurement = self.view.on_joint_states(message, position)
        self._machine.trip_all(self.detectors.on_measurement(measurement), now)
        jerk = self.detectors.measured_jerk.newest
        self._meter.on_measured(measurement.stamp_ns, jerk)
        self.plans.on_measurement(jerk, measurement.error, now)
        self._machine.move_on(now)
        return self._out.take()

    def on_driver_states(self, message: JointStates, now: Now) -> MonitorOutputs:
        """Take in what the driver read from the servos."""
        position = self._reception.positions("driver_states", self.view.driver, message, now)
        if position is not None:
            measurement = self.view.on_driver_states(message, position)
            self._machine.trip_all(self.detectors.on_driver(measurement), now)
        return self._out.take()

    def on_servos(self, statuses: tuple[ServoStatus, ...], now: Now) -> MonitorOutputs:
        """Take in diagnostic statuses; those of others than the servos do not count."""
        prefix = self.config.servo_status
        own = [status for status in statuses if prefix and status.name.startswith(prefix)]
        if own:
            self.view.servos.arrived(now.steady_ns, self.view.clock.now_ns)
            detector = self.detectors.servo_health
            self._machine.trip_one(detector.name, detector.report_servos(own), now)
        return self._out.take()

    def on_controller_parameters(self, controller: str, problem: str) -> MonitorOutputs:
        """Take in what is wrong with a controller's parameters, empty when nothing is.

        One whose parameters nobody reports on counts as unknown: no plan is forwarded to it.
        """
        if self._conditions.report_parameters(controller, problem):
            wrong = self._conditions.wrong_parameters()
            if wrong and self.state is StopState.READY:
                text = f"no plan is forwarded, what runs goes on to its rest: {'; '.join(wrong)}"
                self._out.log(LogLevel.ERROR, text)
            self._out.changed = True
        return self._out.take()

    def on_activity(self, label: str | None, now: Now) -> MonitorOutputs:
        """Take in the state of the arm's controller, None when it is not loaded."""
        detector, stop = self.detectors.controller_inactive, self.stop
        active = label == "active"
        if self._machine.restored and stop.lock is Lock.OPEN and label == "inactive":
            # By the process before this one, as far as can be told; a reset activates it.
            stop.lock = Lock.LOCKED
        if stop.lock is Lock.LOCKED and active:
            self._out.log(LogLevel.ERROR, "somebody activated the controller, which is locked out")
            stop.lock_again()
        # While it is locked out, or about to be, it is not expected to be active.
        wanted = stop.lock is Lock.OPEN
        found = f"{self.robot.arm_controller} is {label or 'not loaded'}"
        detector.value = found
        wrong = detector.report("" if active or not wanted else found)
        self._machine.trip_one(detector.name, wrong, now)
        return self._out.take()

    def on_answer(self, answer: CallResult, now: Now) -> MonitorOutputs:
        """Take in what came of a call."""
        reset_waits = self._machine.on_result(answer, now)
        if answer.request is CallRequest.ACTIVATE and reset_waits:
            if answer.done:
                # It starts with a hold of its own, and has the usual time to be heard.
                self.tracker.forget()
                self.view.controller.renew(self.view.clock.now_ns)
            else:
                self._machine.fail_reset(f"the controller was not activated: {answer.detail}")
        return self._out.take()

    # -- the graph and the time ------------------------------------------------------------------

    def on_silent_clock(self, silent_s: float) -> MonitorOutputs:
        """Take in for how long nobody has told the simulated time, s; 0 where time is real."""
        detector = self.detectors.stale_clock
        before = detector.present
        if detector.judge(silent_s) and not before:
            self._out.log(LogLevel.ERROR, f"{detector.name}: {detector.present}")
        self._out.changed |= bool(before) != bool(detector.present)
        return self._out.take()

    def on_doubtful_clock(self, why: str, now: Now) -> MonitorOutputs:
        """Take in that the simulated time was told to be another one, in words.

        Args:
            why: What came.
            now: The time that is believed.
        """
        detector = self.detectors.clock_step
        self._machine.trip_one(detector.name, detector.report(why), now)
        return self._out.take()

    def on_policy(self, stamp_ns: int, now: Now) -> None:
        """Take in the policy's heartbeat."""
        self.view.policy_behind_s = (now.ros_ns - stamp_ns) * 1e-9
        self.view.policy.arrived(now.steady_ns, self.view.clock.now_ns)

    def on_publishers(self, others: tuple[str, ...], now: Now) -> MonitorOutputs:
        """Take in who else publishes on the controllers' topics: "node on topic", one a line."""
        detector = self.detectors.foreign_publisher
        self._machine.trip_one(detector.name, detector.report("; ".join(others)), now)
        return self._out.take()

    def on_graph(self, notes: Mapping[str, str]) -> None:
        """Take in why inputs may be silent, by who publishes on their topics and how.

        Args:
            notes: By input: joint_states, controller_state, driver_states, servo_status, policy.
        """
        self._reception.on_graph(notes)

    def tick(self, now: Now) -> MonitorOutputs:
        """Move on in time. Call it at a steady rate of 50 Hz or more."""
        since_tick_ns = 0 if self._tick_ns is None else now.steady_ns - self._tick_ns
        self._tick_ns = now.steady_ns
        self._reception.look_at_the_time(now, tick=True)
        clock = self.view.clock
        clock.tick(now.steady_ns)
        if clock.catching_up and self.view.caught_up(now):
            clock.caught_up()
        ages = self.view.ages(now, since_tick_ns)
        self._machine.trip_all(self.detectors.on_tick(ages), now)
        self._machine.end_wait()
        self.plans.judge_waiting(now)
        self._machine.move_on(now)
        return self._out.take()
