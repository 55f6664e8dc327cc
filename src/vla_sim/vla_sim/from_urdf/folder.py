# SPDX-License-Identifier: Apache-2.0
"""Write a robot's folder, and say what it still needs."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from strict_yaml import StrictYamlError, read_yaml
from vla_contract.contract import ContractError, load_contract
from vla_contract.robot import Robot, RobotConfigError, load_robot
from vla_contract.workspace import FILE as WORKSPACE
from vla_contract.workspace import WorkspaceError, load_workspace
from vla_sim.from_urdf.description import LOOK_AT, ArmChoice, DescriptionError, UrdfTree
from vla_sim.from_urdf.description_xacro import description_xacro
from vla_sim.from_urdf.limits import WrittenLimit, limits_of
from vla_sim.from_urdf.model import STAND_IN, ArmModel, build_model
from vla_sim.from_urdf.postures import Clearance, find_goals, find_home
from vla_sim.from_urdf.workspace import workspace_needs, workspace_text
from vla_sim.world import World, WorldError

TEMPLATE = Path(__file__).with_name("monitor_template.yaml")
FILL_IN = "FILL_IN"
_LAG_S = 1.0 / 30.0
_LONGEST_S = 600.0  # that all postures may take
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
        folder: Is made as a whole, or not at all; it must not be there, or be empty.

    Raises:
        DescriptionError: It cannot be simulated, or the folder is there already.
    """
    _refuse_what_is_there(folder)
    model = build_model(urdf, choice)
    limits = limits_of(choice, model.inertia)
    gripper = _gripper_limit(choice, model)
    middle = {row.name: float(np.clip(0.0, row.lower, row.upper)) for row in limits}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        file = place / "robot.yaml"
        texts = {
            "model.xml": model.xml,
            "robot.yaml": _robot(name, choice, limits, gripper, middle),
        }
        _write(texts, place)
        try:
            world = World(file, randomise=False)
        except (WorldError, RobotConfigError) as error:
            raise DescriptionError(str(error).replace(scratch, str(folder))) from None
        clearance = Clearance(
            world, np.array([row.lower for row in limits]), np.array([row.upper for row in limits])
        )
        posture = find_home(clearance)
        goals = find_goals(clearance, posture, model.gripper_range)
        workspace, unguarded = _workspace(world, load_robot(file), goals[:, :-1], model.notes)
        home = {row.name: float(at) for row, at in zip(limits, posture, strict=True)}
        speed = [float(f"{0.4 * row.velocity:.4g}") for row in (*limits, gripper)]
        seconds = _seconds(goals, speed, [row.name for row in (*limits, gripper)])
        texts |= {
            "robot.yaml": _robot(name, choice, limits, gripper, home),
            "monitor.yaml": _monitor(name, limits, gripper),
            "controllers.yaml": _controllers(name, limits, gripper),
            "wander.yaml": _wander(name, limits, gripper, goals.tolist(), speed),
            _CONTRACT: _contract(name, limits, gripper),
            "description.urdf.xacro": description_xacro(urdf, choice),
        }
        if workspace:
            texts[WORKSPACE] = workspace
        _write(texts, place)
        try:
            needs = needs_of(place, unguarded)
        except DescriptionError as error:
            raise DescriptionError(str(error).replace(scratch, str(folder))) from None
    _put(texts, folder)
    return Written(folder, len(limits), len(goals), seconds, needs)


def _refuse_what_is_there(folder: Path) -> None:
    """Refuse a folder that has something in it: it comes to be as a whole."""
    if folder.is_dir():
        found = sorted(each.name for each in folder.iterdir())
        if found:
            more = ", ..." if len(found) > 4 else ""
            raise DescriptionError(
                f"{folder}: is there already, with {', '.join(found[:4])}{more} in it; remove it "
                "first, or name another with --folder"
            )
    elif folder.exists() or folder.is_symlink():
        raise DescriptionError(f"{folder}: is there already, and is no folder")


def _write(texts: Mapping[str, str], folder: Path) -> None:
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _put(texts: Mapping[str, str], folder: Path) -> None:
    """Write the files beside the folder's place first: what is broken off leaves no part of it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".from_urdf_", dir=folder.parent) as beside:
        whole = Path(beside) / "whole"
        whole.mkdir()
        _write(texts, whole)
        whole.rename(folder)


def _seconds(goals: np.ndarray, speed: list[float], names: list[str]) -> float:
    """Return about how long the postures take.

    Raises:
        DescriptionError: Longer than anybody waits.
    """
    ways = np.abs(np.diff(np.vstack([goals[-1:], goals]), axis=0)) / np.array(speed)
    seconds = float(np.sum(np.max(ways, axis=1)))
    if not seconds <= _LONGEST_S:
        slow = int(np.argmax(np.sum(ways, axis=0)))
        raise DescriptionError(
            f"joint {names[slow]}: is so slow for its range that {len(goals)} postures would take "
            f"{seconds:.3g} s; compare its <limit lower upper velocity> with the maker's, in rad "
            "or m, and seconds"
        )
    return seconds


def needs_of(folder: Path, unguarded: str = "") -> tuple[str, ...]:
    """Return what a robot's folder still needs before it is that of a real arm.

    Args:
        folder: The robot's.
        unguarded: Why there is no workspace file, where that is known.

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
            "write your gripper's controller, joint and range, and put its links in place of "
            "those in description.urdf.xacro"
        )
    if contract:
        needs.append(contract)
    needs += _to_look_at(folder)
    needs.append(
        "workspace.yaml: the simulated arm's capsules, and an empty table at its base; compare "
        "them with the arm and its tool, and write where the table is and what stands around"
        if guarded
        else f"workspace.yaml: {unguarded or 'is not there'}, so the monitor does not judge plans "
        "by where they lead; write a few capsules a link (docs/how-to/your_robot.md)"
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


def _workspace(
    world: World, robot: Robot, goals: np.ndarray, notes: tuple[str, ...]
) -> tuple[str, str]:
    """Return the workspace file, or why there cannot be one."""
    ways = [
        np.linspace(one, other, 25)
        for one, other in zip(goals, np.roll(goals, -1, axis=0), strict=True)
    ]
    try:
        return workspace_text(world, robot, np.concatenate(ways), notes), ""
    except WorkspaceError as error:
        return "", f"could not be written ({error})"


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
