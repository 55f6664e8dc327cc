# SPDX-License-Identifier: Apache-2.0
"""What every executor is given and must do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smooth_motion import GripperLimits, Limits

Array = NDArray[np.float64]
MS = 1_000_000


@dataclass(frozen=True, eq=False)
class ChunkRows:
    """A chunk: row i (T, N) is for `stamp_ns + i * dt_ns`, the stamp being the observation's."""

    stamp_ns: int
    dt_ns: int
    positions: Array

    @property
    def end_ns(self) -> int:
        """Time of the last row."""
        return self.stamp_ns + (len(self.positions) - 1) * self.dt_ns

    def at(self, t_ns: int) -> Array:
        """Return the row at a time (N,), between rows by a straight line; the ends are held."""
        row = min(max((t_ns - self.stamp_ns) / self.dt_ns, 0.0), len(self.positions) - 1.0)
        first = min(int(row), len(self.positions) - 2) if len(self.positions) > 1 else 0
        last = min(first + 1, len(self.positions) - 1)
        return self.positions[first] + (row - first) * (
            self.positions[last] - self.positions[first]
        )


@dataclass(frozen=True)
class Setup:
    """The robot and the controller under an executor.

    Attributes:
        limits: Of the arm's J joints.
        gripper: Of the gripper, which is the last column of the chunks, or None without one.
        position: (N,) where the robot rests, rad; N is J, plus one with a gripper.
        start_ns: Time of the first tick.
        period_ns: Between two ticks.
    """

    limits: Limits
    gripper: GripperLimits | None
    position: Array
    start_ns: int = 0
    period_ns: int = 10 * MS

    @property
    def joints(self) -> int:
        """J."""
        return len(self.limits.joint_names)


class Executor(Protocol):
    """Turns chunks into commands."""

    refused: int

    def accept(self, rows: ChunkRows, now_ns: int) -> None:
        """Take a chunk that arrives now."""

    def command(self, now_ns: int) -> Array:
        """Return the command (N,), rad; called once a tick."""
