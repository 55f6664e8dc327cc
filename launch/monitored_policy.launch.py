# SPDX-License-Identifier: Apache-2.0
"""The monitor in front of a controller, its black box, the policy node; recorder, page, RViz.

Part of the other launch files: something else has to be the arm and its controllers.
"""

from typing import Any

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import (
    EqualsSubstitution,
    IfElseSubstitution,
    LaunchConfiguration,
    PathJoinSubstitution,
)
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from vla_bringup import rviz
from vla_bringup.description import DESCRIPTION_FILE, NAMESPACE, NONE, SHARE, given, text
from vla_bringup.launch_parts import included, node, number

# What other sources of chunks go by.
OF_THE_ARM = ("arm/acquire", "arm/release", "arm/action_chunk", "arm/executor_status")
SECOND = "vla_policy_node_b"
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
        "second_contract_file",
        default_value=NONE,
        description="A second policy beside the first, in vla_policy_node_b, for "
        "`vla-eval --live`. Other sources of chunks go by the first. none: no second policy.",
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
        "home_when_done",
        default_value="false",
        choices=["true", "false"],
        description="With a motion planner: home whenever the policy says that it is done.",
    ),
    DeclareLaunchArgument(
        "black_box",
        # Each arm has its own: a black box clears away what one before it left unfinished there.
        # Text after text: joined as paths, the namespace /left would be the folder /left.
        default_value=["~/.ros/black_box/", NAMESPACE],
        description="Folder for bags of the last 30 s, written when the monitor stops the arm.",
    ),
    DeclareLaunchArgument(
        "record",
        default_value=NONE,
        description="Folder for episodes: bags, and a LeRobot dataset. none: no recorder.",
    ),
    DeclareLaunchArgument(
        "record_contract",
        default_value=LaunchConfiguration("contract_file"),
        description="Contract whose features are recorded, where it is not that of the policy.",
    ),
    DeclareLaunchArgument("record_fps", default_value="30", description="Rows a second."),
    DeclareLaunchArgument(
        "record_picture_size",
        default_value=NONE,
        description="HEIGHTxWIDTH to which pictures are brought whose entry in the contract says "
        "resize. none: they stay as they come.",
    ),
    DeclareLaunchArgument(
        "page",
        default_value="false",
        choices=["true", "false"],
        description="The operator's page in a browser, for this computer alone.",
    ),
    DeclareLaunchArgument(
        "page_port",
        default_value="8088",
        description="Port of that page; where it is taken, one of the next nine.",
    ),
    DeclareLaunchArgument(
        "page_instructions",
        default_value="",
        description="Instructions that the page offers, separated by semicolons.",
    ),
    rviz.ARGUMENT,
]


def picture_size() -> IfElseSubstitution:
    """Return the size of recorded pictures as the recorder takes it: empty where none is given."""
    given_size = LaunchConfiguration("record_picture_size")
    return IfElseSubstitution(EqualsSubstitution(given_size, NONE), "", given_size)


def policy_node(name: str, contract: str, **more: Any) -> Node:
    """Return a policy node, where the argument names a contract."""
    own = {
        "robot_file": text("robot_file"),
        "contract_file": text(contract),
        "policy_python": text("policy_python"),
    }
    return node(
        "vla_policy_node",
        "vla_policy_node",
        name=name,
        condition=given(contract),
        parameters=[PathJoinSubstitution([CONFIG, "policies", "vla_policy_node.yaml"]), own],
        **more,
    )


def generate_launch_description() -> LaunchDescription:
    """Bring up the monitor, the black box, the policy node and what else is asked for."""
    monitor = included(__file__, "monitor")
    black_box = node("vla_recording", "black_box", parameters=[{"directory": text("black_box")}])
    faults = node(
        "vla_sim",
        "faults",
        condition=given("faults"),
        parameters=[{"robot_file": text("robot_file"), "faults_file": text("faults")}],
        remappings=[("joint_states", LaunchConfiguration("measured_topic"))],
    )
    recorder = node(
        "vla_recording",
        "episode_recorder",
        condition=given("record"),
        parameters=[
            {
                "folder": text("record"),
                "robot_file": text("robot_file"),
                "contract_file": text("record_contract"),
                "fps": number("record_fps", int),
                "picture_size": ParameterValue(picture_size(), value_type=str),
            }
        ],
    )
    policies = [
        policy_node("vla_policy_node", "contract_file"),
        policy_node(
            SECOND,
            "second_contract_file",
            # Those of the arm are the first one's: a source that asks for it is answered once.
            remappings=[(name, f"{SECOND}/{name}") for name in OF_THE_ARM],
        ),
    ]
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
                "home_when_done": number("home_when_done", bool),
            }
        ],
    )
    page = node(
        "vla_operator",
        "vla_operator",
        condition=IfCondition(LaunchConfiguration("page")),
        parameters=[
            {
                "robot_file": text("robot_file"),
                "port": number("page_port", int),
                "instructions": text("page_instructions"),
            }
        ],
    )
    # The monitor first, for it declares the robot file.
    rest = [*policies, planner, black_box, faults, recorder, page]
    return LaunchDescription([monitor, *ARGUMENTS, *rest, OpaqueFunction(function=rviz.nodes)])
