# SPDX-License-Identifier: Apache-2.0
"""The monitor as a pure state machine: inputs and times in, trajectories and a state out.

Every public method returns what the node has to send. Nothing here reads a clock or knows ROS.
This file takes in what arrives; `parts.py` names the layers below it.
"""

from __future__ import annotations

from collections.abc import Mapping

from node_kit.log import LogLevel
from smooth_motion import Acknowledged
from smooth_motion.clocks import Now
from smooth_motion.messages import ControllerState, JointStates
from smoothness_monitor.core.detectors import (
    Ages,
)
from smoothness_monitor.core.inputs import (
    MAX_JOINTS,
    plausible,
    stamp_problem,
)
from smoothness_monitor.core.plans import Plans
from smoothness_monitor.core.stop import Lock
from smoothness_monitor.core.types import (
    CallRequest,
    CallResult,
    MonitorOutputs,
    ServoStatus,
    StopState,
)

_REFERENCE = ("positions", "velocities", "accelerations")
_STALE = ("joint_states", "controller_state", "driver_states", "servo_status", "policy")


class Monitor(Plans):
    """Gate, detectors and stop of one robot."""

    def on_controller_state(self, message: ControllerState, now: Now) -> MonitorOutputs:
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
        cycle = self.tracker.observe(message, reference, own_ns)
        if self.tracker.adopted_sent_ns is not None:
            self._link.adopted(self.tracker.adopted_sent_ns, stamp_ns, own_ns)
        if self._step[0]:
            self._trip_for_a_step(now)
        lost = cycle.verdict.kind is Acknowledged.LOST
        if lost and not self._lost:
            self._out.log(LogLevel.WARN, "the controller does not run the plan forwarded last")
        self._lost = lost
        if self.tracker.lost:
            adopted = self.detectors.plan_not_adopted
            self._trip_one(adopted.name, adopted.judge(self.tracker.lost), now)
        command = self.detectors.command_jerk
        before = command.newest
        self._trip_all(self.detectors.on_cycle(cycle), now)
        self._meter.on_cycle(cycle, None if command.newest is before else command.newest)
        if self.state is not StopState.READY:
            self._stop.watch(self._stop_inputs(now))
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

    def on_controller_parameters(self, controller: str, problem: str) -> MonitorOutputs:
        """Take in what is wrong with a controller's parameters, empty when nothing is.

        One whose parameters nobody reports on counts as unknown: no plan is forwarded to it.
        """
        if problem == self._parameters.get(controller):
            return self._out.take()
        self._parameters[controller] = problem
        wrong = self._wrong_parameters()
        self.detectors.controller_parameters.report("; ".join(wrong))
        if wrong and self.state is StopState.READY:
            text = f"no plan is forwarded, what runs goes on to its rest: {'; '.join(wrong)}"
            self._out.log(LogLevel.ERROR, text)
        self._out.changed = True
        return self._out.take()

    def on_joint_states(self, message: JointStates, now: Now) -> MonitorOutputs:
        """Take in a measurement."""
        self._look_at_the_time(now)
        position = self._positions("joint_states", self._joints, message, now)
        if position is None:
            return self._out.take()
        self._measured = position
        self._standstill.update(message.stamp_ns, position)
        measurement = self._measurement(message, position)
        if measurement.reference is not None or self.tracker.cycle is None:
            self._uncompared_ns = None
        elif self._uncompared_ns is None:
            self._uncompared_ns = self._clock.now_ns
        self._trip_all(self.detectors.on_measurement(measurement), now)
        self._look_at_smoothness(measurement, now)
        self._move_on(now)
        return self._out.take()

    def on_driver_states(self, message: JointStates, now: Now) -> MonitorOutputs:
        """Take in what the driver read from the servos."""
        position = self._positions("driver_states", self._driver, message, now)
        if position is not None:
            self._driver_standstill.update(message.stamp_ns, position)
            self._trip_all(self.detectors.on_driver(self._measurement(message, position)), now)
        return self._out.take()

    def on_servos(self, statuses: tuple[ServoStatus, ...], now: Now) -> MonitorOutputs:
        """Take in diagnostic statuses; those of others than the servos do not count."""
        prefix = self.config.servo_status
        own = [status for status in statuses if prefix and status.name.startswith(prefix)]
        if own:
            self._servos.arrived(now.steady_ns, self._clock.now_ns)
            detector = self.detectors.servo_health
            self._trip_one(detector.name, detector.report_servos(own), now)
        return self._out.take()

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
        self._trip_one(detector.name, detector.report(why), now)
        return self._out.take()

    def on_policy(self, stamp_ns: int, now: Now) -> None:
        """Take in the policy's heartbeat."""
        self._policy_behind_s = (now.ros_ns - stamp_ns) * 1e-9
        self._policy.arrived(now.steady_ns, self._clock.now_ns)

    def on_activity(self, label: str | None, now: Now) -> MonitorOutputs:
        """Take in the state of the arm's controller, None when it is not loaded."""
        detector = self.detectors.controller_inactive
        active = label == "active"
        if self._restored and self._stop.lock is Lock.OPEN and label == "inactive":
            # By the process before this one, as far as can be told; a reset activates it.
            self._stop.lock = Lock.LOCKED
        if self._stop.lock is Lock.LOCKED and active:
            self._out.log(LogLevel.ERROR, "somebody activated the controller, which is locked out")
            self._stop.lock_again()
        # While it is locked out, or about to be, it is not expected to be active.
        wanted = self._stop.lock is Lock.OPEN
        found = f"{self.robot.arm_controller} is {label or 'not loaded'}"
        detector.value = found
        self._trip_one(detector.name, detector.report("" if active or not wanted else found), now)
        return self._out.take()

    def on_publishers(self, others: tuple[str, ...], now: Now) -> MonitorOutputs:
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

    def on_answer(self, answer: CallResult, now: Now) -> MonitorOutputs:
        """Take in what came of a call."""
        self._stop.answer(answer, self._stop_inputs(now))
        self._follow_stop()
        if answer.request is CallRequest.ACTIVATE and self._reset_deadline_ns is not None:
            if answer.done:
                # It starts with a hold of its own, and has the usual time to be heard.
                self.tracker.forget()
                self._controller.renew(self._clock.now_ns)
            else:
                self._fail_reset(f"the controller was not activated: {answer.detail}")
        return self._out.take()

    def tick(self, now: Now) -> MonitorOutputs:
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
            self._out.log(LogLevel.INFO, "plans are forwarded again")
            self._out.changed = True
        self._judge_waiting(now)
        self._move_on(now)
        return self._out.take()
