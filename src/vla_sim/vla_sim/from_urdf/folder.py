# SPDX-License-Identifier: Apache-2.0
"""Write a robot's folder, and say what it still needs."""

from __future__ import annotations

import json
import re
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from strict_yaml import StrictYamlError, read_yaml
from vla_contract.contract import ContractError, load_contract
from vla_contract.robot import Robot, RobotConfigError, load_robot
from vla_contract.workspace import FILE as WORKSPACE
from vla_contract.workspace import WorkspaceError, load_workspace
from vla_sim.from_urdf.description import LOOK_AT, ArmChoice, DescriptionError, UrdfTree
from vla_sim.from_urdf.limits import WrittenLimit, limits_of
from vla_sim.from_urdf.model import STAND_IN, ArmModel, build_model
from vla_sim.from_urdf.postures import Clearance, find_goals, find_home
from vla_sim.from_urdf.workspace import workspace_needs, workspace_text
from vla_sim.world import World, WorldError

TEMPLATE = Path(__file__).with_name("monitor_template.yaml")
FILL_IN = "FILL_IN"
_LAG_S = 1.0 / 30.0
_FILES = (
    "robot.yaml",
    "monitor.yaml",
    "controllers.yaml",
    "model.xml",
    "wander.yaml",
    "contract.yaml",
    WORKSPACE,
    "description.urdf.xacro",
)
_CONTRACT = "contract.yaml"


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        folder: Where.
        joints: How many joints the arm has.
        goals: How many postures it will wander through.
        seconds: About how long that takes at the speed of the contract.
        needs: What is still needed, one line each.
    """

    folder: Path
    joints: int
    goals: int
    seconds: float
    needs: tuple[str, ...]


def write_folder(urdf: UrdfTree, choice: ArmChoice, name: str, folder: Path) -> Written:
    """Write the folder of a robot.

    Args:
        urdf: Its description.
        choice: What of it moves.
        name: What it is called.
        folder: Is made; files of these names in it must not be there.

    Raises:
        DescriptionError: It cannot be simulated, or a file is there already.
    """
    there = [each for each in _FILES if (folder / each).exists()]
    if there:
        raise DescriptionError(f"{folder}: {', '.join(there)}: is there already; remove it first")
    model = build_model(urdf, choice)
    limits = limits_of(choice, model.inertia)
    gripper = _gripper_limit(choice, model)
    middle = {row.name: float(np.clip(0.0, row.lower, row.upper)) for row in limits}
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "model.xml").write_text(model.xml, encoding="utf-8")
        file = Path(scratch) / "robot.yaml"
        file.write_text(_robot(name, choice, limits, gripper, middle), encoding="utf-8")
        try:
            world = World(file, randomise=False)
        except (WorldError, RobotConfigError) as error:
            raise DescriptionError(str(error).replace(scratch, str(folder))) from None
        clearance = Clearance(
            world, np.array([row.lower for row in limits]), np.array([row.upper for row in limits])
        )
        posture = find_home(clearance)
        goals = find_goals(clearance, posture, model.gripper_range)
        workspace = _workspace(world, load_robot(file), goals[:, :-1])
    home = {row.name: float(at) for row, at in zip(limits, posture, strict=True)}
    speed = [float(f"{0.4 * row.velocity:.4g}") for row in (*limits, gripper)]
    texts = {
        "robot.yaml": _robot(name, choice, limits, gripper, home),
        "monitor.yaml": _monitor(name, limits, gripper),
        "controllers.yaml": _controllers(name, limits, gripper),
        "model.xml": model.xml,
        "wander.yaml": _wander(name, limits, gripper, goals.tolist(), speed),
        _CONTRACT: _contract(name, limits, gripper),
        WORKSPACE: workspace,
        "description.urdf.xacro": _description(urdf),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for file_name, text in texts.items():
        if not text:
            continue
        (folder / file_name).write_text(text, encoding="utf-8")
    ways = np.abs(np.diff(np.vstack([goals[-1:], goals]), axis=0)) / np.array(speed)
    return Written(
        folder, len(limits), len(goals), float(np.sum(np.max(ways, axis=1))), needs_of(folder)
    )


def needs_of(folder: Path) -> tuple[str, ...]:
    """Return what a robot's folder still needs before it is that of a real arm.

    Raises:
        DescriptionError: A file is missing or wrong.
    """
    try:
        robot = load_robot(folder / "robot.yaml")
        World(folder / "robot.yaml", randomise=False)
        read_yaml(folder / "monitor.yaml")
        controllers = read_yaml(folder / "controllers.yaml")
        contract = _contract_problem(folder, robot)
        guarded = (folder / WORKSPACE).is_file()
        at_home: list[str] = []
        if guarded:
            space = load_workspace(folder / WORKSPACE, robot.limits.joint_names)
            at_home = workspace_needs(space, robot)
    except (RobotConfigError, WorldError, WorkspaceError, StrictYamlError) as error:
        raise DescriptionError(str(error)) from None
    needs = []
    told = set(controllers) if isinstance(controllers, Mapping) else set()
    for controller in (robot.arm_controller, robot.gripper.controller):
        if f"/**/{controller}" not in told:
            needs.append(f"controllers.yaml: has no /**/{controller}, which robot.yaml names")
    text = (folder / "robot.yaml").read_text(encoding="utf-8")
    if "# unconfirmed" in text:
        needs.append(
            "robot.yaml: arm.limits: accelerations and jerks are guesses, which no URDF has; "
            "compare them with the maker's, and remove the words `# unconfirmed`"
        )
    if robot.gripper.joint == STAND_IN:
        needs.append(
            "robot.yaml: gripper: the description has none, and two fingers stand in for it; "
            "write your gripper's controller, joint and range"
        )
    if contract:
        needs.append(contract)
    needs += _to_look_at(folder)
    needs.append(
        "workspace.yaml: the simulated arm's capsules, and an empty table at its base; compare "
        "them with the arm and its tool, and write where the table is and what stands around"
        if guarded
        else "workspace.yaml: is not there, so the monitor does not judge plans by where they "
        "lead; write a few capsules a link (docs/how-to/your_robot.md)"
    )
    needs += at_home
    needs.append(
        "monitor.yaml: joint_states_rate_hz and tracking_error_rad: those of the simulation; "
        "write your driver's rate, and measure the error in a sound motion"
    )
    return tuple(needs)


def _to_look_at(folder: Path) -> list[str]:
    """Return the lines that begin with `LOOK_AT`."""
    return [
        f"{name}: {line.strip().removeprefix(LOOK_AT)}"
        for name in ("robot.yaml", WORKSPACE)
        if (folder / name).is_file()
        for line in (folder / name).read_text(encoding="utf-8").splitlines()
        if line.strip().startswith(LOOK_AT)
    ]


def _contract_problem(folder: Path, robot: Robot) -> str:
    path = folder / _CONTRACT
    if not path.is_file():
        return f"{_CONTRACT}: is missing; it says which policy runs, and what it sees"
    if FILL_IN in path.read_text(encoding="utf-8"):
        return f"{_CONTRACT}: write your policy's name and inputs where it says {FILL_IN}"
    try:
        load_contract(path, robot.limits.joint_names, robot.gripper.joint)
    except ContractError as error:
        return str(error).replace(f"{folder}/", "")
    return ""


def _workspace(world: World, robot: Robot, goals: np.ndarray) -> str:
    """Return the workspace file, empty where there are too many shapes for one."""
    ways = [
        np.linspace(one, other, 25)
        for one, other in zip(goals, np.roll(goals, -1, axis=0), strict=True)
    ]
    try:
        return workspace_text(world, robot, np.concatenate(ways))
    except WorkspaceError:
        return ""


def _gripper_limit(choice: ArmChoice, model: ArmModel) -> WrittenLimit:
    low, high = model.gripper_range
    said = 0.0 if choice.gripper is None else choice.gripper.velocity
    whole_way = high - low
    # In a second from closed to open, if the description does not say that it is slower.
    velocity = min(said, whole_way) if said > 0.0 else whole_way
    return WrittenLimit(model.gripper, low, high, float(f"{velocity:.3g}"), 0.0, 0.0, "")


def _listed(names: list[str]) -> str:
    return "[" + ", ".join(json.dumps(each) for each in names) + "]"


def _number(value: float) -> str:
    text = f"{value:.6g}"
    return text if re.search(r"[.e]", text) else f"{text}.0"


def _robot(
    name: str,
    choice: ArmChoice,
    limits: list[WrittenLimit],
    gripper: WrittenLimit,
    home: Mapping[str, float],
) -> str:
    rows = "\n".join(
        f"    {json.dumps(row.name)}: {{position: [{_number(row.lower)}, {_number(row.upper)}], "
        f"velocity: {_number(row.velocity)}, acceleration: {_number(row.acceleration)}, "
        f"jerk: {_number(row.jerk)}}}  # unconfirmed; {row.reason}"
        for row in limits
    )
    waits = ", ".join(f"{json.dumps(key)}: {_number(value)}" for key, value in home.items())
    opening = _number(gripper.lower + 0.5 * (gripper.upper - gripper.lower))
    sliding = [joint.name for joint in choice.arm if joint.kind == "prismatic"]
    metres = f" In m: {', '.join(sliding)}." if sliding else ""
    looks = "".join(f"{LOOK_AT}{note}\n" for note in choice.notes)
    return f"""# {name}, written from its URDF by `vla-robot from-urdf`. The one place for its
