# SPDX-License-Identifier: Apache-2.0
"""Detectors on the controller's reference: exact, without noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smooth_motion import Acknowledged, CommandJerk, Limits
from smoothness_monitor.core.detectors.base import Bound, Cycle, Detector
from smoothness_monitor.core.types import FloatArray

# Cycles closer than this in trajectory time are not differenced: rounding would rule the result.
MIN_STEP_NS = 500_000


def reference_differences(names: Sequence[str]) -> CommandJerk:
    """Return the estimator that the detectors of this module share: one pass for all orders."""
    # A gap is bridged, however long: staleness is judged elsewhere, a step in it is not.
    return CommandJerk(names, min_dt_s=MIN_STEP_NS * 1e-9, max_dt_s=3600.0)


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
        self._tolerance_rad = tolerance_rad
        self.limits = limits

    @property
    def limits(self) -> Limits:
        """The limits; they may be widened to where the arm is."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        self._lower = limits.position_lower - self._tolerance_rad
        self._upper = limits.position_upper + self._tolerance_rad

    def on_cycle(self, cycle: Cycle) -> str:
        """Compare the reference with the limits."""
        inside = (self._lower <= cycle.position) & (cycle.position <= self._upper)
        detail = ""
        if np.count_nonzero(inside) != inside.size:
            joint = int(np.argmin(inside))
            detail = (
                f"{self.limits.joint_names[joint]}: reference {cycle.position[joint]:.4f} rad, "
                f"limits {self.limits.position_lower[joint]:.4f} to "
                f"{self.limits.position_upper[joint]:.4f} rad"
            )
        # At rest it may stay: a reset lets the arm return from where it is.
        self.present = detail if detail and cycle.velocity.any() else ""
        self.value = detail
        return detail


class _Difference(Bound):
    """A divided difference of the reference over trajectory time, and what the controller claims.

    By the mean value theorem a divided difference of order n, times n!, is the n-th derivative at
    some time in between. So it keeps every limit that the reference keeps, at any spacing, also
    where messages are missing.
    """

    def __init__(
        self, names: Sequence[str], threshold: FloatArray, differences: CommandJerk
    ) -> None:
        super().__init__(names, threshold)
        self._differences = differences

    def _judge_both(self, claimed: FloatArray, difference: FloatArray | None) -> str:
        """Compare what the controller claims, and the newest difference, with the limit."""
        size = np.abs(claimed)
        if difference is not None:
            size = np.maximum(size, np.abs(difference))
        self.present = self._judge(size)
        return self.present


class CommandVelocity(_Difference):
    """The controller's reference is faster than allowed."""

    name = "command_velocity"
    unit = "rad/s"
    watches = "controller_state"
    trips_when = "|velocity| of the reference > limit x (1 + command_tolerance)"
    latency = "1 cycle"
    doc = "First difference of the reference over trajectory time, and the velocity it claims."

    def on_cycle(self, cycle: Cycle) -> str:
        """Compare the first difference, and what the controller claims, with the limit."""
        return self._judge_both(cycle.velocity, self._differences.velocity)


class CommandAcceleration(_Difference):
    """The controller's reference accelerates more than allowed."""

    name = "command_acceleration"
    unit = "rad/s^2"
    watches = "controller_state"
    trips_when = "|acceleration| of the reference > limit x (1 + command_tolerance)"
    latency = "1 cycle"
    doc = "Second difference of the reference over trajectory time, and the value it claims."

    def on_cycle(self, cycle: Cycle) -> str:
        """Compare the second difference, and what the controller claims, with the limit."""
        return self._judge_both(cycle.acceleration, self._differences.acceleration)


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

    def __init__(
        self, names: Sequence[str], threshold: FloatArray, differences: CommandJerk
    ) -> None:
        super().__init__(names, threshold)
        self._differences = differences
        self.newest = np.full(len(self._names), np.nan)
        self.peak = np.zeros(len(self._names))

    def on_cycle(self, cycle: Cycle) -> str:
        """Compare the newest jerk of the reference with the limit."""
        jerk = self._differences.jerk
        if jerk is None:
            self.present = ""
        else:
            size = np.abs(jerk)
            self.newest = jerk
            self.peak = np.maximum(self.peak, size)
            self.present = self._judge(size)
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
        detail = ""
        near = np.abs(verdict.deviation) <= self._deviation_rad
        if verdict.kind is Acknowledged.FOREIGN:
            detail = f"the trajectory stamped {verdict.start_ns} ns was never forwarded"
        elif np.count_nonzero(near) != near.size:
            deviation = float(np.abs(verdict.deviation).max())
            detail = (
                f"the reference departs from the plan stamped {verdict.start_ns} ns by "
                f"{deviation:.4f} rad, threshold {self._deviation_rad:.4f} rad"
            )
        # At rest it may stay: a reset begins anew from wherever the reference is.
        self.present = detail if detail and cycle.velocity.any() else ""
        self.value = detail
        return detail
