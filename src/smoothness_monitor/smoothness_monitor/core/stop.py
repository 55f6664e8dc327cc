# SPDX-License-Identifier: Apache-2.0
"""Whether a stop works: the controller runs its trajectory, and the arm comes to stand in time."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from smooth_motion import Plan


class Verdict(enum.Enum):
    """What a running stop needs next."""

    GOES_ON = "goes on"
    RESEND = "resend"
    STANDS = "stands"
    FAILED = "failed"


@dataclass
class StopSequence:
    """One stop, from its trajectory to standstill or to the finding that it failed.

    Times are of the monitor's own clock, in which its stalls do not count.

    Attributes:
        plan: The trajectory that stops the arm.
        resend_ns: When it is published once more if the controller does not run it.
        deadline_ns: When standstill must have been seen.
        has_run: The controller has been heard to run it.
        resent: It was published once more.
    """

    plan: Plan
    resend_ns: int
    deadline_ns: int
    has_run: bool = False
    resent: bool = False

    def step(
        self, now_ns: int, *, runs: bool, reference_rests: bool, measured_rests: bool
    ) -> tuple[Verdict, str]:
        """Move on.

        Args:
            now_ns: The monitor's own clock.
            runs: The controller runs the plan now.
            reference_rests: The reference is at rest.
            measured_rests: The measured joints stand.

        Returns:
            What is needed next, and why if it failed.
        """
        self.has_run = self.has_run or runs
        if runs and reference_rests and measured_rests:
            return Verdict.STANDS, ""
        if now_ns >= self.deadline_ns:
            if not runs:
                return Verdict.FAILED, "the controller does not run the brake trajectory"
            if not reference_rests:
                return Verdict.FAILED, "the controller's reference did not come to rest"
            return Verdict.FAILED, "the joints are not seen to stand still"
        if not self.has_run and not self.resent and now_ns >= self.resend_ns:
            # Its splice is still ahead, so a second copy cannot step either.
            self.resent = True
            return Verdict.RESEND, ""
        return Verdict.GOES_ON, ""
