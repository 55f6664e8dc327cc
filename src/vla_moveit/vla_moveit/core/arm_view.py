# SPDX-License-Identifier: Apache-2.0
"""What is heard of the arm: where it is led, who holds it, whether it may move."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from smooth_motion import State
from smooth_motion.limits import FloatArray

# A controller says where it leads the arm at each of its cycles.
STALE_NS = 1_000_000_000
# A reference that is as slow as this, rad/s, and stays within this, rad, rests. A plan ends
# exactly at rest, but where chunks hold the arm each new one begins with what the last one left.
_REST_RAD_S, _REST_RAD = 2e-3, 5e-4


@dataclass
class ArmView:
    """The newest of each, as the messages said it.

    Attributes:
        led: Where the controller leads the arm; None before it was heard.
        led_ns: When that came, by the clock of the motion.
        holder: Who holds the arm, empty where nobody does.
        lease: By which grant.
        status_ns: ROS time of the status that said so.
        last_end: Who lost the arm last, and why.
        last_refusal: Why the newest chunk of the grant that yielded no plan did not.
        permit: The monitor lets plans through.
        scaling: Share of its speed at which a motion is carried out.
        cause: Why the monitor stopped the arm, or what it waits for.
        rejections: Plans that the monitor has refused, since its start.
        rejection: Why it refused the newest of these.
    """

    led: State | None = None
    led_ns: int = 0
    holder: str = ""
    lease: int = 0
    status_ns: int = 0
    last_end: str = ""
    last_refusal: str = ""
    permit: bool = False
    scaling: float = 1.0
    cause: str = ""
    rejections: int = 0
    rejection: str = ""
    _still: FloatArray = field(default_factory=lambda: np.zeros(0))
    _still_ns: int = 0

    def lead(self, state: State, now_ns: int) -> None:
        """Take in where the controller leads the arm."""
        slow = np.abs(state.velocity).max() <= _REST_RAD_S
        same = (
            self._still.shape == state.position.shape
            and np.abs(self._still - state.position).max() <= _REST_RAD
        )
        if not (slow and same):
            self._still, self._still_ns = state.position, now_ns
        self.led, self.led_ns = state, now_ns

    def stale(self, now_ns: int) -> str:
        """Say what is wrong with what is heard of the controller, empty where nothing is."""
        if self.led is None:
            return "nothing is heard of the arm's controller"
        age_ns = now_ns - self.led_ns
        if not age_ns <= STALE_NS:
            return f"the arm's controller has said nothing for {age_ns / 1e9:.1f} s"
        return ""

    def resting(self, now_ns: int, for_ns: int) -> bool:
        """Whether the arm has been led to one place for so long, by the clock of the motion."""
        return (
            self.led is not None and bool(self._still.size) and now_ns - self._still_ns >= for_ns
        )
