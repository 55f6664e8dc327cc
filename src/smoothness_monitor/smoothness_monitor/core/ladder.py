# SPDX-License-Identifier: Apache-2.0
"""One stop, rung by rung: when to do more, and when the arm counts as stopped.

Every rung must be seen to work; what is not seen leads to the next one. Times are of the monitor's
own clock, which is steady and in which its stalls do not count.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from smooth_motion import Plan
from smoothness_monitor.core.types import Rung


class LadderAction(enum.Enum):
    """What a stop needs next."""

    NOTHING = "nothing"
    RESEND = "the brake once more"
    BRAKE_AS_GOAL = "the brake as an action goal"
    DEACTIVATE = "the controller's deactivation"
    DRIVER_HOLD = "the driver's hold"
    LATCH = "nothing more: the arm stands"
    GIVE_UP = "a person"


@dataclass(frozen=True)
class LadderTimes:
    """When the next rung is due.

    Attributes:
        resend_ns: From the brake to its second copy.
        goal_ns: From the brake to the same trajectory as an action goal.
        grace_ns: From the brake's end to the controller's deactivation.
        rung_ns: That the deactivation, and then the driver's hold, may take.
    """

    resend_ns: int
    goal_ns: int
    grace_ns: int
    rung_ns: int


@dataclass(frozen=True)
class StopFindings:
    """What is known of the arm.

    Attributes:
        runs: The controller runs the brake.
        reference_rests: Its reference stands still.
        joints_rest: The measured joints stand, by fresh measurements.
    """

    runs: bool
    reference_rests: bool
    joints_rest: bool


class Ladder:
    """The rungs of one stop.

    Attributes:
        plan: The trajectory that stops the arm; None when none exists.
        rung: The rung that it is on.
        has_run: The controller has been heard to run the plan.
        why: Why the last rung was left.
    """

    def __init__(
        self, plan: Plan | None, times: LadderTimes, *, now_ns: int, lasts_ns: int
    ) -> None:
        """Begin on the first rung.

        Args:
            plan: The brake, just sent; None when none exists.
            times: When the next rung is due.
            now_ns: The monitor's own clock.
            lasts_ns: From now to the brake's end.
        """
        self.plan = plan
        self.rung = Rung.BRAKE
        self.has_run = False
        self.why = ""
        self._times = times
        self._began_ns = now_ns
        self._deadline_ns = now_ns + (0 if plan is None else lasts_ns + times.grace_ns)
        self._resent = False
        self._answer: bool | None = None

    def answer(self, done: bool) -> None:
        """Take in whether the deactivation, or the driver's hold, was carried out."""
        self._answer = done

    def step(
        self, now_ns: int, findings: StopFindings, *, late_ns: int = 0, way_ns: int = 0
    ) -> LadderAction:
        """Move on; call it until it returns NOTHING, LATCH or GIVE_UP.

        Args:
            now_ns: The monitor's own clock.
            findings: What is known of the arm.
            late_ns: How long ago that was.
            way_ns: How long a trajectory is on its way before the arm can do what it says.
        """
        since_ns = now_ns - self._began_ns
        now_ns -= late_ns
        self.has_run = self.has_run or findings.runs
        if self._stands(findings):
            return LadderAction.LATCH
        if self.rung <= Rung.BRAKE_AS_GOAL:
            if now_ns >= self._deadline_ns:
                return self._deactivate(now_ns, self._missing(findings))
            if self.has_run:
                return LadderAction.NOTHING
            # The splice is still ahead, so neither a second copy nor the goal can step.
            if not self._resent and since_ns >= self._times.resend_ns:
                self._resent = True
                return LadderAction.RESEND
            unheard_ns = since_ns - late_ns - way_ns
            if self.rung is Rung.BRAKE and unheard_ns >= self._times.goal_ns:
                self.rung = Rung.BRAKE_AS_GOAL
                self.why = "the controller does not run the brake"
                return LadderAction.BRAKE_AS_GOAL
            return LadderAction.NOTHING
        if self.rung is Rung.CONTROLLER_OFF:
            refused = self._answer is False
            if refused or now_ns >= self._deadline_ns:
                self.why = "it was not deactivated" if refused else self._missing(findings)
                return self._next(Rung.DRIVER_HOLD, now_ns, LadderAction.DRIVER_HOLD)
            return LadderAction.NOTHING
        if now_ns >= self._deadline_ns:
            self.why = self._missing(findings)
            return LadderAction.GIVE_UP
        return LadderAction.NOTHING

    def lock(self, now_ns: int, why: str) -> LadderAction:
        """Go to the controller's deactivation at once, unless the ladder is there already."""
        if self.rung >= Rung.CONTROLLER_OFF:
            return LadderAction.NOTHING
        return self._deactivate(now_ns, why)

    def _stands(self, findings: StopFindings) -> bool:
        if not findings.joints_rest:
            return False
        braked = findings.runs and findings.reference_rests
        return braked or (self.rung >= Rung.CONTROLLER_OFF and self._answer is True)

    def _missing(self, findings: StopFindings) -> str:
        """Say what keeps the arm from counting as stopped."""
        if self.rung <= Rung.BRAKE_AS_GOAL and not findings.runs:
            return "the controller does not run the brake trajectory"
        if self.rung <= Rung.BRAKE_AS_GOAL and not findings.reference_rests:
            return "the controller's reference did not come to rest"
        if not findings.joints_rest:
            return "the joints are not seen to stand still"
        return "the arm stands, but nothing keeps it there"

    def _deactivate(self, now_ns: int, why: str) -> LadderAction:
        self.why = why
        return self._next(Rung.CONTROLLER_OFF, now_ns, LadderAction.DEACTIVATE)

    def _next(self, rung: Rung, now_ns: int, action: LadderAction) -> LadderAction:
        self.rung, self._answer = rung, None
        self._deadline_ns = now_ns + self._times.rung_ns
        return action
