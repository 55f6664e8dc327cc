# SPDX-License-Identifier: Apache-2.0
"""For the launch files: arguments, nodes and decisions that several of them have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import Action, LaunchContext
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, LogInfo
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node, SetParameter, SetRemap
from launch_ros.parameter_descriptions import ParameterValue

from vla_bringup import description
from vla_bringup.launch_folder import launch_folder
from vla_bringup.resting import resting_contract

NAMESPACE = DeclareLaunchArgument(
    "namespace",
    default_value="",
    description="Namespace of every node and topic: one for each arm of a graph.",
)
ROBOT_FILE = DeclareLaunchArgument(
    "robot_file",
    default_value=PathJoinSubstitution([description.FOLDER, "robot.yaml"]),
    description="Joint names, limits and controllers of the robot.",
)
CONTROLLERS_FILE = DeclareLaunchArgument(
    "controllers_file",
    default_value=PathJoinSubstitution([description.FOLDER, "controllers.yaml"]),
    description="Parameters of the controller manager and its controllers.",
)
LATCH_FOLDER = DeclareLaunchArgument(
    "latch_folder",
    default_value="",
    description="Folder of the file that keeps the latch over a restart of the monitor. "
    "Empty: ~/.ros/smoothness_monitor; in a simulation, a new one.",
)
# In no index of Jazzy.
FRANKA_ROS2 = (
    "no apt package: build branch jazzy of https://github.com/frankarobotics/franka_ros2 in a "
    "workspace"
)
# Of a simulation.
SCENE = [
    DeclareLaunchArgument(
        "seed", default_value="0", description="Seed of the first scene, in a simulation."
    ),
    DeclareLaunchArgument(
        "real_time_factor",
        default_value="1.0",
        description="Simulated time over the host's, at most; 0: as fast as the host can.",
    ),
]


def included(launch_file: str, name: str, **arguments: str) -> IncludeLaunchDescription:
    """Return the launch file of a name that lies beside another, with these arguments."""
    source = PythonLaunchDescriptionSource(str(Path(launch_file).with_name(f"{name}.launch.py")))
    return IncludeLaunchDescription(source, launch_arguments=arguments.items())


def value(context: LaunchContext, argument: str) -> str:
    """Return what an argument is."""
    return LaunchConfiguration(argument).perform(context)


def number(argument: str, kind: type = float) -> ParameterValue:
    """Return an argument's value as a number."""
    return ParameterValue(LaunchConfiguration(argument), value_type=kind)


def node(package: str, executable: str, **more: Any) -> Node:
    """Return a node in the launch's namespace that shows what it says.

    Args:
        package: Its package.
        executable: Its executable, and its name where `more` has none.
        **more: See Node.
    """
    named = {"name": executable, **more}
    return Node(
        package=package,
        executable=executable,
        namespace=description.NAMESPACE,
        output="screen",
        **named,
    )


def installed(package: str) -> bool:
    """Return whether a package is installed."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def has_ros2_control() -> bool:
    """Return whether ros2_control is installed."""
    return installed("controller_manager")


def need(who: str, what: str, packages: Mapping[str, str], instead: str) -> None:
    """Say what has to be installed, before anything is started.

    Args:
        who: Launch file, or argument of one, that needs it.
        what: What the packages are of.
        packages: Each package, and how it is installed: its Debian package without
            `ros-DISTRO-`, or words.
        instead: What runs without them.

    Raises:
        RuntimeError: A package, or what describes the arm, is missing.
    """
    for package, how in packages.items():
        if not installed(package):
            words = how if " " in how else f"apt install ros-$ROS_DISTRO-{how}"
            raise RuntimeError(
                f"{who} needs {what}: package '{package}' is not installed ({words}); without "
                f"it, use {instead}"
            )
    missing = description.missing()
    if missing:
        raise RuntimeError(f"{who} needs {missing}")


def spawner(*controllers: str) -> Node:
    """Return what activates controllers, one after the other."""
    return node(
        "controller_manager",
        "spawner",
        name=None,
        arguments=[*controllers, "--param-file", LaunchConfiguration("controllers_file")],
    )


def in_the_graph_s_own_time(context: LaunchContext, who: str) -> None:
    """Refuse a namespace where a simulator's clock and topics have none.

    Raises:
        RuntimeError: The arm is in a namespace.
    """
    if description.full_namespace(context):
        raise RuntimeError(f"{who}: one arm a graph; leave namespace:= out")


def frames(context: LaunchContext) -> Action:
    """Return what publishes the description and the frames, or says that nothing does."""
    file = value(context, "description_file")
    missing = description.missing() or ("" if Path(file).is_file() else file)
    if missing:
        return LogInfo(msg=f"no robot_description and no /tf: there is no {missing}")
    return description.describe(context, "mock")


def emulated(context: LaunchContext, hardware: str) -> list[Action]:
    """Return the emulated controllers, and the frames."""
    given = {"hardware": hardware, "robot_file": description.text("robot_file")}
    controllers = node("vla_sim", "emulated_controllers", parameters=[given])
    return [LogInfo(msg="the controllers are emulated"), controllers, frames(context)]


def in_simulated_time() -> list[Action]:
    """Return what makes all nodes that follow live in the simulation's time.

    Each simulation has a time of its own, in its namespace.
    """
    return [SetParameter("use_sim_time", True), SetRemap("/clock", "clock")]


def new_latch_folder() -> str:
    """Return a folder that nobody has used.

    A simulation that is started anew is another arm, at rest: nothing of the one before counts.
    """
    return str(launch_folder("latch"))


def resting(context: LaunchContext) -> str:
    """Return a contract whose policy keeps the arm where it is.

    The node that carries chunks out is the policy's, and needs a contract.
    """
    return str(resting_contract(value(context, "robot_file"), launch_folder("resting")))
