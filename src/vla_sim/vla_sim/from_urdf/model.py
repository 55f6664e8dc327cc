# SPDX-License-Identifier: Apache-2.0
"""A MuJoCo model of an arm from its URDF: its joints and masses, and capsules for its links.

No mesh is read or kept: between its joints a link becomes a capsule. Shapes that the URDF itself
gives as boxes, cylinders and spheres stay.
"""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_sim.from_urdf.description import ArmChoice, DescriptionError, UrdfTree, moving_names
from vla_sim.world.model import EMPTY_TABLE

Array = NDArray[np.float64]

STAND_IN = "stand_in_gripper"
STAND_IN_MIRRORED = f"{STAND_IN}_mirrored"
STAND_IN_RANGE = (0.0, 0.04)  # m
# Position loops like those of an industrial arm: critically damped, at rest 1 / 30 s behind.
_SERVO_RAD_S = 60.0
_ARMATURE = 0.02  # kg m^2, or kg where a joint slides
_POSTURES = 40
_HEAVIEST, _MOST_INERTIA = 1e4, 1e4  # kg and kg m^2, of a link
_BALL = 0.05  # m, radius
_THIN, _THICK = 0.012, 0.06  # m, radius of a capsule


@dataclass(frozen=True, eq=False)
class ArmModel:
    """A model and what was found out on the way.

    Attributes:
        xml: MJCF, to be put on the table.
        inertia: Largest inertia that each joint of the arm was seen to move (J,), kg m^2.
        gripper: Name of the gripper's joint.
        gripper_range: Its range, rad or m.
    """

    xml: str
    inertia: Array
    gripper: str
    gripper_range: tuple[float, float]


def build_model(urdf: UrdfTree, choice: ArmChoice) -> ArmModel:
    """Make the model.

    Raises:
        DescriptionError: MuJoCo does not take the description.
    """
    text = ElementTree.tostring(_reduced(urdf, choice), encoding="unicode")
    try:
        spec = mujoco.MjSpec.from_string(text)
        _shape(spec, urdf, choice)
        gripper, gripper_range = _add_gripper(spec, choice)
        _bind(spec, choice, gripper)
        inertia, all_inertias = _inertias(spec, choice, gripper)
        _add_servos(spec, choice, gripper, all_inertias)
        spec.add_text(name=EMPTY_TABLE, data="yes")
        spec.compile()
        xml = _table_part(spec.to_xml())
    except ValueError as error:
        words = " ".join(str(error).partition("The visual elements of the spec")[0].split())
        raise DescriptionError(f"{urdf.file}: MuJoCo: {words}") from None
    return ArmModel(xml, inertia, gripper, gripper_range)


def _reduced(urdf: UrdfTree, choice: ArmChoice) -> ElementTree.Element:
    """Return the URDF without meshes and with every joint fixed that does not move."""
    tree = ElementTree.Element("robot", {"name": urdf.name or "robot"})
    extension = ElementTree.SubElement(tree, "mujoco")
    ElementTree.SubElement(
        extension,
        "compiler",
        {
            "fusestatic": "false",
            "discardvisual": "true",
            "balanceinertia": "true",
            "boundmass": "0.01",
            "boundinertia": "1e-5",
        },
    )
    moving = set(moving_names(choice))
    carried = {choice.arm[0].child, *(each.child for each in urdf.all_below(choice.arm[0].child))}
    for element in urdf.tree:
        if element.tag not in ("link", "joint"):
            continue
        kept = copy.deepcopy(element)
        for visual in kept.findall("visual"):
            kept.remove(visual)
        for shape in kept.findall("collision"):
            geometry = shape.find("geometry")
            if geometry is None or not {each.tag for each in geometry} & _PRIMITIVE:
                kept.remove(shape)
        inertial = kept.find("inertial")
        if inertial is not None and (kept.get("name") not in carried or not _has_mass(inertial)):
            kept.remove(inertial)
        if element.tag == "joint":
            # The servos' damping is chosen with their stiffness.
            for tag in ("mimic", "safety_controller", "dynamics", "calibration"):
                for each in kept.findall(tag):
                    kept.remove(each)
            if kept.get("name") not in moving:
                kept.set("type", "fixed")
        tree.append(kept)
    return tree


_PRIMITIVE = {"box", "cylinder", "sphere"}


def _has_mass(inertial: ElementTree.Element) -> bool:
    """Return whether there is a mass; mend an inertia that no body has, to one like a ball's."""
    try:
        mass = _number(inertial.find("mass"), "value")
        tensor = inertial.find("inertia")
        xx, xy, xz, yy, yz, zz = (
            _number(tensor, key) for key in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")
        )
    except ValueError:
        return False
    if not 0.0 < mass <= _HEAVIEST:
        return False
    assert tensor is not None
    matrix = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    finite = bool(np.all(np.isfinite(matrix)))
    low, middle, high = np.linalg.eigvalsh(matrix) if finite else (0.0, 0.0, 0.0)
    if not (low > 0.0 and 1.001 * high < low + middle and high <= _MOST_INERTIA):
        mean = float(low + middle + high) / 3.0
        sound = low > 0.0 and mean <= _MOST_INERTIA
        ball = f"{mean if sound else 0.4 * mass * _BALL**2:.3e}"
        for key in ("ixx", "iyy", "izz"):
            tensor.set(key, ball)
        for key in ("ixy", "ixz", "iyz"):
            tensor.set(key, "0")
    return True


def _number(element: ElementTree.Element | None, key: str) -> float:
    if element is None:
        raise ValueError(key)
    return float(element.get(key, "0"))


