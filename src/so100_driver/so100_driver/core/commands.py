# SPDX-License-Identifier: Apache-2.0
"""What the controllers command, which of it the arm follows, and what is refused.

A host that stalls leaves a gap in the commands, and the controllers have moved on meanwhile. The
next command may be off by as much as they can have moved: else the arm would hold for good while
they go on. Commands that jump are told from that by those before them, refused ones too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .approach import OfferedCommand
from .gate import CommandGate, CommandRefusedError
from .orders import ArmLimits
from .scale import JointScale


class Commands:
    """Keeps what was commanded. Times are steady, in s.

    Attributes:
        offered: What is commanded, followed or not.
        target_rad: The command that is followed; None where none is.
        refused: How many were.
        last_refusal: Why the last one was; empty once one is followed.
    """

    def __init__(self, scales: Mapping[str, JointScale], limits: ArmLimits) -> None:
        """Begin without a command."""
        self.offered = OfferedCommand(limits.still_s, limits.command_timeout_s)
        self.target_rad: dict[str, float] | None = None
        self.refused = 0
        self.last_refusal = ""
        self._gate, self._limits = CommandGate(scales, limits.gate), limits
        self._followed_s = self._newest_s = 0.0
        self._newest_rad: dict[str, float] | None = None
        self._jumped = False

    def offer(self, names: Sequence[str], positions: Sequence[float], now_s: float) -> bool:
        """Take a command that may be followed; return whether it says what the last one said.

        Raises:
            CommandRefusedError: The arm cannot be there at all.
        """
        command = self._gate.possible(names, positions)
        if self._newest_rad is not None:
            grown = self._within(now_s - self._newest_s)
            step = self._limits.gate.largest_step_rad
            self._jumped |= not all(
                abs(command[name] - at) <= step + grown[name]
                for name, at in self._newest_rad.items()
            )
        self._newest_rad, self._newest_s = command, now_s
        return self.offered.take(command, now_s)

    def follow(self, measured_rad: Mapping[str, float], now_s: float, *, waits: bool) -> str:
        """Follow what was offered last.

        Args:
            measured_rad: Where the joints are.
            now_s: When it came.
            waits: The arm holds, and a command near its pose is followed in any case.

        Returns:
            What is made up for, in words; empty where it is nothing.

        Raises:
            CommandRefusedError: It is not followed.
        """
        command = self._newest_rad
        assert command is not None
        gap_s = now_s - self._followed_s
        words = ""
        known = self._limits.gate.gap_s
        if not waits:
            self._gate.check(command, measured_rad, self.target_rad, self._grown(gap_s))
        elif self.target_rad is None or self._jumped or not (0.0 <= gap_s <= known):
            self._gate.check(command, measured_rad)
        else:
            try:
                self._gate.check(command, measured_rad, self.target_rad, self._grown(gap_s))
            except CommandRefusedError:
                self._gate.check(command, measured_rad)
        if self.target_rad is not None:
            behind = max(abs(at - self.target_rad[name]) for name, at in command.items())
            if behind > self._limits.gate.largest_step_rad:
                words = f"no command for {gap_s:.2f} s: the arm catches up, by {behind:.2f} rad"
        self.target_rad, self._followed_s = dict(command), now_s
        self._jumped, self.last_refusal = False, ""
        return words

    def refuse(self, reason: str) -> str:
        """Count a refusal; return its reason."""
        self.refused += 1
        self.last_refusal = reason
        return reason

    def arrived(self, now_s: float) -> None:
        """Be told that the arm is where it is commanded, and follows from there."""
        self.target_rad, self._followed_s = dict(self.offered.rad), now_s

    def forget(self) -> None:
        """Follow nothing; the next command to be followed lies near the pose."""
        self.target_rad = None

    def overdue(self, now_s: float) -> bool:
        """Return whether there was no command to follow for too long."""
        return not (now_s - self._followed_s <= self._limits.command_timeout_s)

    def _grown(self, gap_s: float) -> Mapping[str, float]:
        return self._within(0.0 if self._jumped else gap_s)

    def _within(self, seconds: float) -> Mapping[str, float]:
        """Return how far each joint's controller moves in this time at the most, rad."""
        speeds = self._limits.velocity_rad_s
        return {name: speed * max(0.0, seconds) for name, speed in speeds.items()}
