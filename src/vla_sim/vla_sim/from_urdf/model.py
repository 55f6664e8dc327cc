# SPDX-License-Identifier: Apache-2.0
"""A MuJoCo model of an arm from its URDF: its joints and masses, and capsules for its links.

No mesh is kept: capsules take its place, around it where its file can be read, else a guess from
frames. Shapes that the URDF itself gives as boxes, cylinders and spheres stay.
"""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_contract.workspace import MOST_CAPSULES
from vla_sim.from_urdf.capsules import Capsule
from vla_sim.from_urdf.description import ArmChoice, DescriptionError, UrdfTree, moving_names
from vla_sim.from_urdf.shapes import (
    MeshReader,
    UnreadMeshError,
    capsules_around,
    shapes_of,
)
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
_THIN, _THICK = 0.012, 0.08  # m, radius of a capsule that is a guess
# Of such a radius: its share of the arm's length, and the share that a finger's is of it.
_OF_LENGTH, _OF_FINGER = 0.045, 0.35
_FINGER = 0.06  # m, length of a last link
_OVER_TABLE = 0.025  # m that the first link stays above it
_OPENINGS = 5  # capsules of the workspace file for one of what the gripper moves


@dataclass(frozen=True, eq=False)
class ArmModel:
    """A model and what was found out on the way.

    Attributes:
        xml: MJCF, to be put on the table.
        inertia: Largest inertia that each joint of the arm was seen to move (J,), kg m^2.
        gripper: Name of the gripper's joint.
        gripper_range: Its range, rad or m.
        notes: What a person has to look at of the shapes, one line each.
    """

    xml: str
    inertia: Array
    gripper: str
    gripper_range: tuple[float, float]
    notes: tuple[str, ...]


def build_model(urdf: UrdfTree, choice: ArmChoice) -> ArmModel:
    """Make the model.

    Raises:
        DescriptionError: MuJoCo does not take the description.
    """
    text = ElementTree.tostring(_reduced(urdf, choice), encoding="unicode")
    try:
        spec = mujoco.MjSpec.from_string(text)
        notes = _shape(spec, urdf, choice)
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
    return ArmModel(xml, inertia, gripper, gripper_range, notes)


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
        shown = shapes_of(kept)
        for visual in kept.findall("visual"):
            if visual in shown:
                visual.tag = "collision"
            else:
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


def _shape(spec: mujoco.MjSpec, urdf: UrdfTree, choice: ArmChoice) -> tuple[str, ...]:
    """Give the links capsules, let the arm float, mark the tip; return what to look at."""
    bodies = {body.name: body for body in spec.bodies if body.name != "world"}
    for body in bodies.values():
        body.gravcomp = 1.0
        for geom in body.geoms:
            geom.contype, geom.conaffinity, geom.mass = 1, 2, 0.0
            geom.rgba = [0.75, 0.77, 0.80, 1.0]
    notes = _add_capsules(bodies, urdf, choice)
    notes += _lift_from_table(spec, choice)
    tip = bodies.get(choice.tip, spec.worldbody)
    tip.add_site(name="tip", size=[0.004, 0.004, 0.004], group=4)
    tip.add_camera(name="wrist", pos=[0.0, 0.0, 0.02], fovy=70.0, quat=[0.0, 1.0, 0.0, 0.0])
    return tuple(notes)


def _add_capsules(
    bodies: dict[str, mujoco.MjsBody], urdf: UrdfTree, choice: ArmChoice
) -> list[str]:
    """Give each link with a mesh capsules, and each of the arm that has no shape at all."""
    reader = MeshReader(Path(urdf.file))
    elements = {each.get("name", ""): each for each in urdf.tree.findall("link")}
    first = choice.arm[0].child
    arm = {urdf.root, *(joint.child for joint in choice.arm)}
    carried = [first, *(joint.child for joint in urdf.all_below(first))]
    hand = {} if choice.gripper is None else {choice.gripper.name: choice.gripper}
    hand |= {name: urdf.joints[name] for name, _, _ in choice.followers}
    opens = {
        link
        for joint in hand.values()
        for link in (joint.child, *(each.child for each in urdf.all_below(joint.child)))
    }
    # What the gripper moves is in the workspace file once for each opening.
    left = MOST_CAPSULES - (2 * _OPENINGS if choice.gripper is None else 0)
    for name, body in bodies.items():
        left -= len(body.geoms) * (_OPENINGS if name in opens else 1)
    radius = _usual_radius(urdf, choice)
    guesses: dict[str, list[str]] = {}
    bare = []
    # The base first, and what stands beside the arm last: it is left out where they are too many.
    for name in dict.fromkeys([urdf.root, *carried, *bodies]):
        body, element = bodies.get(name), elements.get(name)
        if body is None or element is None:
            continue
        has_mesh = any(
            each.tag not in _PRIMITIVE
            for geometry in (shape.find("geometry") for shape in shapes_of(element))
            if geometry is not None
            for each in geometry
        )
        if not has_mesh and (body.geoms or name not in arm | {choice.tip}):
            continue
        times = _OPENINGS if name in opens else 1
        if name not in carried and name != urdf.root and left < times:
            bare.append(name)
            continue
        thickness = _OF_FINGER * radius if name in opens else radius
        guess = _guessed(name, bodies, urdf, thickness, leaf=has_mesh)
        capsules = guess
        if has_mesh:
            try:
                triangles = reader.triangles(element)
                if not len(triangles):
                    raise UnreadMeshError("the shape is none that is read")
                capsules = capsules_around(triangles, 2 if name in arm and len(arm) < 10 else 1)
            except UnreadMeshError as error:
                guesses.setdefault(str(error), []).append(name)
        left -= times * len(capsules)
        for capsule in capsules:
            _add_capsule(body, capsule)
    notes = [
        f"{', '.join(names)}: {why}: its capsules are a guess from frames; compare "
        "them with the link, or give the mesh as STL or OBJ where the description names it"
        for why, names in guesses.items()
    ]
    if bare:
        notes.append(
            f"{', '.join(bare)}: no capsules, {MOST_CAPSULES} are the most; write obstacles where "
            "they stand"
        )
    return notes


