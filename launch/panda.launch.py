# SPDX-License-Identifier: Apache-2.0
r"""A Panda or, with `robot:=fr3`, an FR3: controllers, the monitor and, with a contract, a policy.

    ros2 launch vla_bringup panda.launch.py                    # mock: nothing plugged in
    ros2 launch vla_bringup panda.launch.py hardware:=sim      # MuJoCo, cameras and a task
    ros2 launch vla_bringup panda.launch.py hardware:=sim rate_hz:=1000 robot:=fr3
    ros2 launch vla_bringup panda.launch.py hardware:=fake_fci # sim, behind libfranka's wire
    ros2 launch vla_bringup panda.launch.py hardware:=gazebo   # the same task, ros2_control's
    ros2 launch vla_bringup panda.launch.py hardware:=mujoco   # controllers, in either simulator
    ros2 launch vla_bringup panda.launch.py hardware:=franka robot:=fr3 robot_ip:=172.16.0.2

The controllers are ros2_control's at 1000 Hz, those of a mock emulated ones at 100 Hz where it is
not installed, those of `sim` always emulated ones. `franka` is the arm itself, or whatever else
speaks its protocol at `robot_ip`; its hand is moved by franka_gripper.
"""

from functools import partial
from importlib.util import find_spec
from pathlib import Path

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from vla_bringup import description
from vla_bringup import launch_parts as parts
from vla_contract.robot import load_robot

FAST = "1000"
# Thresholds of the monitor, by the rate of the controllers in Hz.
MONITORS = {"100": "monitor.yaml", FAST: "monitor_1000hz.yaml"}
# What a simulated arm behind libfranka's wire needs, of PyPI.
WIRE = ("franky_sim", "pylibfranka")
FRANKA = dict.fromkeys(("franka_hardware", "franka_gripper"), parts.FRANKA_ROS2)

ARGUMENTS = [
    DeclareLaunchArgument(
        "hardware",
        default_value="mock",
        choices=["mock", "sim", "fake_fci", "franka", "gazebo", "mujoco"],
        description="mock: every command is reached at once. sim: MuJoCo, with emulated "
        "controllers. fake_fci: the same with an arm behind libfranka's wire that aborts as the "
        "real one does. gazebo, mujoco: a simulator behind ros2_control. franka: an arm at "
        "robot_ip.",
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
    *parts.SCENE,
    DeclareLaunchArgument(
        "robot_ip", default_value="", description="Address of the arm's control. For franka."
    ),
    DeclareLaunchArgument(
        "grasp_force_n", default_value="20.0", description="Of the hand, N. For franka."
    ),
    parts.NAMESPACE,
    parts.ROBOT_FILE,
    DeclareLaunchArgument(
        "monitor_file",
        default_value="",
        description="Thresholds of the monitor. Empty: the robot's own, for the rate.",
    ),
    DeclareLaunchArgument(
        "contract_file",
        default_value="",
        description="Which policy runs. Empty: in a simulation, the one that puts cubes away; "
        "else one that only knows home and moves nothing uninstructed, so that other sources can. "
        "none: nothing that carries out chunks.",
    ),
    parts.LATCH_FOLDER,
]

included = partial(parts.included, __file__)


def hand(context: LaunchContext) -> list[Action]:
    """Return the hand of an arm at `robot_ip`: its maker's node, and what tells it to move."""
    robot = load_robot(parts.value(context, "robot_file"))
    finger = robot.gripper.joint
    gripper = parts.node(
        "franka_gripper",
        "franka_gripper_node",
        name="franka_gripper",
        parameters=[
            PathJoinSubstitution(
                [FindPackageShare("franka_gripper"), "config", "franka_gripper_node.yaml"]
            ),
            {
                "robot_ip": description.text("robot_ip"),
                "joint_names": [finger, f"{finger.removesuffix('1')}2"],
            },
        ],
    )
    own = {"robot_file": description.text("robot_file"), "force_n": parts.number("grasp_force_n")}
    return [gripper, parts.node("vla_bringup", "franka_hand", parameters=[own])]


def bring_up(context: LaunchContext) -> list[Action]:
    """Return everything for the hardware that was chosen.

    Raises:
        RuntimeError: It is an arm, and not said where.
    """
    given = partial(parts.value, context)
    description.find_robot(context)
    hardware = given("hardware")
    simulated = hardware in ("sim", "fake_fci", "gazebo", "mujoco")
    if hardware == "franka" and not given("robot_ip"):
        raise RuntimeError(
            "hardware:=franka needs robot_ip:=ADDRESS, that of the arm's control (its Desk shows "
            "it; 172.16.0.2 as delivered)"
        )
    fast = hardware not in ("mock", "sim") or parts.has_ros2_control()
    rate = given("rate_hz") if hardware == "sim" else FAST if fast else "100"
    share = Path(description.SHARE.perform(context))
    own = share / "config" / "robots" / given("robot") / MONITORS[rate]
    files = {"monitor_file": given("monitor_file") or str(own)}
    contract = given("contract_file")
    if simulated:
        task = share / "config" / "policies" / f"{given('robot')}_color_pick.yaml"
        files["contract_file"] = contract or str(task)
        files["latch_folder"] = given("latch_folder") or parts.new_latch_folder()
        files["seed"] = given("seed")
        if hardware == "gazebo":
            return [included("gazebo", **files)]
        files["real_time_factor"] = given("real_time_factor")
        if hardware == "mujoco":
            return [included("mujoco", **files)]
        if hardware == "fake_fci":
            missing = [name for name in WIRE if find_spec(name) is None]
            if missing:
                raise RuntimeError(
                    f"hardware:=fake_fci needs {' and '.join(missing)} (pip install franky-sim "
                    "pylibfranka); without, use hardware:=sim rate_hz:=1000"
                )
            files["simulation"] = "vla_sim_fci"
        return [included("sim", **files, controller_rate_hz=rate)]
    files["contract_file"] = contract or parts.resting(context)
    files["measured_topic"] = "joint_states"
    if hardware == "franka":
        parts.need("panda.launch.py", "franka_ros2", FRANKA, "hardware:=mock or sim")
        arm = included("ros2_control", hardware="franka", robot_ip=given("robot_ip"), **files)
        return [arm, *hand(context)]
    if fast:
        return [included("ros2_control", hardware="mock", **files)]
    emulated = OpaqueFunction(function=parts.emulated, args=["mock"])
    return [included("monitored_policy", **files), emulated]


def generate_launch_description() -> LaunchDescription:
    """Bring up one arm."""
    return LaunchDescription(
        [*ARGUMENTS, description.DESCRIPTION_FILE, OpaqueFunction(function=bring_up)]
    )
