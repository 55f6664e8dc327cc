# SPDX-License-Identifier: Apache-2.0
"""The monitor in front of a controller, its black box, and the policy node.

Part of the other launch files: something else has to be the arm and its controllers.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution

from vla_bringup.description import DESCRIPTION_FILE, NAMESPACE, SHARE, given, text
from vla_bringup.launch_parts import included, node

CONFIG = PathJoinSubstitution([SHARE, "config"])

ARGUMENTS = [
    DeclareLaunchArgument(
        "contract_file",
        default_value=[
            PathJoinSubstitution([CONFIG, "policies", LaunchConfiguration("robot")]),
            "_color_pick.yaml",
        ],
        description="Which policy runs and which topics feed its features. none: no policy, "
        "and nothing that carries out the chunks of other sources.",
    ),
    DeclareLaunchArgument(
        "policy_python",
        default_value="",
        description="Interpreter of the policy's own process, in place of what the contract says.",
    ),
    DESCRIPTION_FILE,
    DeclareLaunchArgument(
        "motion_planner",
        default_value="none",
        choices=["none", "straight", "moveit"],
        description="Who plans the way for ~/move_to of motion_planner: home, and other poses. "
        "straight: a straight line in joint space where that is clear. moveit: MoveIt, which "
        "finds ways around. none: nobody.",
    ),
    DeclareLaunchArgument(
        "black_box",
        # Each arm has its own: a black box clears away what one before it left unfinished there.
        # Text after text: joined as paths, the namespace /left would be the folder /left.
        default_value=["~/.ros/black_box/", NAMESPACE],
        description="Folder for bags of the last 30 s, written when the monitor stops the arm.",
    ),
]


def generate_launch_description() -> LaunchDescription:
    """Bring up the monitor, the black box and the policy node."""
    monitor = included(__file__, "monitor")
    black_box = node("vla_recording", "black_box", parameters=[{"directory": text("black_box")}])
    faults = node(
        "vla_sim",
        "faults",
        condition=given("faults"),
        parameters=[{"robot_file": text("robot_file"), "faults_file": text("faults")}],
        remappings=[("joint_states", LaunchConfiguration("measured_topic"))],
    )
    own = {name: text(name) for name in ("robot_file", "contract_file", "policy_python")}
    policy = node(
        "vla_policy_node",
        "vla_policy_node",
        condition=given("contract_file"),
        parameters=[PathJoinSubstitution([CONFIG, "policies", "vla_policy_node.yaml"]), own],
    )
    planner = node(
        "vla_moveit",
        "motion_planner",
        condition=given("motion_planner"),
        parameters=[
            {
                "robot_file": text("robot_file"),
                "workspace_file": text("workspace_file"),
                "planner": text("motion_planner"),
                "description_file": text("description_file"),
            }
        ],
    )
    # The monitor first, for it declares the robot file.
    return LaunchDescription([monitor, *ARGUMENTS, policy, planner, black_box, faults])
