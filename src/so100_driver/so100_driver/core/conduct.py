# SPDX-License-Identifier: Apache-2.0
"""What an arm does at present, how it goes over to something else, and what it says of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .commands import Commands
from .goals import ArmGoals
from .health import HealthLevel
from .hearing import Hearing
from .orders import ArmEvent, ArmLimits, ArmMode, Orders, Write
from .protection import ArmProtection
from .scale import JointScale
from .state import DriveSettings

ACCELERATION = 254
# The arm moves.
MOVING = (ArmMode.FOLLOWING, ArmMode.LOWERING, ArmMode.APPROACHING)


class Conduct:
    """Keeps what the arm does, and what its servos are to be told.

    Attributes:
        mode: What it does.
        reason: Why.
        hearing: What the servos said.
        goals: Where each joint is led.
        commands: What the controllers command.
        protection: With how much of its torque each joint may push.
        writes: Go to the servos in this cycle.
        ordered: What was read of these is from before their orders.
        kept: What each servo was last seen to keep of its orders; none that has new ones.
    """

    def __init__(self, scales: Mapping[str, JointScale], limits: ArmLimits) -> None:
        """Begin with the torque off."""
        self.scales, self.limits = scales, limits
        self.mode = ArmMode.OFF
        self.reason = ""
        self.hearing = Hearing(scales, limits.stale_s)
        self.goals = ArmGoals(scales, limits, self.hearing)
        self.commands = Commands(scales, limits)
        self.protection = ArmProtection(scales, limits.protection, limits.gripper_torque)
        self.writes: list[Write] = []
        self.ordered: set[str] = set()
        self.kept: dict[str, DriveSettings] = {}
        self._events: list[ArmEvent] = []

    def take_events(self) -> list[ArmEvent]:
        """Return what happened since the last call."""
        events, self._events = self._events, []
        return events

    def orders(self) -> Orders:
        """Return what the servos are told in this cycle."""
        writes, self.writes = tuple(self.writes), []
        self.ordered.clear()
        return Orders(writes, {} if self.mode is ArmMode.OFF else self.goals.ticks())

    def stand(
        self,
        mode: ArmMode,
        reason: str,
        level: HealthLevel,
        but: Sequence[str] = (),
        *,
        gap: bool = False,
    ) -> None:
        """Hold every joint where it is; one that stands already keeps its goal, lest it creep."""
        if self.mode in MOVING:
            for name in self.hearing.states:
                if name in but:
                    self.goals.unknown.add(name)
                else:
                    self.goals.stop(name)
        self.enter(mode, reason, level, gap=gap)

    def enter(self, mode: ArmMode, reason: str, level: HealthLevel, *, gap: bool = False) -> None:
        """Do something else from now on, and say so."""
        if mode is self.mode and reason == self.reason:
            return
        if self.mode is ArmMode.HOLDING and mode is ArmMode.HOLDING and self.reason:
            # The first cause is kept; the later ones are said.
            self.say(level, reason)
            return
        self.mode, self.reason = mode, reason
        if mode not in MOVING:
            self.goals.rest()
        if mode is not ArmMode.FOLLOWING and not gap:
            self.commands.forget()
        self.say(level, f"the arm {self.in_words()}")

    def in_words(self) -> str:
        """Return what the arm does and why."""
        return f"{self.mode.value}{f' ({self.reason})' if self.reason else ''}"

    def engage(self, name: str) -> None:
        """Tell a servo its goal, and only then to push."""
        servo_id = self.scales[name].servo_id
        self.ordered.add(name)
        self.kept.pop(name, None)
        self.goals.unknown.discard(name)
        self.writes += [
            Write(servo_id, "Acceleration", ACCELERATION),
            Write(servo_id, "Torque_Limit", self.protection.whole_torque(name)),
            Write(servo_id, "Goal_Position", self.goals.ticks_of(name)),
            Write(servo_id, "Torque_Enable", 1),
        ]

    def say(self, level: HealthLevel, text: str) -> None:
        """Note what a person should read; nothing where there is nothing."""
        if text:
            self._events.append(ArmEvent(level, text))
