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

from vla_bringup import description
from vla_bringup import launch_parts as parts

ARGUMENTS = [
    parts.NAMESPACE,
    description.ROBOT,
    parts.ROBOT_FILE,
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
        "workspace_file",
        default_value="",
        description="Where the arm may be: plans that lead elsewhere are not forwarded. "
        "Empty: workspace.yaml beside the robot file, if it is there.",
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

MEASURED = LaunchConfiguration("measured_topic")
STATE, COMMANDS = "arm_controller/controller_state", "arm_controller/joint_trajectory"


def through_faults(topic: str | LaunchConfiguration, instead: str) -> IfElseSubstitution:
    """Return a topic's name, or that of the fault node's where there is a fault file."""
    given = NotEqualsSubstitution(LaunchConfiguration("faults"), "")
    return IfElseSubstitution(given, f"faults/{instead}", topic)


def generate_launch_description() -> LaunchDescription:
    """Bring up the monitor, and bring it up again should it die: latched."""
    files = ("robot_file", "monitor_file", "workspace_file", "latch_folder")
    monitor = parts.node(
        "smoothness_monitor",
        "smoothness_monitor",
        respawn=True,
        respawn_delay=1.0,
        parameters=[{name: description.text(name) for name in files}],
        remappings=[
            ("arm/plan", through_faults("arm/plan", "plans")),
            ("joint_states", through_faults(MEASURED, "joint_states")),
            (STATE, through_faults(STATE, "controller_state")),
            (COMMANDS, through_faults(COMMANDS, "commands")),
        ],
    )
    find_robot = OpaqueFunction(function=description.find_robot)
    return LaunchDescription([*ARGUMENTS, find_robot, monitor])
