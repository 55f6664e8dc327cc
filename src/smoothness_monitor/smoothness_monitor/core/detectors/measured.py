# SPDX-License-Identifier: Apache-2.0
"""Detectors on the measured joints: a health check, limited by the encoders."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from smooth_motion import KalmanJerk, SavitzkyGolayJerk, kernels
from smoothness_monitor.core.detectors.base import Bound, Detector, Measurement
from smoothness_monitor.core.types import FloatArray
from smoothness_monitor.params import MonitorConfig


class MeasuredJerk(Bound):
    """The measured joints jerk more than any plan can explain."""

    name = "measured_jerk"
    unit = "rad/s^3"
    watches = "joint_states"
    trips_when = (
        "|jerk| > measured_jerk_factor x gain x limit + quantisation bound, in "
        "measured_jerk_count of measured_jerk_of estimates; the gain is that of the estimator"
    )
    latency = "the estimator's delay, plus measured_jerk_count periods"
    doc = (
        "A collision, a loose joint, a failing servo or encoder. A health check: 12-bit encoders "
        "cannot show whether a jerk limit held."
    )

    def __init__(self, names: Sequence[str], limit: FloatArray, ticks: int, config: MonitorConfig):
        self.estimator = _estimator(names, ticks, config)
        self._limit = limit
        super().__init__(names, self.level(config.measured_jerk_factor))
        self._count = config.measured_jerk_count
        self._newest: deque[bool] = deque(maxlen=config.measured_jerk_of)
        self.newest = np.full(len(self._names), np.nan)

    def level(self, factor: float) -> FloatArray:
        """Return what a jerk of `factor` times the limit can cause, (J,) rad/s^3."""
        bound = self.estimator.quantisation_bound
        return factor * self.estimator.jerk_gain * self._limit + bound

    @property
    def filled(self) -> bool:
        """Whether there is an estimate."""
        return self.estimator.filled

    def on_measurement(self, measurement: Measurement) -> str:
        """Compare the newest estimate with the threshold."""
        jerk = np.empty(len(self._names))
        if not self.estimator.advance(measurement.stamp_ns, measurement.position, jerk):
            self.newest = np.full(len(self._names), np.nan)
            self._newest.clear()
            self.present = ""
            return ""
        self.newest = jerk
        self.present = self._judge(jerk)
        self._newest.append(bool(self.present))
        return self.present if self.present and sum(self._newest) >= self._count else ""

    def clear(self) -> None:
        """Count anew."""
        self._newest.clear()


def _estimator(
    names: Sequence[str], ticks: int, config: MonitorConfig
) -> SavitzkyGolayJerk | KalmanJerk:
    period_s = 1.0 / config.joint_states_rate_hz
    # Samples count as evenly spaced, so not one may be missing: a gap restarts the estimate.
    if config.measured_jerk_estimator == "kalman":
        density = config.measured_jerk_snap_density
        return KalmanJerk(names, density, period_s, ticks, max_gap=1.5)
    window = config.measured_jerk_window
    return SavitzkyGolayJerk(names, window, period_s, ticks, max_gap=1.5)


class TrackingError(Bound):
    """The measured joints are not where the controller's reference is."""

    name = "tracking_error"
    unit = "rad"
    watches = "joint_states, controller_state"
    trips_when = (
        "|measured - reference| > tracking_error_rad, in tracking_error_count of "
        "tracking_error_of messages; or > slow_tracking_error_rad for slow_patience_s while the "
        "motion is slowed down"
    )
    latency = "tracking_error_count periods"
    doc = "A collision, an overload, a servo without torque, a wrong calibration."

    def __init__(self, names: Sequence[str], config: MonitorConfig) -> None:
        super().__init__(names, np.full(len(names), config.tracking_error_rad))
        self._count = config.tracking_error_count
        self._newest: deque[bool] = deque(maxlen=config.tracking_error_of)

    def on_measurement(self, measurement: Measurement) -> str:
        """Compare the joints with the reference of the same time."""
        if measurement.error is None:
            self._newest.clear()
            self.present = ""
            return ""
        self.present = self._judge(measurement.error)
        self._newest.append(bool(self.present))
        return self.present if self.present and sum(self._newest) >= self._count else ""

    def clear(self) -> None:
        """Count anew."""
        self._newest.clear()


class _Frozen(Detector):
    """An input repeats itself bit by bit while the reference moves."""

    unit = "rad"
    latency = "the time of that travel"

    def __init__(self, travel_rad: float) -> None:
        super().__init__()
        self._travel_rad = travel_rad
        self._everything: Sequence[float] = ()
        self._from: FloatArray | None = None
        self._travelled: float | None = None

    def _judge_repeat(self, measurement: Measurement) -> str:
        """Compare with the message before."""
        same = measurement.everything == self._everything
        self._everything = measurement.everything
        if not same or self._from is None or measurement.reference is None:
            self._from = measurement.reference
            self.present = ""
            return ""
        self._travelled = kernels.distance(measurement.reference, self._from)
        self.present = "" if self._travelled <= self._travel_rad else self.value
        return self.present

    @property
    def value(self) -> str:  # type: ignore[override]
        """How far the reference got while the input repeated itself last."""
        if self._travelled is None:
            return ""
        return (
            f"reference travelled {self._travelled:.3f} rad, threshold {self._travel_rad:.3f} rad"
        )

    def clear(self) -> None:
        """Start the travel anew."""
        self._from = None
        self.present = ""


class FrozenJointStates(_Frozen):
    """joint_states repeats itself bit by bit while the reference moves."""

    name = "frozen_joint_states"
    watches = "joint_states, controller_state"
    trips_when = "all positions stay bit-identical while the reference travels frozen_travel_rad"
    doc = "The driver is dead and something goes on stamping its last values afresh."

    def on_measurement(self, measurement: Measurement) -> str:
        """Compare with the message before."""
        return self._judge_repeat(measurement)


class FrozenDriverStates(_Frozen):
    """The driver's own topic repeats itself bit by bit while the reference moves."""

    name = "frozen_driver_states"
    watches = "driver_states, controller_state"
    trips_when = "all positions stay bit-identical while the reference travels frozen_travel_rad"
    doc = "The servos or their bus answer with old values."

    def on_driver(self, measurement: Measurement) -> str:
        """Compare with the message before."""
        return self._judge_repeat(measurement)
