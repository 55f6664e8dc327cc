# SPDX-License-Identifier: Apache-2.0
"""What the servos of an arm said, as far as it is believed.

One answer in 256 that is damaged has a checksum that fits. What no servo can have done since its
last answer is not believed, unless it is said again and again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from statistics import median

from .scale import JointScale
from .state import ServoState

_LARGEST_SPEED_RAD_S = 8.0
_SLACK_RAD = 0.1
_SLACK_C = 4.0
_SAID_AGAIN = 5
# Answers are alike that follow each other within this long and this near.
_LATELY_S = 0.3
_ALIKE_RAD = 0.04
# One that cannot be told from a true one is outvoted by so many before it.
_LATEST = 5
# A fault counts once it is reported so often in a row.
_CERTAIN = 2
# So many answers of each servo are heard before the first torque.
SURE = 3


class Hearing:
    """Keeps what each servo last said, and how sure that is.

    Attributes:
        states: What each joint's servo last said that is believed.
        answered: The joints that answered in this cycle.
    """

    def __init__(self, scales: Mapping[str, JointScale], stale_s: float) -> None:
        """Begin with nothing heard.

        Args:
            scales: Every joint's.
            stale_s: After so long without an answer a joint is silent.
        """
        self.states: dict[str, ServoState] = {}
        self.answered: set[str] = set()
        self._scales = scales
        self._stale_s = stale_s
        self._by_id = {scale.servo_id: name for name, scale in scales.items()}
        self._heard_s: dict[str, float] = {}
        self._lately: dict[str, deque[float]] = {name: deque(maxlen=_LATEST) for name in scales}
        self._doubts: dict[str, int] = {}
        self._alike: dict[str, int] = {}
        self._faulty: dict[str, int] = {}

    def joint(self, servo_id: int) -> str | None:
        """Return the joint of a servo; None where it is none of the arm's."""
        return self._by_id.get(servo_id)

    def take(self, states: Mapping[int, ServoState], now_s: float) -> None:
        """Take what was read in a cycle, by servo."""
        self.answered = {self._by_id[number] for number in states if number in self._by_id}
        for servo_id, state in states.items():
            name = self.joint(servo_id)
            if name is not None and self._believed(name, state, now_s):
                self.states[name] = state
                if now_s - self._heard_s.get(name, now_s) > _LATELY_S:
                    self._lately[name].clear()
                self._heard_s[name] = now_s
                self._lately[name].append(self._scales[name].radians(state.position))

    @property
    def doubted(self) -> list[str]:
        """Return the joints whose last answer was not believed."""
        return [name for name, count in self._doubts.items() if count]

    @property
    def measured_rad(self) -> dict[str, float]:
        """Return where each joint was last seen, rad."""
        return {name: self.measured(name) for name in self._scales if name in self.states}

    def measured(self, name: str) -> float:
        """Return where a joint was last seen, rad."""
        return self._scales[name].radians(self.states[name].position)

    def velocity(self, name: str) -> float:
        """Return how fast a joint was when it was last seen, rad/s."""
        return self._scales[name].rad_s(self.states[name].velocity)

    def standing(self, name: str) -> float:
        """Return where a joint was seen lately, rad, so that one damaged answer is outvoted."""
        return median(self._lately[name])

    def seen_enough(self, name: str) -> bool:
        """Return whether a joint was seen often enough lately to say where it stands."""
        return len(self._lately[name]) >= SURE

    def age_s(self, name: str, now_s: float) -> float:
        """Return how long ago a joint's servo answered; infinite where it never has."""
        return now_s - self._heard_s[name] if name in self._heard_s else float("inf")

    def silent(self, now_s: float) -> list[str]:
        """Return the joints that have not answered for too long."""
        return [name for name in self._scales if not (self.age_s(name, now_s) <= self._stale_s)]

    def sure(self, name: str) -> bool:
        """Return whether a joint's servo has answered alike often enough to be given torque."""
        return self._alike.get(name, 0) >= SURE

    def certain_faults(self) -> list[str]:
        """Count this cycle's faults; return the joints that report some again and again."""
        for name in self.answered & self.states.keys():
            faulty = self.states[name].faults
            self._faulty[name] = self._faulty.get(name, 0) + 1 if faulty else 0
        return [name for name in self.states if self._faulty.get(name, 0) >= _CERTAIN]

    def _believed(self, name: str, state: ServoState, now_s: float) -> bool:
        last = self.states.get(name)
        age_s = self.age_s(name, now_s)
        moved = 0.0
        if last is not None:
            moved = abs(self._scales[name].radians(state.position) - self.measured(name))
            within = _LARGEST_SPEED_RAD_S * age_s + _SLACK_RAD
            warmed = abs(state.temperature_c - last.temperature_c)
            if not (moved <= within and warmed <= _SLACK_C):
                self._doubts[name] = self._doubts.get(name, 0) + 1
                self._alike[name] = 0
                if self._doubts[name] < _SAID_AGAIN:
                    return False
        self._doubts[name] = 0
        # After a silence nearly everything is possible, and so nothing is sure.
        alike = age_s <= _LATELY_S and moved <= _ALIKE_RAD
        self._alike[name] = self._alike.get(name, 0) + 1 if alike else 0
        return True
