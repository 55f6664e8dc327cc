# SPDX-License-Identifier: Apache-2.0
"""The detectors: a table of named objects, each of which can say what is wrong now.

A detector sees some kinds of events (a cycle of the controller, a measurement, a tick) and answers
each with what is wrong in words, or with nothing; findings made elsewhere are reported to it. It
decides no more than that: whether a finding stops the arm is the monitor's business. The README's
table comes from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from smooth_motion import Robot
from smoothness_monitor.core.detectors.base import Ages, Cycle, Detector, Measurement
from smoothness_monitor.core.detectors.command import (
    CommandAcceleration,
    CommandJerkLimit,
    CommandPosition,
    CommandVelocity,
    ForeignPlan,
)
from smoothness_monitor.core.detectors.inputs import (
    ForeignPublisher,
    NonFinite,
    Operator,
    PlanRejected,
    StaleControllerState,
    StaleJointStates,
    StampOrder,
)
from smoothness_monitor.core.detectors.measured import (
    FrozenJointStates,
    MeasuredJerk,
    TrackingError,
)
from smoothness_monitor.params import MonitorConfig

__all__ = ["DETECTORS", "Ages", "Cycle", "Detector", "Detectors", "Measurement"]

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
