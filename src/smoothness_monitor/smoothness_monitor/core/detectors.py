# SPDX-License-Identifier: Apache-2.0
"""The detectors: a table of named objects, each of which can say what is wrong now.

A detector sees some kinds of events (a cycle of the controller, a measurement, a tick) and answers
each with what is wrong in words, or with nothing; findings made elsewhere are reported to it. It
decides no more than that: whether a finding stops the arm is the monitor's business. The README's
table comes from here.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from smooth_motion import (
    Acknowledged,
    Acknowledgement,
    CommandJerk,
    Limits,
    Robot,
    SavitzkyGolayJerk,
)
from smoothness_monitor.core.types import FloatArray
from smoothness_monitor.params import MonitorConfig

# Cycles closer than this in trajectory time are not differenced: rounding would rule the result.
MIN_STEP_NS = 500_000


@dataclass(frozen=True)
class Cycle:
    """One cycle of the controller: finite, in the robot's joint order.

    Attributes:
        stamp_ns: Of the message.
        time_ns: Trajectory time, on which the reference is a smooth function.
        position: Reference, (J,) rad.
        velocity: Reference, (J,) rad/s.
        acceleration: Reference, (J,) rad/s^2.
        verdict: Which plan the controller runs.
    """

    stamp_ns: int
    time_ns: int
    position: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
    verdict: Acknowledgement


@dataclass(frozen=True)
class Measurement:
    """One joint_states message: finite, in the robot's joint order.

    Attributes:
        stamp_ns: Of the message.
        position: (J,) rad.
        everything: All positions of the message, of whatever joints.
        reference: The arm's reference at that time, (J,) rad; None when it is not known.
    """

    stamp_ns: int
    position: FloatArray
    everything: tuple[float, ...]
    reference: FloatArray | None


@dataclass(frozen=True)
class Ages:
    """Time since the newest message of each input arrived, s; infinite when none has."""

    joint_states_s: float
    controller_state_s: float


class Detector:
    """One way in which something can be wrong.

    Attributes:
        name: Stable; what `first_cause` reports.
        watches: The input, for the table.
        trips_when: The condition and its threshold, for the table.
        latency: From the fault to the trip, for the table.
        doc: What it means and what to look at.
        present: What is wrong now, empty when nothing is. Blocks a reset.
        value: Newest value in words, for the diagnostics.
    """

    name: ClassVar[str]
    watches: ClassVar[str]
    trips_when: ClassVar[str]
    latency: ClassVar[str]
    doc: ClassVar[str]

    def __init__(self) -> None:
        self.present = ""
        self.value = ""

    def on_cycle(self, cycle: Cycle) -> str:
        """Judge a cycle of the controller; return what is wrong, empty when nothing is."""
        return ""

    def on_measurement(self, measurement: Measurement) -> str:
        """Judge a measurement; return what is wrong, empty when nothing is."""
        return ""

    def on_tick(self, ages: Ages) -> str:
        """Judge the ages of the inputs; return what is wrong, empty when nothing is."""
        return ""

    def report(self, detail: str) -> str:
        """Take in a finding that was made elsewhere, or its absence."""
        self.present = detail
        return detail

    def clear(self) -> None:
        """Forget what belongs to before a reset."""


class _Bound(Detector):
    """A detector that compares the magnitude of a quantity with a threshold, joint by joint."""

    unit: ClassVar[str]

    def __init__(self, names: Sequence[str], threshold: FloatArray) -> None:
        super().__init__()
        self._names = tuple(names)
        self.threshold = threshold

    def _judge(self, values: FloatArray) -> str:
        """Return which joint is beyond its threshold by most, empty when none is."""
        size = np.abs(values)
        # A NaN counts as beyond every threshold.
        excess = np.where(np.isfinite(size), size / self.threshold, np.inf)
        worst = int(np.argmax(excess))
        self.value = (
            f"{self._names[worst]}: {size[worst]:.5g} {self.unit}, threshold "
            f"{self.threshold[worst]:.5g} {self.unit}"
        )
        return "" if excess[worst] <= 1.0 else self.value


class _PerInput(Detector):
    """A detector whose findings are reported input by input."""

    def __init__(self) -> None:
        super().__init__()
        self._of_input: dict[str, str] = {}

    def report_input(self, source: str, detail: str) -> str:
        """Take in what is wrong with the newest message of an input, empty when nothing is."""
        self._of_input[source] = f"{source}: {detail}" if detail else ""
        self.present = "; ".join(text for text in self._of_input.values() if text)
        return self._of_input[source]


class NonFinite(_PerInput):
    """A value that is not a finite number, or is missing."""

    name = "non_finite"
    watches = "joint_states, controller_state, plans"
    trips_when = "a value is NaN, infinite or missing"
    latency = "the message"
    doc = "Nothing computed from such a message would mean anything, so it is not used at all."


class StampOrder(_PerInput):
    """A stamp that is older than the one before it."""

    name = "backwards_stamp"
    watches = "joint_states, controller_state"
    trips_when = "a stamp is older than the one before it"
    latency = "the message"
    doc = "Two publishers on one topic, or a clock that was set back."


class CommandPosition(Detector):
    """The controller's reference is outside of the position limits."""

    name = "command_position"
    watches = "controller_state"
    trips_when = "the reference is beyond a position limit by command_position_tolerance_rad"
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


