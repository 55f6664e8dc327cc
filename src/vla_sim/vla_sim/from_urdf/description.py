# SPDX-License-Identifier: Apache-2.0
"""Read a URDF and choose what moves: one arm, and its gripper."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

LARGEST_BYTES = 20_000_000
MOST_JOINTS, FEWEST_OF_AN_ARM, MOST_OF_AN_ARM = 2000, 2, 16
MOVING = ("revolute", "continuous", "prismatic")
WHOLE_TURN = 2.0 * math.pi
# What holds, and what only rolls the robot about, by how people name it.
_HAND = re.compile(
    r"finger|gripper|grip_|jaw|knuckle|thumb|claw|hand_|index|middle|pinky|ring_|robotiq|sake",
    re.I,
)
_FINGER = re.compile(r"finger|jaw|knuckle|thumb|claw|index|middle|pinky", re.I)
_WHEEL = re.compile(r"wheel|caster|suspension|tire|rotor|propeller|helice", re.I)
_TIP = re.compile(r"tcp|tool|end_?effector|ee_|_ee|grasp|tip|flange|frame_link", re.I)


class DescriptionError(ValueError):
    """The description cannot be used; one line that says why."""


@dataclass(frozen=True)
class DescribedJoint:
    """A joint of the description.

    Attributes:
        name: Its name.
        kind: URDF's type.
        parent: Link.
        child: Link.
        lower: rad, or m for a prismatic one.
        upper: The same.
        velocity: Of the description, per second; 0 where it says none.
        effort: N m or N; 0 where it says none.
        mimic: The joint that it follows, with multiplier and offset; None for its own master.
    """

    name: str
    kind: str
    parent: str
    child: str
    lower: float
    upper: float
    velocity: float
    effort: float
    mimic: tuple[str, float, float] | None


@dataclass(frozen=True)
class ArmChoice:
    """What of a description is to move.

    Attributes:
        root: Its base link.
        tip: Link of the tool.
        arm: Joints from the root on.
        gripper: The joint that opens and closes, None where there is none.
        followers: Joints that follow the gripper's, with multiplier and offset.
        others: How many more joints there are, which are held at 0.
    """

    root: str
    tip: str
    arm: tuple[DescribedJoint, ...]
    gripper: DescribedJoint | None
    followers: tuple[tuple[str, float, float], ...]
    others: int


@dataclass(frozen=True)
class UrdfTree:
    """A description that was read.

    Attributes:
        file: Where from.
        name: Of the robot, as it says.
        tree: All of it.
        joints: By name.
        root: The link that no joint moves.
    """

    file: str
    name: str
    tree: ElementTree.Element
    joints: dict[str, DescribedJoint]
    root: str

    def below(self, link: str) -> list[DescribedJoint]:
        """Return the joints of a link's children."""
        return [joint for joint in self.joints.values() if joint.parent == link]

    def all_below(self, link: str) -> list[DescribedJoint]:
        """Return every joint below a link, the nearest first."""
        found, waiting = [], [link]
        while waiting:
            joints = self.below(waiting.pop(0))
            found += joints
            waiting += [joint.child for joint in joints]
        return found

    def path_to(self, link: str) -> list[DescribedJoint]:
        """Return the joints from the root to a link, of every kind."""
        by_child = {joint.child: joint for joint in self.joints.values()}
        path: list[DescribedJoint] = []
        while link in by_child and len(path) <= len(self.joints):
            path.append(by_child[link])
            link = path[-1].parent
        return path[::-1]


