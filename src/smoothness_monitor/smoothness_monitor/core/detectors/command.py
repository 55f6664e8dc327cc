# SPDX-License-Identifier: Apache-2.0
"""Detectors on the controller's reference: exact, without noise."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from smooth_motion import Acknowledged, CommandJerk, Limits
from smoothness_monitor.core.detectors.base import Bound, Cycle, Detector
from smoothness_monitor.core.types import FloatArray

# Cycles closer than this in trajectory time are not differenced: rounding would rule the result.
MIN_STEP_NS = 500_000


class CommandPosition(Detector):
    """The controller's reference is outside of the position limits."""

    name = "command_position"
    watches = "controller_state"
    trips_when = "the reference is beyond a position limit by command_position_tolerance_rad"
    unit = "rad"
    latency = "1 cycle"
    doc = "Limits include the place where the arm woke up, so that it can return from outside."

    def __init__(self, limits: Limits, tolerance_rad: float) -> None:
        super().__init__()
        self.limits = limits
        self._tolerance_rad = tolerance_rad

    def on_cycle(self, cycle: Cycle) -> str:
        """Compare the reference with the limits."""
        lower = self.limits.position_lower - self._tolerance_rad
        upper = self.limits.position_upper + self._tolerance_rad
        inside = (lower <= cycle.position) & (cycle.position <= upper)
        detail = ""
        if not inside.all():
            joint = int(np.argmin(inside))
            detail = (
                f"{self.limits.joint_names[joint]}: reference {cycle.position[joint]:.4f} rad, "
                f"limits {self.limits.position_lower[joint]:.4f} to "
                f"{self.limits.position_upper[joint]:.4f} rad"
            )
        # At rest it may stay: a reset lets the arm return from where it is.
        self.present = detail if cycle.velocity.any() else ""
        self.value = detail
        return detail


class _Difference(Bound):
    """A divided difference of the reference over trajectory time, and what the controller claims.

    By the mean value theorem a divided difference of order n, times n!, is the n-th derivative at
    some time in between. So it keeps every limit that the reference keeps, at any spacing, also
    where messages are missing.
    """

    order: ClassVar[int]

    def __init__(self, names: Sequence[str], threshold: FloatArray) -> None:
        super().__init__(names, threshold)
        self._cycles: deque[Cycle] = deque(maxlen=self.order + 1)

    def _claimed(self, cycle: Cycle) -> FloatArray:
        raise NotImplementedError

    def on_cycle(self, cycle: Cycle) -> str:
        """Compare the newest difference, and what the controller claims, with the limit."""
        # Closer than this, rounding would rule the difference.
        if self._cycles and cycle.time_ns - self._cycles[-1].time_ns < MIN_STEP_NS:
            self._cycles.clear()
        self._cycles.append(cycle)
        values = np.abs(self._claimed(cycle))
        if len(self._cycles) == self.order + 1:
            values = np.maximum(values, np.abs(self._difference()))
        self.present = self._judge(values)
        return self.present

    def _difference(self) -> FloatArray:
        first_ns = self._cycles[0].time_ns
        times = np.array([cycle.time_ns - first_ns for cycle in self._cycles]) * 1e-9
        table = np.stack([cycle.position for cycle in self._cycles])
        for step in range(1, self.order + 1):
            table = step * np.diff(table, axis=0) / (times[step:] - times[:-step])[:, None]
        return np.asarray(table[0])


class CommandVelocity(_Difference):
    """The controller's reference is faster than allowed."""

    name = "command_velocity"
    unit = "rad/s"
    watches = "controller_state"
    trips_when = "|velocity| of the reference > limit x (1 + command_tolerance)"
    latency = "1 cycle"
    doc = "First difference of the reference over trajectory time, and the velocity it claims."
    order = 1

    def _claimed(self, cycle: Cycle) -> FloatArray:
        return cycle.velocity


class CommandAcceleration(_Difference):
    """The controller's reference accelerates more than allowed."""

    name = "command_acceleration"
    unit = "rad/s^2"
    watches = "controller_state"
    trips_when = "|acceleration| of the reference > limit x (1 + command_tolerance)"
    latency = "1 cycle"
    doc = "Second difference of the reference over trajectory time, and the value it claims."
    order = 2

    def _claimed(self, cycle: Cycle) -> FloatArray:
        return cycle.acceleration


class CommandJerkLimit(Bound):
    """The controller's reference jerks more than allowed."""

    name = "command_jerk"
    unit = "rad/s^3"
    watches = "controller_state"
    trips_when = "|jerk| of the reference > limit x (1 + command_tolerance)"
    latency = "1 cycle"
    doc = (
        "Third difference of the reference over trajectory time: exact, without noise. Rounding "
        "stays below 1e-4 rad/s^3."
    )

    def __init__(self, names: Sequence[str], threshold: FloatArray) -> None:
        super().__init__(names, threshold)
        # A gap is bridged, however long: staleness is judged elsewhere, a step in it is not.
        self._estimator = CommandJerk(names, min_dt_s=MIN_STEP_NS * 1e-9, max_dt_s=3600.0)
        self.newest = np.full(len(self._names), np.nan)
        self.peak = np.zeros(len(self._names))

    def on_cycle(self, cycle: Cycle) -> str:
        """Compare the newest jerk of the reference with the limit."""
        jerk = self._estimator.update(cycle.time_ns, cycle.position)
        if jerk is None:
            self.present = ""
        else:
            self.newest = jerk
            self.peak = np.maximum(self.peak, np.abs(jerk))
            self.present = self._judge(jerk)
        return self.present

    def clear(self) -> None:
        """Start the peak anew."""
        self.peak = np.zeros(len(self._names))


class ForeignPlan(Detector):
    """The controller runs something that was not forwarded from here."""

    name = "foreign_plan"
    watches = "controller_state"
    trips_when = (
        "the trajectory that runs has a stamp that was never forwarded, or its reference departs "
        "from the plan by more than foreign_deviation_rad"
    )
    unit = "rad"
    latency = "1 cycle"
    doc = (
        "Another publisher or an action client moves the arm, the controller holds by itself "
        "after an abort, or its time is scaled."
    )

    def __init__(self, deviation_rad: float) -> None:
        super().__init__()
        self._deviation_rad = deviation_rad

    def on_cycle(self, cycle: Cycle) -> str:
        """Judge which trajectory runs."""
        verdict = cycle.verdict
        deviation = float(np.max(np.abs(verdict.deviation)))
        detail = ""
        if verdict.kind is Acknowledged.FOREIGN:
            detail = f"the trajectory stamped {verdict.start_ns} ns was never forwarded"
        elif not (deviation <= self._deviation_rad):
            detail = (
                f"the reference departs from the plan stamped {verdict.start_ns} ns by "
                f"{deviation:.4f} rad, threshold {self._deviation_rad:.4f} rad"
            )
        # At rest it may stay: a reset begins anew from wherever the reference is.
        self.present = detail if cycle.velocity.any() else ""
        self.value = detail
        return detail
