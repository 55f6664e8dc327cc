# SPDX-License-Identifier: Apache-2.0
r"""A simulated robot with a policy and the monitor, ready for an instruction.

    ros2 launch vla_bringup sim.launch.py robot:=panda
    ros2 topic pub --once /vla_policy_node/instruction \
        std_msgs/msg/String "{data: put the red cube in the bin}"

The same file runs without ROS 2: `embedded-ros2 launch vla_bringup sim.launch.py`; it then
says that there is no robot_state_publisher. More arms in one graph: `namespace:=left` and so on.
"""

from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node, SetParameter, SetRemap
from launch_ros.parameter_descriptions import ParameterValue

from vla_bringup import description

SUITE = str(Path(__file__).with_name("monitored_policy.launch.py"))


def describe(context: LaunchContext) -> list[Action]:
    """Publish the description and the frames, where there is what does that."""
    missing = description.missing()
    if missing:
        return [LogInfo(msg=f"no robot_description and no /tf: there is no {missing}")]
    file = LaunchConfiguration("description_file").perform(context)
    if not Path(file).is_file():
        return [LogInfo(msg=f"no robot_description and no /tf: there is no {file}")]
    return [description.describe(context, "mock")]


def generate_launch_description() -> LaunchDescription:
    """Bring up the simulation, the monitor and the policy node."""
    seed = DeclareLaunchArgument("seed", default_value="0", description="Seed of the first scene.")
    factor = DeclareLaunchArgument(
        "real_time_factor",
        default_value="1.0",
        description="Simulated time over the host's, at most. 0: as fast as the host can.",
    )
    patience = DeclareLaunchArgument(
        "lockstep_timeout_s",
        default_value="5.0",
        description="For how long simulated time waits for a node that is late. 0: it does not.",
    )
    rate = DeclareLaunchArgument(
        "controller_rate_hz",
        default_value="100",
        description="Rate of the controllers and of the states; monitor_file:= must be of it.",
    )
    # A simulation that is started anew is another arm, at rest: nothing of the one before counts.
    latch = DeclareLaunchArgument(
        "latch_folder",
        default_value=str(Path(gettempdir()) / f"vla_sim_{uuid4().hex[:12]}"),
        description="Folder of the file that keeps the latch over a restart of the monitor.",
    )
    # Every node below lives in the simulation's time, /clock.
    simulated = SetParameter("use_sim_time", True)
    # Each simulation has a time of its own, in its namespace.
    clock = SetRemap("/clock", "clock")
    # First, for it declares the robot file and the namespace.
    suite = IncludeLaunchDescription(PythonLaunchDescriptionSource(SUITE))
    simulation = Node(
        package="vla_sim",
        executable="vla_sim",
        name="vla_sim",
        namespace=description.NAMESPACE,
        output="screen",
        parameters=[
            {
                "robot_file": description.text("robot_file"),
                "controller_rate_hz": ParameterValue(
                    LaunchConfiguration("controller_rate_hz"), value_type=int
                ),
                "seed": ParameterValue(LaunchConfiguration("seed"), value_type=int),
                "real_time_factor": ParameterValue(
                    LaunchConfiguration("real_time_factor"), value_type=float
                ),
                "lockstep_timeout_s": ParameterValue(
                    LaunchConfiguration("lockstep_timeout_s"), value_type=float
                ),
            }
        ],
        on_exit=Shutdown(reason="the simulation ended"),
    )
    return LaunchDescription(
        [
            *(description.ROBOT, description.DESCRIPTION_FILE),
            *(seed, factor, patience, rate, latch),
            *(simulated, clock, suite, simulation),
            OpaqueFunction(function=describe),
        ]
    )
