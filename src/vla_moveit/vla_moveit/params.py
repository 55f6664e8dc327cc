# SPDX-License-Identifier: Apache-2.0
"""The node's parameters.

``python -m vla_moveit.params README.md`` renews the table in that file.
"""

import sys
from dataclasses import dataclass
from functools import partial

from node_kit.parameters import parameter, table
from node_kit.tables import renew_files


@dataclass(frozen=True)
class MotionPlannerParameters:
    """Their names, defaults, meaning, units and bounds."""

    robot_file: str = parameter("", "Robot file: joints, limits, home, frames.", required=True)
    planner: str = parameter(
        "straight",
        "`straight`: a straight line in joint space, where that is clear by the workspace file.",
        choices=("straight",),
    )
    workspace_file: str = parameter(
        "",
        "Where the arm may be: its capsules, the table, obstacles. Empty: `workspace.yaml` beside "
        "the robot file.",
    )
    speed: float = parameter(
        0.5, "Share of the velocity limits, where a goal names none.", "", 0.01, 1.0
    )
    path_deviation_rad: float = parameter(
        0.05,
        "By how much a joint may cut the corners of a path; the path is passed the more slowly "
        "there. What is checked for being clear is the motion that cuts them.",
        "rad",
        0.001,
        0.5,
    )
    planning_time_s: float = parameter(
        10.0, "How long a planner may take to find a path, of the host's time.", "s", 0.1, 300.0
    )


TABLES = {"parameters": partial(table, MotionPlannerParameters)}

if __name__ == "__main__":
    sys.exit(renew_files(TABLES))
