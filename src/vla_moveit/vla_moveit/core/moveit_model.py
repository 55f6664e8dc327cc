# SPDX-License-Identifier: Apache-2.0
"""What MoveIt needs to know of an arm, out of its robot file, its workspace file and its URDF.

MoveIt is to hold clear of each other exactly what the monitor's gate does: the capsules of the
workspace file, with its margin. So the shapes that a description has are replaced by those. What
the arm must stay clear of stands in the description too, as a link of the base: no planning scene
can lose it. Which pairs of links are not looked at is what the workspace file says.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from smooth_motion.limits import FloatArray
from vla_contract.robot import Robot
from vla_contract.workspace import Workspace
from vla_moveit.core.goal import NamedPoses

GROUP, GRIPPER_GROUP = "arm", "gripper"
SURROUNDINGS = "workspace"
# How thick the table and the walls of the box are, and how far they reach, m.
_THICK_M, _WIDE_M = 0.1, 4.0


class ModelError(ValueError):
    """A description does not fit the robot's files. One line that says what to do."""


def description(urdf: str, robot: Robot, workspace: Workspace) -> str:
    """Return a URDF whose shapes are the workspace file's, and whose root is the arm's base.

    Args:
        urdf: The arm's description.
        robot: Its joints.
        workspace: Its capsules, and what they stay clear of.

    Raises:
        ModelError: The description has other joints, or frames, than the robot's files.
    """
    root = _parsed(urdf)
    for link in root.iter("link"):
        for shape in link.findall("collision"):
            link.remove(shape)
    for name, place in _places(root, robot, workspace).items():
        if place.link is None:
            link = SubElement(root, "link", name=place.name)
            _fix(root, place.name, place.parent, np.eye(4))
        else:
            link = place.link
        for row in np.flatnonzero([each == name for each in workspace.names]):
            radius = float(workspace.radius[row]) + 0.5 * workspace.margin
            ends = workspace.ends[row] @ place.offset[:3, :3].T + place.offset[:3, 3]
            for shape in _capsule(ends, radius):
                link.append(shape)
    _surround(root, robot, workspace)
    _uproot(root, robot.base_frame)
    return ElementTree.tostring(root, encoding="unicode")


def semantics(urdf: str, robot: Robot, workspace: Workspace, poses: NamedPoses) -> str:
    """Return the SRDF: groups, named states, and the pairs of links that are not looked at.

    Args:
        urdf: The arm's description.
        robot: Joints and frames.
        workspace: Which links may touch.
        poses: Named states of the arm.

    Raises:
        ModelError: As of `description`.
    """
    described = _parsed(urdf)
    links = {name: place.name for name, place in _places(described, robot, workspace).items()}
    root = Element("robot", name=described.attrib.get("name", robot.name))
    arm = SubElement(root, "group", name=GROUP)
    SubElement(arm, "chain", base_link=robot.base_frame, tip_link=robot.tip_frame)
    gripper = SubElement(root, "group", name=GRIPPER_GROUP)
    SubElement(gripper, "joint", name=robot.gripper.joint)
    for name, positions in poses.positions.items():
        state = SubElement(root, "group_state", name=name, group=GROUP)
        for joint, value in zip(robot.limits.joint_names, positions.tolist(), strict=True):
            SubElement(state, "joint", name=joint, value=repr(value))
    SubElement(
        root,
        "end_effector",
        name="hand",
        parent_link=robot.tip_frame,
        group=GRIPPER_GROUP,
        parent_group=GROUP,
    )
    for one, other, reason in unwatched(workspace):
        one, other = links.get(one, one), links.get(other, other)
        SubElement(root, "disable_collisions", link1=one, link2=other, reason=reason)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def unwatched(workspace: Workspace) -> Iterator[tuple[str, str, str]]:
    """Yield the pairs of links of a workspace that the gate does not hold apart, and why not."""
    names = list(dict.fromkeys(workspace.names))
    rows = {name: np.flatnonzero([each == name for each in workspace.names]) for name in names}
    watched = {frozenset((workspace.names[a], workspace.names[b])) for a, b in workspace.pairs}
    for one, other in itertools.combinations(names, 2):
        if frozenset((one, other)) not in watched:
            same = set(workspace.joint[rows[one]]) == set(workspace.joint[rows[other]])
            yield one, other, "Adjacent" if same else "Neighbours in the workspace file"
    for name in names:
        if (workspace.joint[rows[name]] < 0).all():
            yield name, SURROUNDINGS, "The base stands there"