def read_urdf(path: Path) -> UrdfTree:
    """Read a URDF, or a xacro of one.

    Raises:
        DescriptionError: It cannot be read, or is none.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise DescriptionError(f"{path}: has more than {LARGEST_BYTES // 10**6} MB")
        if path.suffix == ".xacro":
            return _parsed(path, _expanded(path))
        return _parsed(path, path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise DescriptionError(f"{path}: cannot be read: {error.strerror}") from None


def _expanded(path: Path) -> str:
    try:
        import xacro
    except ImportError:
        raise DescriptionError(
            f"{path}: is a xacro, which needs xacro: pip install xacro, or "
            "apt install ros-$ROS_DISTRO-xacro; or give the URDF that `xacro FILE` prints"
        ) from None
    try:
        return str(xacro.process_file(str(path)).toxml())
    except Exception as error:  # it raises whatever its expressions raise
        raise DescriptionError(f"{path}: xacro says: {' '.join(str(error).split())}") from None


def _parsed(path: Path, text: str) -> UrdfTree:
    if "<!ENTITY" in text:
        raise DescriptionError(f"{path}: has entities of its own; write the URDF without them")
    try:
        # Lenient in one thing: a declaration after a comment or an empty line.
        tree = ElementTree.fromstring(re.sub(r"<\?xml[^>]*\?>", "", text).strip())
    except ElementTree.ParseError as error:
        raise DescriptionError(f"{path}: is no XML: {error}") from None
    if tree.tag != "robot":
        raise DescriptionError(f"{path}: is no URDF: its root is <{tree.tag}>, not <robot>")
    links = [each.get("name", "") for each in tree.findall("link")]
    joints: dict[str, DescribedJoint] = {}
    for each in tree.findall("joint"):
        if each.find("parent") is None or each.find("child") is None:
            raise DescriptionError(f"{path}: joint {each.get('name')!r} lacks parent or child")
        joint = _joint(path, each)
        if joint.name in joints:
            raise DescriptionError(f"{path}: joint {joint.name!r} is there twice")
        joints[joint.name] = joint
    if len(joints) > MOST_JOINTS:
        raise DescriptionError(f"{path}: has {len(joints)} joints; {MOST_JOINTS} are the most")
    children = {joint.child for joint in joints.values()}
    roots = [link for link in links if link not in children]
    if len(roots) != 1 or len(children) != len(joints):
        raise DescriptionError(
            f"{path}: its links are no tree: {len(roots)} of them have no parent; one must be "
            "the base"
        )
    return UrdfTree(str(path), tree.get("name", ""), tree, joints, roots[0])


def _joint(path: Path, element: ElementTree.Element) -> DescribedJoint:
    name, kind = element.get("name", ""), element.get("type", "")

    def number(tag: str, key: str, default: float) -> float:
        found = element.find(tag)
        text = None if found is None else found.get(key)
        try:
            value = default if text is None else float(text)
        except ValueError:
            value = math.nan
        if not abs(value) <= 1e9:
            raise DescriptionError(f"{path}: joint {name}: {tag} {key}: {text!r} is no number")
        return value

    lower, upper = number("limit", "lower", 0.0), number("limit", "upper", 0.0)
    # One turn each way: a plan counts turns, and a cable does too.
    if kind == "continuous":
        lower, upper = -WHOLE_TURN, WHOLE_TURN
    elif kind == "revolute":
        lower, upper = max(lower, -WHOLE_TURN), min(upper, WHOLE_TURN)
    mimic = None
    if (follows := element.find("mimic")) is not None:
        master = follows.get("joint", "")
        mimic = (master, number("mimic", "multiplier", 1.0), number("mimic", "offset", 0.0))
    parent, child = element.find("parent"), element.find("child")
    assert parent is not None
    assert child is not None
    return DescribedJoint(
        name,
        kind,
        parent.get("link", ""),
        child.get("link", ""),
        lower,
        upper,
        abs(number("limit", "velocity", 0.0)),
        abs(number("limit", "effort", 0.0)),
        mimic,
    )


def choose(urdf: UrdfTree, tip: str = "", gripper: str = "") -> ArmChoice:
    """Choose an arm, the longest chain of joints that ends in no finger, and its gripper.

    Args:
        urdf: The description.
        tip: The arm's last link; empty: of the longest arm, if there is one that is longest.
        gripper: The gripper's joint; empty: found by how people name it.

    Raises:
        DescriptionError: There is no arm, or more than one.
    """
    links = {urdf.root, *(joint.child for joint in urdf.joints.values())}
    if tip and tip not in links:
        raise DescriptionError(f"{urdf.file}: --tip {tip}: there is no such link")
    if gripper and gripper not in urdf.joints:
        raise DescriptionError(f"{urdf.file}: --gripper {gripper}: there is no such joint")
    chains: dict[tuple[str, ...], str] = {}
    for link in [tip] if tip else sorted(links):
        names = tuple(joint.name for joint in _moving_to(urdf, link, gripper))
        if names and names not in chains:
            chains[names] = link
    longest = max(map(len, chains), default=0)
    if longest < FEWEST_OF_AN_ARM:
        raise DescriptionError(
            f"{urdf.file}: has no arm: its longest chain of joints that move has {longest}"
        )
    best = [names for names in chains if len(names) == longest]
    if len(best) > 1:
        ends = ", ".join(chains[names] for names in best[:4])
        raise DescriptionError(
            f"{urdf.file}: has {len(best)} chains of {longest} joints, and one arm is moved here; "
            f"choose with --tip: {ends}{', ...' if len(best) > 4 else ''}"
        )
    if longest > MOST_OF_AN_ARM:
        raise DescriptionError(
            f"{urdf.file}: its longest chain has {longest} joints; {MOST_OF_AN_ARM} are the most"
        )
    arm = tuple(urdf.joints[name] for name in best[0])
    for joint in arm:
        if not joint.lower < joint.upper:
            raise DescriptionError(
                f"{urdf.file}: joint {joint.name}: its limits are [{joint.lower:g}, "
                f"{joint.upper:g}]; write lower below upper"
            )
    last = arm[-1].child
    holds = urdf.joints[gripper] if gripper else _gripper_below(urdf, last)
    followers = () if holds is None else _followers(urdf, holds)
    moving = [joint for joint in urdf.joints.values() if joint.kind in MOVING]
    others = len(moving) - len(arm) - (holds is not None) - len(followers)
    return ArmChoice(urdf.root, tip or _tool(urdf, last), arm, holds, followers, others)


def _is_hand(joint: DescribedJoint) -> bool:
    return bool(_HAND.search(joint.name) or _FINGER.search(joint.child))


def _moving_to(urdf: UrdfTree, link: str, gripper: str) -> list[DescribedJoint]:
    """Return the joints of an arm to a link: those before the first finger or wheel."""
    found = []
    for joint in urdf.path_to(link):
        if joint.kind not in MOVING:
            continue
        if joint.name == gripper or joint.mimic is not None:
            break
        if found and not gripper and _is_hand(joint):
            break
        if _WHEEL.search(joint.name) or _WHEEL.search(joint.child):
            break
        found.append(joint)
    return found


def _gripper_below(urdf: UrdfTree, link: str) -> DescribedJoint | None:
    for joint in urdf.all_below(link):
        if joint.kind in MOVING and joint.mimic is None and joint.lower < joint.upper:
            return joint
    return None


def _followers(urdf: UrdfTree, gripper: DescribedJoint) -> tuple[tuple[str, float, float], ...]:
    found = [
        (joint.name, joint.mimic[1], joint.mimic[2])
        for joint in urdf.joints.values()
        if joint.mimic is not None and joint.mimic[0] == gripper.name and joint.kind in MOVING
    ]
    if not found:
        # A second finger of the same make that says nothing of following the first.
        found = [
            (joint.name, 1.0, 0.0)
            for joint in urdf.below(gripper.parent)
            if joint.name != gripper.name
            and (joint.kind, joint.lower, joint.upper)
            == (gripper.kind, gripper.lower, gripper.upper)
        ][:1]
    return tuple(found)


def _tool(urdf: UrdfTree, link: str) -> str:
    """Return the link of the tool behind the arm's last: by its name, or that last link."""
    fixed, waiting = [], [link]
    while waiting:
        joints = [joint for joint in urdf.below(waiting.pop(0)) if joint.kind == "fixed"]
        fixed += [joint.child for joint in joints]
        waiting += [joint.child for joint in joints]
    named = [name for name in fixed if _TIP.search(name) and not _FINGER.search(name)]
    return named[-1] if named else link


def moving_names(choice: ArmChoice) -> Collection[str]:
    """Return the names of all joints that move: the arm's, the gripper's and its followers."""
    gripper = () if choice.gripper is None else (choice.gripper.name,)
    followers = tuple(name for name, _, _ in choice.followers)
    return (*(joint.name for joint in choice.arm), *gripper, *followers)
