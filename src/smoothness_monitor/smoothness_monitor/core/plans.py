# SPDX-License-Identifier: Apache-2.0
"""Plans: the gate is asked, what passes is sent on, slowed down where the motion is rough."""

from __future__ import annotations

from dataclasses import replace

from node_kit.log import LogLevel
from smooth_motion import MotionError, ViolationKind, part_ns
from smooth_motion.clocks import Now
from smooth_motion.messages import Trajectory
from smoothness_monitor.core import gate
from smoothness_monitor.core.detectors import (
    LONGEST_LINE,
    Measurement,
)
from smoothness_monitor.core.link_delay import MARGIN_NS
from smoothness_monitor.core.reception import Reception
from smoothness_monitor.core.stop import StopPhase
from smoothness_monitor.core.types import (
    MonitorOutputs,
    StopState,
)


class Plans(Reception):
    """Takes plans in, and forwards, refuses or slows them."""

    def on_plan(self, trajectory: Trajectory, now: Now) -> MonitorOutputs:
        """Take in a trajectory for the arm."""
        self._look_at_the_time(now)
        if self._waiting is not None:
            self._refuse("superseded: a newer plan arrived before it could be judged", "", now)
        self._waiting = trajectory
        self._judge_waiting(now)
        return self._out.take()

    def on_unread_plan(self, why: str, now: Now) -> MonitorOutputs:
        """Take in that a trajectory for the arm was too large to be read, or broken."""
        if self.permit:
            kind = ViolationKind.SIZE
            self._refuse(f"{kind.value}: {why}", gate.REACTIONS[kind].trips, now)
        else:
            self._refuse_without_permit(now)
        return self._out.take()

    def on_gripper(self, trajectory: Trajectory, now: Now) -> MonitorOutputs:
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
        stopping = self._stop.phase is StopPhase.STOPPING
        inputs = self._stop_inputs(now)
        now_ns = inputs.now.ros_ns if stopping else now.ros_ns
        lead_ns = inputs.lead_ns if stopping else self._lead_ns
        late_ns = now_ns - outputs.made_ns
        if late_ns <= max(lead_ns - inputs.delivery_ns, MARGIN_NS // 2):
            return None
        if not (self._stop.renewable if stopping else self.state is StopState.READY):
            # What nothing can be made in place of: a hold at once, or what replaces plans at rest.
            return None
        for trajectory in outputs.arm:
            self.tracker.withdraw(trajectory.stamp_ns)
            self._forwarded -= trajectory.stamp_ns == self._forwarded_ns
        for trajectory in outputs.gripper:
            self.gripper.withdraw(trajectory.stamp_ns)
        if stopping:
            self._stop.renew(inputs)
            self._follow_stop()
        else:
            why = f"this process was held up for {late_ns * 1e-9:.2f} s before it could be sent"
            self._refuse(f"{ViolationKind.SPLICE_TOO_EARLY.value}: {why}", "", now)
        return self._out.take()

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
        trajectory, tracker = self._waiting, self.tracker
        if trajectory is None:
            return
        if not self.permit or tracker.running is None:
            self._waiting = None
            self._refuse_without_permit(now)
            return
        decision = self._decide(trajectory, now)
        if decision.verdict is gate.GateVerdict.WAIT:
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
            if again.verdict is not gate.GateVerdict.FORWARD:
                refused = gate.refuse(gate.Refusal.SLOWED, again.reason or "it cannot be judged")
                self._refuse(refused.reason, refused.trips, now)
                return
        self._forwarded += 1
        self._forwarded_ns = plan.start_ns
        parts_ns = part_ns(plan, tracker.pending or tracker.running.plan)
        tracker.sent(plan, own_ns, now.ros_ns)
        self._out.arm.append(Trajectory.of(plan))
        self._out.made_ns = now.ros_ns
        self._meter.on_boundary(parts_ns)

    def _decide(self, trajectory: Trajectory, now: Now) -> gate.Decision:
        tracker = self.tracker
        assert tracker.cycle is not None
        return gate.decide(
            trajectory,
            gate.Expected(
                tracker.may_run,
                tracker.recent,
                tracker.known,
                self._ready_ns,
                tuple(self._slowdown.believed),
                tracker.cycle.stamp_ns,
            ),
            self._limits,
            now_ns=now.ros_ns,
            config=replace(self._check, min_overlap_ns=self._lead_ns),
        )

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
            self._out.log(LogLevel.WARN, f"plan refused: {reason}")
        self._last_rejection = reason
        self._out.changed = True
        if trips:
            self._trip_all([(trips, f"plan: {reason}")], now)

    def _refuse_without_permit(self, now: Now) -> None:
        why = "; ".join(self.waiting_for()) or "the newest inputs are old"
        but = f", but plans wait: {why}" if self.state is StopState.READY else ""
        text = f"{gate.Refusal.NOT_READY.value}: the state is {self.state.name}{but}"
        self._refuse(text[:LONGEST_LINE], "", now)

    def _look_at_smoothness(self, measurement: Measurement, now: Now) -> None:
        jerk = self.detectors.measured_jerk.newest
        self._meter.on_measured(measurement.stamp_ns, jerk)
        if self.state is not StopState.READY:
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
            self._meter.intervenes(own_ns, f"slowed: {slowdown.why.partition(':')[0]}")
            text = f"slowed down to {slowdown.scaling:g} of the speed: {slowdown.why}"
            self._out.log(LogLevel.WARN, text)
        else:
            self._meter.ends(own_ns, slowdown.deviation)
            text = "at full speed again; the path was left by {:.2g} rad at most"
            self._out.log(LogLevel.INFO, text.format(slowdown.deviation))
        self._adapt_speed(now)

    def _adapt_speed(self, now: Now) -> None:
        # A controller whose parameters are wrong may step at the start of any trajectory.
        wrong = self.detectors.controller_parameters.present
        if self.state is StopState.READY and self._waiting is None and not wrong:
            self._slowdown.advance(self._limits, now, self._clock.now_ns, self._lead_ns)