# -- where shapes go ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Place:
    """Where the shapes of a link of the workspace file go.

    Attributes:
        name: Link of the description that gets them.
        link: That link; None where there is none of this name yet.
        parent: The link that a new one is fixed to.
        offset: Frame of the workspace file's joint in the link (4, 4), m.
    """

    name: str
    link: Element | None
    parent: str
    offset: FloatArray


def _places(root: Element, robot: Robot, workspace: Workspace) -> dict[str, _Place]:
    """Return the place of each link of the workspace file."""
    links = {link.attrib.get("name", ""): link for link in root.iter("link")}
    joints = {
        joint.attrib.get("name", ""): joint
        for joint in root.findall("joint")
        if joint.find("child") is not None
    }
    carriers, offsets = _carriers(joints, robot, workspace)
    for name in carriers:
        if name not in links:
            raise ModelError(f"the description has no link {name}, which the robot file means")
    found = {}
    for name in dict.fromkeys(workspace.names):
        joint = int(workspace.joint[workspace.names.index(name)])
        carrier, offset = carriers[joint + 1], offsets[joint + 1]
        if name not in links:
            found[name] = _Place(name, None, carrier, offset)
            continue
        try:
            aside = _between(joints, name, carrier, name)
        except ModelError:
            # Another link has its name.
            found[name] = _Place(f"{name}_shapes", None, carrier, offset)
        else:
            found[name] = _Place(name, links[name], carrier, np.linalg.inv(aside) @ offset)
    return found


def _carriers(
    joints: dict[str, Element], robot: Robot, workspace: Workspace
) -> tuple[list[str], list[FloatArray]]:
    """Return the base and the link that each joint moves, and the workspace's frame in each."""
    carriers, offsets = [robot.base_frame], [np.eye(4)]
    described, ours = np.eye(4), np.eye(4)
    for row, name in enumerate(robot.limits.joint_names):
        if name not in joints:
            raise ModelError(f"the description has no joint {name}, which the robot file has")
        joint = joints[name]
        described = described @ _between(joints, _named(joint, "parent"), carriers[-1], name)
        described, ours = described @ _origin(joint), ours @ workspace.frames[row]
        offset = np.linalg.inv(described) @ ours
        # The workspace file's joint turns about its z, which is to be the description's axis.
        axis = _axis(joint)
        aside = float(np.linalg.norm(np.cross(axis, offset[:3, 3])))
        if not (offset[:3, 2] @ axis >= 1.0 - 1e-4 and aside <= 1e-3):
            raise ModelError(
                f"the axis of {name} is another in the workspace file than in the description"
            )
        carriers.append(_named(joint, "child"))
        offsets.append(offset)
    return carriers, offsets


def _between(joints: dict[str, Element], link: str, ancestor: str, of: str) -> FloatArray:
    """Return the frame of a link in one that carries it by fixed joints."""
    frame = np.eye(4)
    by_child = {_named(joint, "child"): joint for joint in joints.values()}
    for _ in range(len(joints) + 1):
        if link == ancestor:
            return frame
        joint = by_child.get(link)
        if joint is None or joint.attrib.get("type") != "fixed":
            break
        frame, link = _origin(joint) @ frame, _named(joint, "parent")
    raise ModelError(f"the description has a joint before {of} that the robot file has not there")


def _fix(root: Element, name: str, parent: str, frame: FloatArray) -> None:
    joint = SubElement(root, "joint", name=f"{name}_shapes", type="fixed")
    SubElement(joint, "parent", link=parent)
    SubElement(joint, "child", link=name)
    SubElement(joint, "origin", xyz=_text(frame[:3, 3]), rpy=_text(_rpy(frame)))


def _surround(root: Element, robot: Robot, workspace: Workspace) -> None:
    """Add a link of the base with everything that the arm stays clear of."""
    half = 0.5 * workspace.margin
    boxes: list[tuple[FloatArray, FloatArray]] = []
    if np.isfinite(workspace.table):
        top = workspace.table + half
        boxes.append(
            (np.array([-_WIDE_M, -_WIDE_M, top - _THICK_M]), np.array([_WIDE_M, _WIDE_M, top]))
        )
    if np.isfinite(workspace.box).all():
        lower, upper = workspace.box[0] + half, workspace.box[1] - half
        for axis, (side, out) in itertools.product(range(3), ((0, -_THICK_M), (1, _THICK_M))):
            low, high = lower - _THICK_M, upper + _THICK_M
            edge = float((lower, upper)[side][axis])
            low[axis], high[axis] = sorted((edge, edge + out))
            boxes.append((low, high))
    for _, corners in workspace.obstacles:
        boxes.append((corners[0] - half, corners[1] + half))
    link = SubElement(root, "link", name=SURROUNDINGS)
    _fix(root, SURROUNDINGS, robot.base_frame, np.eye(4))
    for low, high in boxes:
        shape = SubElement(link, "collision")
        SubElement(shape, "origin", xyz=_text(0.5 * (low + high)), rpy="0 0 0")
        SubElement(SubElement(shape, "geometry"), "box", size=_text(high - low))


