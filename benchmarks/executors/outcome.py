# SPDX-License-Identifier: Apache-2.0
"""What one executor made of one scenario, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from executors.base import Array

# Jerk is the third difference of the command at this rate, whatever the controller's: that of a
# step grows with the third power of the rate.
JERK_RATE = 100


@dataclass(frozen=True)
class ExecutorOutcome:
    """Figures of one executor at one delay; None where the scenario has no such thing.

    Attributes:
        rms: Of the command's jerk, rad/s^3.
        peak: Likewise.
        seconds: Simulated.
        successes: Tasks carried out.
        tasks: Tasks.
        duration_s: Mean over the tasks carried out.
        error: RMS distance from the truth at the best lag, rad.
        lag_s: That lag.
        arm_rms: RMS jerk of the simulated arm itself, rad/s^3.
        aborts: Of Franka's interface, for each kind of check.
        refused: Chunks that were not followed.
    """

    rms: float
    peak: float
    seconds: float
    successes: int = 0
    tasks: int = 0
    duration_s: float | None = None
    error: float | None = None
    lag_s: float | None = None
    arm_rms: float | None = None
    aborts: dict[str, int] | None = None
    refused: int = 0


def jerk(positions: Array) -> Array:
    """Return the third differences (N - 3, J) of positions (N, J) at `JERK_RATE`, rad/s^3."""
    return np.asarray(np.diff(positions, n=3, axis=0) * float(JERK_RATE) ** 3)


def rms(values: Array) -> float:
    """Return the root of the mean of the squares."""
    return float(np.sqrt(np.mean(np.square(values))))
