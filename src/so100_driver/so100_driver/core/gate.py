# SPDX-License-Identifier: Apache-2.0
"""Which commands go to the servos: what is refused is refused whole, with one reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .scale import JointScale

# More than a name or two of another robot's is not worth reading.
_LARGEST_COMMAND = 64


@dataclass(frozen=True)
class GateLimits:
    """What a command may ask for.

    Attributes:
        first_distance_rad: How near the pose the first command lies, after which it is followed.
        largest_distance_rad: How far from the measured pose a command may lie.
        largest_step_rad: How far from the command before it.
        gap_s: After so long without commands the next one is a first one.
        beyond_range_rad: How far outside a joint's range: rounding, no more. It is cut off there.
    """

    first_distance_rad: float = 0.1
    largest_distance_rad: float = 0.5
    largest_step_rad: float = 0.15
    gap_s: float = 1.0
    beyond_range_rad: float = 0.002


class CommandRefusedError(Exception):
    """A command is not carried out; one line says why."""


class CommandGate:
    """Looks at each command before it goes to the servos."""

    def __init__(self, scales: Mapping[str, JointScale], limits: GateLimits) -> None:
        self._scales = dict(scales)
        self._limits = limits

    def check(
        self,
        command: Mapping[str, float],
        measured_rad: Mapping[str, float],
        target_rad: Mapping[str, float] | None = None,
        grown_rad: Mapping[str, float] | None = None,
    ) -> None:
        """Hold a possible command against where the arm is and is led.

        Args:
            command: By joint, rad.
            measured_rad: Where they are.
            target_rad: The command that is being followed; None where none is.
            grown_rad: How far each can have been moved since that came.

        Raises:
            CommandRefusedError: It is not carried out.
        """
        reach, whom = (
            (self._limits.first_distance_rad, "the first command")
            if target_rad is None
            else (self._limits.largest_distance_rad, "the command")
        )
        for name, position in command.items():
            distance = position - measured_rad[name]
            if not (abs(distance) <= reach):
                raise CommandRefusedError(
                    f"{whom} is {distance:+.3f} rad from where {name} is "
                    f"({measured_rad[name]:+.3f}); {reach:g} rad at most"
                )
            if target_rad is None:
                continue
            step = position - target_rad[name]
            largest = self._limits.largest_step_rad + (grown_rad or {}).get(name, 0.0)
            if not (abs(step) <= largest):
                raise CommandRefusedError(
                    f"{name} is commanded {step:+.3f} rad from the command before; "
                    f"{largest:.3g} rad at most"
                )

    def possible(self, names: Sequence[str], positions: Sequence[float]) -> dict[str, float]:
        """Return a command of this arm by joint, wherever the arm is.

        Raises:
            CommandRefusedError: It is none: other joints, no numbers, or out of range.
        """
        self._named(names, positions)
        command = dict(zip(names, positions, strict=True))
        for name in self._scales:
            position = command[name]
            if not math.isfinite(position):
                raise CommandRefusedError(f"{name} is commanded to {position}")
            command[name] = self._in_range(name, position)
        return command

    def _named(self, names: Sequence[str], positions: Sequence[float]) -> None:
        if len(names) > _LARGEST_COMMAND or len(names) != len(positions):
            raise CommandRefusedError(f"{len(names)} names and {len(positions)} positions")
        missing = [name for name in self._scales if name not in names]
        unknown = [str(name)[:40] for name in names if name not in self._scales]
        if missing or unknown or len(set(names)) != len(names):
            raise CommandRefusedError(
                f"expected {', '.join(self._scales)}, each once; missing: "
                f"{', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
            )

    def _in_range(self, name: str, position: float) -> float:
        scale, slack = self._scales[name], self._limits.beyond_range_rad
        if not (scale.lower_rad - slack <= position <= scale.upper_rad + slack):
            raise CommandRefusedError(
                f"{name} is commanded to {position:+.3f} rad; it goes from "
                f"{scale.lower_rad:+.3f} to {scale.upper_rad:+.3f}"
            )
        return min(scale.upper_rad, max(scale.lower_rad, position))
