# SPDX-License-Identifier: Apache-2.0
"""The node's parameters; `python -m vla_sim.params README.md` renews the table in that file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial

from node_kit.parameters import ParameterError, parameter, table
from node_kit.tables import renew_files

PHYSICS_RATE_HZ = 500
# For controllers that 500 steps a second do not divide by.
FAST_PHYSICS_RATE_HZ = 1000


@dataclass(frozen=True)
class SimParameters:
    """All parameters are read once, at the start."""

    robot_file: str = parameter("", "Robot file: joints, limits, controllers.", required=True)
    seed: int = parameter(0, "Seed of the first scene.")
    randomise: bool = parameter(
        True, "Vary colours, light and camera poses with the seed, not only the cubes' places."
    )
    controller_rate_hz: int = parameter(
        100, "Rate of the controllers and of the states; a divisor of 1000.", "Hz", 50, 1000
    )
    allow_trajectory_replacement: bool = parameter(
        False,
        "Let the controllers take a trajectory whose stamp is past for one that starts now, as "
        "those of the newest ros2_controllers do by default. The monitor forwards nothing then.",
    )
    max_command_age_s: float = parameter(
        0.14,
        "A trajectory that was sent this long before its arrival is dropped, so that what was "
        "held back on its way is not carried out late; a little less than its overlap.",
        "s",
        0.01,
        10.0,
    )
    camera_rate_hz: float = parameter(30.0, "Rate of each camera.", "Hz", 1.0, 50.0)
    real_time_factor: float = parameter(
        1.0,
        "Simulated time over the host's, at most; 0: as fast as the host can. A host that is too "
        "slow for it only makes a slower simulation.",
        "",
        0.0,
        100.0,
    )
    lockstep_timeout_s: float = parameter(
        5.0,
        "Simulated time waits for the nodes that acknowledge it, for one that says nothing no "
        "longer than this of the host's time. 0: it waits for nobody, as on a robot.",
        "s",
        0.0,
        600.0,
    )
    image_width: int = parameter(640, "Width of the images.", "px", 32, 1920)
    image_height: int = parameter(480, "Height of the images.", "px", 32, 1080)

    def __post_init__(self) -> None:
        if FAST_PHYSICS_RATE_HZ % self.controller_rate_hz:
            raise ParameterError(
                f"parameter controller_rate_hz: is {self.controller_rate_hz}; "
                f"write a divisor of {FAST_PHYSICS_RATE_HZ}, such as 100"
            )

    @property
    def physics_rate_hz(self) -> int:
        """Steps of the physics a second: a multiple of the controllers' rate."""
        slow = PHYSICS_RATE_HZ % self.controller_rate_hz == 0
        return PHYSICS_RATE_HZ if slow else FAST_PHYSICS_RATE_HZ


TABLES = {"parameters": partial(table, SimParameters)}

if __name__ == "__main__":
    sys.exit(renew_files(TABLES))
