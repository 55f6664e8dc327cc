# SPDX-License-Identifier: Apache-2.0
"""What MoveIt's process is to load, out of the node's parameters and the robot's files."""

from __future__ import annotations

from pathlib import Path

from rclpy.node import Node

from vla_contract.robot import Robot
from vla_contract.workspace import Workspace
from vla_moveit.core.clear_path import ClearPath
from vla_moveit.core.goal import NamedPoses
from vla_moveit.core.moveit_model import GROUP, ModelError, description, semantics
from vla_moveit.core.moveit_parameters import OMPL, node_parameters
from vla_moveit.moveit_planner import MoveItPlanner, find_moveit
from vla_moveit.params import MotionPlannerParameters


def described(file: str | Path, robot_file: str) -> str:
    """Return the URDF of a file of URDF or xacro.

    Raises:
        ModelError: There is none, or it cannot be read.
    """
    path = Path(file)
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file; give description_file")
    if path.suffix != ".xacro":
        return path.read_text(encoding="utf-8")
    try:
        import xacro
    except ImportError:
        raise ModelError(
            f"{path}: needs xacro (apt install ros-$ROS_DISTRO-xacro), or give a URDF"
        ) from None
    try:
        return str(xacro.process_file(str(path), mappings={"robot_file": robot_file}).toxml())
    # xacro has errors of many kinds.
    except Exception as error:
        words = " ".join(str(error).split())
        raise ModelError(f"{path}: xacro cannot read it: {words[:300]}") from None


def start_moveit(
    node: Node,
    given: MotionPlannerParameters,
    robot: Robot,
    workspace: Workspace,
    poses: NamedPoses,
) -> MoveItPlanner:
    """Start MoveIt's process.

    Args:
        node: In whose namespace, and by whose clock, it is.
        given: The node's parameters.
        robot: Its joints and limits.
        workspace: What the arm stays clear of.
        poses: Named states.

    Raises:
        PlannerError: MoveIt is not installed.
        ModelError: The description does not fit the robot's files.
    """
    find_moveit()
    plain = described(given.description_file, given.robot_file)
    parameters = node_parameters(
        robot,
        description(plain, robot, workspace),
        semantics(plain, robot, workspace, poses),
        pipeline=given.pipeline,
        planner_id=given.planner_id,
        time_s=given.planning_time_s,
    )
    parameters["use_sim_time"] = bool(node.get_parameter("use_sim_time").value)
    setup = {
        "parameters": parameters,
        "namespace": node.get_namespace(),
        "remappings": {"/clock": node.resolve_topic_name("/clock")},
        "group": GROUP,
        "joints": list(robot.limits.joint_names),
        "tip": robot.tip_frame,
        "scene_service": given.scene_service,
    }
    return MoveItPlanner(setup, ClearPath(workspace), varies=given.pipeline == OMPL)
