# SPDX-License-Identifier: Apache-2.0
r"""One SO-101: its driver, controllers, the monitor and, with a contract, a policy.

    ros2 launch vla_bringup so101.launch.py                        # nothing plugged in
    ros2 launch vla_bringup so101.launch.py hardware:=real port:=/dev/so101_follower \
        calibration_file:=~/my_arm.json
    ros2 launch vla_bringup so101.launch.py hardware:=sim          # MuJoCo, cameras and a task
    ros2 launch vla_bringup so101.launch.py hardware:=bus          # the same behind the driver
    ros2 launch vla_bringup so101.launch.py hardware:=gazebo       # the same task, ros2_control's
    ros2 launch vla_bringup so101.launch.py hardware:=mujoco       # controllers, in either
    ros2 launch vla_bringup so101.launch.py hardware:=feetech port:=... calibration_file:=... \
        robot_file:=slower.yaml             # feetech_ros2_driver's plugin in place of our driver

`real` is any port that answers as the arm does: `so101 simulate` is one. The controllers are
ros2_control's where it is installed, else emulated ones; `controllers:=` chooses.
"""

from functools import partial
from pathlib import Path

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import Node

from vla_bringup import cameras, description
from vla_bringup import launch_parts as parts
from vla_bringup.launch_folder import launch_folder
from vla_contract.robot import RobotConfigError, load_robot

ARGUMENTS = [
    DeclareLaunchArgument(
        "hardware",
        default_value="mock",
        choices=["mock", "real", "feetech", "sim", "bus", "gazebo", "mujoco"],
        description="mock: every command is reached at once. real: an arm on a serial port. "
        "feetech: the same, by the plugin of feetech_ros2_driver in place of our driver. "
        "sim: MuJoCo. bus: MuJoCo, moved by simulated servos that the driver commands at a port. "
        "gazebo, mujoco: a simulator behind ros2_control.",
    ),
    DeclareLaunchArgument(
        "controllers",
        default_value="auto",
        choices=["auto", "ros2_control", "emulated"],
        description="Whose controllers; auto: ros2_control's where it is installed, for mock and "
        "real; a simulation's are emulated.",
    ),
    DeclareLaunchArgument(
        "port",
        default_value="/dev/so101_follower",
        description="Serial port of the arm (`so101 udev` prints the rule that names it).",
    ),
    DeclareLaunchArgument(
        "calibration_file",
        default_value="",
        description="LeRobot's calibration file of the arm, proved by `so101 prove`. For real "
        "and feetech.",
    ),
    DeclareLaunchArgument(
        "command_timeout_s",
        default_value="0.2",
        description="After so long without a command the arm holds. For real.",
    ),
    DeclareLaunchArgument(
        "stale_s",
        default_value="0.1",
        description="After so long without an answer of a servo the arm holds. For real.",
    ),
    DeclareLaunchArgument(
        "answer_timeout_s",
        default_value="0.004",
        description="How long one answer of a servo may take. For real.",
    ),
    DeclareLaunchArgument(
        "sag_rad_nm",
        default_value="0.0",
        description="How far a servo gives way under a torque, rad/(N m), which the driver then "
        "corrects for the arm's own weight. For real.",
    ),
    DeclareLaunchArgument(
        "play_rad",
        default_value="0.0",
        description="Free play of the gears behind an encoder, to either side, which the driver "
        "then corrects where the arm's own weight holds a link at one of them. For real.",
    ),
    DeclareLaunchArgument(
        "trim_rad",
        default_value="0.0",
        description="How far the driver moves a goal at the most for what friction leaves at "
        "rest. For real.",
    ),
    DeclareLaunchArgument(
        "teleop",
        default_value="false",
        choices=["true", "false"],
        description="A leader arm, whose joints the arm can be made to follow.",
    ),
    DeclareLaunchArgument(
        "leader_port",
        default_value="/dev/so101_leader",
        description="Serial port of the leader arm. For teleop.",
    ),
    DeclareLaunchArgument(
        "leader_calibration_file",
        default_value="",
        description="LeRobot's calibration file of the leader arm, proved by `so101 prove`. For "
        "teleop.",
    ),
    *cameras.ARGUMENTS,
    DeclareLaunchArgument(
        "meshes",
        default_value="",
        description="Folder of the maker's STL files, a path or package://..., for who draws the "
        "arm. Empty: each link is a box.",
    ),
    *parts.SCENE,
    description.ROBOT,
    description.DESCRIPTION_FILE,
    parts.NAMESPACE,
    parts.ROBOT_FILE,
    parts.LATCH_FOLDER,
    DeclareLaunchArgument(
        "contract_file",
        default_value="",
        description="Which policy runs and which topics feed its features. Empty: in a "
        "simulation, the one that puts cubes away; else one that only knows home and moves "
        "nothing uninstructed, so that other sources can. none: nothing that carries out chunks.",
    ),
    DeclareLaunchArgument(
        "monitor_file",
        default_value="",
        description="Thresholds of the monitor. Empty: the robot's own, for real with the "
        "driver's topics.",
    ),
]
# A simulated servo with P = 16; the answers of a busy host take their time.
SIMULATED_ARM = {"sag_rad_nm": "0.056", "answer_timeout_s": "0.1"}
# Behind ros2_control.
SIMULATORS = ("gazebo", "mujoco")
# Of the controllers behind the driver's topics.
TOPIC_BASED = "topic_based"

