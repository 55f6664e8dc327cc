# SPDX-License-Identifier: Apache-2.0
"""The detectors: a table of named objects, each of which can say what is wrong now.

A detector sees some kinds of events (a cycle of the controller, a measurement, a tick) and answers
each with what is wrong in words, or with nothing; findings made elsewhere are reported to it. It
decides no more than that: whether a finding stops the arm is the monitor's business. The README's
table comes from here.

A detector of another package is a class like these. It names a function that makes one out of the
robot and the thresholds as an entry point of the group `smoothness_monitor.detectors`; the node
finds it there (`plugins.py`) and gives it to `Monitor(robot, config, detectors=...)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from smooth_motion import Acknowledged
from smoothness_monitor.core.detectors.base import Ages, Cycle, Detector, Measurement
from smoothness_monitor.core.detectors.clocks import (
    ClockSkew,
    ClockStep,
    Overrun,
    StaleClock,
)
from smoothness_monitor.core.detectors.command import (
    CommandAcceleration,
    CommandJerkLimit,
    CommandPosition,
    CommandVelocity,
    ForeignPlan,
    ReferenceJudge,
)
from smoothness_monitor.core.detectors.inputs import (
    ControllerInactive,
    ControllerParameters,
    ForeignPublisher,
    InternalError,
    NonFinite,
    Operator,
    PlanNotAdopted,
    PlanRejected,
    Restarted,
    ServoHealth,
    StampOrder,
)
from smoothness_monitor.core.detectors.measured import (
    FrozenDriverStates,
    FrozenJointStates,
    MeasuredJerk,
    MeasurementJudge,
    TrackingError,
    make_estimator,
)
from smoothness_monitor.core.detectors.silence import (
    LostPolicy,
    StaleControllerState,
    StaleDriverStates,
    StaleJointStates,
    StaleServoStatus,
)
from smoothness_monitor.params import MonitorConfig
from vla_contract.robot import Robot

__all__ = ["DETECTORS", "Ages", "Cycle", "Detector", "Detectors", "Measurement"]

# The order of the table, and the order in which one event is judged.
DETECTORS: tuple[type[Detector], ...] = (
    NonFinite,
    StampOrder,
    ClockStep,
    ClockSkew,
    StaleClock,
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
    Restarted,
    InternalError,
    LostPolicy,
)

Found = list[tuple[str, str]]
# Of what a detector says, for it may quote a message of any length.
LONGEST_LINE = 500


def _having(
    method: str, detectors: Sequence[Detector], *, compiled: bool | None = None
) -> tuple[Detector, ...]:
    """Return the detectors that have a method of their own."""
    return tuple(
        item
        for item in detectors
        if getattr(type(item), method) is not getattr(Detector, method)
        and compiled in (None, item.compiled)
    )


class Detectors:
    """All detectors, built for one robot."""

    def __init__(self, robot: Robot, config: MonitorConfig, more: Sequence[Detector] = ()) -> None:
        """Build those of the table.

        Args:
            robot: The robot.
            config: The thresholds.
            more: Detectors that are not in the table, asked after those that are.

        Raises:
            ValueError: Two detectors have one name.
        """
        limits, names = robot.limits, robot.limits.joint_names
        ratio = 1.0 + config.command_tolerance
        self.non_finite = NonFinite()
        self.stamp_order = StampOrder()
        self.clock_step = ClockStep()
        self.stale_clock = StaleClock()
        self.clock_skew = ClockSkew(config.clock_skew_s, config.joint_states_stale_s)
        self.reference = reference = ReferenceJudge(len(names))
        self.command_position = CommandPosition(
            reference, limits, config.command_position_tolerance_rad
        )
        self.command_jerk = CommandJerkLimit(reference, names, limits.jerk * ratio)
        estimator = make_estimator(names, robot.ticks_per_turn, config)
        self.measured = measured = MeasurementJudge(estimator)
        self.measured_jerk = MeasuredJerk(measured, names, limits.jerk, config)
        self._debounced = (self.measured_jerk, TrackingError(measured, names, config))
        self.overrun = Overrun(
            config.overrun_s, config.overrun_count, config.overrun_of, config.stall_s
        )
        self.controller_inactive = ControllerInactive()
        self.foreign_publisher = ForeignPublisher()
        self.servo_health = ServoHealth(configured=bool(config.servo_status))
        self.plan_not_adopted = PlanNotAdopted()
        self.controller_parameters = ControllerParameters()
        every: Sequence[Detector] = (
            self.non_finite,
            self.stamp_order,
            self.clock_step,
            self.clock_skew,
            self.stale_clock,
            self.command_position,
            CommandVelocity(reference, names, limits.velocity * ratio),
            CommandAcceleration(reference, names, limits.acceleration * ratio),
            self.command_jerk,
            ForeignPlan(reference, config.foreign_deviation_rad),
            *self._debounced,
            FrozenJointStates(config.frozen_travel_rad),
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
            self.overrun,
            Operator(),
            Restarted(),
            InternalError(),
            LostPolicy(config.policy_silent_s),
            *more,
        )
        self.by_name: Mapping[str, Detector] = {item.name: item for item in every}
        if len(self.by_name) < len(every):
            called = [item.name for item in every]
            twice = next(name for name in called if called.count(name) > 1)
            raise ValueError(f"two detectors are called {twice}; give one another name")
        # Whether messages that are right would still change something: the words of the last ones
        # must be taken back, or the count of them goes on.
        self._cycle_unsettled = self._measurement_unsettled = True
        # Only those that look at an event are asked about it: this is the hot path.
        self._judged_cycle = _having("on_cycle", every, compiled=True)
        self._each_cycle = _having("on_cycle", every, compiled=False)
        self._each_measurement = _having("on_measurement", every, compiled=False)
        self._of_driver = _having("on_driver", every)
        self._of_tick = _having("on_tick", every)

    def on_cycle(self, cycle: Cycle) -> Found:
        """Return (name, detail) of each detector that finds something wrong with a cycle."""
        self.reference.judge(cycle)
        wrong = self.reference.wrong or cycle.verdict.kind is Acknowledged.FOREIGN
        asked = self._each_cycle
        if wrong or self._cycle_unsettled:
            self._cycle_unsettled = bool(wrong)
            asked = (*self._judged_cycle, *asked)
        return [(d.name, found) for d in asked if (found := d.on_cycle(cycle))]

    def on_measurement(self, seen: Measurement) -> Found:
        """Return (name, detail) of each detector that finds something wrong with joint_states."""
        self.measured.judge(seen)
        found: Found = []
        if self.measured.wrong or self._measurement_unsettled:
            found = [(d.name, text) for d in self._debounced if (text := d.on_measurement(seen))]
            self._measurement_unsettled = not all(d.settled for d in self._debounced)
        for each in self._each_measurement:
            if text := each.on_measurement(seen):
                found.append((each.name, text))
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
            f"{item.name}: {item.present}"[:LONGEST_LINE]
            for item in self.by_name.values()
            if item.present
            and item.trips
            and (cycles or item not in (*self._judged_cycle, *self._each_cycle))
        )

    def clear(self) -> None:
        """Forget what belongs to before a reset."""
        for item in self.by_name.values():
            item.clear()
        self._cycle_unsettled = self._measurement_unsettled = True
