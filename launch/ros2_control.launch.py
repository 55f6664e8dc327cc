# SPDX-License-Identifier: Apache-2.0
r"""A robot behind ros2_control: controllers, the monitor and, with a contract, a policy.

    ros2 launch vla_bringup ros2_control.launch.py hardware:=mock
    ros2 launch vla_bringup ros2_control.launch.py hardware:=topic_based \
        contract_file:=my_contract.yaml monitor_file:=my_monitor.yaml

The robot is the SO-101, or that of another folder of config/robots: `robot:=NAME`.
`topic_based` publishes commands on `joint_commands` and reads `joint_states_raw`; a driver has to
be at the other end of them. `feetech` is for so101.launch.py, which examines the arm first, and
`franka` for panda.launch.py, which starts the hand too.
More arms in one graph: `namespace:=left` and so on.
"""

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node

from vla_bringup import description
from vla_bringup import launch_parts as parts
from vla_contract.robot import load_robot

HARDWARE = LaunchConfiguration("hardware")

ARGUMENTS = [
    DeclareLaunchArgument(
        "hardware",
        default_value="mock",
        choices=["mock", "topic_based", "feetech", "franka"],
        description="mock: every command is reached at once. topic_based: a driver by topics. "
        "feetech: servos on `port`, by the plugin of feetech_ros2_driver. franka: the arm at "
        "`robot_ip`, by the plugin of franka_ros2.",
    ),
    DeclareLaunchArgument(
        "servos_file",
        default_value="",
        description="Id and zero of each servo, which so101.launch.py writes. For feetech.",
    ),
    DeclareLaunchArgument(
        "servos_pose",
        default_value="",
        description="Where so101.launch.py read each joint, name=rad. For feetech.",
    ),
    description.ROBOT,
    DeclareLaunchArgument(
        "robot_ip", default_value="", description="Address of the arm's control. For franka."
    ),
    parts.CONTROLLERS_FILE,
    description.DESCRIPTION_FILE,
    # The broadcaster stamps afresh what a driver may have read up to a period before, or twice.
    DeclareLaunchArgument(
        "measured_topic",
        default_value=PythonExpression(
            ["'joint_states_raw' if '", HARDWARE, "' == 'topic_based' else 'joint_states'"]
        ),
        description="The joints as they were read, for the monitor: where they are stamped then.",
    ),
    DeclareLaunchArgument(
        "contract_file",
        default_value=description.NONE,
        description="Which policy runs and which topics feed its features. none: no policy, and "
        "nothing that carries out the chunks of other sources.",
    ),
]

# What is started here, and what ros2_control loads: neither is needed by any other launch file.
NEEDED = {
    "controller_manager": "ros2-control",
    "joint_trajectory_controller": "ros2-controllers",
    "joint_state_broadcaster": "ros2-controllers",
}
NEEDED_BY_HARDWARE = {
    "mock": {},
    "topic_based": {
        "joint_state_topic_hardware_interface": "joint-state-topic-hardware-interface"
    },
    "feetech": {"feetech_ros2_driver": "feetech-ros2-driver"},
    "franka": {"franka_hardware": parts.FRANKA_ROS2},
}


def find_ros2_control(context: LaunchContext) -> None:
    """Say what has to be installed, before anything is started.

    Raises:
        RuntimeError: A package is missing.
    """
    needed = {**NEEDED, **NEEDED_BY_HARDWARE[HARDWARE.perform(context)]}
    parts.need("ros2_control.launch.py", "ros2_control", needed, "sim.launch.py")


def describe(context: LaunchContext) -> list[Node]:
    """Publish the description, which the controller manager reads too."""
    return [description.describe(context, HARDWARE.perform(context))]


def after(first: ExecuteProcess, *then: Action) -> RegisterEventHandler:
    """Return what starts actions once a process has ended well."""

    def on_exit(event: ProcessExited, _: LaunchContext) -> list[Action]:
        return list(then) if event.returncode == 0 else []

    return RegisterEventHandler(OnProcessExit(target_action=first, on_exit=on_exit))


def activate(context: LaunchContext) -> list[Action]:
    """Activate the controllers; where there is a driver, once it has told where the arm is.

    A controller that is activated earlier holds the arm at NaN; before a plugin's zero was seen
    to be the arm's, none is.
    """
    robot = load_robot(parts.value(context, "robot_file"))
    moving = robot.arm_controller, robot.gripper.controller
    hardware = HARDWARE.perform(context)
    if hardware in ("mock", "franka"):
        return [parts.spawner("joint_state_broadcaster", *moving)]
    if hardware == "feetech":
        pose = {"pose": description.text("servos_pose")}
        check = parts.node("so100_driver", "feetech_check", name=None, parameters=[pose])
        shown = parts.spawner("joint_state_broadcaster")
        return [shown, after(shown, check), after(check, parts.spawner(*moving))]
    topic = "/".join(("", description.full_namespace(context), "joint_states_raw")).replace(
        "//", "/"
    )
    words = f"--once --field name --qos-reliability best_effort {topic}"
    heard = ExecuteProcess(
        cmd=["ros2", "topic", "echo", *words.split(), "sensor_msgs/msg/JointState"],
        name="wait_for_driver",
    )
    return [
        LogInfo(msg=f"the controllers are activated once a driver publishes {topic}"),
        heard,
        after(heard, parts.spawner("joint_state_broadcaster", *moving)),
    ]


def generate_launch_description() -> LaunchDescription:
    """Bring up the controllers, the monitor and, with a contract, the policy node."""
    # Nothing ends with it: the monitor has to stop the arm then.
    controller_manager = parts.node(
        "controller_manager",
        "ros2_control_node",
        name=None,
        parameters=[LaunchConfiguration("controllers_file")],
        remappings=[("~/robot_description", "robot_description")],
    )
    return LaunchDescription(
        [
            *ARGUMENTS,
            OpaqueFunction(function=find_ros2_control),
            # First, for it declares the robot file.
            parts.included(__file__, "monitored_policy"),
            OpaqueFunction(function=describe),
            controller_manager,
            OpaqueFunction(function=activate),
        ]
    )