included = partial(parts.included, __file__)


def whose_controllers(context: LaunchContext) -> str:
    """Return `ros2_control` or `emulated`."""
    asked = parts.value(context, "controllers")
    if asked != "auto":
        return asked
    return "ros2_control" if parts.has_ros2_control() else "emulated"


def driver() -> Node:
    """Return the driver of a real arm."""
    # Nothing ends with it: what the arm does without its driver is the monitor's to say.
    texts = ("port", "calibration_file", "robot_file")
    corrections = ("sag_rad_nm", "play_rad", "trim_rad")
    numbers = ("command_timeout_s", "stale_s", "answer_timeout_s", *corrections)
    given = {name: description.text(name) for name in texts}
    given |= {name: parts.number(name) for name in numbers}
    return parts.node("so100_driver", "so100_driver", parameters=[given])


def leader() -> Node:
    """Return the source of chunks that reads a leader arm."""
    given = {
        "port": description.text("leader_port"),
        "calibration_file": description.text("leader_calibration_file"),
        "robot_file": description.text("robot_file"),
        "answer_timeout_s": parts.number("answer_timeout_s"),
        "stale_s": parts.number("stale_s"),
    }
    return parts.node("so100_driver", "leader_arm", parameters=[given])


def behind_feetech_s_plugin(context: LaunchContext, files: dict[str, str]) -> Action:
    """Return ros2_control in front of the plugin, for an arm that it can drive.

    Raises:
        RuntimeError: It cannot.
    """
    from so100_driver.connection import DriverError
    from so100_driver.feetech_plugin import examine

    given = partial(parts.value, context)
    if given("controllers") == "emulated":
        raise RuntimeError(
            "hardware:=feetech is a plugin of ros2_control: leave controllers:= out, or choose "
            "hardware:=real"
        )
    port = given("port")
    try:
        arm = examine(port, given("calibration_file"), load_robot(given("robot_file")))
    except (DriverError, RobotConfigError) as error:
        raise RuntimeError(f"hardware:=feetech: {error}") from None
    servos_file = launch_folder("servos") / "servos.yaml"
    arm.write(servos_file)
    pose = ",".join(f"{name}={angle:.4f}" for name, angle in arm.pose.items())
    found = {"port": port, "servos_file": str(servos_file), "servos_pose": pose}
    return included("ros2_control", hardware="feetech", **found, **files)


