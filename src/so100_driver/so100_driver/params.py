# SPDX-License-Identifier: Apache-2.0
"""The nodes' parameters; `python -m so100_driver.params README.md` renews the tables in it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from node_kit.parameters import parameter, table
from node_kit.tables import renew_files
from so100_driver.core.gate import GateLimits
from so100_driver.core.orders import ArmLimits


@dataclass(frozen=True)
class DriverParameters:
    """All parameters are read once, at the start."""

    port: str = parameter("/dev/so101_follower", "Serial port of the arm.")
    calibration_file: str = parameter(
        "",
        "LeRobot's calibration file of this arm; its proof (`so101 prove`) lies beside it.",
        required=True,
    )
    robot_file: str = parameter("", "Robot file: joints and their limits.", required=True)
    autostart: bool = parameter(
        True, "Configure and activate by itself. Else another node makes the transitions."
    )
    rate_hz: float = parameter(
        100.0, "Rate of reading, publishing, commanding.", "Hz", 20.0, 200.0
    )
    answer_timeout_s: float = parameter(
        0.004, "How long one answer of a servo may take.", "s", 0.001, 0.1
    )
    first_distance_rad: float = parameter(
        0.1,
        "How near the pose the first command lies; none before it moves the arm.",
        "rad",
        0.0,
        0.5,
    )
    largest_distance_rad: float = parameter(
        0.5, "How far from the measured pose a command may lie.", "rad", 0.05, 1.5
    )
    largest_step_rad: float = parameter(
        0.15, "How far from the command before it a command may lie.", "rad", 0.01, 0.5
    )
    command_timeout_s: float = parameter(
        0.2, "After so long without a command the arm holds.", "s", 0.02, 2.0
    )
    gap_s: float = parameter(
        1.0,
        "A gap in the commands up to so long is caught up, with 1.25 times the joints' velocity "
        "and twice their acceleration at the most; after a longer one the next command is a "
        "first one.",
        "s",
        0.0,
        2.0,
    )
    stale_s: float = parameter(
        0.1, "After so long without an answer of a servo the arm holds.", "s", 0.03, 1.0
    )
    lowering_rad_s: float = parameter(0.4, "How fast the arm lowers itself.", "rad/s", 0.05, 1.0)
    sag_rad_nm: float = parameter(
        0.0,
        "How far a servo gives way under a torque; goals are raised by what the arm's own weight "
        "bends it then. 0: they are not. 0.056 with P = 16, by the maker's model.",
        "rad/(N m)",
        0.0,
        0.1,
    )
    play_rad: float = parameter(
        0.0,
        "Free play behind an encoder, to either side: goals are moved by as much, against the "
        "side at which the arm's own weight holds each link.",
        "rad",
        0.0,
        0.05,
    )
    trim_rad: float = parameter(
        0.0,
        "How far a goal is moved at the most for what friction leaves between a joint at rest and "
        "what is commanded, at 0.02 rad/s and not to and fro; never the gripper's.",
        "rad",
        0.0,
        0.05,
    )

    def limits(
        self, velocity_rad_s: Mapping[str, float], acceleration_rad_s2: Mapping[str, float]
    ) -> ArmLimits:
        """Return how the arm behaves, whose joints are commanded within these limits."""
        return ArmLimits(
            gate=GateLimits(
                first_distance_rad=self.first_distance_rad,
                largest_distance_rad=self.largest_distance_rad,
                largest_step_rad=self.largest_step_rad,
                gap_s=self.gap_s,
            ),
            velocity_rad_s=velocity_rad_s,
            acceleration_rad_s2=acceleration_rad_s2,
            command_timeout_s=self.command_timeout_s,
            stale_s=self.stale_s,
            # Longer than two cycles: one late answer is no restart.
            restart_s=max(ArmLimits.restart_s, 2.5 / self.rate_hz),
            lowering_rad_s=self.lowering_rad_s,
            sag_rad_nm=self.sag_rad_nm,
            play_rad=self.play_rad,
            trim_rad=self.trim_rad,
        )


@dataclass(frozen=True)
class LeaderParameters:
    """All parameters are read once, at the start."""

    port: str = parameter("/dev/so101_leader", "Serial port of the leader arm.")
    calibration_file: str = parameter(
        "", "LeRobot's calibration file of it; its proof lies beside it.", required=True
    )
    robot_file: str = parameter("", "Robot file of the follower.", required=True)
    rate_hz: float = parameter(100.0, "Rate of reading.", "Hz", 20.0, 200.0)
    answer_timeout_s: float = parameter(
        0.004, "How long one answer of a servo may take.", "s", 0.001, 0.1
    )
    stale_s: float = parameter(
        0.1, "After so long without an answer of a servo the arm is given back.", "s", 0.03, 1.0
    )
    delay_s: float = parameter(
        0.35, "How far the follower is behind; at least what a plan takes.", "s", 0.25, 1.0
    )
    catch_up_rad_s: float = parameter(
        0.5, "How fast the follower's distance at a take-over fades.", "rad/s", 0.05, 2.0
    )


TABLES = {
    "parameters": partial(table, DriverParameters),
    "leader_parameters": partial(table, LeaderParameters),
}

if __name__ == "__main__":
    sys.exit(renew_files(TABLES))
