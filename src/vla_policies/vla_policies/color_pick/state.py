# SPDX-License-Identifier: Apache-2.0
"""What the policy sees, remembers and decides."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from vla_policies.color_pick import motion, vision

Array = NDArray[np.float64]


class PickPhase(str, Enum):
    """What the policy is doing, as it says in its chunks."""

    SEARCH = "search"
    APPROACH = "approach"
    DESCEND = "descend"
    GRASP = "grasp"
    LIFT = "lift"
    CARRY = "carry"
    RELEASE = "release"
    HOME = "home"
    DONE = "done"


class PickIntent(Enum):
    """What the policy is about to do, over several chunks."""

    FETCH = "fetch"
    BRING = "bring"
    LET_GO = "let go"
    RETURN = "return"


@dataclass
class PickMemory:
    """All that is kept between observations."""

    intent: PickIntent | None = None
    since_ns: int = 0  # of the intent
    closed: bool = False  # the jaws, around a cube or nothing
    cube: vision.Sighting | None = None
    over_bin: motion.HandGoal | None = None
    unseen_since_ns: int | None = None
    low_since_ns: int = 0
    opening: float = math.nan
    stamp_ns: int = 0
    chunk: Array | None = None
    trail: list[tuple[int, Array]] = field(default_factory=list)  # where the chunks led, and when

    def turn_to(self, intent: PickIntent, now_ns: int) -> None:
        """Begin with an intent."""
        self.intent, self.since_ns, self.closed = intent, now_ns, False
        if intent is PickIntent.BRING:
            self.over_bin = None


@dataclass(frozen=True)
class PickDecision:
    """Where to go next, and what it is called."""

    phase: PickPhase
    goal: motion.HandGoal
    gripper: float


@dataclass(frozen=True, eq=False)
class PickView:
    """One observation, understood."""

    now_ns: int
    joints: Array
    opening: float
    here: Array
    image: NDArray[np.uint8]
    colour: str
