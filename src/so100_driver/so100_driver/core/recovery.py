# SPDX-License-Identifier: Apache-2.0
"""A servo that lost its torque is told to hold again: a few times, with growing pauses."""

from __future__ import annotations

from dataclasses import dataclass

_TRIES = 4
_FIRST_PAUSE_S = 0.05
_GROWTH = 4.0
# After so long on, earlier losses are forgotten.
_FORGIVEN_S = 30.0


@dataclass
class Recovery:
    """Counts how often one servo had to be told again.

    Attributes:
        pending: It has no torque.
        in_doubt: It said so once; one answer may be damaged.
        away: It did not answer for a while, and has not shown its orders since.
    """

    pending: bool = False
    in_doubt: bool = False
    away: bool = False
    _tries: int = 0
    _next_s: float = 0.0
    _last_s: float = 0.0

    @property
    def trusted(self) -> bool:
        """Return whether it surely has its torque.

        Another one is told no goal: of most servos a goal alone switches the torque on, and one
        that sank without it would be thrown back to where it was.
        """
        return not (self.pending or self.in_doubt or self.away)

    @property
    def given_up(self) -> bool:
        """Return whether it is not told again."""
        return self._tries >= _TRIES

    def seen_off(self, now_s: float) -> bool:
        """Be told that it has no torque; return whether that is new and certain."""
        if self.pending:
            return False
        if not self.in_doubt:
            self.in_doubt = True
            return False
        self.pending, self._next_s = True, now_s
        return True

    def seen_on(self, now_s: float) -> None:
        """Be told that it has torque."""
        self.pending = self.in_doubt = self.away = False
        if self._tries and now_s - self._last_s > _FORGIVEN_S:
            self._tries = 0

    def lost(self) -> None:
        """Be told that an order did not arrive: it may have no torque."""
        self.pending = True

    def due(self, now_s: float) -> bool:
        """Count one try and return True where it is time for one."""
        if not self.pending or self.given_up or now_s < self._next_s:
            return False
        self._next_s = now_s + _FIRST_PAUSE_S * _GROWTH**self._tries
        self._tries += 1
        self._last_s = now_s
        return True

    def forget(self) -> None:
        """Begin anew."""
        self.pending = self.in_doubt = self.away = False
        self._tries = 0