class _Difference(_Bound):
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


class CommandJerkLimit(_Bound):
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


class MeasuredJerk(_Bound):
    """The measured joints jerk more than any plan can explain."""

    name = "measured_jerk"
    unit = "rad/s^3"
    watches = "joint_states"
    trips_when = (
        "|jerk| > measured_jerk_factor x limit + quantisation bound, in measured_jerk_count of "
        "measured_jerk_of estimates"
    )
    latency = "half the window, plus measured_jerk_count periods"
    doc = (
        "A collision, a loose joint, a failing servo or encoder. A health check: 12-bit encoders "
        "cannot show whether a jerk limit held."
    )

    def __init__(self, names: Sequence[str], limit: FloatArray, ticks: int, config: MonitorConfig):
        period_s = 1.0 / config.joint_states_rate_hz
        # Samples count as evenly spaced, so not one may be missing in the window.
        self.estimator = SavitzkyGolayJerk(
            names, config.measured_jerk_window, period_s, ticks, max_gap=1.5
        )
        bound = self.estimator.quantisation_bound
        super().__init__(names, config.measured_jerk_factor * limit + bound)
        self._count = config.measured_jerk_count
        self._newest: deque[bool] = deque(maxlen=config.measured_jerk_of)
        self.newest = np.full(len(self._names), np.nan)

    @property
    def filled(self) -> bool:
        """Whether there is an estimate."""
        return self.estimator.filled

    def on_measurement(self, measurement: Measurement) -> str:
        """Compare the newest estimate with the threshold."""
        jerk = self.estimator.update(measurement.stamp_ns, measurement.position)
        if jerk is None:
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


class TrackingError(_Bound):
    """The measured joints are not where the controller's reference is."""

    name = "tracking_error"
    unit = "rad"
    watches = "joint_states, controller_state"
    trips_when = (
        "|measured - reference| > tracking_error_rad, in tracking_error_count of "
        "tracking_error_of messages"
    )
    latency = "tracking_error_count periods"
    doc = "A collision, an overload, a servo without torque, a wrong calibration."

    def __init__(self, names: Sequence[str], config: MonitorConfig) -> None:
        super().__init__(names, np.full(len(names), config.tracking_error_rad))
        self._count = config.tracking_error_count
        self._newest: deque[bool] = deque(maxlen=config.tracking_error_of)

    def on_measurement(self, measurement: Measurement) -> str:
        """Compare the joints with the reference of the same time."""
        if measurement.reference is None:
            self._newest.clear()
            self.present = ""
            return ""
        self.present = self._judge(measurement.position - measurement.reference)
        self._newest.append(bool(self.present))
        return self.present if self.present and sum(self._newest) >= self._count else ""

    def clear(self) -> None:
        """Count anew."""
        self._newest.clear()


class FrozenJointStates(Detector):
    """joint_states repeats itself bit by bit while the reference moves."""

    name = "frozen_joint_states"
    watches = "joint_states, controller_state"
    trips_when = "all positions stay bit-identical while the reference travels frozen_travel_rad"
    latency = "the time of that travel"
    doc = "The driver is dead and something goes on stamping its last values afresh."

    def __init__(self, travel_rad: float) -> None:
        super().__init__()
        self._travel_rad = travel_rad
        self._everything: tuple[float, ...] = ()
        self._from: FloatArray | None = None

    def on_measurement(self, measurement: Measurement) -> str:
        """Compare with the message before."""
        same = measurement.everything == self._everything
        self._everything = measurement.everything
        if not same or self._from is None or measurement.reference is None:
            self._from = measurement.reference
            self.present = ""
            return ""
        travel = float(np.max(np.abs(measurement.reference - self._from)))
        self.value = f"reference travelled {travel:.3f} rad, threshold {self._travel_rad:.3f} rad"
        self.present = "" if travel <= self._travel_rad else self.value
        return self.present

    def clear(self) -> None:
        """Start the travel anew."""
        self._from = None
        self.present = ""


class _Stale(Detector):
    """An input has not arrived for too long."""

    def __init__(self, threshold_s: float) -> None:
        super().__init__()
        self.threshold_s = threshold_s
        self.present = "nothing received yet"

    def _age_s(self, ages: Ages) -> float:
        raise NotImplementedError

    def on_tick(self, ages: Ages) -> str:
        """Compare the age with the threshold."""
        age_s = self._age_s(ages)
        if math.isinf(age_s):
            self.value = "nothing received yet"
        else:
            self.value = f"{age_s:.3f} s old, threshold {self.threshold_s:.3f} s"
        self.present = "" if age_s <= self.threshold_s else self.value
        return self.present


