# SPDX-License-Identifier: Apache-2.0
"""For the launch files: RViz, with the layout of `config/layouts` and the arm's own names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import Action, LaunchContext
from launch.actions import DeclareLaunchArgument, LogInfo
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node

from strict_yaml import read_yaml
from vla_bringup import description
from vla_bringup.launch_folder import launch_folder
from vla_contract.robot import load_robot

ARGUMENT = DeclareLaunchArgument(
    "rviz",
    default_value="false",
    choices=["true", "false"],
    description="RViz, with the arm, its frames and its cameras.",
)
LAYOUT = PathJoinSubstitution([description.SHARE, "config", "layouts", "arm.rviz"])


def nodes(context: LaunchContext) -> list[Action]:
    """Return RViz where it is asked for, or say that it is not installed: the arm goes on.

    Raises:
        RobotConfigError: The robot file is missing or wrong.
    """
    if LaunchConfiguration("rviz").perform(context) != "true":
        return []
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        return [LogInfo(msg="no RViz: there is no rviz2 (apt install ros-$ROS_DISTRO-rviz2)")]
    robot = load_robot(LaunchConfiguration("robot_file").perform(context))
    layout = read_yaml(Path(LAYOUT.perform(context)))
    own = for_arm(layout, robot.base_frame, description.full_namespace(context))
    file = launch_folder("rviz") / "arm.rviz"
    file.write_text(yaml.safe_dump(own, sort_keys=False), encoding="utf-8")
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            namespace=description.NAMESPACE,
            arguments=["-d", str(file)],
        )
    ]


def for_arm(layout: dict[str, Any], base_frame: str, namespace: str) -> dict[str, Any]:
    """Return a layout for an arm: its fixed frame, its topics and the prefix of its frames.

    Args:
        layout: As RViz writes it, with the names of an arm without a namespace. It is changed.
        base_frame: The arm's, as its robot file has it.
        namespace: Where its nodes are, without slashes at the ends; empty: nowhere.
    """
    place = f"/{namespace}" if namespace else ""
    manager = layout["Visualization Manager"]
    manager["Global Options"]["Fixed Frame"] = f"{place}/{base_frame}".lstrip("/")
    for display in manager["Displays"]:
        for key in ("Topic", "Description Topic"):
            if key in display:
                display[key]["Value"] = place + display[key]["Value"]
        if "TF Prefix" in display:
            display["TF Prefix"] = namespace
    return layout
