# SPDX-License-Identifier: Apache-2.0
"""A URDF's joints and limits, and where a link is: positions of the tool for whole recordings.

Forward kinematics of a chain are a product of matrices; libraries for it (pinocchio, yourdfpy)
bring meshes, collision geometry and tens of megabytes, which a report has no use for.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_recording.report.errors import ReportError
from vla_recording.report.series import FloatArray

_KINDS = ("revolute", "continuous", "prismatic", "fixed", "floating", "planar")


@dataclass(frozen=True, eq=False)
class UrdfJoint:
    """One joint. SI: rad, m for a prismatic joint; None where the file gives no limit.

    Attributes:
        name: Its name.
        kind: revolute, continuous, prismatic, fixed, floating or planar.
        parent: Link.
        child: Link.
        origin: (4, 4) of the child in the parent at position 0.
        axis: (3,) unit vector in the joint's frame.
        mimic: Joint that moves it, factor and offset, or None.
        lower: Position.
        upper: Position.
        velocity: For both directions.
    """

    name: str
    kind: str
    parent: str
    child: str
    origin: FloatArray
    axis: FloatArray
    mimic: tuple[str, float, float] | None
    lower: float | None
    upper: float | None
    velocity: float | None


@dataclass(frozen=True, eq=False)
class Urdf:
    """A robot's structure.

    Attributes:
        file: Where it was read from.
        name: The robot's.
        joints: All of them, by child link.
    """

    file: Path
    name: str
    joints: dict[str, UrdfJoint]

    @property
    def moving(self) -> list[UrdfJoint]:
        """Joints with one position of their own."""
        kinds = ("revolute", "continuous", "prismatic")
        return [j for j in self.joints.values() if j.kind in kinds and j.mimic is None]

    def chain(self, tip: str) -> list[UrdfJoint]:
        """Return the joints from the root to a link, in order.

        Raises:
            ReportError: There is no such link, or a joint on the way has no single position.
        """
        links = {joint.parent for joint in self.joints.values()} | set(self.joints)
        if tip not in links:
            some = ", ".join(sorted(links)[:12])
            raise ReportError(f"{self.file}: has no link {tip}; it has {some}")
        found: list[UrdfJoint] = []
        while tip in self.joints:
            joint = self.joints[tip]
            if len(found) > len(self.joints):
                raise ReportError(f"{self.file}: the links form a ring at {tip}")
            if joint.kind in ("floating", "planar"):
                raise ReportError(
                    f"{self.file}: {joint.name} is {joint.kind}, its position is no single number"
                )
            found.append(joint)
            tip = joint.parent
        return found[::-1]


def positions_of(chain: list[UrdfJoint], names: tuple[str, ...], q: FloatArray) -> FloatArray:
    """Return where the end of a chain is, (N, 3) m in the root's frame.

    Args:
        chain: Joints from the root.
        names: J joints.
        q: (N, J) rad or m.
    """
    rotation = np.broadcast_to(np.eye(3), (len(q), 3, 3))
    position = np.zeros((len(q), 3))
    column = {name: k for k, name in enumerate(names)}
    for joint in chain:
        position = position + rotation @ joint.origin[:3, 3]
        rotation = rotation @ joint.origin[:3, :3]
        if joint.kind == "fixed":
            continue
        name, factor, offset = joint.mimic or (joint.name, 1.0, 0.0)
        value = factor * q[:, column[name]] + offset
        if joint.kind == "prismatic":
            position = position + (rotation @ joint.axis) * value[:, None]
        else:
            rotation = rotation @ _turn(joint.axis, value)
    return position


def _turn(axis: FloatArray, angle: FloatArray) -> FloatArray:
    """Return the rotations (N, 3, 3) about an axis: Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    s, c = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.asarray(np.eye(3) + s * cross + (1.0 - c) * (cross @ cross))


def read_urdf(path: Path, text: str) -> Urdf:
    """Read a URDF.

    Raises:
        ReportError: It is none; the line names the file and the joint.
    """
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise ReportError(f"{path}: is not XML: {error}") from None
    if root.tag != "robot":
        raise ReportError(f"{path}: is no URDF: its root is <{root.tag}>, not <robot>")
    if any("xacro" in element.tag for element in root.iter()):
        raise ReportError(f"{path}: is a xacro file; expand it first: xacro {path} > robot.urdf")
    joints = {}
    for element in root.findall("joint"):
        joint = _joint(path, element)
        if joint.child in joints:
            raise ReportError(f"{path}: link {joint.child} has two joints")
        joints[joint.child] = joint
    if not joints:
        raise ReportError(f"{path}: has no joint")
    return Urdf(path, root.get("name") or path.stem, joints)


def _joint(path: Path, element: ElementTree.Element) -> UrdfJoint:
    name, kind = element.get("name") or "", element.get("type") or ""
    where = f"{path}: joint {name or '(without a name)'}"
    if not name or kind not in _KINDS:
        raise ReportError(f"{where}: type must be one of {', '.join(_KINDS)}, but is {kind!r}")
    parent, child = (
        "" if (link := element.find(tag)) is None else link.get("link") or ""
        for tag in ("parent", "child")
    )
    if not (parent and child):
        raise ReportError(f"{where}: needs a parent and a child link")
    origin, placed = np.eye(4), element.find("origin")
    if placed is not None:
        roll, pitch, yaw = _numbers(where, placed.get("rpy"), (0.0, 0.0, 0.0))
        for about, angle in (((0, 0, 1), yaw), ((0, 1, 0), pitch), ((1, 0, 0), roll)):
            origin[:3, :3] = origin[:3, :3] @ _turn(np.array(about, float), np.array([angle]))[0]
        origin[:3, 3] = _numbers(where, placed.get("xyz"), (0.0, 0.0, 0.0))
    given = element.find("axis")
    axis = np.array(_numbers(where, None if given is None else given.get("xyz"), (1.0, 0.0, 0.0)))
    length = float(np.linalg.norm(axis))
    if kind in ("revolute", "continuous", "prismatic") and not length > 0.0:
        raise ReportError(f"{where}: its axis is zero")
    mimic, follows = None, element.find("mimic")
    if follows is not None:
        factor = _number(where, follows.get("multiplier"), 1.0)
        offset = _number(where, follows.get("offset"), 0.0)
        mimic = follows.get("joint") or "", float(factor or 0.0), float(offset or 0.0)
    limit = element.find("limit")
    low = high = speed = None
    if limit is not None:
        low = _number(where, limit.get("lower"), None)
        high = _number(where, limit.get("upper"), None)
        speed = _number(where, limit.get("velocity"), None)
        if kind == "continuous" or (low is None and high is None):
            low = high = None
        else:
            # What is left out is 0 by the format.
            low, high = low or 0.0, high or 0.0
        speed = speed if speed and speed > 0.0 else None
        if low is not None and high is not None and not low < high:
            low = high = None
    axis = axis / (length or 1.0)
    return UrdfJoint(name, kind, parent, child, origin, axis, mimic, low, high, speed)


def _number(where: str, text: str | None, otherwise: float | None) -> float | None:
    return otherwise if text is None else _numbers(where, text, (0.0,))[0]


def _numbers(where: str, text: str | None, otherwise: tuple[float, ...]) -> tuple[float, ...]:
    if text is None:
        return otherwise
    try:
        values = tuple(float(part) for part in text.split())
    except ValueError:
        values = ()
    if len(values) != len(otherwise) or not all(map(math.isfinite, values)):
        raise ReportError(f"{where}: needs {len(otherwise)} finite numbers, but has {text!r}")
    return values
