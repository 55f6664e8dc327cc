# SPDX-License-Identifier: Apache-2.0
r"""An arm in MuJoCo behind mujoco_ros2_control, with the table and cubes of the simulation here.

    ros2 launch vla_bringup mujoco.launch.py                       # an SO-101
    ros2 launch vla_bringup panda.launch.py hardware:=mujoco       # a Panda or FR3

The controllers are ros2_control's; with `sim.launch.py`, which needs no ros2_control, they are
emulated ones, and its time waits for a slow policy. Everything runs on MuJoCo's `/clock`. One arm
a graph: that clock and the simulator's own topics have no namespace.
"""

from pathlib import Path

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import SetParameter

from strict_yaml import read_yaml
from vla_bringup import description
from vla_bringup import launch_parts as parts
from vla_bringup.launch_folder import launch_folder
from vla_contract.robot import load_robot

ARGUMENTS = [
    description.ROBOT,
    parts.CONTROLLERS_FILE,
    description.DESCRIPTION_FILE,
    *parts.SCENE,
]
NEEDED = {
    "mujoco_ros2_control": "mujoco-ros2-control",
    "mujoco_ros2_control_plugins": "mujoco-ros2-control-plugins",
    "joint_trajectory_controller": "ros2-controllers",
    "joint_state_broadcaster": "ros2-controllers",
}
CAMERA_RATE_HZ = 30.0


def find_mujoco(context: LaunchContext) -> None:
    """Say what has to be installed, and what cannot be done, before anything is started.

    Raises:
        RuntimeError: A package is missing, or the arm is in a namespace.
    """
    parts.need("mujoco.launch.py", "mujoco_ros2_control", NEEDED, "sim.launch.py")
    parts.in_the_graph_s_own_time(context, "mujoco.launch.py")


def update_rate_hz(controllers_file: str) -> int:
    """Return at what rate the controllers run, Hz."""
    files = read_yaml(controllers_file)
    return int(files["/**/controller_manager"]["ros__parameters"]["update_rate"])


def camera_parameters() -> dict[str, object]:
    """Return what makes the simulator publish both cameras where the simulation here does."""
    prefix = "mujoco_plugins.cameras"
    found: dict[str, object] = {
        f"{prefix}.type": "mujoco_ros2_control_plugins/CameraPlugin",
        f"{prefix}.camera_publish_rate": CAMERA_RATE_HZ,
    }
    for camera in ("front", "wrist"):
        own = f"{prefix}.{camera}"
        found[f"{own}.frame_name"] = f"{camera}_camera_optical_frame"
        found[f"{own}.image_topic"] = f"/{camera}_camera/image_raw"
        found[f"{own}.info_topic"] = f"/{camera}_camera/camera_info"
        found[f"{own}.depth_topic"] = f"/{camera}_camera/depth"
    return found


def start(context: LaunchContext) -> list[Action]:
    """Write the model, start the simulator with its controllers, and activate them."""
    from vla_sim.world.mjcf import world_mjcf

    robot_file = Path(parts.value(context, "robot_file"))
    robot = load_robot(robot_file)
    rate_hz = update_rate_hz(parts.value(context, "controllers_file"))
    model = launch_folder("world") / "world.xml"
    # No fewer steps than control cycles, and no longer ones than the simulation here takes.
    step_s = 1.0 / max(rate_hz, 500)
    seed = int(parts.value(context, "seed"))
    model.write_text(world_mjcf(robot_file, seed=seed, step_s=step_s), encoding="utf-8")
    context.launch_configurations["mujoco_model"] = str(model)
    simulator = parts.node(
        "mujoco_ros2_control",
        "ros2_control_node",
        name=None,
        parameters=[LaunchConfiguration("controllers_file"), camera_parameters()],
        remappings=[("~/robot_description", "robot_description")],
        on_exit=Shutdown(reason="the simulator ended"),
    )
    return [
        description.describe(context, "mujoco"),
        simulator,
        parts.spawner("joint_state_broadcaster", robot.arm_controller, robot.gripper.controller),
    ]


def generate_launch_description() -> LaunchDescription:
    """Bring up MuJoCo, the controllers in it, the monitor and the policy node."""
    return LaunchDescription(
        [
            *ARGUMENTS,
            SetParameter("use_sim_time", True),
            # First, for it declares the robot file.
            parts.included(__file__, "monitored_policy"),
            OpaqueFunction(function=find_mujoco),
            OpaqueFunction(function=start),
        ]
    )
