# SPDX-License-Identifier: Apache-2.0
"""For the launch files: the robot's folder, its description, its frames and its namespace."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import (
    AndSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
    PathJoinSubstitution,
)
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

NAMESPACE = LaunchConfiguration("namespace")
# `ros2 launch` takes no empty argument, so this says that something is not wanted.
NONE = "none"
ROBOT = DeclareLaunchArgument(
    "robot",
    default_value="so101",
    description="Folder of config/robots with the robot's files, where they are not given.",
)
SHARE = FindPackageShare("vla_bringup")
FOLDER = PathJoinSubstitution([SHARE, "config", "robots", LaunchConfiguration("robot")])
DESCRIPTION_FILE = DeclareLaunchArgument(
    "description_file",
    default_value=[
        PathJoinSubstitution([SHARE, "urdf", LaunchConfiguration("robot")]),
        ".urdf.xacro",
    ],
    description="xacro of the arm; it takes robot_file and hardware.",
)


# Arguments of a launch file that a description is told of.
TOLD = (
    "port",
    "servos_file",
    "controllers_file",
    "meshes",
    "robot_ip",
    "mujoco_model",
    "real_time_factor",
)


def text(argument: str) -> ParameterValue:
    """Return an argument's value, as a string whatever it looks like."""
    return ParameterValue(LaunchConfiguration(argument), value_type=str)


def given(argument: str) -> IfCondition:
    """Return the condition that an argument is neither empty nor `none`."""
    what = LaunchConfiguration(argument)
    return IfCondition(
        AndSubstitution(NotEqualsSubstitution(what, ""), NotEqualsSubstitution(what, NONE))
    )


def find_robot(context: LaunchContext) -> None:
    """Say which robots there are, before anything is started, where the one asked for is none.

    Raises:
        RuntimeError: There is no robot file.
    """
    robot, file = (LaunchConfiguration(name).perform(context) for name in ("robot", "robot_file"))
    if Path(file).is_file():
        return
    folders = Path(SHARE.perform(context), "config", "robots")
    known = sorted(path.parent.name for path in folders.glob("*/robot.yaml"))
    raise RuntimeError(
        f"robot:={robot}: there is no file {file}; there are {', '.join(known)} in {folders}; "
        "choose one of them, or give robot_file:=FILE"
    )


def missing() -> str:
    """Return what a description needs and is not installed, in words; empty when nothing."""
    try:
        get_package_prefix("robot_state_publisher")
    except PackageNotFoundError:
        return "robot_state_publisher (apt install ros-$ROS_DISTRO-robot-state-publisher)"
    try:
        import xacro  # noqa: F401
    except ImportError:
        return "xacro (apt install ros-$ROS_DISTRO-xacro)"
    return ""


def full_namespace(context: LaunchContext) -> str:
    """Return where the nodes of this launch file are, without slashes at its ends."""
    own = NAMESPACE.perform(context)
    pushed = "" if own.startswith("/") else context.launch_configurations.get("ros_namespace", "")
    return "/".join(part.strip("/") for part in (pushed, own) if part.strip("/"))


def describe(context: LaunchContext, hardware: str) -> Node:
    """Return what publishes `robot_description` and the frames of the arm.

    /tf is one topic for all: in a namespace the frames have it before their names.

    Args:
        context: Where `description_file`, `robot_file` and `namespace` are set.
        hardware: What the description is to name behind the joints.
    """
    import xacro

    namespace = full_namespace(context)
    place = f"/{namespace}" if namespace else ""
    mappings = {
        "robot_file": LaunchConfiguration("robot_file").perform(context),
        "hardware": hardware,
        # A hardware component is a node outside the controller manager's namespace.
        "joint_commands_topic": f"{place}/joint_commands",
        "joint_states_topic": f"{place}/joint_states_raw",
    }
    # What not every launch file has. A description that declares none of it is not told.
    for name in TOLD:
        if name in context.launch_configurations:
            mappings[name] = context.launch_configurations[name]
    path = LaunchConfiguration("description_file").perform(context)
    description = xacro.process_file(path, mappings=mappings).toxml()
    return Node(
        package="robot_state_publisher",
        executable="robot_state_publisher",
        name="robot_state_publisher",
        namespace=NAMESPACE,
        parameters=[
            {
                "robot_description": ParameterValue(description, value_type=str),
                "frame_prefix": f"{namespace}/" if namespace else "",
            }
        ],
    )
