# SPDX-License-Identifier: Apache-2.0
"""Plans: the gate is asked, what passes is sent on, slowed down where the motion is rough."""

from __future__ import annotations

from node_kit.log import LogLevel
from smooth_motion import CheckConfig, GripperLimits, MotionError, ViolationKind, part_ns
from smooth_motion.clocks import Now
from smooth_motion.messages import Trajectory
from smoothness_monitor.core import gate
from smoothness_monitor.core.conditions import Conditions
from smoothness_monitor.core.controller_tracker import ControllerTracker
from smoothness_monitor.core.detectors import LONGEST_LINE
from smoothness_monitor.core.gripper import GripperTracker
from smoothness_monitor.core.link_delay import MARGIN_NS
from smoothness_monitor.core.robot_view import RobotView
from smoothness_monitor.core.slowdown import Slowdown
from smoothness_monitor.core.smoothness_meter import SmoothnessMeter
from smoothness_monitor.core.state_machine import StateMachine
from smoothness_monitor.core.stop import Stop, StopPhase
from smoothness_monitor.core.types import FloatArray, MonitorOutputs, Outbox, StopState
from smoothness_monitor.core.workspace import WorkspaceGuard
from smoothness_monitor.params import MonitorConfig


class PlanGate:
    """Forwards, refuses or slows down plans.

    Attributes:
        forwarded: How many were.
        rejected: How many were not.
        last_rejection: Why the newest of these was not, empty before the first.
    """

    def __init__(
        self,
        gripper_limits: GripperLimits,
        config: MonitorConfig,
        tracker: ControllerTracker,
        gripper: GripperTracker,
        view: RobotView,
        conditions: Conditions,
        machine: StateMachine,
        stop: Stop,
        slowdown: Slowdown,
        meter: SmoothnessMeter,
        outbox: Outbox,
        workspace: WorkspaceGuard | None = None,
    ) -> None:
        """Begin without a plan."""
        self._workspace = workspace
        self.forwarded = self.rejected = 0
        self.last_rejection = ""
        self._gripper_limits, self._config = gripper_limits, config
        self._tracker, self._gripper = tracker, gripper
        self._view, self._conditions = view, conditions
        self._machine, self._stop = machine, stop
        self._slowdown, self._meter, self._out = slowdown, meter, outbox
        # A plan that the gate cannot judge before the controller is heard again.
        self._waiting: Trajectory | None = None
        # Start of the plan that was forwarded last.
        self._forwarded_ns = 0
        self._ready_ns = 0

    def begin_anew(self, now: Now) -> None:
        """Forget what was planned before: plans may come from now on."""
        self._ready_ns, self._waiting = now.ros_ns, None

    def on_plan(self, trajectory: Trajectory, now: Now) -> None:
        """Take in a trajectory for the arm."""
        if self._waiting is not None:
            self.refuse("superseded: a newer plan arrived before it could be judged", "", now)
        self._waiting = trajectory
        self.judge_waiting(now)

    def on_unread_plan(self, why: str, now: Now) -> None:
        """Take in that a trajectory for the arm was too large to be read, or broken."""
        if self._machine.permit:
            kind = ViolationKind.SIZE
            self.refuse(f"{kind.value}: {why}", gate.REACTIONS[kind].trips, now)
        else:
            self._refuse_without_permit(now)

    def on_gripper(self, trajectory: Trajectory, now: Now) -> None:
        """Take in a trajectory for the gripper."""
        if not self._machine.permit:
            self._refuse_without_permit(now)
            return
        reason = self._gripper_unheard()
        if reason:
            self.refuse(f"{gate.Refusal.GRIPPER.value}: {reason}", "", now)
            return
        decision = gate.decide_gripper(
            trajectory,
            self._gripper_limits,
            self._gripper,
            now_ns=now.ros_ns,
            overlap_ns=self._view.lead_ns,
            step=self._config.gripper_step_rad,
        )
        if decision.plan is None:
            self.refuse(decision.reason + self._view.link_hint(), decision.trips, now)
        else:
            self._gripper.sent(decision.plan, now.ros_ns)
            self._out.gripper.append(Trajectory.of_gripper(decision.plan))
            self._out.made_ns = now.ros_ns

    def held_up(self, outputs: MonitorOutputs, now: Now) -> bool:
        """Return whether trajectories must not go out any more; see `Monitor.on_held_up`."""
        stopping = self._stop.phase is StopPhase.STOPPING
        inputs = self._machine.stop_inputs(now)
        now_ns = inputs.now.ros_ns if stopping else now.ros_ns
        lead_ns = inputs.lead_ns if stopping else self._view.lead_ns
        late_ns = now_ns - outputs.made_ns
        if late_ns <= max(lead_ns - inputs.delivery_ns, MARGIN_NS // 2):
            return False
        if not (self._stop.renewable if stopping else self._machine.state is StopState.READY):
            # What nothing can be made in place of: a hold at once, or what replaces plans at rest.
            return False
        for trajectory in outputs.arm:
            self._tracker.withdraw(trajectory.stamp_ns)
            self.forwarded -= trajectory.stamp_ns == self._forwarded_ns
        for trajectory in outputs.gripper:
            self._gripper.withdraw(trajectory.stamp_ns)
        if stopping:
            self._stop.renew(inputs)
            self._machine.follow_stop()
        else:
            why = f"this process was held up for {late_ns * 1e-9:.2f} s before it could be sent"
            self.refuse(f"{ViolationKind.SPLICE_TOO_EARLY.value}: {why}", "", now)
        return True

    def _gripper_unheard(self) -> str:
        """Return why nothing is known of the gripper's controller, empty when all is."""
        name = self._gripper_limits.controller
        age_s = self._gripper.age_s(self._view.clock.now_ns)
        if not (age_s <= self._config.controller_state_stale_s):
            return f"nothing was heard of {name}/controller_state for {age_s:.3g} s"
        return self._conditions.unread_parameters(name)

    def judge_waiting(self, now: Now) -> None:
        """Judge the plan that waits, if one does and the gate can tell by now."""
        trajectory, tracker = self._waiting, self._tracker
        if trajectory is None:
            return
        if not self._machine.permit or tracker.running is None:
            self._waiting = None
            self._refuse_without_permit(now)
            return
        decision = self._decide(trajectory, now)
        if decision.verdict is gate.GateVerdict.WAIT:
            return
        self._waiting = None
        if decision.plan is None:
            self._believe(trajectory, decision.trips)
            hint = "" if decision.trips else self._view.link_hint() + self._view.clock_hint(now)
            self.refuse(decision.reason + hint, decision.trips, now)
            return
        near = (
            None if self._workspace is None else self._workspace.judge(decision.plan, now.ros_ns)
        )
        if near is not None:
            why = f"{near.what}: {near.distance:.4f} m, the margin is {near.margin:g} m"
            refused = gate.refuse(gate.Refusal.WORKSPACE, why)
            self.refuse(refused.reason, refused.trips, now)
            return
        own_ns = self._view.clock.now_ns
        plan, why = self._slowdown.admit(decision.plan, self._view.limits, now, own_ns)
        if plan is None:
            refused = gate.refuse(gate.Refusal.SLOWED, why)
            self._slowdown.believed.append(decision.plan)
            self.refuse(refused.reason, refused.trips, now)
            return
        if plan is not decision.plan:
            # It was made here, and is judged like everybody's.
            again = self._decide(Trajectory.of(plan), now)
            if again.verdict is not gate.GateVerdict.FORWARD:
                refused = gate.refuse(gate.Refusal.SLOWED, again.reason or "it cannot be judged")
                self.refuse(refused.reason, refused.trips, now)
                return
        self.forwarded += 1
        self._forwarded_ns = plan.start_ns
        parts_ns = part_ns(plan, tracker.pending or tracker.running.plan)
        tracker.sent(plan, own_ns, now.ros_ns)
        self._out.arm.append(Trajectory.of(plan))
        self._out.made_ns = now.ros_ns
        self._meter.on_boundary(parts_ns)

    def _decide(self, trajectory: Trajectory, now: Now) -> gate.Decision:
        tracker = self._tracker
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
            self._view.limits,
            now_ns=now.ros_ns,
            config=CheckConfig(min_overlap_ns=self._view.lead_ns, max_start_ahead_ns=0),
        )

    def _believe(self, trajectory: Trajectory, trips: str) -> None:
        """Remember a sound plan that is refused while others may not know what runs."""
        if trips or not self._slowdown.believed:
            return
        try:
            self._slowdown.believed.append(trajectory.plan())
        except (MotionError, OverflowError):
            # Not sound: nothing continues it.
            return

    def refuse(self, reason: str, trips: str, now: Now) -> None:
        """Count a plan that is not forwarded.

        Args:
            reason: Why it is not.
            trips: Name of the detector that trips for it, empty when none does.
            now: The clocks.
        """
        self.rejected += 1
        # A policy that does not listen must not flood the log.
        if reason != self.last_rejection:
            self._out.log(LogLevel.WARN, f"plan refused: {reason}")
        self.last_rejection = reason
        self._out.changed = True
        if trips:
            self._machine.trip_all([(trips, f"plan: {reason}")], now)

    def _refuse_without_permit(self, now: Now) -> None:
        why = "; ".join(self._machine.waiting_for()) or "the newest inputs are old"
        but = f", but plans wait: {why}" if self._machine.state is StopState.READY else ""
        text = f"{gate.Refusal.NOT_READY.value}: the state is {self._machine.state.name}{but}"
        self.refuse(text[:LONGEST_LINE], "", now)

    def on_measurement(self, jerk: FloatArray, error: FloatArray | None, now: Now) -> None:
        """Slow the motion down, or let it go again, by what the joints do.

        Args:
            jerk: Measured, (J,) rad/s^3, NaN where there is no estimate.
            error: (J,) rad from the reference, None where that is not known.
            now: The clocks.
        """
        if self._machine.state is not StopState.READY:
            return
        own_ns = self._view.clock.now_ns
        slowdown = self._slowdown
        changed = slowdown.observe(jerk, error, own_ns)
        if slowdown.roughness.held:
            self._machine.trip("tracking_error", slowdown.roughness.held, now)
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
        self.adapt_speed(now)

    def adapt_speed(self, now: Now) -> None:
        """Send the plan that changes the speed of what runs, if one is due."""
        # A controller whose parameters are wrong may step at the start of any trajectory.
        wrong = self._conditions.wrong_parameters()
        if self._machine.state is StopState.READY and self._waiting is None and not wrong:
            own_ns, lead_ns = self._view.clock.now_ns, self._view.lead_ns
            self._slowdown.advance(self._view.limits, now, own_ns, lead_ns)