def _usual_radius(urdf: UrdfTree, choice: ArmChoice) -> float:
    """Return how thick links of an arm of this length are, about, m."""
    length = 0.0
    for joint in urdf.path_to(choice.tip):
        element = next(each for each in urdf.tree.iter("joint") if each.get("name") == joint.name)
        origin = element.find("origin")
        if origin is not None:
            length += float(np.linalg.norm([float(x) for x in origin.get("xyz", "0").split()]))
    return float(np.clip(_OF_LENGTH * length, _THIN, _THICK))


def _guessed(
    name: str, bodies: dict[str, mujoco.MjsBody], urdf: UrdfTree, radius: float, *, leaf: bool
) -> list[Capsule]:
    """Return capsules from a link's frame to its children's; a last link points on."""
    ends: list[Array] = []
    for joint in urdf.below(name):
        child = bodies.get(joint.child)
        if child is None:
            continue
        to = np.array(child.pos)
        if np.linalg.norm(to) > _THIN and not any(np.allclose(to, each) for each in ends):
            ends.append(to)
    if not ends and leaf:
        body = bodies[name]
        turn = np.empty(9)
        mujoco.mju_quat2Mat(turn, np.array(body.quat))
        on = np.array(body.pos) @ turn.reshape(3, 3)
        length = float(np.linalg.norm(on))
        point = on / length if length > _THIN else np.array([0.0, 0.0, 1.0])
        ends = [_FINGER * point] if not urdf.below(name) else [1e-3 * point]
    return [Capsule(np.array([np.zeros(3), end]), radius) for end in ends[:2]]


def _add_capsule(body: mujoco.MjsBody, capsule: Capsule) -> None:
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=capsule.ends.ravel().tolist(),
        size=[capsule.radius, 0.0, 0.0],
        contype=1,
        conaffinity=2,
        mass=0.0,
        rgba=[0.75, 0.77, 0.80, 1.0],
    )


def _lift_from_table(spec: mujoco.MjSpec, choice: ArmChoice) -> list[str]:
    """Make thinner what would touch the table wherever the first joint is: the first link's."""
    first = choice.arm[0]
    spec.joint(first.name).range = [first.lower, first.upper]
    model = spec.compile()
    data = mujoco.MjData(model)
    body = next(each for each in spec.bodies if each.name == first.child)
    start = int(model.body(first.child).geomadr[0])
    lowest = np.full(len(body.geoms), np.inf)
    for position in np.linspace(first.lower, first.upper, 17):
        data.qpos[model.joint(first.name).qposadr[0]] = position
        mujoco.mj_kinematics(model, data)
        for row in range(len(lowest)):
            # A capsule's lowest point; of another shape, its smallest ball's.
            geom = start + row
            capsule = model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CAPSULE
            half = model.geom_size[geom, 1] if capsule else 0.0
            round_ = model.geom_size[geom, 0] if capsule else model.geom_rbound[geom]
            bottom = data.geom_xpos[geom, 2] - abs(data.geom_xmat[geom, 8]) * half - round_
            lowest[row] = min(lowest[row], bottom)
    notes = []
    for geom, bottom in zip(body.geoms, lowest, strict=True):
        missing = _OVER_TABLE - bottom
        if missing <= 0.0:
            continue
        capsule = geom.type == mujoco.mjtGeom.mjGEOM_CAPSULE
        if capsule and geom.size[0] - missing >= _THIN:
            geom.size = [geom.size[0] - missing, geom.size[1], geom.size[2]]
            what = f"is {missing:.3f} m thinner than the link"
        else:
            geom.contype, geom.conaffinity = 0, 0
            what = "is left out"
        notes.append(
            f"{first.child}: turns so near to the table that a capsule of it {what}; look whether "
            "the arm can reach it"
        )
    return notes


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