class StaleJointStates(_Stale):
    """No new joint_states message."""

    name = "stale_joint_states"
    watches = "joint_states"
    trips_when = "no new message for joint_states_stale_s"
    latency = "the threshold, plus 1 tick"
    doc = "A dead driver or a lost connection. A message stamped like the one before is not new."

    def _age_s(self, ages: Ages) -> float:
        return ages.joint_states_s


class StaleControllerState(_Stale):
    """No new controller_state message."""

    name = "stale_controller_state"
    watches = "controller_state"
    trips_when = "no new message for controller_state_stale_s"
    latency = "the threshold, plus 1 tick"
    doc = "The controller is inactive, dead or out of reach. The brake is sent all the same."

    def _age_s(self, ages: Ages) -> float:
        return ages.controller_state_s


class ForeignPublisher(Detector):
    """Somebody else publishes on a topic of the controller."""

    name = "foreign_publisher"
    watches = "the ROS graph"
    trips_when = "a controller's topic has a publisher besides this node"
    latency = "1 s"
    doc = "This node must be the only writer. An action client is seen by foreign_plan instead."


class PlanRejected(Detector):
    """A plan was refused in a way that no correct policy node causes."""

    name = "plan_rejected"
    watches = "plans"
    trips_when = "a check fails that the table of refusals marks"
    latency = "the message"
    doc = "The plan was not forwarded; the detail names the check that failed."


class Operator(Detector):
    """Somebody asked for a stop."""

    name = "operator"
    watches = "~/stop"
    trips_when = "the service is called"
    latency = "the call"
    doc = "Latches like every other cause."


# The order of the table, and the order in which one event is judged.
DETECTORS: tuple[type[Detector], ...] = (
    NonFinite,
    StampOrder,
    CommandPosition,
    CommandVelocity,
    CommandAcceleration,
    CommandJerkLimit,
    ForeignPlan,
    MeasuredJerk,
    TrackingError,
    FrozenJointStates,
    StaleJointStates,
    StaleControllerState,
    ForeignPublisher,
    PlanRejected,
    Operator,
)


class Detectors:
    """All detectors, built for one robot."""

    def __init__(self, robot: Robot, config: MonitorConfig) -> None:
        limits, names = robot.limits, robot.limits.joint_names
        ratio = 1.0 + config.command_tolerance
        self.non_finite = NonFinite()
        self.stamp_order = StampOrder()
        self.command_position = CommandPosition(limits, config.command_position_tolerance_rad)
        self.command_jerk = CommandJerkLimit(names, limits.jerk * ratio)
        self.measured_jerk = MeasuredJerk(names, limits.jerk, robot.ticks_per_turn, config)
        self.frozen = FrozenJointStates(config.frozen_travel_rad)
        self.foreign_publisher = ForeignPublisher()
        every: Sequence[Detector] = (
            self.non_finite,
            self.stamp_order,
            self.command_position,
            CommandVelocity(names, limits.velocity * ratio),
            CommandAcceleration(names, limits.acceleration * ratio),
            self.command_jerk,
            ForeignPlan(config.foreign_deviation_rad),
            self.measured_jerk,
            TrackingError(names, config),
            self.frozen,
            StaleJointStates(config.joint_states_stale_s),
            StaleControllerState(config.controller_state_stale_s),
            self.foreign_publisher,
            PlanRejected(),
            Operator(),
        )
        self.by_name: Mapping[str, Detector] = {item.name: item for item in every}

    def on_cycle(self, cycle: Cycle) -> list[tuple[str, str]]:
        """Return (name, detail) of each detector that trips on a cycle."""
        return [(d.name, found) for d in self.by_name.values() if (found := d.on_cycle(cycle))]

    def on_measurement(self, seen: Measurement) -> list[tuple[str, str]]:
        """Return (name, detail) of each detector that trips on a measurement."""
        return [
            (d.name, found) for d in self.by_name.values() if (found := d.on_measurement(seen))
        ]

    def on_tick(self, ages: Ages) -> list[tuple[str, str]]:
        """Return (name, detail) of each detector that trips on a tick."""
        return [(d.name, found) for d in self.by_name.values() if (found := d.on_tick(ages))]

    def present(self) -> tuple[str, ...]:
        """Return what is wrong now, one line a detector."""
        return tuple(
            f"{item.name}: {item.present}" for item in self.by_name.values() if item.present
        )

    def clear(self) -> None:
        """Forget what belongs to before a reset."""
        for item in self.by_name.values():
            item.clear()
