# SPDX-License-Identifier: Apache-2.0
"""What came of a trial, and whether that is as it should be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from vla_msgs.msg import MonitorStatus

from verification.stop_trials.cases import Case

BRAKE_AS_GOAL, PERSON = MonitorStatus.RUNG_BRAKE_AS_GOAL, MonitorStatus.RUNG_POWER_CUT
STANDS_RAD = 0.005


@dataclass(frozen=True)
class TrialResult:
    """What came of a trial. Times are seconds after the first cause.

    Attributes:
        case: Its name.
        hardware: `mock` or `topic_based`.
        rate_hz: Update rate of the controllers.
        cause: First cause.
        state: The monitor's state afterwards.
        rung: Highest rung.
        rung_log: One line a step of the ladder.
        jerk_ratio: Largest |jerk| of the controller's reference as a ratio of its limit, from
            the first motion to the last reference of the stop.
        references: How many references that is over.
        speed: Speed of the reference at its end, rad/s: what ends at once. 0 after a brake.
        stands_s: Until the joints stay where they end.
        travel: Largest way of a joint after the cause, rad.
        locked_out: The controller was deactivated after the stop.
        reset_step: Largest step of a joint or a reference by the reset, rad; None without one.
        again_ratio: As jerk_ratio, for the motion after the reset.
    """

    case: str
    hardware: str
    rate_hz: int
    cause: str
    state: str
    rung: int
    rung_log: tuple[str, ...]
    jerk_ratio: float
    references: int
    speed: float
    stands_s: float
    travel: float
    locked_out: bool
    reset_step: float | None = None
    again_ratio: float | None = None


# As in the monitor: no more than rounding.
JERK_RATIO = 1.001


def shortcomings(measured: TrialResult, case: Case) -> list[str]:
    """Return in which ways a trial did not go as it should."""
    found = []
    rung = case.rung[measured.hardware]
    if measured.rung != rung:
        found.append(f"the stop went to rung {measured.rung}, not {rung}")
    state = "FAULT" if rung == PERSON else "STOPPED_LATCHED"
    if measured.state != state:
        found.append(f"the monitor is in {measured.state}, not {state}")
    if rung <= BRAKE_AS_GOAL:
        if not measured.jerk_ratio <= JERK_RATIO:
            found.append(f"jerk of the reference: {measured.jerk_ratio:.4f} of its limit")
        if measured.speed != 0.0:
            found.append(f"the reference ends at {measured.speed:.3g} rad/s")
        if not measured.locked_out:
            found.append("the controller was not locked out")
    if measured.reset_step is not None and not measured.reset_step <= STANDS_RAD:
        found.append(f"the reset steps by {measured.reset_step:.3g} rad")
    if measured.again_ratio is not None and not measured.again_ratio <= JERK_RATIO:
        found.append(f"jerk after the reset: {measured.again_ratio:.4f} of its limit")
    return found


def state_name(state: int) -> str:
    """Return what a state of the monitor is called."""
    names = ("STARTUP", "READY", "STOPPING", "STOPPED_LATCHED", "FAULT")
    return next(name for name in names if getattr(MonitorStatus, name) == state)


def standstill(joints: list[tuple[int, np.ndarray]], trip_ns: int) -> tuple[float, float]:
    """Return when the joints came to where they stayed, s after the trip, and how far that was."""
    times = np.array([time_ns for time_ns, _ in joints])
    rows = np.array([row for _, row in joints])
    away = np.abs(rows - rows[-1]).max(axis=1) > STANDS_RAD
    last = int(np.flatnonzero(away)[-1]) + 1 if away.any() else 0
    at_trip = int(np.searchsorted(times, trip_ns))
    travel = np.abs(rows[-1] - rows[min(at_trip, len(rows) - 1)]).max()
    return max(0.0, float(times[last] - trip_ns) * 1e-9), float(travel)
