# SPDX-License-Identifier: Apache-2.0
"""The state machine: findings trip the stop, the stop latches, a reset leads back to READY."""

from __future__ import annotations

from collections.abc import Callable

from node_kit.log import LogLevel
from smooth_motion.clocks import Now
from smoothness_monitor.core.brake_sender import StopInputs
from smoothness_monitor.core.conditions import Conditions
from smoothness_monitor.core.detectors import LONGEST_LINE, Detectors
from smoothness_monitor.core.robot_view import RobotView
from smoothness_monitor.core.smoothness_meter import SmoothnessMeter
from smoothness_monitor.core.stop import Lock, Stop, StopPhase
from smoothness_monitor.core.types import (
    CallResult,
    Latch,
    Outbox,
    ResetVerdict,
    StopState,
    nanoseconds,
)

# So many callbacks may end in an exception while the arm is being stopped; then only what needs no
# arithmetic is tried.
_MOST_ERRORS = 10
# After what makes plans wait has passed, they wait for so long still.
CALM_NS = 1_000_000_000
# What ends a reset that waits for the controller. Nothing of it is left to be seen when the reset
# comes to its end, and it does not come of a controller that is being activated.
_END_A_RESET = ("operator", "internal_error", "clock_step", "backwards_stamp", "non_finite")
_STATES = {
    StopPhase.STOPPING: StopState.STOPPING,
    StopPhase.LATCHED: StopState.STOPPED_LATCHED,
    StopPhase.FAILED: StopState.FAULT,
}