# joints, limits and controllers. Units: rad, rad/s, rad/s^2, rad/s^3; where a joint slides, m.
#{metres} Position limits are the description's. No description has accelerations and jerks:
# here full speed is reached in 0.3 s or more, full acceleration in 0.1 s.
{looks}robot: {json.dumps(name)}
base_frame: {json.dumps(choice.root)}
tip_frame: {json.dumps(choice.tip)}

arm:
  controller: arm_controller  # the name of its joint_trajectory_controller
  joints: {_listed([row.name for row in limits])}
  limits:
{rows}

gripper:
  controller: gripper_controller
  joint: {json.dumps(gripper.name)}
  position: [{_number(gripper.lower)}, {_number(gripper.upper)}]
  velocity: {_number(gripper.velocity)}

# A posture in which the simulated arm touches neither the table nor itself.
home: {{{waits}, {json.dumps(gripper.name)}: {opening}}}

# Not in the description: how finely your encoders measure a turn.
encoder:
  ticks_per_turn: 65536
"""


def _monitor(name: str, limits: list[WrittenLimit], gripper: WrittenLimit) -> str:
    lag = _LAG_S * max(row.velocity for row in limits)
    tracking = min(max(4.0 * lag, 0.05), 1.0)
    values = {
        "robot": name,
        "lag_rad": f"{lag:.3g}",
        "factor": f"{tracking / lag:.2g}",
        "tracking": _number(round(tracking, 3)),
        "slow": _number(round(0.6 * tracking, 3)),
        "gripper_step": _number(min(0.001, 0.005 * (gripper.upper - gripper.lower))),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _controllers(name: str, limits: list[WrittenLimit], gripper: WrittenLimit) -> str:
    def controller(own: str, joints: list[str]) -> str:
        return f"""
