# SPDX-License-Identifier: Apache-2.0
"""Where each joint of an arm is led, and which goal keeps it where it is.

A joint hangs a little below its goal. Taking where it is for its new goal would let it sink by
that much each time, and an arm that is held again and again would creep.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from .bending import Bending
from .hearing import Hearing
from .orders import ArmLimits
from .pursuit import Pursuit
from .registers import RAD_PER_TICK, STS3215
from .scale import JointScale
from .state import DriveSettings

# A joint that hangs so near where it hung has not sunk.
_SAME_RAD = 0.01
# A goal that is behind what is commanded gains on it: so much of its joint's limits it may use.
_CATCH_UP = 1.25
_CATCH_UP_ACCELERATION = 2.0
# A cycle that came later than this after the one before moves no goal further.
_LONGEST_S = 0.05


class ArmGoals:
    """Keeps the goal of every joint.

    Attributes:
        rad: ArmGoals by joint; none of those whose torque was never asked for.
        unknown: What these keep as their goal is not known: they fell silent while goals changed.
        withheld: These are told no goal, and theirs stays where it is.
    """

    def __init__(
        self, scales: Mapping[str, JointScale], limits: ArmLimits, hearing: Hearing
    ) -> None:
        """Begin without goals."""
        self.rad: dict[str, float] = {}
        self.unknown: set[str] = set()
        self.withheld: set[str] = set()
        self._scales, self._limits, self._hearing = scales, limits, hearing
        self._bending = Bending(limits.sag_rad_nm, limits.play_rad, limits.trim_rad)
        self._pursuits = {name: Pursuit() for name in scales}
        # How far above where it stood each joint's goal was, when it was last seen to hold.
        self._hung: dict[str, float] = {}
        # By what its goal was moved to have a servo forget its faults.
        self._nudged: dict[str, float] = {}

    def ticks(self) -> dict[int, int]:
        """Return what each servo whose goal is known is told, ticks by servo."""
        bends = self._bends()
        return {
            self._scales[name].servo_id: self._in_ticks(name, bends)
            for name in self.rad
            if name not in self.unknown and name not in self.withheld
        }

    def ticks_of(self, name: str) -> int:
        """Return what a joint's servo is told, ticks."""
        return self._in_ticks(name, self._bends())

    def lead(self, target_rad: Mapping[str, float], since_s: float) -> None:
        """Move every joint's goal to what was commanded, as fast as a controller may move it.

        Args:
            target_rad: What was commanded.
            since_s: For how long the goals have been what they are.
        """
        for name in self.unknown:
            self.rad[name] = self._hearing.standing(name)
        self.unknown.clear()
        for name, angle in target_rad.items():
            self._towards(name, angle, self._limits.velocity_rad_s[name], since_s)
        # What a gripper is held off by is what it holds.
        arm = {name: angle for name, angle in target_rad.items() if name != "gripper"}
        still = {name: self._hearing.standing(name) for name in arm if self._still(name)}
        self._bending.look(arm, still, min(max(since_s, 0.0), _LONGEST_S))

    def slowly_to(self, target_rad: Mapping[str, float], since_s: float) -> list[str]:
        """Move goals slowly; return the joints whose goals are not there yet."""
        speed = self._limits.lowering_rad_s / _CATCH_UP
        return [
            name
            for name, angle in target_rad.items()
            if not self._towards(name, angle, speed, since_s)
        ]

    def rest(self) -> None:
        """Be told that no goal is being moved."""
        for pursuit in self._pursuits.values():
            pursuit.rest()

    def _towards(self, name: str, angle: float, rad_s: float, since_s: float) -> bool:
        """Move one goal; return whether it has arrived."""
        pursuit = self._pursuits[name]
        if name in self.withheld:
            return False
        self.rad[name], there = pursuit.step(
            self.rad[name],
            angle,
            min(max(since_s, 0.0), _LONGEST_S),
            _CATCH_UP * rad_s,
            _CATCH_UP_ACCELERATION * self._limits.acceleration_rad_s2.get(name, math.inf),
        )
        return there

    def stop(self, name: str) -> None:
        """Hold a joint: keep its goal where it has arrived, else take where it is."""
        angle = self._hearing.measured(name)
        goal = self.rad.get(name, angle)
        arrived = self._still(name) and self._near_enough(goal - angle)
        self.rad[name] = goal if arrived else angle

    def stay(self, name: str) -> None:
        """Give a joint the goal with which it stays where it is, or leave the one it has.

        Its old goal would have it jump back by what it sank without torque.
        """
        goal = self._hearing.standing(name) + self._hung.get(name, 0.0)
        if not (abs(goal - self.rad[name]) <= _SAME_RAD):
            self.rad[name] = goal

    def nudge(self, name: str) -> None:
        """Have a servo forget its faults, as it does with a new goal: a tick, to and fro.

        Always the same way, an arm that is cleared again and again would creep.
        """
        by = -self._nudged.pop(name, 0.0)
        if not by:
            by = -math.copysign(RAD_PER_TICK, self._hearing.states[name].load)
            self._nudged[name] = by
        self.stay(name)
        self.rad[name] += by

    def take_kept(self, name: str, settings: DriveSettings) -> None:
        """Take the goal that a servo says it keeps, if that is near where it stands."""
        goal = self._scales[name].radians(settings.goal) + self._bends().get(name, 0.0)
        at = self._hearing.standing(name)
        self.rad[name] = goal if self._near_enough(goal - at) else at
        self.unknown.discard(name)

    def note_how_it_hangs(self, name: str) -> None:
        """Remember how far below its goal a joint hangs that holds."""
        hung = self.rad.get(name, math.inf) - self._hearing.standing(name)
        if self._still(name) and self._near_enough(hung):
            self._hung[name] = hung

    def _still(self, name: str) -> bool:
        return abs(self._hearing.velocity(name)) <= self._limits.protection.still_rad_s

    def _near_enough(self, distance_rad: float) -> bool:
        return abs(distance_rad) <= self._limits.gate.first_distance_rad

    def _in_ticks(self, name: str, bends: Mapping[str, float]) -> int:
        scale, angle = self._scales[name], self.rad[name]
        largest = STS3215["Goal_Position"].largest
        # A correction presses no joint against its end; one that was pushed beyond stays there.
        low, high = min(scale.lower_rad, angle), max(scale.upper_rad, angle)
        led = max(low, min(high, angle - bends.get(name, 0.0)))
        return max(0, min(largest, scale.ticks(led)))

    def _bends(self) -> Mapping[str, float]:
        """Return by how much less than its link each servo is to be led, rad."""
        return self._bending.bends({**self._hearing.measured_rad, **self.rad})
