# SPDX-License-Identifier: Apache-2.0
"""The node's parameters.

``python -m vla_moveit.params README.md`` renews the table in that file.
"""

import sys
from dataclasses import dataclass
from functools import partial

from node_kit.parameters import ParameterError, parameter, table
from node_kit.tables import renew_files

PLANNERS = ("straight", "moveit")


@dataclass(frozen=True)
class MotionPlannerParameters:
    """Their names, defaults, meaning, units and bounds."""

    robot_file: str = parameter("", "Robot file: joints, limits, home, frames.", required=True)
    planner: str = parameter(
        "straight",
        "`straight`: a straight line in joint space, where that is clear by the workspace file. "
        "`moveit`: MoveIt, in a process of its own; it finds ways around what is in the way.",
        choices=PLANNERS,
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
    home_when_done: bool = parameter(
        False,
        "Bring the arm home, along a planned path, whenever the policy says that it is done "
        "(`done` of its chunks) and has given the arm back.",
    )
    description_file: str = parameter(
        "", "For `moveit`: the arm's description, URDF or xacro, which gets `robot_file`."
    )
    pipeline: str = parameter(
        "ompl",
        "For `moveit`: which of its planning pipelines.",
        choices=("ompl", "pilz_industrial_motion_planner"),
    )
    planner_id: str = parameter(
        "",
        "For `moveit`: which planner of the pipeline, e.g. `RRTstar`, or `PTP`; empty: its own.",
    )
    scene_service: str = parameter(
        "",
        "For `moveit`: service that tells the planning scene, `/get_planning_scene` where a "
        "move_group runs; it is asked before each path. Empty: what the workspace file says, and "
        "what others publish on `collision_object` and `planning_scene`.",
    )

    def __post_init__(self) -> None:
        if self.planner == "moveit" and not self.description_file:
            raise ParameterError(
                "parameter description_file: is not set, and MoveIt needs a description of the "
                "arm; give a URDF or xacro file"
            )


TABLES = {"parameters": partial(table, MotionPlannerParameters)}

if __name__ == "__main__":
    sys.exit(renew_files(TABLES))