def _uproot(root: Element, base: str) -> None:
    """Take away what the base does not carry: MoveIt has places in the frame of its root."""
    joints = [joint for joint in root.findall("joint") if joint.find("child") is not None]
    carried, before = {base}, 0
    while len(carried) > before:
        before = len(carried)
        carried |= {
            _named(joint, "child") for joint in joints if _named(joint, "parent") in carried
        }
    for joint in joints:
        if _named(joint, "parent") not in carried:
            root.remove(joint)
    for link in root.findall("link"):
        if link.attrib.get("name") not in carried:
            root.remove(link)


def _capsule(ends: FloatArray, radius: float) -> Iterator[Element]:
    """Yield a cylinder and the balls at its ends."""
    along = ends[1] - ends[0]
    length = float(np.linalg.norm(along))
    places = ends[:1] if length < 1e-9 else ends
    for place in places:
        shape = Element("collision")
        SubElement(shape, "origin", xyz=_text(place), rpy="0 0 0")
        SubElement(SubElement(shape, "geometry"), "sphere", radius=f"{radius:.9g}")
        yield shape
    if length >= 1e-9:
        x, y, z = along / length
        # A turn about x, then about y as URDF has it (roll, pitch), brings z to the axis.
        roll, pitch = -math.asin(max(-1.0, min(1.0, float(y)))), math.atan2(float(x), float(z))
        shape = Element("collision")
        SubElement(shape, "origin", xyz=_text(ends.mean(axis=0)), rpy=_text([roll, pitch, 0.0]))
        SubElement(
            SubElement(shape, "geometry"),
            "cylinder",
            radius=f"{radius:.9g}",
            length=f"{length:.9g}",
        )
        yield shape


# -- URDF -----------------------------------------------------------------------------------------


def _parsed(urdf: str) -> Element:
    try:
        root = ElementTree.fromstring(urdf)
    except ElementTree.ParseError as error:
        raise ModelError(f"the description is no XML: {error}") from None
    if root.tag != "robot":
        raise ModelError(f"the description is no URDF: its first element is {root.tag[:64]!a}")
    return root


def _named(joint: Element, end: str) -> str:
    element = joint.find(end)
    return "" if element is None else element.attrib.get("link", "")


def _numbers(element: Element | None, key: str, default: str) -> FloatArray:
    text = default if element is None else element.attrib.get(key, default)
    try:
        found = np.array([float(word) for word in text.split()])
    except ValueError:
        found = np.zeros(0)
    if found.shape != (3,) or not np.isfinite(found).all():
        raise ModelError(f"the description has {key} {text[:64]!a}; write three numbers")
    return found


def _axis(joint: Element) -> FloatArray:
    axis = _numbers(joint.find("axis"), "xyz", "1 0 0")
    return np.asarray(axis / max(float(np.linalg.norm(axis)), 1e-12))


def _origin(joint: Element) -> FloatArray:
    element = joint.find("origin")
    roll, pitch, yaw = _numbers(element, "rpy", "0 0 0")
    frame = np.eye(4)
    frame[:3, :3] = _about(2, yaw) @ _about(1, pitch) @ _about(0, roll)
    frame[:3, 3] = _numbers(element, "xyz", "0 0 0")
    return frame


def _about(axis: int, angle: float) -> FloatArray:
    c, s = math.cos(angle), math.sin(angle)
    turn = np.eye(3)
    one, other = (axis + 1) % 3, (axis + 2) % 3
    turn[one, one] = turn[other, other] = c
    turn[one, other], turn[other, one] = -s, s
    return turn


def _rpy(frame: FloatArray) -> tuple[float, float, float]:
    """Return roll, pitch and yaw of a frame."""
    pitch = math.asin(max(-1.0, min(1.0, -float(frame[2, 0]))))
    if abs(frame[2, 0]) > 1.0 - 1e-12:
        return math.atan2(-float(frame[1, 2]), float(frame[1, 1])), pitch, 0.0
    roll = math.atan2(float(frame[2, 1]), float(frame[2, 2]))
    return roll, pitch, math.atan2(float(frame[1, 0]), float(frame[0, 0]))


def _text(values: FloatArray | tuple[float, ...] | list[float]) -> str:
    return " ".join(f"{float(value):.9g}" for value in values)
