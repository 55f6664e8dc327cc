# SPDX-License-Identifier: Apache-2.0
r"""A Panda or, with `robot:=fr3`, an FR3: controllers, the monitor and, with a contract, a policy.

    ros2 launch vla_bringup panda.launch.py                    # mock: nothing plugged in
    ros2 launch vla_bringup panda.launch.py hardware:=sim      # MuJoCo, cameras and a task
    ros2 launch vla_bringup panda.launch.py hardware:=sim rate_hz:=1000 robot:=fr3

The mock's controllers are ros2_control's at 1000 Hz where it is installed, else emulated ones at
100 Hz. A real arm is not launched from here: start its maker's controllers, and the rest with
`monitored_policy.launch.py robot:=panda`.
"""

from pathlib import Path
from tempfile import gettempdir, mkdtemp
from uuid import uuid4

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node

from vla_bringup import description
from vla_bringup.resting import resting_contract

HERE = Path(__file__).parent
FAST = "1000"
# Thresholds of the monitor, by the rate of the controllers in Hz.
MONITORS = {"100": "monitor.yaml", FAST: "monitor_1000hz.yaml"}

ARGUMENTS = [
    DeclareLaunchArgument(
        "hardware",
        default_value="mock",
        choices=["mock", "sim"],
        description="mock: every command is reached at once. sim: MuJoCo.",
    ),
    DeclareLaunchArgument(
        "robot", default_value="panda", choices=["panda", "fr3"], description="Which of the two."
    ),
    DeclareLaunchArgument(
        "rate_hz",
        default_value="100",
        choices=list(MONITORS),
        description="Rate of the simulated controllers. For sim.",
    ),
    DeclareLaunchArgument(
        "seed", default_value="0", description="Seed of the first scene. For sim."
    ),
    DeclareLaunchArgument(
        "real_time_factor",
        default_value="1.0",
        description="Simulated time over the host's, at most; 0: as fast as it can. For sim.",
    ),
    DeclareLaunchArgument(
        "namespace",
        default_value="",
        description="Namespace of every node and topic: one for each arm of a graph.",
    ),
    DeclareLaunchArgument(
        "robot_file",
        default_value=PathJoinSubstitution([description.FOLDER, "robot.yaml"]),
        description="Joint names, limits and controllers of the robot.",
    ),
    DeclareLaunchArgument(
        "monitor_file",
        default_value="",
        description="Thresholds of the monitor. Empty: the robot's own, for the rate.",
    ),
    DeclareLaunchArgument(
        "contract_file",
        default_value="",
        description="Which policy runs. Empty: with sim, the one that puts cubes away; with mock, "
        "none that moves the arm by itself.",
    ),
    DeclareLaunchArgument(
        "latch_folder",
        default_value="",
        description="Folder of the file that keeps the latch over a restart of the monitor. "
        "Empty: ~/.ros/smoothness_monitor; for sim, a new one.",
    ),
]


def included(name: str, **arguments: str) -> IncludeLaunchDescription:
    """Return another launch file of this folder, with these arguments."""
    source = PythonLaunchDescriptionSource(str(HERE / f"{name}.launch.py"))
    return IncludeLaunchDescription(source, launch_arguments=arguments.items())


def emulated(context: LaunchContext) -> list[Action]:
    """Return the emulated controllers, and the frames where there is what publishes them."""
    controllers = Node(
        package="vla_sim",
        executable="emulated_controllers",
        name="emulated_controllers",
        namespace=description.NAMESPACE,
        output="screen",
        parameters=[{"hardware": "mock", "robot_file": description.text("robot_file")}],
    )
    missing = description.missing()
    frames = (
        LogInfo(msg=f"no robot_description and no /tf: there is no {missing}")
        if missing
        else description.describe(context, "mock")
    )
    return [LogInfo(msg="the controllers are emulated"), controllers, frames]


def bring_up(context: LaunchContext) -> list[Action]:
    """Return everything for the hardware that was chosen."""

    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    description.find_robot(context)
    simulated = given("hardware") == "sim"
    try:
        get_package_prefix("controller_manager")
        real_controllers = not simulated
    except PackageNotFoundError:
        real_controllers = False
    rate = given("rate_hz") if simulated else FAST if real_controllers else "100"
    share = Path(description.SHARE.perform(context))
    own = share / "config" / "robots" / given("robot") / MONITORS[rate]
    files = {"monitor_file": given("monitor_file") or str(own)}
    contract = given("contract_file")
    if simulated:
        task = share / "config" / "policies" / f"{given('robot')}_color_pick.yaml"
        files["contract_file"] = contract or str(task)
        # A simulation that is started anew is another arm: nothing of the one before counts.
        latch = given("latch_folder") or str(Path(gettempdir()) / f"vla_sim_{uuid4().hex[:12]}")
        more = {name: given(name) for name in ("seed", "real_time_factor")}
        return [included("sim", **files, **more, latch_folder=latch, controller_rate_hz=rate)]
    # The node that carries chunks out is the policy's, and needs a contract.
    files["contract_file"] = contract or str(
        resting_contract(given("robot_file"), Path(mkdtemp(prefix="panda_")))
    )
    files["measured_topic"] = "joint_states"
    if real_controllers:
        return [included("ros2_control", hardware="mock", **files)]
    return [included("monitored_policy", **files), OpaqueFunction(function=emulated)]


def generate_launch_description() -> LaunchDescription:
    """Bring up one arm."""
    return LaunchDescription(
        [*ARGUMENTS, description.DESCRIPTION_FILE, OpaqueFunction(function=bring_up)]
    )
