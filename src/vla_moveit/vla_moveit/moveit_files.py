# SPDX-License-Identifier: Apache-2.0
r"""Write what MoveIt is told of an arm into files: for a move_group, for RViz.

Such as:

    ros2 run vla_moveit moveit_files --robot-file config/robots/panda/robot.yaml \
        --description-file src/vla_bringup/urdf/panda.urdf.xacro out/panda_moveit
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from vla_contract.robot import RobotConfigError, load_robot
from vla_contract.workspace import FILE as WORKSPACE_FILE
from vla_contract.workspace import WorkspaceError, load_workspace
from vla_moveit.core import moveit_parameters
from vla_moveit.core.goal import GoalError, NamedPoses
from vla_moveit.core.moveit_model import ModelError, description, semantics
from vla_moveit.moveit_setup import described


def write(robot_file: Path, workspace_file: Path, description_file: Path, folder: Path) -> None:
    """Write a description, an SRDF and MoveIt's parameters, each in the file of its usual name.

    Raises:
        RobotConfigError: The robot file cannot be used.
        WorkspaceError: The workspace file cannot.
        GoalError: The file of named poses cannot.
        ModelError: The description cannot, or it is another arm's.
        OSError: The folder cannot be written.
    """
    robot = load_robot(robot_file)
    workspace = load_workspace(workspace_file, robot.limits.joint_names)
    poses = NamedPoses.of(robot, robot_file)
    urdf = described(description_file, str(robot_file))
    trees = {
        "joint_limits.yaml": moveit_parameters.joint_limits(robot),
        "kinematics.yaml": moveit_parameters.kinematics(robot),
        "ompl_planning.yaml": moveit_parameters.ompl_planning(),
        "pilz_cartesian_limits.yaml": moveit_parameters.pilz_cartesian_limits(),
        "pilz_industrial_motion_planner_planning.yaml": moveit_parameters.pilz_planning(),
    }
    texts = {name: yaml.safe_dump(tree, sort_keys=False) for name, tree in trees.items()}
    texts[f"{robot.name}.urdf"] = description(urdf, robot, workspace)
    texts[f"{robot.name}.srdf"] = semantics(urdf, robot, workspace, poses)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def main(args: Sequence[str] | None = None) -> int:
    """Write the files; return 2 where something given cannot be used."""
    parser = argparse.ArgumentParser(prog="moveit_files", description="Write MoveIt's files.")
    parser.add_argument("--robot-file", type=Path, required=True)
    parser.add_argument("--description-file", type=Path, required=True, help="URDF or xacro")
    parser.add_argument("--workspace-file", type=Path, help="default: beside the robot file")
    parser.add_argument("folder", type=Path, help="where to; files there are replaced")
    given = parser.parse_args(args)
    workspace = given.workspace_file or given.robot_file.with_name(WORKSPACE_FILE)
    try:
        write(given.robot_file, workspace, given.description_file, given.folder)
    except (RobotConfigError, WorkspaceError, GoalError, ModelError, OSError) as error:
        print(f"moveit_files: {error}", file=sys.stderr)
        return 2
    print(f"written to {given.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