def on_a_simulated_bus(context: LaunchContext, files: dict[str, str]) -> list[Action]:
    """Return everything around a simulated arm whose servos are driven at a port.

    All of it lives in the simulation's time: the driver too, whose cycles it waits for. A host
    that is too slow for them makes a slow simulation, and no arm that holds for want of commands.
    """
    folder = Path(files["latch_folder"])
    simulation = parts.node(
        "vla_sim",
        "vla_sim_servos",
        name="vla_sim",
        parameters=[
            {
                "robot_file": description.text("robot_file"),
                "servos": description.text("robot"),
                "folder": str(folder),
                "seed": parts.number("seed", int),
                "real_time_factor": parts.number("real_time_factor"),
            }
        ],
        on_exit=Shutdown(reason="the simulation ended"),
    )
    context.launch_configurations.update(SIMULATED_ARM)
    context.launch_configurations["port"] = str(folder / "port")
    context.launch_configurations["calibration_file"] = str(folder / "arm.json")
    return [
        *parts.in_simulated_time(),
        included("monitored_policy", **files),
        OpaqueFunction(function=parts.emulated, args=[TOPIC_BASED]),
        simulation,
        driver(),
    ]


def bring_up(context: LaunchContext) -> list[Action]:
    """Return everything for the hardware that was chosen.

    Raises:
        RuntimeError: It is real, and not said which calibration is the arm's.
    """
    description.find_robot(context)
    given = partial(parts.value, context)
    hardware, contract = given("hardware"), given("contract_file")
    real, simulated = hardware == "real", hardware in ("sim", "bus", *SIMULATORS)
    if hardware in SIMULATORS and given("controllers") == "emulated":
        raise RuntimeError(
            f"hardware:={hardware} controllers:=emulated: the simulator has ros2_control's; leave "
            "controllers:= out, or choose hardware:=sim"
        )
    if hardware in ("sim", "bus") and given("controllers") == "ros2_control":
        raise RuntimeError(
            f"hardware:={hardware} controllers:=ros2_control: a simulation has emulated "
            "controllers, for ros2_control's cannot make its time wait; leave controllers:= out, "
            "or choose hardware:=gazebo or mujoco"
        )
    # Before anything starts: what has started is left behind by a launch that fails.
    if hardware in ("real", "feetech") and not given("calibration_file"):
        raise RuntimeError(
            f"hardware:={hardware} needs calibration_file:=..., the arm's own (`so101 calibrate "
            "PORT FILE` makes one, `so101 prove PORT FILE` proves LeRobot's)"
        )
    teleop = given("teleop") == "true"
    if teleop and not given("leader_calibration_file"):
        raise RuntimeError(
            "teleop:=true needs leader_calibration_file:=..., the leader arm's own (`so101 prove "
            "PORT FILE` proves LeRobot's)"
        )
    driven = hardware in ("real", "bus")
    own = PathJoinSubstitution(
        [description.FOLDER, "monitor_driver.yaml" if driven else "monitor.yaml"]
    )
    if not contract and simulated:
        # Puts cubes away, with this arm.
        policies = Path(description.SHARE.perform(context), "config", "policies")
        contract = str(policies / f"{given('robot')}_color_pick.yaml")
    elif not contract:
        contract = parts.resting(context)
    monitor = given("monitor_file") or own.perform(context)
    files = {"contract_file": contract, "monitor_file": monitor}
    besides: list[Action] = [*cameras.nodes(context, simulated), *([leader()] if teleop else [])]
    files["measured_topic"] = "joint_states_raw" if driven else "joint_states"
    if simulated:
        files["latch_folder"] = given("latch_folder") or parts.new_latch_folder()
        if hardware == "bus":
            return [*on_a_simulated_bus(context, files), *besides]
        files["seed"] = given("seed")
        if hardware == "gazebo":
            return [included("gazebo", **files), *besides]
        files["real_time_factor"] = given("real_time_factor")
        if hardware == "mujoco":
            return [included("mujoco", **files), *besides]
        in_its_time = parts.in_simulated_time() if teleop else []
        return [included("so101_sim", **files), *in_its_time, *besides]
    behind = TOPIC_BASED if real else "mock"
    if hardware == "feetech":
        return [behind_feetech_s_plugin(context, files), *besides]
    if whose_controllers(context) == "ros2_control":
        rest: list[Action] = [included("ros2_control", hardware=behind, **files)]
    else:
        suite = included("monitored_policy", **files)
        rest = [suite, OpaqueFunction(function=parts.emulated, args=[behind])]
    return [*rest, *([driver()] if real else []), *besides]


def generate_launch_description() -> LaunchDescription:
    """Bring up one arm."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=bring_up)])
