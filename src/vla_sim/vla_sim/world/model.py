# SPDX-License-Identifier: Apache-2.0
"""MuJoCo's model of a robot's arm on a table: put together, and compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_contract.robot import Robot
from vla_sim.world import scene as scenes
from vla_sim.world.camera import look_at

Array = NDArray[np.float64]

FOLDER = Path(__file__).parent
MODEL_FILE = FOLDER / "tabletop.xml"
CUBES_FILE = FOLDER / "cubes.xml"
# In the folder of a robot that is not among those modelled here.
OWN_MODEL = "model.xml"
# Text of a model whose robot has no task: nothing lies on its table.
EMPTY_TABLE = "empty_table"


class WorldError(ValueError):
    """The world cannot be built or used as asked."""


def arm_on_table(robot_file: Path, robot: Robot) -> mujoco.MjSpec:
    """Return the table with the robot's arm: of `model.xml` beside the robot file, or one of here.

    Raises:
        WorldError: There is none, or it cannot be read, or has other joints.
    """
    own = robot_file.parent / OWN_MODEL
    arms = sorted(set(FOLDER.glob("*.xml")) - {MODEL_FILE, CUBES_FILE})
    known = [path.stem for path in arms]
    if not own.is_file() and robot.name not in known:
        raise WorldError(
            f"{robot_file}: robot: there is no model of {robot.name!r}; there is "
            f"{', '.join(known)}. Add {own}, as `vla-robot from-urdf` does"
        )
    path = own if own.is_file() else FOLDER / f"{robot.name}.xml"
    # A model may include another of here: a robot of the same shape.
    parts = {each.name: each.read_bytes() for each in arms}
    arm = path.read_bytes()
    cubes = (
        b"<mujoco><worldbody/></mujoco>"
        if EMPTY_TABLE.encode() in arm
        else CUBES_FILE.read_bytes()
    )
    table = MODEL_FILE.read_text(encoding="utf-8")
    try:
        spec = mujoco.MjSpec.from_string(table, {**parts, "arm.xml": arm, "cubes.xml": cubes})
    except ValueError as error:
        raise WorldError(f"{path}: {' '.join(str(error).split())}") from None
    modelled, told = len(spec.actuators), len(robot.limits.joint_names) + 1
    if modelled != told:
        raise WorldError(
            f"{robot_file}: arm.joints: are {told} with the gripper's; the model of {robot.name} "
            f"has {modelled}, in this order: {', '.join(each.name for each in spec.actuators)}"
        )
    return spec


def is_empty(spec: mujoco.MjSpec) -> bool:
    """Return whether the robot has no task."""
    return any(text.name == EMPTY_TABLE for text in spec.texts)


def table_top(spec: mujoco.MjSpec, file: Path) -> scenes.TableTop:
    """Return what the model says of its table; where it says nothing, it is a small arm's.

    Raises:
        WorldError: It says so in another number of numbers.
    """
    said = {each.name: tuple(np.array(each.data, dtype=float).tolist()) for each in spec.numerics}
    names = {
        "table_axis": "axis",
        "table_radius": "radius",
        "table_bearing": "bearing",
        "table_bin": "bin_centre",
        "front_camera_position": "camera_position",
        "front_camera_target": "camera_target",
        "front_camera_fovy": "camera_fovy",
    }
    given: dict[str, Any] = {}
    for name in sorted(names.keys() & said.keys()):
        ours, value = names[name], said[name]
        usual = np.atleast_1d(getattr(scenes.SMALL_ARM, ours))
        if len(value) != len(usual):
            raise WorldError(f"{file}: numeric {name}: has {len(value)} numbers, not {len(usual)}")
        given[ours] = value[0] if len(value) == 1 else value
    return scenes.TableTop(**given)


def mirrored_joints(model: mujoco.MjModel) -> list[tuple[int, int]]:
    """Return where in the positions a joint follows another one, as the second finger does."""
    found = []
    for kind, first, second in zip(model.eq_type, model.eq_obj1id, model.eq_obj2id, strict=True):
        if kind == mujoco.mjtEq.mjEQ_JOINT.value and second >= 0:
            found.append((int(model.jnt_qposadr[first]), int(model.jnt_qposadr[second])))
    return found


def tip_site(model: mujoco.MjModel, tip_frame: str) -> str:
    """Return the site of the tip frame. A model that robots of other names share calls it tip."""
    known = {model.site(index).name for index in range(model.nsite)}
    for name in (tip_frame, "tip"):
        if name in known:
            return name
    raise WorldError(f"the model has no site {tip_frame} nor tip; add one where the tip frame is")


def build(
    spec: mujoco.MjSpec, table: scenes.TableTop, lower: Array, upper: Array, timestep_s: float
) -> mujoco.MjModel:
    """Compile the model with joint ranges (J,), rad, and with what the table says."""
    spec.option.timestep = timestep_s
    for actuator, *bounds in zip(spec.actuators, lower, upper, strict=True):
        spec.joint(actuator.name).range = bounds
        actuator.ctrlrange = bounds
    for equality in spec.equalities:
        if equality.type == mujoco.mjtEq.mjEQ_JOINT:
            spec.joint(equality.name1).range = spec.joint(equality.name2).range
    position = np.array(table.camera_position)
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, look_at(position, np.array(table.camera_target)).ravel())
    spec.camera("front").pos = position
    spec.camera("front").quat = quaternion
    spec.camera("front").fovy = np.rad2deg(table.camera_fovy)
    if spec.body("bin") is not None:
        spec.body("bin").pos = [*table.bin_centre, 0.0]
    try:
        return spec.compile()
    except ValueError as error:
        raise WorldError(f"the model: {' '.join(str(error).split())}") from None
