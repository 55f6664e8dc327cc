# SPDX-License-Identifier: Apache-2.0
"""The detectors: a table of named objects, each of which can say what is wrong now.

A detector sees some kinds of events (a cycle of the controller, a measurement, a tick) and answers
each with what is wrong in words, or with nothing; findings made elsewhere are reported to it. It
decides no more than that: whether a finding stops the arm is the monitor's business. The README's
table comes from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from smooth_motion import Acknowledged, Robot
from smoothness_monitor.core.detectors.base import Ages, Cycle, Detector, Measurement
from smoothness_monitor.core.detectors.command import (
    CommandAcceleration,
    CommandJerkLimit,
    CommandPosition,
    CommandVelocity,
    ForeignPlan,
    Reference,
)
from smoothness_monitor.core.detectors.inputs import (
    ClockSkew,
    ControllerInactive,
    ControllerParameters,
    ForeignPublisher,
    LostPolicy,
    NonFinite,
    Operator,
    Overrun,
    PlanNotAdopted,
    PlanRejected,
    ServoHealth,
    StaleControllerState,
    StaleDriverStates,
    StaleJointStates,
    StaleServoStatus,
    StampOrder,
)
from smoothness_monitor.core.detectors.measured import (
    FrozenDriverStates,
    FrozenJointStates,
    Measured,
    MeasuredJerk,
    TrackingError,
    make_estimator,
)
from smoothness_monitor.params import MonitorConfig

__all__ = ["DETECTORS", "Ages", "Cycle", "Detector", "Detectors", "Measurement"]

# The order of the table, and the order in which one event is judged.
DETECTORS: tuple[type[Detector], ...] = (
    NonFinite,
    StampOrder,
    ClockSkew,
    CommandPosition,
    CommandVelocity,
    CommandAcceleration,
    CommandJerkLimit,
    ForeignPlan,
    MeasuredJerk,
    TrackingError,
    FrozenJointStates,
    FrozenDriverStates,
    StaleJointStates,
    StaleControllerState,
    StaleDriverStates,
    ControllerInactive,
    ForeignPublisher,
    ServoHealth,
    StaleServoStatus,
    PlanRejected,
    PlanNotAdopted,
    ControllerParameters,
    Overrun,
    Operator,
    LostPolicy,
)

Found = list[tuple[str, str]]


class Detectors:
    """All detectors, built for one robot."""

    def __init__(self, robot: Robot, config: MonitorConfig) -> None:
        limits, names = robot.limits, robot.limits.joint_names
        ratio = 1.0 + config.command_tolerance
        self.non_finite = NonFinite()
        self.stamp_order = StampOrder()
        self.clock_skew = ClockSkew(config.clock_skew_s)
        self.reference = reference = Reference(len(names))
        self.command_position = CommandPosition(
            reference, limits, config.command_position_tolerance_rad
        )
        self.command_jerk = CommandJerkLimit(reference, names, limits.jerk * ratio)
        estimator = make_estimator(names, robot.ticks_per_turn, config)
        self.measured = measured = Measured(estimator)
        self.measured_jerk = MeasuredJerk(measured, names, limits.jerk, config)
        self._debounced = (self.measured_jerk, TrackingError(measured, names, config))
        self._frozen = FrozenJointStates(config.frozen_travel_rad)
        self.controller_inactive = ControllerInactive()
        self.foreign_publisher = ForeignPublisher()
        self.servo_health = ServoHealth(configured=bool(config.servo_status))
        self.plan_not_adopted = PlanNotAdopted()
        self.controller_parameters = ControllerParameters()
        every: Sequence[Detector] = (
            self.non_finite,
            self.stamp_order,
            self.clock_skew,
            self.command_position,
            CommandVelocity(reference, names, limits.velocity * ratio),
            CommandAcceleration(reference, names, limits.acceleration * ratio),
            self.command_jerk,
            ForeignPlan(reference, config.foreign_deviation_rad),
            *self._debounced,
            self._frozen,
            FrozenDriverStates(config.frozen_travel_rad),
            StaleJointStates(config.joint_states_stale_s),
            StaleControllerState(config.controller_state_stale_s),
            StaleDriverStates(
                config.driver_states_stale_s, configured=bool(config.driver_states_topic)
            ),
            self.controller_inactive,
            self.foreign_publisher,
            self.servo_health,
            StaleServoStatus(config.servo_status_stale_s, configured=bool(config.servo_status)),
            PlanRejected(),
            self.plan_not_adopted,
            self.controller_parameters,
            Overrun(config.overrun_s, config.overrun_count, config.overrun_of),
            Operator(),
            LostPolicy(config.policy_silent_s),
        )
        self.by_name: Mapping[str, Detector] = {item.name: item for item in every}
        # Whether messages that are right would still change something: the words of the last ones
        # must be taken back, or the count of them goes on.
        self._cycle_unsettled = self._measurement_unsettled = True
        # Only those that look at an event are asked about it: this is the hot path.
        self._of_cycle = [d for d in every if type(d).on_cycle is not Detector.on_cycle]
        self._of_driver = [d for d in every if type(d).on_driver is not Detector.on_driver]
        self._of_tick = [d for d in every if type(d).on_tick is not Detector.on_tick]

    def on_cycle(self, cycle: Cycle) -> Found:
        """Return (name, detail) of each detector that finds something wrong with a cycle."""
        self.reference.judge(cycle)
        wrong = self.reference.wrong or cycle.verdict.kind is Acknowledged.FOREIGN
        if not (wrong or self._cycle_unsettled):
            return []
        self._cycle_unsettled = bool(wrong)
        return [(d.name, found) for d in self._of_cycle if (found := d.on_cycle(cycle))]

    def on_measurement(self, seen: Measurement) -> Found:
        """Return (name, detail) of each detector that finds something wrong with joint_states."""
        self.measured.judge(seen)
        found: Found = []
        if self.measured.wrong or self._measurement_unsettled:
            found = [(d.name, text) for d in self._debounced if (text := d.on_measurement(seen))]
            self._measurement_unsettled = not all(d.settled for d in self._debounced)
        if not self._frozen.differs(seen) and (text := self._frozen.judge_repeat(seen)):
            found.append((self._frozen.name, text))
        return found

    def on_driver(self, seen: Measurement) -> Found:
        """Return (name, detail) of each detector that finds something wrong with the driver."""
        return [(d.name, found) for d in self._of_driver if (found := d.on_driver(seen))]

    def on_tick(self, ages: Ages) -> Found:
        """Return (name, detail) of each detector that finds something wrong on a tick."""
        return [(d.name, found) for d in self._of_tick if (found := d.on_tick(ages))]

    def present(self, *, cycles: bool = True) -> tuple[str, ...]:
        """Return what is wrong now and must not be, one line a detector.

        Args:
            cycles: False leaves out what the controller's last cycles were found guilty of.
        """
        return tuple(
            f"{item.name}: {item.present}"
            for item in self.by_name.values()
            if item.present and item.trips and (cycles or item not in self._of_cycle)
        )

    def clear(self) -> None:
        """Forget what belongs to before a reset."""
        for item in self.by_name.values():
            item.clear()
        self._cycle_unsettled = self._measurement_unsettled = True