/**/{own}:
  ros__parameters:
    joints: {_listed(joints)}
    command_interfaces: [position]
    state_interfaces: [position, velocity]
    interpolation_method: splines
    allow_partial_joints_goal: false
    # The monitor reads what follows and forwards nothing while it is otherwise.
    allow_nonzero_velocity_at_trajectory_end: false
    allow_trajectory_replacement: false
    positions_upsampling: {{enable: false}}
    cmd_timeout: 0.0
    constraints: {{goal_time: 0.0, stopped_velocity_tolerance: 0.0}}
    speed_scaling: {{initial_scaling_factor: 1.0, state_interface: ""}}
    set_last_command_interface_value_as_state_on_activation: true
"""

    kind = "joint_trajectory_controller/JointTrajectoryController"
    return f"""# Controllers of {
        name
    } for ros2_control, by the names of robot.yaml; the namespace may be any.
/**/controller_manager:
  ros__parameters:
    update_rate: 100  # Hz
    joint_state_broadcaster: {{type: joint_state_broadcaster/JointStateBroadcaster}}
    arm_controller: {{type: {kind}}}
    gripper_controller: {{type: {kind}}}
{controller("arm_controller", [row.name for row in limits])}{
        controller("gripper_controller", [gripper.name])
    }"""


def _state(names: str) -> str:
    return f"""  observation.state:
    topic: joint_states
    type: sensor_msgs/msg/JointState
    field: position
    joints: {names}
    units: rad
    max_age_s: 0.2

