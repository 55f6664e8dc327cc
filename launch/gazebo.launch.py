# SPDX-License-Identifier: Apache-2.0
r"""An arm in Gazebo, behind gz_ros2_control, with the table, bin and cubes of the simulation here.

    ros2 launch vla_bringup gazebo.launch.py                       # an SO-101
    ros2 launch vla_bringup gazebo.launch.py gui:=true seed:=3
    ros2 launch vla_bringup panda.launch.py hardware:=gazebo       # a Panda or FR3

Everything runs on Gazebo's `/clock`, at whatever rate it has. The world is written out of MuJoCo's
when the launch begins. One arm a graph: Gazebo's clock and its topics have no namespace.
"""

from pathlib import Path

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch_ros.actions import SetParameter

from vla_bringup import description
from vla_bringup import launch_parts as parts
from vla_bringup.launch_folder import launch_folder
from vla_contract.robot import load_robot

ARGUMENTS = [
    description.ROBOT,
    parts.CONTROLLERS_FILE,
    description.DESCRIPTION_FILE,
    DeclareLaunchArgument("seed", default_value="0", description="Where the cubes lie."),
    DeclareLaunchArgument(
        "gui", default_value="false", choices=["true", "false"], description="Gazebo's window."
    ),
]
NEEDED = {
    "ros_gz_sim": "ros-gz-sim",
    "ros_gz_bridge": "ros-gz-bridge",
    "gz_ros2_control": "gz-ros2-control",
    "joint_trajectory_controller": "ros2-controllers",
    "joint_state_broadcaster": "ros2-controllers",
}
# ROS topic, its type, Gazebo's type. Out of Gazebo only.
BRIDGED = (
    ("/clock", "rosgraph_msgs/msg/Clock", "gz.msgs.Clock"),
    ("/front_camera/image_raw", "sensor_msgs/msg/Image", "gz.msgs.Image"),
    ("/wrist_camera/image_raw", "sensor_msgs/msg/Image", "gz.msgs.Image"),
)


def find_gazebo(context: LaunchContext) -> None:
    """Say what has to be installed, and what cannot be done, before anything is started.

    Raises:
        RuntimeError: A package is missing, or the arm is in a namespace.
    """
    parts.need("gazebo.launch.py", "Gazebo", NEEDED, "sim.launch.py")
    parts.in_the_graph_s_own_time(context, "gazebo.launch.py")


def written_world(context: LaunchContext) -> Path:
    """Write the world of the robot's task, and return where."""
    from vla_sim.world import World
    from vla_sim.world.gazebo import world_sdf

    world = World(Path(parts.value(context, "robot_file")), seed=int(parts.value(context, "seed")))
    path = launch_folder("world") / "world.sdf"
    path.write_text(world_sdf(world), encoding="utf-8")
    return path


def start(context: LaunchContext) -> list[Action]:
    """Start Gazebo with the world, put the arm into it, and activate its controllers."""
    robot = load_robot(parts.value(context, "robot_file"))
    window = [] if parts.value(context, "gui") == "true" else ["-s", "--headless-rendering"]
    gazebo = ExecuteProcess(
        cmd=["gz", "sim", "-r", *window, str(written_world(context))],
        output="screen",
        on_exit=Shutdown(reason="Gazebo ended"),
    )
    arm = parts.node(
        "ros_gz_sim",
        "create",
        name="put_the_arm",
        arguments=["-topic", "robot_description", "-name", robot.name],
    )
    controllers = parts.spawner(
        "joint_state_broadcaster", robot.arm_controller, robot.gripper.controller
    )
    bridge = parts.node(
        "ros_gz_bridge",
        "parameter_bridge",
        name="gazebo_bridge",
        arguments=[f"{topic}@{ours}[{theirs}" for topic, ours, theirs in BRIDGED],
    )
    return [
        gazebo,
        description.describe(context, "gazebo"),
        arm,
        bridge,
        RegisterEventHandler(OnProcessExit(target_action=arm, on_exit=[controllers])),
    ]


def generate_launch_description() -> LaunchDescription:
    """Bring up Gazebo, the controllers in it, the monitor and the policy node."""
    return LaunchDescription(
        [
            *ARGUMENTS,
            SetParameter("use_sim_time", True),
            # First, for it declares the robot file.
            parts.included(__file__, "monitored_policy"),
            OpaqueFunction(function=find_gazebo),
            OpaqueFunction(function=start),
        ]
    )
