# SPDX-License-Identifier: Apache-2.0
"""The monitor in front of a controller, its black box, and the policy node.

Part of the other launch files: something else has to be the arm and its controllers.
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node

from vla_bringup.description import NAMESPACE, SHARE, given, text

CONFIG = PathJoinSubstitution([SHARE, "config"])

ARGUMENTS = [
    DeclareLaunchArgument(
        "contract_file",
        default_value=[
            PathJoinSubstitution([CONFIG, "policies", LaunchConfiguration("robot")]),
            "_color_pick.yaml",
        ],
        description="Which policy runs and which topics feed its features. Empty: none runs.",
    ),
    DeclareLaunchArgument(
        "policy_python",
        default_value="",
        description="Interpreter of the policy's own process, in place of what the contract says.",
    ),
    DeclareLaunchArgument(
        "black_box",
        # Each arm has its own: a black box clears away what one before it left unfinished there.
        # Text after text: joined as paths, the namespace /left would be the folder /left.
        default_value=["~/.ros/black_box/", NAMESPACE],
        description="Folder for bags of the last 30 s, written when the monitor stops the arm.",
    ),
]

MONITOR = str(Path(__file__).with_name("monitor.launch.py"))


def generate_launch_description() -> LaunchDescription:
    """Bring up the monitor, the black box and the policy node."""
    monitor = IncludeLaunchDescription(PythonLaunchDescriptionSource(MONITOR))
    black_box = Node(
        package="vla_recording",
        executable="black_box",
        name="black_box",
        namespace=NAMESPACE,
        output="screen",
        parameters=[{"directory": text("black_box")}],
    )
    faults = Node(
        package="vla_sim",
        executable="faults",
        name="faults",
        namespace=NAMESPACE,
        output="screen",
        condition=given("faults"),
        parameters=[{"robot_file": text("robot_file"), "faults_file": text("faults")}],
        remappings=[
            ("joint_states", LaunchConfiguration("measured_topic")),
        ],
    )
    policy = Node(
        package="vla_policy_node",
        executable="vla_policy_node",
        name="vla_policy_node",
        namespace=NAMESPACE,
        output="screen",
        condition=given("contract_file"),
        parameters=[
            PathJoinSubstitution([CONFIG, "policies", "vla_policy_node.yaml"]),
            {
                "robot_file": text("robot_file"),
                "contract_file": text("contract_file"),
                "policy_python": text("policy_python"),
            },
        ],
    )
    # The monitor first, for it declares the robot file.
    return LaunchDescription([monitor, *ARGUMENTS, policy, black_box, faults])