action:
  joints: {names}
  units: rad
"""


def _wander(
    name: str,
    limits: list[WrittenLimit],
    gripper: WrittenLimit,
    goals: list[list[float]],
    speed: list[float],
) -> str:
    names = _listed([row.name for row in (*limits, gripper)])
    rows = "\n".join(f"      - [{', '.join(map(_number, goal))}]" for goal in goals)
    return f"""# {name} has no task here: it moves through random postures. The straight ways
# between them were looked at in the simulation, with capsules for its links: on a real arm look
# at them yourself.
policy:
  name: wander
  options:
    joints: {names}
    speed: [{", ".join(map(_number, speed))}]   # 0.4 of the limits
    goals:
{rows}

observation:
{_state(names)}"""


def _contract(name: str, limits: list[WrittenLimit], gripper: WrittenLimit) -> str:
    names = _listed([row.name for row in (*limits, gripper)])
    return f"""# Which policy runs on {name}, and what it sees: docs/how-to/your_policy.md.
policy:
  name: {FILL_IN}
  options: {{}}

observation:
  observation.images.front:
    topic: {FILL_IN}              # such as front_camera/image_raw
    type: sensor_msgs/msg/Image
    max_age_s: 0.25
    frozen_after_s: 1.0
    resize: stretch
{_state(names)}"""


def _plain(text: str) -> str:
    """Return text in which xacro finds no expressions of its own: a dollar begins one."""
    return text.replace("${", "$${").replace("$(", "$$(")


def _description(urdf: UrdfTree) -> str:
    """Return the URDF as it was, with what ros2_control needs by the robot file."""
    tree = ElementTree.fromstring(ElementTree.tostring(urdf.tree))
    for tag in ("ros2_control", "gazebo", "transmission", "mujoco"):
        for element in tree.findall(tag):
            tree.remove(element)
    body = "".join(ElementTree.tostring(each, encoding="unicode") for each in tree)
    body = _plain(body)
    arguments = "\n".join(
        f'  <xacro:arg name="{name}" default="{default}"/>'
        for name, default in (
            ("robot_file", ""),
            ("hardware", "mock"),
            ("joint_commands_topic", "joint_commands"),
            ("joint_states_topic", "joint_states_raw"),
            ("port", ""),
            ("servos_file", ""),
            ("controllers_file", ""),
        )
    )
    return f"""<?xml version="1.0"?>
<!-- The description that the folder was made of, and what ros2_control needs of it. -->
<robot name={quoteattr(_plain(urdf.name or "robot"))} xmlns:xacro="http://www.ros.org/wiki/xacro">
{arguments}
  <xacro:property name="robot_file" value="$(arg robot_file)"/>
  <xacro:property name="file" value="${{xacro.load_yaml(robot_file)}}"/>
  {body.strip()}
  <xacro:include filename="$(find vla_bringup)/urdf/ros2_control.xacro"/>
  <xacro:position_servos file="${{file}}" hardware="$(arg hardware)"
                         joint_commands_topic="$(arg joint_commands_topic)"
                         joint_states_topic="$(arg joint_states_topic)"
                         port="$(arg port)" servos_file="$(arg servos_file)"
                         controllers_file="$(arg controllers_file)"/>
</robot>
"""
