# SPDX-License-Identifier: Apache-2.0
r"""A simulated SO-101 with a policy and the monitor, ready for an instruction.

    ros2 launch vla_bringup so101_sim.launch.py
    ros2 topic pub --once /vla_policy_node/instruction \
        std_msgs/msg/String "{data: put the red cube in the bin}"

The same file runs without ROS 2: `embedded-ros2 launch vla_bringup so101_sim.launch.py`.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, Shutdown
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
        description="Which policy runs and which topics feed its features.",
    ),
    DeclareLaunchArgument(
        "monitor_file",
        default_value=PathJoinSubstitution([CONFIG, "monitor", "so101.yaml"]),
        description="Thresholds of the monitor.",
    ),
    DeclareLaunchArgument(
        "policy_python",
        default_value="",
        description="Interpreter of the policy's own process, in place of what the contract says.",
    ),
    DeclareLaunchArgument("seed", default_value="0", description="Seed of the first scene."),
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


def through_faults(topic: str, instead: str) -> PythonExpression:
    """Return a topic's name, or that of the fault node's where there is a fault file."""
    return PythonExpression([f"'{instead}' if '", FAULTS, f"' else '{topic}'"])


def generate_launch_description() -> LaunchDescription:
    """Bring up the simulation, the monitor and the policy node."""
    robot_file = ParameterValue(LaunchConfiguration("robot_file"), value_type=str)
    simulation = Node(
        package="vla_sim",
        executable="vla_sim",
        name="vla_sim",
        output="screen",
        parameters=[
            {
                "robot_file": robot_file,
                "seed": ParameterValue(LaunchConfiguration("seed"), value_type=int),
            }
        ],
        on_exit=Shutdown(reason="the simulation ended"),
    )
    monitor = Node(
        package="smoothness_monitor",
        executable="smoothness_monitor",
        name="smoothness_monitor",
        output="screen",
        parameters=[
            {
                "robot_file": robot_file,
                "monitor_file": ParameterValue(
                    LaunchConfiguration("monitor_file"), value_type=str
                ),
            }
        ],
        remappings=[
            (
                "~/joint_trajectory_in",
                through_faults("vla_policy_node/joint_trajectory", "faults/plans"),
            ),
            ("~/gripper_trajectory_in", "vla_policy_node/gripper_trajectory"),
            ("joint_states", through_faults("joint_states", "faults/joint_states")),
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
        parameters=[
            {"directory": ParameterValue(LaunchConfiguration("black_box"), value_type=str)}
        ],
    )
    faults = Node(
        package="smoothness_monitor",
        executable="faults",
        name="faults",
        output="screen",
        condition=IfCondition(PythonExpression(["'", FAULTS, "' != ''"])),
        parameters=[
            {
                "robot_file": robot_file,
                "faults_file": ParameterValue(FAULTS, value_type=str),
            }
        ],
        remappings=[("~/plans_in", "vla_policy_node/joint_trajectory")],
    )
    policy = Node(
        package="vla_policy_node",
        executable="vla_policy_node",
        name="vla_policy_node",
        output="screen",
        parameters=[
            PathJoinSubstitution([CONFIG, "policies", "vla_policy_node.yaml"]),
            {
                "robot_file": robot_file,
                "contract_file": ParameterValue(
                    LaunchConfiguration("contract_file"), value_type=str
                ),
                "policy_python": ParameterValue(
                    LaunchConfiguration("policy_python"), value_type=str
                ),
            },
        ],
    )
    return LaunchDescription([*ARGUMENTS, simulation, monitor, policy, black_box, faults])
