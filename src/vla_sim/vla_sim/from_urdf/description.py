# SPDX-License-Identifier: Apache-2.0
"""What a URDF describes, and what of it moves: one arm, and its gripper."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection
from dataclasses import dataclass

FEWEST_OF_AN_ARM, MOST_OF_AN_ARM = 2, 16
MOVING = ("revolute", "continuous", "prismatic")
WHOLE_TURN, MOST_TURNS = 2.0 * math.pi, 4
FARTHEST_SLIDE_M = 100.0
LOOK_AT = "# look at: "  # begins a line of a file that a person has to see, and then removes
_ROUNDED = 0.01  # rad, by which a whole turn is written too large
_MOST_NAMED = 8  # joints that follow
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
        lower: rad, or m for a prismatic one; one turn each way at the most.
        upper: The same.
        stated: Both, as the description has them.
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
    stated: tuple[float, float]
    velocity: float
    effort: float
    mimic: tuple[str, float, float] | None

    def cut(self) -> str:
        """Return what was cut off its limits, in words; empty: nothing."""
        if self.kind != "revolute" or max(map(abs, self.stated)) <= WHOLE_TURN + _ROUNDED:
            return ""
        low, high = self.stated
        return f"limits of [{low:g}, {high:g}] rad cut to one turn each way: are these degrees?"


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
        notes: What a person has to look at, one line each.
    """

    root: str
    tip: str
    arm: tuple[DescribedJoint, ...]
    gripper: DescribedJoint | None
    followers: tuple[tuple[str, float, float], ...]
    others: int
    notes: tuple[str, ...]


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
    if gripper:
        _check_gripper(urdf, gripper)
    chains: dict[tuple[str, ...], str] = {}
    for link in [tip] if tip else sorted(links):
        names = tuple(joint.name for joint in _moving_to(urdf, link, gripper))
        if names and names not in chains:
            chains[names] = link
    longest = max(map(len, chains), default=0)
    if longest < FEWEST_OF_AN_ARM:
        follows = any(each.mimic is not None for each in urdf.joints.values())
        ends = "; a chain ends before a joint that follows another (<mimic>)" if follows else ""
        raise DescriptionError(
            f"{urdf.file}: has no arm: its longest chain of joints that move has {longest}{ends}"
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
        _check_limits(urdf, joint)
    last = arm[-1].child
    _refuse_cut_short(urdf, arm, tip)
    holds = urdf.joints[gripper] if gripper else _gripper_below(urdf, last)
    for joint in arm if holds is None else (*arm, holds):
        _check_range(urdf, joint)
    followers = () if holds is None else _followers(urdf, holds)
    moving = [joint for joint in urdf.joints.values() if joint.kind in MOVING]
    others = len(moving) - len(arm) - (holds is not None) - len(followers)
    notes = (*_cuts(arm, holds), *_not_followed(urdf, arm, holds, followers))
    return ArmChoice(urdf.root, tip or _tool(urdf, last), arm, holds, followers, others, notes)


def _check_limits(urdf: UrdfTree, joint: DescribedJoint) -> None:
    if joint.lower < joint.upper:
        return
    low, high = joint.stated
    what = f"its limits are [{low:g}, {high:g}]; write lower below upper"
    if low < high:
        what = (
            f"its limits of [{low:g}, {high:g}] rad have nothing within one turn (6.28): are "
            "these degrees? write radians"
        )
    raise DescriptionError(f"{urdf.file}: joint {joint.name}: {what}")


def _refuse_cut_short(urdf: UrdfTree, arm: tuple[DescribedJoint, ...], tip: str) -> None:
    """Refuse an arm that ends before its end, since a joint in its chain follows another.

    Raises:
        DescriptionError: It does, and no tip before that joint was asked for.
    """
    names = [joint.name for joint in arm]
    for joint in urdf.joints.values():
        if joint.mimic is None or joint.kind not in MOVING:
            continue
        before = [each.name for each in urdf.path_to(joint.parent) if each.kind in MOVING]
        if before != names or _is_hand(joint):
            continue
        beyond = urdf.all_below(joint.child)
        if tip and tip not in {joint.child, *(each.child for each in beyond)}:
            continue
        moves = any(each.kind in MOVING and each.mimic is None for each in beyond)
        if joint.mimic[0] in names or moves:
            raise DescriptionError(
                f"{urdf.file}: joint {joint.name} follows {joint.mimic[0]}, in the chain of the "
                "arm: it cannot be moved here, nor what lies beyond it; remove its <mimic> if it "
                f"moves by itself, or choose what lies before it: --tip {joint.parent}"
            )


def _cuts(arm: tuple[DescribedJoint, ...], holds: DescribedJoint | None) -> list[str]:
    moving = arm if holds is None else (*arm, holds)
    return [f"{joint.name}: {joint.cut()}" for joint in moving if joint.cut()]


def _not_followed(
    urdf: UrdfTree,
    arm: tuple[DescribedJoint, ...],
    holds: DescribedJoint | None,
    followers: tuple[tuple[str, float, float], ...],
) -> list[str]:
    """Return each joint that follows one of these and is held at 0 here, in words."""
    moving = {joint.name for joint in arm} | ({holds.name} if holds else set())
    followed, found = {name for name, _, _ in followers}, []
    for joint in urdf.joints.values():
        if joint.mimic is None or joint.kind not in MOVING or joint.name in followed:
            continue
        seen, master = {joint.name}, urdf.joints.get(joint.mimic[0])
        while master is not None and master.mimic is not None and master.name not in seen:
            seen.add(master.name)
            master = urdf.joints.get(master.mimic[0])
        if master is not None and master.mimic is None and master.name not in moving:
            continue  # held at 0 as it is itself
        why = (
            f"{joint.mimic[0]}, which the description does not have"
            if joint.mimic[0] not in urdf.joints
            else f"{joint.mimic[0]}, which ends in a joint that is not there or in a circle"
            if master is None or master.mimic is not None
            else joint.mimic[0]
        )
        found.append(
            f"{joint.name}: follows {why}, and is held at 0 here: its link {joint.child} is not "
            "where the real one is, in the simulation nor in workspace.yaml"
        )
    if len(found) > _MOST_NAMED:
        more = len(found) - _MOST_NAMED
        found[_MOST_NAMED:] = [f"{more} more joints follow others and are held at 0 here"]
    return found


def _check_range(urdf: UrdfTree, joint: DescribedJoint) -> None:
    """Refuse a range that no joint of an arm has."""
    says = f"{urdf.file}: joint {joint.name}: its limits are [{joint.lower:g}, {joint.upper:g}]"
    farthest = max(-joint.lower, joint.upper)
    if joint.kind == "prismatic" and farthest > FARTHEST_SLIDE_M:
        raise DescriptionError(f"{says} m, {FARTHEST_SLIDE_M:g} m are the most; write metres")
    if joint.kind != "prismatic" and farthest > WHOLE_TURN:
        raise DescriptionError(
            f"{says} rad, more than {MOST_TURNS} turns; write radians, or make it continuous"
        )


def _check_gripper(urdf: UrdfTree, name: str) -> None:
    joint = urdf.joints.get(name)
    if joint is None:
        why = "there is no such joint"
    elif joint.kind not in MOVING:
        why = f"it does not move, its type is {joint.kind!r}"
    elif joint.mimic is not None:
        why = f"it follows {joint.mimic[0]}; name that one"
    elif not joint.lower < joint.upper:
        low, high = joint.stated
        why = f"its limits are [{low:g}, {high:g}]; write lower below upper, within one turn"
    else:
        return
    raise DescriptionError(f"{urdf.file}: --gripper {name}: {why}")


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
