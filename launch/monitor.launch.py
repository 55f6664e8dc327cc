# SPDX-License-Identifier: Apache-2.0
r"""The monitor alone, as the other launch files start it: to start it again by hand.

    ros2 launch vla_bringup monitor.launch.py

Where the monitor before it was latched, or ended without a word, it comes up latched and says so
in `~/state`; `~/reset` is a person's. The arguments must be those of the launch it belongs to,
above all `latch_folder`, which the monitor logs when it starts.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import (
    IfElseSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
    PathJoinSubstitution,
)
from launch_ros.actions import Node

from vla_bringup import description
from vla_bringup.description import text

ARGUMENTS = [
    DeclareLaunchArgument(
        "namespace",
        default_value="",
        description="Namespace of every node and topic: one for each arm of a graph.",
    ),
    description.ROBOT,
    DeclareLaunchArgument(
        "robot_file",
        default_value=PathJoinSubstitution([description.FOLDER, "robot.yaml"]),
        description="Joint names, limits and controllers of the robot.",
    ),
    DeclareLaunchArgument(
        "monitor_file",
        default_value=PathJoinSubstitution([description.FOLDER, "monitor.yaml"]),
        description="Thresholds of the monitor.",
    ),
    DeclareLaunchArgument(
        "latch_folder",
        default_value="",
        description="Folder of the file that keeps the latch over a restart of the monitor. "
        "Empty: ~/.ros/smoothness_monitor.",
    ),
    DeclareLaunchArgument(
        "measured_topic",
        default_value="joint_states",
        description="The joints as they were read, for the monitor: where they are stamped then.",
    ),
    DeclareLaunchArgument(
        "faults",
        default_value="",
        description="Fault file: what goes wrong between the topics, and when. Empty: nothing.",
    ),
]

FAULTS = LaunchConfiguration("faults")
MEASURED = LaunchConfiguration("measured_topic")


def through_faults(topic: str | LaunchConfiguration, instead: str) -> IfElseSubstitution:
    """Return a topic's name, or that of the fault node's where there is a fault file."""
    return IfElseSubstitution(NotEqualsSubstitution(FAULTS, ""), instead, topic)


def generate_launch_description() -> LaunchDescription:
    """Bring up the monitor, and bring it up again should it die: latched."""
    files = ("robot_file", "monitor_file", "latch_folder")
    monitor = Node(
        package="smoothness_monitor",
        executable="smoothness_monitor",
        name="smoothness_monitor",
        namespace=description.NAMESPACE,
        output="screen",
        respawn=True,
        respawn_delay=1.0,
        parameters=[{name: text(name) for name in files}],
        remappings=[
            (
                "arm/plan",
                through_faults("arm/plan", "faults/plans"),
            ),
            ("joint_states", through_faults(MEASURED, "faults/joint_states")),
            (
                "arm_controller/controller_state",
                through_faults("arm_controller/controller_state", "faults/controller_state"),
            ),
            (
                "arm_controller/joint_trajectory",
                through_faults("arm_controller/joint_trajectory", "faults/commands"),
            ),
        ],
    )
    find_robot = OpaqueFunction(function=description.find_robot)
    return LaunchDescription([*ARGUMENTS, find_robot, monitor])