def _shape(spec: mujoco.MjSpec, urdf: UrdfTree, choice: ArmChoice) -> None:
    """Give each link capsules towards its children, let the arm float, and mark the tip."""
    bodies = {body.name: body for body in spec.bodies}
    first = choice.arm[0].child
    held = {urdf.root}
    for joint in urdf.joints.values():
        if joint.name in {each.name for each in choice.arm}:
            held.add(joint.child)
    for name, body in bodies.items():
        if name == "world":
            continue
        body.gravcomp = 1.0
        for geom in body.geoms:
            geom.contype, geom.conaffinity, geom.mass = 1, 2, 0.0
            geom.rgba = [0.75, 0.77, 0.80, 1.0]
        if not body.geoms and name in held | {choice.tip}:
            for joint in urdf.below(name):
                child = bodies.get(joint.child)
                if child is not None:
                    _add_capsule(body, np.array(child.pos))
        if name == first:
            # It turns in the base and on the table, where a capsule is too thick.
            for geom in body.geoms:
                geom.contype, geom.conaffinity = 0, 0
    tip = bodies.get(choice.tip, spec.worldbody)
    tip.add_site(name="tip", size=[0.004, 0.004, 0.004], group=4)
    tip.add_camera(name="wrist", pos=[0.0, 0.0, 0.02], fovy=70.0, quat=[0.0, 1.0, 0.0, 0.0])


def _add_capsule(body: mujoco.MjsBody, to: Array) -> None:
    length = float(np.linalg.norm(to))
    if length < 2.0 * _THIN:
        return
    radius = float(np.clip(0.18 * length, _THIN, _THICK))
    ends = [*(to * (radius / length)), *(to * (1.0 - radius / length))]
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=ends,
        size=[radius, 0.0, 0.0],
        contype=1,
        conaffinity=2,
        mass=0.0,
        rgba=[0.75, 0.77, 0.80, 1.0],
    )


def _add_gripper(spec: mujoco.MjSpec, choice: ArmChoice) -> tuple[str, tuple[float, float]]:
    """Return the gripper's joint and range; where there is none, two fingers stand in for it."""
    if choice.gripper is not None:
        return choice.gripper.name, (choice.gripper.lower, choice.gripper.upper)
    tip = next((body for body in spec.bodies if body.name == choice.tip), spec.worldbody)
    for number, side in enumerate((1.0, -1.0), 1):
        finger = tip.add_body(name=f"{STAND_IN}_{number}", gravcomp=1.0)
        finger.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=[0.0, 0.006 * side, 0.03],
            size=[0.008, 0.006, 0.03],
            mass=0.03,
            contype=1,
            conaffinity=2,
            rgba=[0.2, 0.2, 0.2, 1.0],
        )
        name = STAND_IN if number == 1 else STAND_IN_MIRRORED
        finger.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[0.0, side, 0.0])
    return STAND_IN, STAND_IN_RANGE


def _bind(spec: mujoco.MjSpec, choice: ArmChoice, gripper: str) -> None:
    """Let the followers follow the gripper's joint."""
    followers = choice.followers
    if choice.gripper is None:
        followers = ((STAND_IN_MIRRORED, 1.0, 0.0),)
    for name, multiplier, offset in followers:
        equality = spec.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, name1=name, name2=gripper)
        equality.data[:5] = [offset, multiplier, 0.0, 0.0, 0.0]
        spec.joint(name).armature = _ARMATURE
        spec.joint(name).limited = mujoco.mjtLimited.mjLIMITED_FALSE
    # The robot file's ranges take the place of these.
    for joint in choice.arm:
        spec.joint(joint.name).range = [joint.lower, joint.upper]
    low, high = (
        STAND_IN_RANGE if choice.gripper is None else (choice.gripper.lower, choice.gripper.upper)
    )
    spec.joint(gripper).range = [low, high]
    for name in (*(joint.name for joint in choice.arm), gripper):
        spec.joint(name).limited = mujoco.mjtLimited.mjLIMITED_TRUE


def _inertias(
    spec: mujoco.MjSpec, choice: ArmChoice, gripper: str
) -> tuple[Array, dict[str, float]]:
    """Return the largest diagonal of the mass matrix over some postures, of arm and of all."""
    names = [*(joint.name for joint in choice.arm), gripper]
    for name in names:
        spec.joint(name).armature = _ARMATURE
    model = spec.compile()
    data = mujoco.MjData(model)
    address = [int(model.joint(name).qposadr[0]) for name in names]
    dofs = [int(model.joint(name).dofadr[0]) for name in names]
    rng = np.random.default_rng(0)
    most = np.zeros(len(names))
    column = np.zeros(model.nv)
    for _ in range(_POSTURES):
        for place, joint in zip(address, choice.arm, strict=False):
            data.qpos[place] = rng.uniform(joint.lower, joint.upper)
        mujoco.mj_forward(model, data)
        for row, dof in enumerate(dofs):
            mujoco.mj_mulM(model, data, column, np.eye(model.nv)[dof])
            most[row] = max(most[row], column[dof])
    return most[:-1], dict(zip(names, most.tolist(), strict=True))


def _add_servos(
    spec: mujoco.MjSpec, choice: ArmChoice, gripper: str, inertias: dict[str, float]
) -> None:
    for name in (*(joint.name for joint in choice.arm), gripper):
        servo = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        inertia = inertias[name]
        servo.set_to_position(kp=inertia * _SERVO_RAD_S**2, kv=2.0 * inertia * _SERVO_RAD_S)
        servo.forcelimited = mujoco.mjtLimited.mjLIMITED_FALSE


def _table_part(xml: str) -> str:
    """Return the model without what the table says: options, size and looks."""
    tree = ElementTree.fromstring(xml)
    for tag in ("option", "visual", "statistic", "size"):
        for element in tree.findall(tag):
            tree.remove(element)
    ElementTree.indent(tree)
    return ElementTree.tostring(tree, encoding="unicode") + "\n"
