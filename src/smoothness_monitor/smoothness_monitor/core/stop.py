# SPDX-License-Identifier: Apache-2.0
"""The stop: sends the brake, climbs the ladder, locks the arm, and lets it go on a reset."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from node_kit.log import LogLevel
from smooth_motion import Limits, MotionError, Plan, limit_violations
from smooth_motion import State as MotionState
from smooth_motion.clocks import Now
from smooth_motion.messages import Trajectory
from smoothness_monitor.core import brakes
from smoothness_monitor.core.controller_tracker import ControllerTracker
from smoothness_monitor.core.gripper import GripperTracker
from smoothness_monitor.core.ladder import Ladder, LadderAction, LadderTimes, StopFindings
from smoothness_monitor.core.types import (
    Call,
    CallRequest,
    CallResult,
    FloatArray,
    Outbox,
    Rung,
    nanoseconds,
)
from smoothness_monitor.params import MonitorConfig

# A stop that is driven off its brake brakes again, this many times; then the controller goes.
MAX_BRAKES = 3
# What is sent now reaches the controller in this time, unless the link is seen to be slower.
DELIVERY_NS = 60_000_000
# By how much a trajectory may be later than what was seen of the link.
_LATER_NS = 30_000_000
# A controller's cycle that is further than this from now is not late, its clock is another.
OTHER_CLOCK_NS = 300_000_000
# A stop that failed is tried again when the reference moves, so often at most.
RETRY_NS = 1_000_000_000
# What the process before this one forwarded ends at rest by itself, and too little is known of it
# for a brake without a step. What moves longer is braked.
LEFT_OVER_NS = 5_000_000_000
# For so long a brake waits to hear more of a motion that a single message tells of. A brake out of
# it would step an arm that never left its plan.
DOUBT_NS = 100_000_000
# Lines of the log of the rungs: so many of the first, and so many of the newest.
_LOG_ENDS = 32


class StopPhase(enum.Enum):
    """Where a stop is."""

    IDLE = "idle"
    STOPPING = "stopping"
    LATCHED = "latched"
    FAILED = "failed"


class Lock(enum.Enum):
    """Whether the controller was deactivated, so that nobody can move the arm through it."""

    OPEN = "open"
    ASKED = "asked"
    LOCKED = "locked"
    OPENING = "opening"


@dataclass(frozen=True)
class StopInputs:
    """What the monitor sees when the stop is to move on.

    Attributes:
        now: The clocks.
        own_ns: The monitor's own clock.
        late_ns: How late the controller is heard; what is known of it is of so long ago.
        link_ns: Largest delay between the controller and this node that was seen lately.
        lead_ns: For how long a brake has to continue what runs, at least.
        limits: Of the arm.
        controller_fresh: controller_state is not stale.
        joints_fresh: joint_states is not stale.
        joints_rest: The measured joints stand, by fresh measurements.
        measured: (J,) rad, None before the first.
    """

    now: Now
    own_ns: int
    late_ns: int
    link_ns: int
    lead_ns: int
    limits: Limits
    controller_fresh: bool
    joints_fresh: bool
    joints_rest: bool
    measured: FloatArray | None

    @property
    def way_ns(self) -> int:
        """How much longer than usual a trajectory is on its way."""
        return max(0, min(self.link_ns, self.lead_ns) - DELIVERY_NS)

    @property
    def delivery_ns(self) -> int:
        """In which time what is sent now reaches the controller, by what was seen."""
        return max(DELIVERY_NS, min(self.link_ns + _LATER_NS, self.lead_ns))


class Stop:
    """Brings the arm to rest and keeps it there.

    Attributes:
        phase: Where the stop is.
        failed: A stop could not be shown to work since the last reset, whatever was tried later.
        rung: Highest rung climbed since the last reset.
        rung_log: One line for each step of the ladder since the last reset.
        lock: Whether the controller was deactivated.
    """

    def __init__(
        self,
        tracker: ControllerTracker,
        gripper: GripperTracker,
        config: MonitorConfig,
        outbox: Outbox,
    ) -> None:
        """Begin idle."""
        self.phase = StopPhase.IDLE
        self.failed = False
        self.rung = Rung.NONE
        self.rung_log: tuple[str, ...] = ()
        self.lock = Lock.OPEN
        self._tracker, self._gripper = tracker, gripper
        self._config, self._out = config, outbox
        self._times = LadderTimes(
            resend_ns=nanoseconds(config.stop_resend_s),
            goal_ns=nanoseconds(config.stop_goal_s),
            grace_ns=nanoseconds(config.stop_grace_s),
            rung_ns=nanoseconds(config.stop_rung_s),
        )
        self._ladder: Ladder | None = None
        self._brakes = 0
        self._began_ns = 0
        # Until when the brake waits for the controller's next word, None when it does not.
        self._doubts_until_ns: int | None = None
        # When the brake leaves what runs.
        self._leaves_ns = 0
        self._left_over_until_ns = 0

    @property
    def heard(self) -> bool:
        """Whether anything was ever heard of the controller."""
        return self._tracker.running is not None

    # -- what the monitor calls -----------------------------------------------------------------

    def begin(self, inputs: StopInputs) -> None:
        """Stop the arm. Whatever goes wrong within, the stop goes on with what needs no plan."""
        try:
            self._begin(inputs)
        except Exception as error:
            self._without_brake(error, inputs)

    def _without_brake(self, error: Exception, inputs: StopInputs) -> None:
        self.fail(f"no brake could be made ({type(error).__name__}: {error})", inputs)

    def fail(self, why: str, inputs: StopInputs) -> None:
        """Give the ladder up: ask for everything that needs no trajectory, and for a person."""
        self._ladder = self._doubts_until_ns = None
        if self.lock is not Lock.LOCKED:
            self.lock = Lock.ASKED
            self._out.calls.append(Call(CallRequest.DEACTIVATE))
        self._out.calls.append(Call(CallRequest.DRIVER_HOLD))
        self._give_up(why, inputs)

    def _begin(self, inputs: StopInputs) -> None:
        if self.phase is not StopPhase.STOPPING:
            self._brakes = 0
            self._began_ns = inputs.own_ns
        self._brakes += 1
        self.phase = StopPhase.STOPPING
        self._ladder = self._doubts_until_ns = None
        self._hold_gripper(inputs)
        if not self.heard:
            # Nothing was ever heard of the controller, so nothing was ever sent to it.
            self.phase = StopPhase.FAILED if self.failed else StopPhase.LATCHED
            return
        if self._tracker.doubtful:
            self._doubts_until_ns = inputs.own_ns + DOUBT_NS
            return
        self._brake(inputs)

    @property
    def renewable(self) -> bool:
        """Whether what brings the arm to rest can be made anew."""
        ladder = self._ladder
        return ladder is not None and ladder.plan is not None and ladder.rung <= Rung.BRAKE_AS_GOAL

    def renew(self, inputs: StopInputs) -> None:
        """Make what brings the arm to rest anew: what was made did not go out in time."""
        assert self._ladder is not None
        self._hold_gripper(inputs)
        self._ladder.plan = self._send_brake(inputs)

    def _hold_gripper(self, inputs: StopInputs) -> None:
        now_ns = inputs.now.ros_ns
        commanded = self._gripper.common(now_ns, inputs.lead_ns, delivery_ns=inputs.delivery_ns)
        if commanded is None:
            return
        running, overlap_ns = commanded
        hold = brakes.hold_gripper(
            running,
            now_ns=now_ns,
            controller_ns=self._gripper.stamp_ns,
            overlap_ns=overlap_ns,
        )
        self._gripper.sent(hold, now_ns)
        self._out.gripper.append(Trajectory.of_gripper(hold))
        self._out.made_ns = now_ns

    def _brake(self, inputs: StopInputs) -> None:
        plan = self._send_brake(inputs)
        lasts_ns = 0 if plan is None else plan.end_ns - inputs.now.ros_ns
        self._ladder = Ladder(plan, self._times, now_ns=inputs.own_ns, lasts_ns=lasts_ns)
        if plan is not None:
            sent = "sent"
            if inputs.lead_ns > nanoseconds(self._config.stop_overlap_s):
                sent += (
                    f"; it begins {inputs.lead_ns * 1e-9:.2f} s from now, for the link to the "
                    f"controller is seen to take {inputs.link_ns * 1e-9:.2f} s"
                )
            self._note(Rung.BRAKE, sent, inputs)
        self.advance(inputs)

    def advance(self, inputs: StopInputs) -> None:
        """Do what is due."""
        doubts_until_ns = self._doubts_until_ns
        if self.phase is StopPhase.STOPPING and doubts_until_ns is not None:
            if self._tracker.doubtful and inputs.own_ns < doubts_until_ns:
                return
            self._doubts_until_ns = None
            try:
                self._brake(inputs)
            except Exception as error:
                self._without_brake(error, inputs)
        ladder = self._ladder
        while self.phase is StopPhase.STOPPING and ladder is not None:
            action = ladder.step(
                inputs.own_ns,
                self._findings(ladder, inputs),
                late_ns=inputs.late_ns,
                way_ns=inputs.way_ns,
            )
            if action is LadderAction.NOTHING:
                return
            self._do(action, ladder, inputs)

    def watch(self, inputs: StopInputs) -> None:
        """Stop again what moves although it was stopped, or was driven off its brake."""
        ladder = self._ladder
        if self._tracker.doubtful:
            return
        if self.phase in (StopPhase.LATCHED, StopPhase.FAILED):
            if self._tracker.cycle is None or self._tracker.rests:
                return
            if inputs.own_ns < self._left_over_until_ns:
                return
            if self.failed and inputs.own_ns - self._began_ns < RETRY_NS:
                return
            self._out.log(LogLevel.ERROR, "the reference moves although the arm was stopped")
            self.lock = Lock.OPEN
            self.begin(inputs)
        elif (
            self.phase is StopPhase.STOPPING
            and ladder is not None
            and ladder.plan is not None
            and ladder.rung <= Rung.BRAKE_AS_GOAL
            and ladder.has_run
            and not self._tracker.runs(ladder.plan)
        ):
            if self._brakes < MAX_BRAKES:
                self._out.log(LogLevel.ERROR, "the controller left the brake trajectory")
                self.begin(inputs)
            else:
                why = f"the controller was driven off {MAX_BRAKES} brakes"
                self._do(ladder.lock(inputs.own_ns, why), ladder, inputs)

    def answer(self, answer: CallResult, inputs: StopInputs) -> None:
        """Take in what came of a call."""
        outcome = answer.detail if answer.done else f"not done: {answer.detail}"
        if answer.request is CallRequest.ACTIVATE:
            if answer.done and self.lock is Lock.OPENING:
                self.lock = Lock.OPEN
            return
        if answer.request is CallRequest.DEACTIVATE and self.lock is Lock.ASKED:
            self.lock = Lock.LOCKED if answer.done else Lock.OPEN
        rung = {
            CallRequest.BRAKE_AS_GOAL: Rung.BRAKE_AS_GOAL,
            CallRequest.DEACTIVATE: Rung.CONTROLLER_OFF,
            CallRequest.DRIVER_HOLD: Rung.DRIVER_HOLD,
        }[answer.request]
        if self.phase is StopPhase.LATCHED:
            self._log_lock(answer)
            return
        self._note(rung, outcome, inputs, climb=False)
        level = LogLevel.WARN if answer.done else LogLevel.ERROR
        self._out.log(level, f"rung {rung.words}: {outcome}")
        if self._ladder is not None and rung is self._ladder.rung and rung > Rung.BRAKE_AS_GOAL:
            self._ladder.answer(answer.done)
            if not answer.done and rung is Rung.CONTROLLER_OFF:
                self._hold_at_once(inputs)
            self.advance(inputs)

    def restore(self, own_ns: int, *, locked_out: bool) -> None:
        """Begin as the process before ended; it may have the controller deactivated."""
        self.lock = Lock.LOCKED if locked_out else Lock.OPEN
        self._left_over_until_ns = own_ns + LEFT_OVER_NS

    def unlock(self) -> None:
        """Have the controller activated again, for a reset."""
        self.lock = Lock.OPENING
        self._out.calls.append(Call(CallRequest.ACTIVATE))

    def lock_again(self) -> None:
        """Have the controller deactivated again, after a reset that failed."""
        self.lock = Lock.ASKED
        self._out.calls.append(Call(CallRequest.DEACTIVATE))

    def recover(self) -> None:
        """Latch a stop that failed: the arm was seen to stand. For a person who looked at it."""
        self.failed, self.phase, self._ladder = False, StopPhase.LATCHED, None
        self._lock_out()

    def clear(self) -> None:
        """Forget the stop, after a reset."""
        self.failed = False
        self.phase, self.rung, self.rung_log = StopPhase.IDLE, Rung.NONE, ()
        self._ladder = None

    # -- the rungs ------------------------------------------------------------------------------

    def _do(self, action: LadderAction, ladder: Ladder, inputs: StopInputs) -> None:
        if action is LadderAction.LATCH:
            self._latch(ladder)
        elif action is LadderAction.RESEND:
            assert ladder.plan is not None
            self._out.log(LogLevel.WARN, "the controller does not run the brake trajectory: again")
            if not self._renewed(ladder, inputs):
                self._out.arm.append(Trajectory.of(ladder.plan))
        elif action is LadderAction.BRAKE_AS_GOAL:
            self._renewed(ladder, inputs)
            assert ladder.plan is not None
            self._climb(Rung.BRAKE_AS_GOAL, ladder, inputs)
            goal = Trajectory.of(ladder.plan)
            self._out.calls.append(Call(CallRequest.BRAKE_AS_GOAL, goal))
        elif action is LadderAction.DEACTIVATE:
            self._climb(Rung.CONTROLLER_OFF, ladder, inputs)
            self.lock = Lock.ASKED
            self._out.calls.append(Call(CallRequest.DEACTIVATE))
        elif action is LadderAction.DRIVER_HOLD:
            if self.lock is Lock.ASKED:
                # No answer came in time; whatever else helps must not wait for it.
                self._hold_at_once(inputs)
            self._climb(Rung.DRIVER_HOLD, ladder, inputs)
            self._out.calls.append(Call(CallRequest.DRIVER_HOLD))
        elif action is LadderAction.GIVE_UP:
            self._ladder = None
            self._give_up(ladder.why, inputs)

    def _give_up(self, why: str, inputs: StopInputs) -> None:
        self.phase, self.failed = StopPhase.FAILED, True
        self._note(Rung.POWER_CUT, why, inputs)
        self._out.log(
            LogLevel.ERROR,
            f"the stop could not be shown to work: {why}. Cut the power if the arm moves; find "
            "out why, then call ~/reset, which needs the arm to be seen at rest",
        )

    def _renewed(self, ladder: Ladder, inputs: StopInputs) -> bool:
        """Make the brake anew, and send it, where it would be late by now; return whether it was.

        A brake leaves what runs early where two plans were under way that part early.
        """
        if inputs.now.ros_ns + max(DELIVERY_NS, inputs.link_ns) <= self._leaves_ns:
            return False
        plan = self._send_brake(inputs)
        if plan is None:
            return False
        ladder.plan = plan
        return True

    def _climb(self, rung: Rung, ladder: Ladder, inputs: StopInputs) -> None:
        self._out.log(LogLevel.ERROR, f"stop, rung {rung.words}: {ladder.why}")
        self._note(rung, ladder.why, inputs)

    def _note(self, rung: Rung, what: str, inputs: StopInputs, *, climb: bool = True) -> None:
        since_s = (inputs.own_ns - self._began_ns) * 1e-9
        log = (*self.rung_log, f"{since_s:.3f} s: {rung.words}: {what[:200]}")
        if len(log) > 2 * _LOG_ENDS:
            log = (*log[:_LOG_ENDS], *log[-_LOG_ENDS:])
        self.rung_log = log
        if climb:
            self.rung = max(self.rung, rung)
        self._out.changed = True

    def _latch(self, ladder: Ladder) -> None:
        self.phase = StopPhase.LATCHED
        self._ladder = None
        if ladder.rung < Rung.CONTROLLER_OFF:
            self._lock_out()

    def _lock_out(self) -> None:
        if self.lock is Lock.OPEN:
            # At rest it steps nothing, and after it nobody moves the arm through the controller.
            self.lock = Lock.ASKED
            self._out.calls.append(Call(CallRequest.DEACTIVATE))

    def _log_lock(self, answer: CallResult) -> None:
        self._out.changed = True
        if answer.request is not CallRequest.DEACTIVATE:
            return
        text = "the controller is deactivated until a reset"
        if not answer.done:
            text = f"latched without deactivating the controller: {answer.detail}"
        self._out.log(LogLevel.INFO, text)

    def _findings(self, ladder: Ladder, inputs: StopInputs) -> StopFindings:
        plan, cycle = ladder.plan, self._tracker.cycle
        runs = plan is not None and self._tracker.runs(plan)
        ended = plan is not None and cycle is not None and cycle.time_ns >= plan.end_ns
        return StopFindings(runs, ended and self._tracker.rests, inputs.joints_rest)

    def _send(self, plan: Plan, inputs: StopInputs) -> None:
        self._tracker.sent(plan, inputs.own_ns, inputs.now.ros_ns)
        self._out.arm.append(Trajectory.of(plan))
        self._out.made_ns = inputs.now.ros_ns

    def _send_brake(self, inputs: StopInputs) -> Plan | None:
        """Send the brake; return the plan that now stops the arm, None when there is none."""
        tracker = self._tracker
        cycle, running = tracker.cycle, tracker.running
        assert cycle is not None
        assert running is not None
        foreign = tracker.foreign
        now_ns = inputs.now.ros_ns
        base, overlap_ns = tracker.common(now_ns, inputs.lead_ns, delivery_ns=inputs.delivery_ns)
        self._leaves_ns = now_ns + overlap_ns
        state_ns = cycle.time_ns
        if abs(state_ns - inputs.now.ros_ns) > OTHER_CLOCK_NS:
            # Its stamps are of another clock, so all that is known is that the state is of now.
            state_ns = inputs.now.ros_ns
        try:
            if foreign:
                plan = brakes.brake_from_state(
                    MotionState(cycle.position, cycle.velocity, cycle.acceleration),
                    inputs.limits,
                    state_ns=state_ns,
                    now_ns=inputs.now.ros_ns,
                    foreign_start_ns=cycle.verdict.start_ns,
                )
                # What was sent before no longer matters, and must not be taken for the brake.
                tracker.rebase()
            else:
                plan = brakes.brake_in_plan(
                    base,
                    inputs.limits,
                    now_ns=inputs.now.ros_ns,
                    controller_ns=cycle.time_ns,
                    overlap_ns=overlap_ns,
                    sent=tracker.known,
                )
        except MotionError as error:
            if foreign:
                self._out.log(LogLevel.ERROR, f"no brake trajectory exists: {error}")
                return None
            self._out.log(LogLevel.ERROR, f"no brake exists ({error}): the plan runs to its end")
            return base
        for violation in limit_violations(plan, inputs.limits):
            self._out.log(LogLevel.WARN, f"the brake cannot keep a limit: {violation}")
        self._send(plan, inputs)
        return plan

    def _hold_at_once(self, inputs: StopInputs) -> None:
        """Send a hold. It steps an arm that moves, which is better than going on."""
        ladder, cycle = self._ladder, self._tracker.cycle
        if ladder is None or cycle is None:
            return
        position = None
        if inputs.controller_fresh:
            position, where = cycle.position, "at the reference"
        elif inputs.joints_fresh and not inputs.joints_rest:
            position, where = inputs.measured, "at the measured joints"
        if position is None:
            return
        names = inputs.limits.joint_names
        hold = brakes.hold(names, position, now_ns=inputs.now.ros_ns, sent=self._tracker.known)
        self._send(hold, inputs)
        ladder.plan = hold
        self._note(
            Rung.CONTROLLER_OFF, f"instead, a hold {where} on the topic", inputs, climb=False
        )
