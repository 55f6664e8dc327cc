# SPDX-License-Identifier: Apache-2.0
"""The monitor in front of a controller, its black box, and the policy node.

Part of the other launch files: something else has to be the arm and its controllers.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import (
    EnvironmentVariable,
    LaunchConfiguration,
    PathJoinSubstitution,
    PythonExpression,
)
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

CONFIG = PathJoinSubstitution([FindPackageShare("vla_bringup"), "config"])

ARGUMENTS = [
    DeclareLaunchArgument(
        "robot_file",
        default_value=PathJoinSubstitution([CONFIG, "robots", "so101.yaml"]),
        description="Joint names, limits and controllers of the robot.",
    ),
    DeclareLaunchArgument(
        "contract_file",
        default_value=PathJoinSubstitution([CONFIG, "policies", "so101_color_pick.yaml"]),
        description="Which policy runs and which topics feed its features. Empty: none runs.",
    ),
    DeclareLaunchArgument(
        "monitor_file",
        default_value=PathJoinSubstitution([CONFIG, "monitor", "so101.yaml"]),
        description="Thresholds of the monitor.",
    ),
    DeclareLaunchArgument(
        "measured_topic",
        default_value="joint_states",
        description="The joints as they were read, for the monitor: where they are stamped then.",
    ),
    DeclareLaunchArgument(
        "policy_python",
        default_value="",
        description="Interpreter of the policy's own process, in place of what the contract says.",
    ),
    DeclareLaunchArgument(
        "black_box",
        default_value=PathJoinSubstitution([EnvironmentVariable("HOME"), ".ros", "black_box"]),
        description="Folder for bags of the last 30 s, written when the monitor stops the arm.",
    ),
    DeclareLaunchArgument(
        "faults",
        default_value="",
        description="Fault file: what goes wrong between the topics, and when. Empty: nothing.",
    ),
]

FAULTS = LaunchConfiguration("faults")
MEASURED = LaunchConfiguration("measured_topic")


def through_faults(topic: str | LaunchConfiguration, instead: str) -> PythonExpression:
    """Return a topic's name, or that of the fault node's where there is a fault file."""
    return PythonExpression([f"'{instead}' if '", FAULTS, "' else '", topic, "'"])


def given(argument: str) -> IfCondition:
    """Return the condition that an argument is not empty."""
    return IfCondition(PythonExpression(["'", LaunchConfiguration(argument), "' != ''"]))


def text(argument: str) -> ParameterValue:
    """Return an argument's value, as a string whatever it looks like."""
    return ParameterValue(LaunchConfiguration(argument), value_type=str)


def generate_launch_description() -> LaunchDescription:
    """Bring up the monitor, the black box and the policy node."""
    monitor = Node(
        package="smoothness_monitor",
        executable="smoothness_monitor",
        name="smoothness_monitor",
        output="screen",
        parameters=[{"robot_file": text("robot_file"), "monitor_file": text("monitor_file")}],
        remappings=[
            (
                "~/joint_trajectory_in",
                through_faults("vla_policy_node/joint_trajectory", "faults/plans"),
            ),
            ("~/gripper_trajectory_in", "vla_policy_node/gripper_trajectory"),
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
    black_box = Node(
        package="smoothness_monitor",
        executable="black_box",
        name="black_box",
        output="screen",
        parameters=[{"directory": text("black_box")}],
    )
    faults = Node(
        package="smoothness_monitor",
        executable="faults",
        name="faults",
        output="screen",
        condition=given("faults"),
        parameters=[{"robot_file": text("robot_file"), "faults_file": text("faults")}],
        remappings=[
            ("~/plans_in", "vla_policy_node/joint_trajectory"),
            ("joint_states", MEASURED),
        ],
    )
    policy = Node(
        package="vla_policy_node",
        executable="vla_policy_node",
        name="vla_policy_node",
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
    return LaunchDescription([*ARGUMENTS, monitor, policy, black_box, faults])
