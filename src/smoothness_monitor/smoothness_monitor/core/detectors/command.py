# SPDX-License-Identifier: Apache-2.0
"""Detectors on the controller's reference: exact, without noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from smooth_motion import Acknowledged, Limits, kernels
from smoothness_monitor.core.detectors.base import Bound, Cycle, Detector
from smoothness_monitor.core.types import FloatArray

# Cycles closer than this in trajectory time are not differenced: rounding would rule the result.
MIN_STEP_NS = 500_000
# A gap is bridged, however long: staleness is judged elsewhere, a step in it is not.
MAX_STEP_NS = 3600 * 1_000_000_000


class ReferenceJudge:
    """What the detectors of this module share: one compiled pass judges a cycle for all of them.

    Attributes:
        bounds: Lower and upper position, velocity, acceleration, jerk, deviation; (6, J).
        size: What velocity, acceleration and jerk were judged by, (3, J).
        wrong: What the newest cycle was found guilty of, bits of `kernels`.
        newest: Jerk, (J,) rad/s^3; NaN before the first.
        peak: The largest magnitude of it, (J,) rad/s^3.
    """

    def __init__(self, joints: int) -> None:
        """Begin without a cycle.

        Args:
            joints: How many there are. The detectors write their bounds.
        """
        self.bounds = np.zeros((6, joints))
        self.size = np.zeros((3, joints))
        self.wrong = 0
        self.judged = self.has_jerk = False
        self.newest, self.peak = np.full(joints, np.nan), np.zeros(joints)
        self._times = np.zeros(4, np.int64)
        self._differences = np.zeros((4, joints))

    def judge(self, cycle: Cycle) -> None:
        """Judge a cycle."""
        jerk = np.empty(self.peak.size)
        found = kernels.judge_reference(
            cycle.time_ns,
            cycle.reference,
            cycle.verdict.deviation,
            MIN_STEP_NS,
            MAX_STEP_NS,
            self.bounds,
            self._times,
            self._differences,
            self.size,
            jerk,
            self.peak,
        )
        self.judged = True
        self.wrong = found & kernels.WRONG
        self.has_jerk = found >= kernels.HAS_JERK
        if self.has_jerk:
            self.newest = jerk


class CommandPosition(Detector):
    """The controller's reference is outside of the position limits."""

    name = "command_position"
    watches = "controller_state"
    trips_when = "the reference is beyond a position limit by command_position_tolerance_rad"
    unit = "rad"
    latency = "1 cycle"
    doc = "Limits include the place where the arm woke up, so that it can return from outside."
    compiled = True

    def __init__(self, reference: ReferenceJudge, limits: Limits, tolerance_rad: float) -> None:
        super().__init__()
        self._reference = reference
        self._tolerance_rad = tolerance_rad
        self.limits = limits

    @property
    def limits(self) -> Limits:
        """The limits; they may be widened to where the arm is."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        self._reference.bounds[0] = limits.position_lower - self._tolerance_rad
        self._reference.bounds[1] = limits.position_upper + self._tolerance_rad

    def on_cycle(self, cycle: Cycle) -> str:
        """Compare the reference with the limits."""
        detail = ""
        if self._reference.wrong & kernels.POSITION:
            lower, upper = self._reference.bounds[:2]
            inside = (lower <= cycle.position) & (cycle.position <= upper)
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

    compiled = True
    order: ClassVar[int]
    broken: ClassVar[int]

    def __init__(
        self, reference: ReferenceJudge, names: Sequence[str], threshold: FloatArray
    ) -> None:
        super().__init__(names, threshold, reference.size[self.order - 1])
        self._reference = reference
        reference.bounds[self.order + 1] = threshold

    @property
    def value(self) -> str:  # type: ignore[override]
        """The joint that is nearest to its threshold, or beyond it by most."""
        return self._words() if self._reference.judged else ""

    def on_cycle(self, cycle: Cycle) -> str:
        """Compare the newest difference, and what the controller claims, with the limit."""
        self.present = self._words() if self._reference.wrong & self.broken else ""
        return self.present


class CommandVelocity(_Difference):
    """The controller's reference is faster than allowed."""

    name = "command_velocity"
    unit = "rad/s"
    watches = "controller_state"
    trips_when = "|velocity| of the reference > limit x (1 + command_tolerance)"
    latency = "1 cycle"
    doc = "First difference of the reference over trajectory time, and the velocity it claims."
    order = 1
    broken = kernels.VELOCITY


class CommandAcceleration(_Difference):
    """The controller's reference accelerates more than allowed."""

    name = "command_acceleration"
    unit = "rad/s^2"
    watches = "controller_state"
    trips_when = "|acceleration| of the reference > limit x (1 + command_tolerance)"
    latency = "1 cycle"
    doc = "Second difference of the reference over trajectory time, and the value it claims."
    order = 2
    broken = kernels.ACCELERATION


class CommandJerkLimit(_Difference):
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

    order = 3
    broken = kernels.JERK

    @property
    def value(self) -> str:  # type: ignore[override]
        """The joint that is nearest to its threshold, or beyond it by most."""
        return "" if np.isnan(self.newest).all() else self._words()

    @property
    def newest(self) -> FloatArray:
        """The newest jerk, (J,) rad/s^3; NaN before the first."""
        return self._reference.newest

    @property
    def peak(self) -> FloatArray:
        """The largest magnitude of it, (J,) rad/s^3."""
        return self._reference.peak

    def clear(self) -> None:
        """Start the peak anew."""
        self._reference.peak = np.zeros(len(self._names))


class ForeignPlan(Detector):
    """The controller runs something that was not forwarded from here."""

    name = "foreign_plan"
    watches = "controller_state"
    trips_when = (
        "the trajectory that runs has a stamp that was never forwarded, or its reference is not "
        "that of the plan with that stamp, to 1e-5 rad"
    )
    unit = "rad"
    latency = "1 cycle"
    doc = (
        "Another publisher or an action client moves the arm, the controller holds by itself "
        "after an abort, or its time is scaled."
    )
    compiled = True

    def __init__(self, reference: ReferenceJudge, deviation_rad: float) -> None:
        super().__init__()
        self._reference = reference
        self._deviation_rad = deviation_rad
        reference.bounds[5] = deviation_rad

    def on_cycle(self, cycle: Cycle) -> str:
        """Judge which trajectory runs."""
        verdict = cycle.verdict
        detail = ""
        if verdict.kind is Acknowledged.FOREIGN:
            off = float(np.abs(verdict.deviation).max())
            detail = (
                f"the trajectory stamped {verdict.start_ns} ns was never forwarded; the reference "
                f"departs from the plan by {off:.3g} rad"
            )
        elif self._reference.wrong & kernels.DEVIATION:
            deviation = float(np.abs(verdict.deviation).max())
            detail = (
                f"the reference departs from the plan stamped {verdict.start_ns} ns by "
                f"{deviation:.4f} rad, threshold {self._deviation_rad:.4f} rad"
            )
        # At rest it may stay: a reset begins anew from wherever the reference is.
        self.present = detail if detail and cycle.velocity.any() else ""
        self.value = detail
        return detail
