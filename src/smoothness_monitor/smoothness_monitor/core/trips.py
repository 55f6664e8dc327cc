# SPDX-License-Identifier: Apache-2.0
"""The state machine: findings trip the stop, the stop latches, a reset leads back to READY."""

from __future__ import annotations

from node_kit.log import LogLevel
from smooth_motion.clocks import Now
from smoothness_monitor.core.detectors import (
    LONGEST_LINE,
)
from smoothness_monitor.core.readout import Readout
from smoothness_monitor.core.stop import Lock, StopPhase
from smoothness_monitor.core.types import (
    MonitorOutputs,
    ResetVerdict,
    StopState,
    nanoseconds,
)

# So many callbacks may end in an exception while the arm is being stopped; then only what needs no
# arithmetic is tried.
_MOST_ERRORS = 10
# After what makes plans wait has passed, they wait for so long still.
CALM_NS = 1_000_000_000
_STATES = {
    StopPhase.STOPPING: StopState.STOPPING,
    StopPhase.LATCHED: StopState.STOPPED_LATCHED,
    StopPhase.FAILED: StopState.FAULT,
}


class Trips(Readout):
    """From a finding to the latched stop, and back by a reset."""

    @property
    def _in_fault(self) -> bool:
        return self.state is StopState.FAULT

    def request_stop(self, detail: str, now: Now) -> tuple[bool, str, MonitorOutputs]:
        """Stop and latch, as somebody asks. In FAULT everything is tried once more.

        Returns:
            Whether the stop is under way or done, what happens in words, and what to send.
        """
        if self._in_fault:
            return False, self._stop_in_fault(now), self._out.take()
        self._trip("operator", detail, now)
        if self._in_fault:
            return False, "FAULT: the stop could not be shown to work", self._out.take()
        return True, f"{self.state.name}: first cause {self._first_cause()}", self._out.take()

    def request_reset(self, now: Now) -> tuple[bool | None, str, MonitorOutputs]:
        """Leave the latch, if nothing speaks against it. Sends nothing: the arm does not move.

        Returns:
            Whether it is READY now (out of FAULT: STOPPED_LATCHED), or None while the controller
            is being activated: then an output's `reset` says it later. Why not in words, and what
            to send.
        """
        if self.state is StopState.FAULT:
            return (*self._leave_fault(), self._out.take())
        if self.state is not StopState.STOPPED_LATCHED:
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

    def restore(self, detail: str, *, locked_out: bool, now: Now) -> MonitorOutputs:
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

    def on_internal_error(self, detail: str, now: Now) -> MonitorOutputs:
        """Take in that a callback ended in an exception; the arm is stopped for it.

        Nothing is known of what the callback left undone, so that this must not fail.
        """
        self._errors += 1
        detail = detail[:LONGEST_LINE]
        try:
            self._trip("internal_error", detail, now)
            if self._errors > _MOST_ERRORS and self._stop.phase is StopPhase.STOPPING:
                self._stop.fail(f"the monitor is wrong itself: {detail}", self._stop_inputs(now))
                self._follow_stop()
        except Exception as error:
            text = f"the monitor is wrong itself: {detail}; then {type(error).__name__}: {error}"
            if not self._stop.failed:
                self._stop.fail(text, self._blind(now))
            self.state = StopState.FAULT
            self._out.changed = True
        return self._out.take()

    def _trip_all(self, found: list[tuple[str, str]], now: Now) -> None:
        """Let findings stop the arm, except before there is anything to stop."""
        for name, detail in found:
            detector = self.detectors.by_name[name]
            if self.state is StopState.STARTUP or not detector.trips:
                continue
            if detector.waits_at_rest and self._nothing_moves and not self._seen_moving:
                self._wait_for(name, detail)
            else:
                self._trip(name, detail, now)

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
        self._out.log(LogLevel.ERROR, f"{name}: {detail}")
        if self.state in (StopState.STARTUP, StopState.READY):
            self._meter.intervenes(self._clock.now_ns, f"stopped: {name}")
            self._stop.begin(self._stop_inputs(now))
            self._follow_stop()

    def _wait_for(self, name: str, detail: str) -> None:
        """Let plans wait until a finding has passed. Should something move before, it trips."""
        text = f"{name}: {detail}"[:LONGEST_LINE]
        if not self._put_off[0]:
            self._out.log(
                LogLevel.WARN, f"{text}; nothing moves, so plans wait until it has passed"
            )
            self._out.changed = True
        self._put_off = text, self._clock.now_ns + CALM_NS

    def _stop_in_fault(self, now: Now) -> str:
        """Try everything once more; return what was done, in words."""
        inputs = self._stop_inputs(now)
        if self._stop.phase is StopPhase.STOPPING:
            done = "what can be tried is being tried already"
        else:
            self._stop.begin(inputs)
            done = "everything is tried once more; rung_log in ~/state says what comes of it"
            if self.tracker.running is None:
                self._stop.fail("nothing was ever heard of the controller", inputs)
                done = "the controller's deactivation and the driver's hold are asked for"
        self._out.log(LogLevel.ERROR, f"asked to stop in FAULT: {done}")
        return (
            f"FAULT: a stop could not be shown to work ({self._first_cause()}), and this one is "
            f"not promised either: {done}. Cut the power if the arm moves"
        )

    def _leave_fault(self) -> tuple[bool, str]:
        """Go from FAULT to STOPPED_LATCHED where all is seen to be well; return what became."""
        missing = self._missing()
        if self._stop.phase is StopPhase.STOPPING:
            missing = ("the stop that is being tried", *missing)
        if missing:
            return False, f"FAULT: waiting for {'; '.join(missing)}"
        self._stop.recover()
        self._errors = 0
        self._follow_stop()
        return True, "STOPPED_LATCHED: out of FAULT, at rest; call ~/reset once more to be READY"

    def _move_on(self, now: Now) -> None:
        """Do what is due after an input or a tick."""
        if self.state is StopState.READY:
            return
        if self._stop.phase is StopPhase.STOPPING:
            self._stop.advance(self._stop_inputs(now))
        self._follow_stop()
        if self.state is StopState.STARTUP and not self.waiting_for():
            self._enter_ready("all inputs are there", now)
        elif self._reset_deadline_ns is not None:
            self._advance_reset(self._reset_deadline_ns, now)

    def _follow_stop(self) -> None:
        state = StopState.FAULT if self._stop.failed else _STATES.get(self._stop.phase)
        if state is not None:
            self._enter(state)

    def _enter(self, state: StopState) -> None:
        if state is not self.state:
            self._out.log(LogLevel.INFO, f"{self.state.name} -> {state.name}")
            self.state = state
            self._out.changed = True
            if state is not StopState.STOPPED_LATCHED and self._reset_deadline_ns is not None:
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
        if self.state is StopState.STOPPED_LATCHED:
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
        cycle = self.tracker.cycle
        assert cycle is not None
        # An arm that woke up outside of its range may return, and go no further out.
        self._limits = self.robot.limits.widened_to(cycle.position)
        self.detectors.command_position.limits = self._limits
        self.detectors.clear()
        self._put_off = "", 0
        self.tracker.rebase()
        self._meter.ends(self._clock.now_ns, self._slowdown.deviation)
        self._meter.permitted(self._clock.now_ns)
        self._slowdown.clear()
        self._ready_ns = now.ros_ns
        self._waiting = None
        self._enter(StopState.READY)
        self._out.log(LogLevel.INFO, f"plans are forwarded: {why}")
