# SPDX-License-Identifier: Apache-2.0
"""Detectors of other packages, found by their entry points."""

from __future__ import annotations

from importlib.metadata import entry_points

from smoothness_monitor.core.detectors import Detector
from smoothness_monitor.params import ConfigError, MonitorConfig
from vla_contract.robot import Robot

GROUP = "smoothness_monitor.detectors"


def load_detectors(robot: Robot, config: MonitorConfig) -> tuple[Detector, ...]:
    """Make the detectors that installed packages offer.

    A package offers one as an entry point of the group `smoothness_monitor.detectors`: a function
    (or a class) that is called with the robot and the thresholds and returns a `Detector`. One
    that is installed watches; there is no switch that would leave it out.

    Raises:
        ConfigError: One cannot be made. An arm that is watched by less than what is installed
            would be a surprise.
    """
    made = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            detector = entry.load()(robot, config)
        except Exception as error:
            raise ConfigError(
                f"detector {entry.name} ({entry.value}): cannot be made: {type(error).__name__}: "
                f"{error}; repair or remove the package that offers it"
            ) from error
        if not isinstance(detector, Detector):
            raise ConfigError(
                f"detector {entry.name} ({entry.value}): made a {type(detector).__name__}; it "
                "must return a smoothness_monitor.core.detectors.Detector"
            )
        for attribute in ("name", "watches", "trips_when", "latency", "doc"):
            if not isinstance(getattr(detector, attribute, None), str):
                where = f"detector {entry.name} ({entry.value})"
                raise ConfigError(f"{where}: has no {attribute}; give its class one")
        made.append(detector)
    return tuple(made)
