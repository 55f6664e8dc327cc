# SPDX-License-Identifier: Apache-2.0
"""Detectors on the measured joints: a health check, limited by the encoders."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from smooth_motion import KalmanJerk, SavitzkyGolayJerk, kernels
from smoothness_monitor.core.detectors.base import Bound, Detector, Measurement
from smoothness_monitor.core.types import FloatArray
from smoothness_monitor.params import MonitorConfig


class MeasurementJudge:
    """What the detectors on joint_states share: one compiled pass judges a message for them.

    Attributes:
        estimator: Of the jerk.
        jerk: Newest estimate, (J,) rad/s^3; NaN where there is none.
        bounds: Of jerk and distance from the reference, (2, J). The detectors write them.
        size: What they were judged by, (2, J).
        known: Whether the newest message has a jerk and a distance, bits of `kernels`.
        wrong: What the newest message was found guilty of, likewise.
        judged: What was known of any message, likewise.
    """

    def __init__(self, estimator: SavitzkyGolayJerk | KalmanJerk) -> None:
        """Begin without a message."""
        joints = len(estimator.joint_names)
        self.estimator = estimator
        self.jerk = np.full(joints, np.nan)
        self.bounds, self.size = np.zeros((2, joints)), np.zeros((2, joints))
        self.known = self.wrong = self.judged = 0

    def judge(self, seen: Measurement) -> None:
        """Judge a message."""
        jerk = np.empty(self.jerk.size)
        known = kernels.JERK
        if not self.estimator.advance(seen.stamp_ns, seen.position, jerk):
            jerk.fill(np.nan)
            known = 0
        error = seen.error
        if error is None:
            error = jerk
        else:
            known |= kernels.DEVIATION
        self.jerk, self.known = jerk, known
        self.judged |= known
        self.wrong = kernels.judge_measurement(jerk, error, known, self.bounds, self.size)


class _Debounced(Bound):
    """A bound that trips when enough of the newest messages are beyond it."""

    compiled = True
    broken: ClassVar[int]
    row: ClassVar[int]

    def __init__(
        self,
        measured: MeasurementJudge,
        names: Sequence[str],
        threshold: FloatArray,
        count: int,
        of: int,
    ) -> None:
        """Begin with nothing judged.

        Args:
            measured: Judges the messages.
            names: J joints.
            threshold: (J,).
            count: So many messages beyond it trip,
            of: out of so many.
        """
        super().__init__(names, threshold, measured.size[self.row])
        measured.bounds[self.row] = threshold
        self._measured = measured
        self._count = count
        self._newest: deque[bool] = deque(maxlen=of)

    @property
    def value(self) -> str:  # type: ignore[override]
        """The joint that is nearest to its threshold, or beyond it by most."""
        # In words only when somebody asks.
        return self._words() if self._measured.judged & self.broken else ""

    @property
    def settled(self) -> bool:
        """Whether a further message within the threshold would change nothing."""
        return not self.present and True not in self._newest

    def on_measurement(self, measurement: Measurement) -> str:
        """Count what the pass found."""
        if not self._measured.known & self.broken:
            self._newest.clear()
            self.present = ""
            return ""
        self.present = self._words() if self._measured.wrong & self.broken else ""
        self._newest.append(bool(self.present))
        return self.present if self.present and sum(self._newest) >= self._count else ""

    def clear(self) -> None:
        """Count anew."""
        self._newest.clear()


class MeasuredJerk(_Debounced):
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

    broken = kernels.JERK
    row = 0

    def __init__(
        self,
        measured: MeasurementJudge,
        names: Sequence[str],
        limit: FloatArray,
        config: MonitorConfig,
    ) -> None:
        """Begin with nothing judged; `limit` is (J,) rad/s^3."""
        self.estimator = measured.estimator
        self._limit = limit
        super().__init__(
            measured,
            names,
            self.level(config.measured_jerk_factor),
            config.measured_jerk_count,
            config.measured_jerk_of,
        )

    def level(self, factor: float) -> FloatArray:
        """Return what a jerk of `factor` times the limit can cause, (J,) rad/s^3."""
        bound = self.estimator.quantisation_bound
        return factor * self.estimator.jerk_gain * self._limit + bound

    @property
    def filled(self) -> bool:
        """Whether there is an estimate."""
        return self.estimator.filled

    @property
    def newest(self) -> FloatArray:
        """The newest estimate, (J,) rad/s^3; NaN where there is none."""
        return self._measured.jerk


class TrackingError(_Debounced):
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

    broken = kernels.DEVIATION
    row = 1

    def __init__(
        self, measured: MeasurementJudge, names: Sequence[str], config: MonitorConfig
    ) -> None:
        """Begin with nothing judged."""
        super().__init__(
            measured,
            names,
            np.full(len(names), config.tracking_error_rad),
            config.tracking_error_count,
            config.tracking_error_of,
        )


def make_estimator(
    names: Sequence[str], ticks: int, config: MonitorConfig
) -> SavitzkyGolayJerk | KalmanJerk:
    """Return the estimator of the joints' jerk that the configuration asks for."""
    period_s = 1.0 / config.joint_states_rate_hz
    # Samples count as evenly spaced, so not one may be missing: a gap restarts the estimate.
    if config.measured_jerk_estimator == "kalman":
        density = config.measured_jerk_snap_density
        return KalmanJerk(names, density, period_s, ticks, max_gap=1.5)
    window = config.measured_jerk_window
    return SavitzkyGolayJerk(names, window, period_s, ticks, max_gap=1.5)


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

    def differs(self, measurement: Measurement) -> bool:
        """Note a message unless it repeats the one before; return whether it differs."""
        if measurement.everything == self._everything:
            return False
        self._everything, self._from = measurement.everything, measurement.reference
        self.present = ""
        return True

    def judge_repeat(self, measurement: Measurement) -> str:
        """Judge a message that repeats the one before; return what is wrong, if anything is."""
        if self._from is None or measurement.reference is None:
            self._from = measurement.reference
            self.present = ""
            return ""
        self._travelled = kernels.led_away(measurement.position, self._from, measurement.reference)
        self.present = "" if self._travelled <= self._travel_rad else self.value
        return self.present

    @property
    def value(self) -> str:  # type: ignore[override]
        """How far the reference was led from the arm while the input repeated itself last."""
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
    trips_when = (
        "all positions stay bit-identical while the reference travels frozen_travel_rad away from "
        "them"
    )
    doc = "The driver is dead and something goes on stamping its last values afresh."

    def on_measurement(self, measurement: Measurement) -> str:
        """Compare with the message before."""
        return "" if self.differs(measurement) else self.judge_repeat(measurement)


class FrozenDriverStates(_Frozen):
    """The driver's own topic repeats itself bit by bit while the reference moves."""

    name = "frozen_driver_states"
    watches = "driver_states, controller_state"
    trips_when = (
        "all positions stay bit-identical while the reference travels frozen_travel_rad away from "
        "them"
    )
    doc = "The servos or their bus answer with old values."

    def on_driver(self, measurement: Measurement) -> str:
        """Compare with the message before."""
        return "" if self.differs(measurement) else self.judge_repeat(measurement)
