# SPDX-License-Identifier: Apache-2.0
"""Whether the servos that answer are still those that were held against the calibration.

A cable that is plugged in again can be another arm's: a hub gives its ports new names, and a
leader stands beside a follower. Under this arm's calibration it would be sent somewhere else. So
would one whose homing another program writes while the port is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .bus import BusError

# Of one that was silent for less long, nobody takes the place.
_EXCHANGED_S = 1.0
_AGAIN_S = 1.0
# One answer may be damaged.
_CERTAIN = 2


class SameArm:
    """Keeps which servos have to be known again. Times are steady, in s."""

    def __init__(self, kept: Mapping[int, Mapping[str, int]]) -> None:
        """Begin with all known.

        Args:
            kept: Of each servo the registers by which it is known, and their values.
        """
        self._kept = kept
        self._unknown: set[int] = set()
        self._silent_since_s: dict[int, float] = {}
        self._next_s: dict[int, float] = {}
        self._others: dict[int, int] = {}
        self._turn = 0

    def doubt(self) -> None:
        """Know none any more, as at a port that was opened anew."""
        self._unknown = set(self._kept)
        self._next_s.clear()
        self._others.clear()

    def hear(self, asked: Iterable[int], answered: Iterable[int], now_s: float) -> None:
        """Be told who was asked and who answered."""
        there = set(answered)
        for servo_id in asked:
            if servo_id not in there:
                self._silent_since_s.setdefault(servo_id, now_s)
                continue
            since_s = self._silent_since_s.pop(servo_id, now_s)
            if now_s - since_s >= _EXCHANGED_S and servo_id in self._kept:
                self._unknown.add(servo_id)

    def look_again(
        self, suspects: Iterable[int], answered: Iterable[int], read: Callable[[int, str], int]
    ) -> None:
        """Look at one servo that is known: a suspect, or else each in turn.

        One that shows something else is known no more, until it is seen to be the same.
        """
        there = [number for number in answered if number in self._kept and self.known(number)]
        if not there:
            return
        self._turn += 1
        first = [number for number in suspects if number in there]
        servo_id = first[0] if first else there[self._turn % len(there)]
        wanted = self._kept[servo_id]
        try:
            if {name: read(servo_id, name) for name in wanted} != wanted:
                self._unknown.add(servo_id)
        except BusError:
            return

    def known(self, servo_id: int) -> bool:
        """Return whether a servo may be told something, and is believed."""
        return servo_id not in self._unknown

    def look(
        self, answered: Iterable[int], read: Callable[[int, str], int], now_s: float
    ) -> tuple[int, str] | None:
        """Look at one servo that is not known.

        Args:
            answered: Who can be asked.
            read: Reads a register of a servo; raises BusError.
            now_s: Now.

        Returns:
            A servo that certainly is another one, and why; None where nothing is new.
        """
        for servo_id in answered:
            if self.known(servo_id) or now_s < self._next_s.get(servo_id, now_s):
                continue
            wanted = self._kept[servo_id]
            try:
                found = {name: read(servo_id, name) for name in wanted}
            except BusError:
                return None
            if found == wanted:
                self._unknown.discard(servo_id)
                self._others.pop(servo_id, None)
                return None
            self._others[servo_id] = count = self._others.get(servo_id, 0) + 1
            if count < _CERTAIN:
                return None
            self._next_s[servo_id] = now_s + _AGAIN_S
            differs = ", ".join(
                f"{name} is {found[name]}, was {wanted[name]}"
                for name in wanted
                if found[name] != wanted[name]
            )
            return (servo_id, differs) if count == _CERTAIN else None
        return None