class StateMachine:
    """From a finding to the latched stop, and back by a reset.

    Attributes:
        state: The monitor's.
        causes: What tripped since the last reset, in order, with details.
        trip_ns: ROS time of the first of them, 0 without one.
        restored: It began latched, for a process before this one, and was not reset since.
    """

    def __init__(
        self,
        detectors: Detectors,
        conditions: Conditions,
        view: RobotView,
        stop: Stop,
        meter: SmoothnessMeter,
        begin_anew: Callable[[Now], None],
        outbox: Outbox,
        *,
        reset_timeout_s: float,
    ) -> None:
        """Begin in STARTUP.

        Args:
            detectors: All of them.
            conditions: What must be seen before READY.
            view: What is seen of the robot.
            stop: Brings the arm to rest.
            meter: Is told when something intervenes.
            begin_anew: Is called on the way to READY: what was planned before counts no more.
            outbox: Takes what goes out.
            reset_timeout_s: That the activation of the controller may take.
        """
        self.state = StopState.STARTUP
        self.causes: dict[str, str] = {}
        self.trip_ns = 0
        self.restored = False
        self._detectors, self._conditions, self._view = detectors, conditions, view
        self._stop, self._meter = stop, meter
        self._begin_anew, self._out = begin_anew, outbox
        self._reset_timeout_s = reset_timeout_s
        self._reset_deadline_ns: int | None = None
        self._errors = 0
        # Why plans wait while nothing moves, in words, and until when.
        self._put_off = "", 0

    # -- what it tells ---------------------------------------------------------------------------

    @property
    def permit(self) -> bool:
        """Whether plans may come: READY and every input fresh."""
        return (
            self.state is StopState.READY
            and not self._detectors.controller_parameters.present
            and not self._put_off[0]
            and self._view.joints_fresh
            and self._view.controller_fresh
        )

    @property
    def first_cause(self) -> str:
        """Name of the detector that tripped first since the last reset, empty without one."""
        return next(iter(self.causes), "")

    def latch(self, *, rests: bool) -> Latch:
        """Return what a process after this one must know; `rests` is of the reference."""
        return Latch(
            latched=self.state in (StopState.STOPPING, StopState.STOPPED_LATCHED, StopState.FAULT),
            locked_out=self._stop.lock is not Lock.OPEN,
            rests=rests,
            first_cause=self.first_cause,
            detail=self.causes.get(self.first_cause, ""),
            trip_ns=self.trip_ns,
        )

    def waiting_for(self) -> tuple[str, ...]:
        """Return what keeps the state in STARTUP, or what a latched stop waits for."""
        if self.state is StopState.READY:
            conditions = self._conditions
            put_off = (self._put_off[0],) if self._put_off[0] else ()
            return (*conditions.silent_clock(), *conditions.wrong_parameters(), *put_off)
        missing = self._missing()
        if self.restored and self.state is StopState.STOPPED_LATCHED:
            return (*missing, f"a person: {self.causes.get('restarted', '')}; call ~/reset")
        return missing

    def _missing(self) -> tuple[str, ...]:
        """Return what keeps the state in STARTUP, or blocks a reset."""
        if self.state in (StopState.READY, StopState.STOPPING):
            return ()
        return self._conditions.missing()

    def stop_inputs(self, now: Now) -> StopInputs:
        """Return what the stop goes by."""
        return self._view.stop_inputs(now, stepped="clock_step" in self.causes)

    # -- what people ask for ---------------------------------------------------------------------

    def request_stop(self, detail: str, now: Now) -> tuple[bool, str]:
        """Stop and latch; return as `Monitor.request_stop`."""
        if self._in_fault:
            return False, self._stop_in_fault(now)
        self.trip("operator", detail, now)
        if self._in_fault:
            return False, "FAULT: the stop could not be shown to work"
        return True, f"{self.state.name}: first cause {self.first_cause}"

    def request_reset(self, now: Now) -> tuple[bool | None, str]:
        """Leave the latch, if nothing speaks against it; return as `Monitor.request_reset`."""
        if self.state is StopState.FAULT:
            return self._leave_fault()
        if self.state is not StopState.STOPPED_LATCHED:
            return False, f"{self.state.name}: there is nothing to reset"
        if self._reset_deadline_ns is not None:
            return False, "STOPPED_LATCHED: a reset is under way"
        missing = self._missing()
        if missing:
            return False, f"STOPPED_LATCHED: waiting for {'; '.join(missing)}"
        if self._stop.lock is not Lock.OPEN:
            self._stop.unlock()
            timeout_ns = nanoseconds(self._reset_timeout_s)
            self._reset_deadline_ns = self._view.clock.now_ns + timeout_ns
            return None, "the controller is being activated"
        self._reset(now)
        return True, "READY"

    def restore(self, detail: str, *, locked_out: bool, now: Now) -> None:
        """Begin latched; arguments as `Monitor.restore`."""
        self.restored = True
        self._stop.restore(self._view.clock.now_ns, locked_out=locked_out)
        self.trip("restarted", detail, now)

    # -- findings --------------------------------------------------------------------------------

    def internal_error(self, detail: str, now: Now) -> None:
        """Stop the arm for an exception. It must not fail, whatever was left half done."""
        self._errors += 1
        detail = detail[:LONGEST_LINE]
        try:
            self.trip("internal_error", detail, now)
            if self._errors > _MOST_ERRORS and self._stop.phase is StopPhase.STOPPING:
                self._stop.fail(f"the monitor is wrong itself: {detail}", self.stop_inputs(now))
                self.follow_stop()
        except Exception as error:
            text = f"the monitor is wrong itself: {detail}; then {type(error).__name__}: {error}"
            if not self._stop.failed:
                self._stop.fail(text, self._view.blind(now))
            self.state = StopState.FAULT
            self._out.changed = True

    def trip_all(self, found: list[tuple[str, str]], now: Now) -> None:
        """Let findings stop the arm, except before there is anything to stop."""
        for name, detail in found:
            detector = self._detectors.by_name[name]
            if self.state is StopState.STARTUP or not detector.trips:
                continue
            if detector.waits_at_rest and self._nothing_moves:
                self._wait_for(name, detail)
            else:
                self.trip(name, detail, now)

    def trip_one(self, name: str, detail: str, now: Now) -> bool:
        """Let a finding stop the arm; return whether there is none."""
        if detail:
            self.trip_all([(name, detail)], now)
        return not detail

    def trip(self, name: str, detail: str, now: Now) -> None:
        """Stop the arm and latch; it stays latched whatever reset is under way."""
        if self._reset_deadline_ns is not None and name in _END_A_RESET:
            self.fail_reset(f"the reset is given up for {name}: {detail[:LONGEST_LINE]}")
        if name in self.causes:
            return
        detail = detail[:LONGEST_LINE]
        self.causes[name] = detail
        self._out.changed = True
        if len(self.causes) == 1:
            self.trip_ns = now.ros_ns
        self._out.log(LogLevel.ERROR, f"{name}: {detail}")
        if self.state in (StopState.STARTUP, StopState.READY):
            self._meter.intervenes(self._view.clock.now_ns, f"stopped: {name}")
            self._stop.begin(self.stop_inputs(now))
            self.follow_stop()

    @property
    def _in_fault(self) -> bool:
        return self.state is StopState.FAULT

    @property
    def _nothing_moves(self) -> bool:
        view = self._view
        return self.state is StopState.READY and view.nothing_runs and not view.seen_moving

    def _wait_for(self, name: str, detail: str) -> None:
        """Let plans wait until a finding has passed. Should something move before, it trips."""
        text = f"{name}: {detail}"[:LONGEST_LINE]
        if not self._put_off[0]:
            self._out.log(
                LogLevel.WARN, f"{text}; nothing moves, so plans wait until it has passed"
            )
            self._out.changed = True
        self._put_off = text, self._view.clock.now_ns + CALM_NS

    def end_wait(self) -> None:
        """Let plans pass again, once what they waited for is over for long enough."""
        if self._put_off[0] and self._view.clock.now_ns >= self._put_off[1]:
            self._put_off = "", 0
            self._out.log(LogLevel.INFO, "plans are forwarded again")
            self._out.changed = True

    # -- the stop --------------------------------------------------------------------------------

    def on_cycle(self, now: Now) -> None:
        """Look at what the controller does with an arm that was stopped."""
        if self.state is not StopState.READY:
            self._stop.watch(self.stop_inputs(now))

    def on_result(self, result: CallResult, now: Now) -> bool:
        """Take in what came of a call; return whether a reset waits for its result."""
        self._stop.answer(result, self.stop_inputs(now))
        self.follow_stop()
        return self._reset_deadline_ns is not None

    def move_on(self, now: Now) -> None:
        """Do what is due after an input or a tick."""
        if self.state is StopState.READY:
            return
        if self._stop.phase is StopPhase.STOPPING:
            self._stop.advance(self.stop_inputs(now))
        self.follow_stop()
        if self.state is StopState.STARTUP and not self.waiting_for():
            self._enter_ready("all inputs are there", now)
        elif self._reset_deadline_ns is not None:
            self._advance_reset(self._reset_deadline_ns, now)

    def follow_stop(self) -> None:
        """Enter the state that the stop is in."""
        state = StopState.FAULT if self._stop.failed else _STATES.get(self._stop.phase)
        if state is not None:
            self._enter(state)

    def _enter(self, state: StopState) -> None:
        if state is not self.state:
            self._out.log(LogLevel.INFO, f"{self.state.name} -> {state.name}")
            self.state = state
            self._out.changed = True
            if state is not StopState.STOPPED_LATCHED and self._reset_deadline_ns is not None:
                self.fail_reset(f"the state is {state.name}")

    def _stop_in_fault(self, now: Now) -> str:
        """Try everything once more; return what was done, in words."""
        inputs = self.stop_inputs(now)
        if self._stop.phase is StopPhase.STOPPING:
            done = "what can be tried is being tried already"
        else:
            self._stop.begin(inputs)
            done = "everything is tried once more; rung_log in ~/state says what comes of it"
            if not self._stop.heard:
                self._stop.fail("nothing was ever heard of the controller", inputs)
                done = "the controller's deactivation and the driver's hold are asked for"
        self._out.log(LogLevel.ERROR, f"asked to stop in FAULT: {done}")
        return (
            f"FAULT: a stop could not be shown to work ({self.first_cause}), and this one is "
            f"not promised either: {done}. Cut the power if the arm moves"
        )

    # -- the way back ----------------------------------------------------------------------------

    def _leave_fault(self) -> tuple[bool, str]:
        """Go from FAULT to STOPPED_LATCHED where all is seen to be well; return what became."""
        missing = self._missing()
        if self._stop.phase is StopPhase.STOPPING:
            missing = ("the stop that is being tried", *missing)
        if missing:
            return False, f"FAULT: waiting for {'; '.join(missing)}"
        self._stop.recover()
        self._errors = 0
        self.follow_stop()
        return True, "STOPPED_LATCHED: out of FAULT, at rest; call ~/reset once more to be READY"

    def _advance_reset(self, deadline_ns: int, now: Now) -> None:
        """Finish a reset once the activated controller is heard, or give it up."""
        if self._stop.lock is Lock.OPEN and not self._missing():
            self._reset_deadline_ns = None
            self._reset(now)
            self._out.reset = ResetVerdict(True, "READY")
        elif self._view.clock.now_ns >= deadline_ns:
            waiting = "; ".join(self._missing()) or "the controller manager's answer"
            self.fail_reset(f"waited {self._reset_timeout_s:g} s for {waiting}")

    def fail_reset(self, why: str) -> None:
        """Give up a reset that is under way."""
        self._reset_deadline_ns = None
        self._out.reset = ResetVerdict(False, f"{self.state.name}: {why}")
        if self.state is StopState.STOPPED_LATCHED:
            self._stop.lock_again()

    def _reset(self, now: Now) -> None:
        causes = ", ".join(self.causes)
        self.causes.clear()
        self.trip_ns = 0
        self._errors = 0
        self.restored = False
        self._stop.clear()
        self._enter_ready(f"reset after {causes}", now)

    def _enter_ready(self, why: str, now: Now) -> None:
        self._begin_anew(now)
        self._detectors.clear()
        self._put_off = "", 0
        self._enter(StopState.READY)
        self._out.log(LogLevel.INFO, f"plans are forwarded: {why}")
