# SPDX-License-Identifier: Apache-2.0
r"""A simulated robot with a policy and the monitor, ready for an instruction.

    ros2 launch vla_bringup sim.launch.py robot:=panda
    ros2 topic pub --once /vla_policy_node/instruction \
        std_msgs/msg/String "{data: put the red cube in the bin}"

The same file runs without ROS 2: `embedded-ros2 launch vla_bringup sim.launch.py`; it then
says that there is no robot_state_publisher. More arms in one graph: `namespace:=left` and so on.
"""

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration

from vla_bringup import description
from vla_bringup import launch_parts as parts

ARGUMENTS = [
    description.ROBOT,
    description.DESCRIPTION_FILE,
    *parts.SCENE,
    DeclareLaunchArgument(
        "lockstep_timeout_s",
        default_value="5.0",
        description="For how long simulated time waits for a node that is late. 0: it does not.",
    ),
    DeclareLaunchArgument(
        "controller_rate_hz",
        default_value="100",
        description="Rate of the controllers and of the states; monitor_file:= must be of it.",
    ),
    DeclareLaunchArgument(
        "image_width", default_value="640", description="Width of the cameras' images, px."
    ),
    DeclareLaunchArgument(
        "image_height", default_value="480", description="Height of the cameras' images, px."
    ),
    DeclareLaunchArgument(
        "simulation",
        default_value="vla_sim",
        choices=["vla_sim", "vla_sim_fci"],
        description="vla_sim: the world's own arm. vla_sim_fci: a Franka arm behind libfranka's "
        "wire, which needs a controller_rate_hz of 1000.",
    ),
    DeclareLaunchArgument(
        "latch_folder",
        default_value=parts.new_latch_folder(),
        description="Folder of the file that keeps the latch over a restart of the monitor.",
    ),
]


def describe(context: LaunchContext) -> list[Action]:
    """Publish the description and the frames, where there is what does that."""
    return [parts.frames(context)]


def generate_launch_description() -> LaunchDescription:
    """Bring up the simulation, the monitor and the policy node."""
    simulation = parts.node(
        "vla_sim",
        LaunchConfiguration("simulation"),
        name="vla_sim",
        parameters=[
            {
                "robot_file": description.text("robot_file"),
                "controller_rate_hz": parts.number("controller_rate_hz", int),
                "seed": parts.number("seed", int),
                "real_time_factor": parts.number("real_time_factor"),
                "lockstep_timeout_s": parts.number("lockstep_timeout_s"),
                "image_width": parts.number("image_width", int),
                "image_height": parts.number("image_height", int),
            }
        ],
        on_exit=Shutdown(reason="the simulation ended"),
    )
    # First, for it declares the robot file and the namespace.
    suite = parts.included(__file__, "monitored_policy")
    return LaunchDescription(
        [
            *ARGUMENTS,
            *parts.in_simulated_time(),
            suite,
            simulation,
            OpaqueFunction(function=describe),
        ]
    )
