# SPDX-License-Identifier: Apache-2.0
r"""A Panda or, with `robot:=fr3`, an FR3: controllers, the monitor and, with a contract, a policy.

    ros2 launch vla_bringup panda.launch.py                    # mock: nothing plugged in
    ros2 launch vla_bringup panda.launch.py hardware:=sim      # MuJoCo, cameras and a task
    ros2 launch vla_bringup panda.launch.py hardware:=sim rate_hz:=1000 robot:=fr3

The mock's controllers are ros2_control's at 1000 Hz where it is installed, else emulated ones at
100 Hz. A real arm is not launched from here: start its maker's controllers, and the rest with
`monitored_policy.launch.py robot:=panda`.
"""

from functools import partial
from pathlib import Path

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

from vla_bringup import description
from vla_bringup import launch_parts as parts

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
    *parts.SCENE,
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
        description="Which policy runs. Empty: with sim, the one that puts cubes away; with mock, "
        "one that only knows home and moves nothing uninstructed, so that other sources can. "
        "none: nothing that carries out chunks.",
    ),
    parts.LATCH_FOLDER,
]

included = partial(parts.included, __file__)


def bring_up(context: LaunchContext) -> list[Action]:
    """Return everything for the hardware that was chosen."""
    given = partial(parts.value, context)
    description.find_robot(context)
    simulated = given("hardware") == "sim"
    real_controllers = not simulated and parts.has_ros2_control()
    rate = given("rate_hz") if simulated else FAST if real_controllers else "100"
    share = Path(description.SHARE.perform(context))
    own = share / "config" / "robots" / given("robot") / MONITORS[rate]
    files = {"monitor_file": given("monitor_file") or str(own)}
    contract = given("contract_file")
    if simulated:
        task = share / "config" / "policies" / f"{given('robot')}_color_pick.yaml"
        files["contract_file"] = contract or str(task)
        latch = given("latch_folder") or parts.new_latch_folder()
        more = {name: given(name) for name in ("seed", "real_time_factor")}
        return [included("sim", **files, **more, latch_folder=latch, controller_rate_hz=rate)]
    files["contract_file"] = contract or parts.resting(context)
    files["measured_topic"] = "joint_states"
    if real_controllers:
        return [included("ros2_control", hardware="mock", **files)]
    emulated = OpaqueFunction(function=parts.emulated, args=["mock"])
    return [included("monitored_policy", **files), emulated]


def generate_launch_description() -> LaunchDescription:
    """Bring up one arm."""
    return LaunchDescription(
        [*ARGUMENTS, description.DESCRIPTION_FILE, OpaqueFunction(function=bring_up)]
    )
