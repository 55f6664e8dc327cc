# SPDX-License-Identifier: Apache-2.0
"""The stop: sends the brake, climbs the ladder, locks the arm, and lets it go on a reset."""

from __future__ import annotations

import enum

from node_kit.log import LogLevel
from smooth_motion.messages import Trajectory
from smoothness_monitor.core.brake_sender import DELIVERY_NS, BrakeSender, StopInputs
from smoothness_monitor.core.controller_tracker import ControllerTracker
from smoothness_monitor.core.gripper import GripperTracker
from smoothness_monitor.core.ladder import Ladder, LadderAction, LadderTimes, StopFindings
from smoothness_monitor.core.types import (
    Call,
    CallRequest,
    CallResult,
    Outbox,
    Rung,
    nanoseconds,
)
from smoothness_monitor.params import MonitorConfig

# A stop that is driven off its brake brakes again, this many times; then the controller goes.
MAX_BRAKES = 3
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
        self._sender = BrakeSender(tracker, gripper, outbox)
        self._tracker, self._config, self._out = tracker, config, outbox
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
        self._sender.hold_gripper(inputs)
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
        self._sender.hold_gripper(inputs)
        self._ladder.plan = self._sender.brake(inputs)

    def _brake(self, inputs: StopInputs) -> None:
        plan = self._sender.brake(inputs)
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
            elif answer.done and self.lock is Lock.LOCKED:
                # Of a reset that was given up: it came after the deactivation.
                self.lock_again()
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
        if inputs.now.ros_ns + max(DELIVERY_NS, inputs.link_ns) <= self._sender.leaves_ns:
            return False
        plan = self._sender.brake(inputs)
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

    def _hold_at_once(self, inputs: StopInputs) -> None:
        """Have a hold sent in place of the brake, where it is known where the arm is."""
        if self._ladder is None:
            return
        held = self._sender.hold(inputs)
        if held is not None:
            self._ladder.plan, where = held
            what = f"instead, a hold {where} on the topic"
            self._note(Rung.CONTROLLER_OFF, what, inputs, climb=False)
