# SPDX-License-Identifier: Apache-2.0
"""The jerk of the last half minute, as shares of the limit."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

SPAN_S = 30.0
BIN_S = 0.5


class JerkGauge:
    """Keeps, for every half second, the largest share of its limit that a joint's jerk had.

    None where nothing was heard: what was not seen is not shown as good.
    """

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self._bins: deque[list[float | None]] = deque(maxlen=round(SPAN_S / BIN_S))
        self._index: int | None = None

    def add(
        self,
        command: Sequence[float],
        measured: Sequence[float],
        limit: Sequence[float],
        threshold: Sequence[float],
        now_s: float,
    ) -> None:
        """Take in jerks, rad/s^3, one a joint.

        Args:
            command: Of the controller's reference.
            measured: Estimated at the joints.
            limit: Of the command.
            threshold: Beyond which a measured one counts as a violation.
            now_s: A clock, s.
        """
        self._go_to(now_s)
        newest = self._bins[-1]
        for place, share in enumerate((_share(command, limit), _share(measured, threshold))):
            if share is not None:
                newest[place] = max(share, newest[place] or 0.0)

    def history(self, now_s: float) -> dict[str, object]:
        """Return the last half minute, oldest first."""
        self._go_to(now_s)
        # One that has only begun says nothing yet.
        shown = list(self._bins)[: -1 if self._bins[-1] == [None, None] else None]
        return {
            "bin_s": BIN_S,
            "command": [_short(each[0]) for each in shown],
            "measured": [_short(each[1]) for each in shown],
        }

    def _go_to(self, now_s: float) -> None:
        index = math.floor(now_s / BIN_S)
        if self._index is None or index < self._index:  # simulated time began anew
            self._bins.clear()
            self._index = index - 1
        for _ in range(min(index - self._index, self._bins.maxlen or 0)):
            self._bins.append([None, None])
        self._index = index


def _share(values: Sequence[float], limits: Sequence[float]) -> float | None:
    """Return the largest share of a joint, None where one is not known."""
    if not len(values) or len(values) != len(limits):
        return None
    shares = [
        abs(value) / limit for value, limit in zip(values, limits, strict=True) if limit > 0.0
    ]
    if len(shares) != len(values) or not all(map(math.isfinite, shares)):
        return None
    return max(shares)


def _short(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
