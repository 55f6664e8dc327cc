# SPDX-License-Identifier: Apache-2.0
"""Read a URDF or a xacro of one, and refuse in one line what cannot be used."""

from __future__ import annotations

import math
import re
import stat
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from vla_sim.from_urdf.description import (
    MOST_TURNS,
    WHOLE_TURN,
    DescribedJoint,
    DescriptionError,
    UrdfTree,
)
from vla_sim.from_urdf.shapes import shapes_of

LARGEST_BYTES, MOST_JOINTS = 20_000_000, 2000
MOST_SHAPES, DEEPEST, LONGEST_NAME = 1000, 50, 200
LONGEST_CHAIN = 400  # links in a row: MuJoCo reads 500 elements in each other
FARTHEST = 1000.0  # m or rad
MOST_MULTIPLIER, MOST_OFFSET = 100.0, 100.0  # of a joint that follows another
# What says where things are and how large: how many numbers each attribute has.
_NUMBERS = {
    "origin": {"xyz": 3, "rpy": 3},
    "axis": {"xyz": 3},
    "box": {"size": 3},
    "cylinder": {"radius": 1, "length": 1},
    "sphere": {"radius": 1},
    "mesh": {"scale": 3},
}


def read_urdf(path: Path, words: Sequence[str] = ()) -> UrdfTree:
    """Read a URDF, or a xacro of one.

    Args:
        path: The file.
        words: Arguments of the xacro, `NAME:=VALUE` each.

    Raises:
        DescriptionError: It cannot be read, or is none.
    """
    arguments = _arguments(path, words)
    try:
        # To open a pipe that nobody writes to would take for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise DescriptionError(
                f"{path}: is no regular file; write the URDF into one, such as "
                "xacro FILE > my_robot.urdf"
            )
        with path.open("rb") as stream:
            read = stream.read(LARGEST_BYTES + 1)
        if path.suffix == ".xacro" and len(read) <= LARGEST_BYTES:
            read = _expanded(path, arguments).encode()
    except OSError as error:
        raise DescriptionError(f"{path}: cannot be read: {error.strerror}") from None
    if len(read) > LARGEST_BYTES:
        raise DescriptionError(f"{path}: has more than {LARGEST_BYTES // 10**6} MB")
    return _parsed(path, read.decode("utf-8", errors="replace"))


def _arguments(path: Path, words: Sequence[str]) -> dict[str, str]:
    """Return the arguments of a xacro by name."""
    for word in words:
        if path.suffix != ".xacro":
            raise DescriptionError(f"{path}: is no .xacro, and takes no argument {word!r}")
        if ":=" not in word.lstrip(":="):
            raise DescriptionError(f"{word!r} is no argument of a xacro; write NAME:=VALUE")
    return {name: value for name, _, value in (word.partition(":=") for word in words)}


def _expanded(path: Path, arguments: Mapping[str, str]) -> str:
    try:
        import xacro
    except ImportError:
        raise DescriptionError(
            f"{path}: is a xacro, which needs xacro: pip install xacro, or "
            "apt install ros-$ROS_DISTRO-xacro; or give the URDF that `xacro FILE` prints"
        ) from None
    try:
        return str(xacro.process_file(str(path), mappings=dict(arguments)).toxml())
    except Exception as error:  # it raises whatever its expressions raise
        raise DescriptionError(
            f"{path}: xacro says: {' '.join(str(error).split())} (it is given arguments after its "
            "name: NAME:=VALUE)"
        ) from None


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
    _bounded(path, tree)
    links = [each.get("name", "") for each in tree.findall("link")]
    for kind, names in (
        ("link", links),
        ("joint", [each.get("name", "") for each in tree.findall("joint")]),
    ):
        if "" in names:
            raise DescriptionError(f"{path}: a {kind} has no name")
        odd = [name for name in names if len(name) > LONGEST_NAME or not name.isprintable()]
        if odd:
            raise DescriptionError(
                f"{path}: {kind} {odd[0][:40]!r}: its name has line breaks or the like, or more "
                f"than {LONGEST_NAME} characters"
            )
        twice = next((name for name, count in Counter(names).items() if count > 1), None)
        if twice is not None:
            raise DescriptionError(f"{path}: {kind} {twice!r} is there twice")
    for each in (*tree.findall("link"), *tree.findall("joint")):
        _check_numbers(path, each)
    known, joints = set(links), dict[str, DescribedJoint]()
    for each in tree.findall("joint"):
        if each.find("parent") is None or each.find("child") is None:
            raise DescriptionError(f"{path}: joint {each.get('name')!r} lacks parent or child")
        joint = _joint(path, each)
        for link in (joint.parent, joint.child):
            if link not in known:
                raise DescriptionError(f"{path}: joint {joint.name!r}: there is no link {link!r}")
        joints[joint.name] = joint
    children = {joint.child for joint in joints.values()}
    roots = [link for link in links if link not in children]
    if len(roots) != 1 or len(children) != len(joints):
        raise DescriptionError(
            f"{path}: its links are no tree: {len(roots)} of them have no parent; one must be "
            "the base"
        )
    urdf = UrdfTree(str(path), tree.get("name", ""), tree, joints, roots[0])
    apart = sorted(children - {joint.child for joint in urdf.all_below(roots[0])})
    if apart:
        raise DescriptionError(
            f"{path}: its links are no tree: joints lead in a circle, which the base is not in: "
            f"{', '.join(apart[:4])}{', ...' if len(apart) > 4 else ''}"
        )
    depth = {roots[0]: 0}
    for joint in urdf.all_below(roots[0]):
        depth[joint.child] = depth[joint.parent] + 1
    end = max(depth, key=depth.__getitem__)
    if depth[end] > LONGEST_CHAIN:
        raise DescriptionError(
            f"{path}: the chain of joints to link {end!r} has {depth[end]} of them; "
            f"{LONGEST_CHAIN} are the most: give links that are fixed to each other as one"
        )
    return urdf


def _bounded(path: Path, tree: ElementTree.Element) -> None:
    """Refuse what would take too long, or what no computer could go through."""
    for tag, most in (("joint", MOST_JOINTS), ("link", MOST_JOINTS + 1)):
        count = len(tree.findall(tag))
        if count > most:
            raise DescriptionError(f"{path}: has {count} {tag}s; {most} are the most")
    shapes = sum(len(shapes_of(link)) for link in tree.findall("link"))
    if shapes > MOST_SHAPES:
        raise DescriptionError(
            f"{path}: has {shapes} shapes to collide with; {MOST_SHAPES} are the most"
        )
    level, depth = [tree], 0
    while level:
        level, depth = [child for element in level for child in element], depth + 1
        if depth > DEEPEST:
            raise DescriptionError(f"{path}: has elements in each other, {DEEPEST} deep and more")


def _check_numbers(path: Path, element: ElementTree.Element) -> None:
    """Refuse what is no number, or no length or angle of an arm, in all but what is only seen."""
    only_seen = element.find("collision") is not None
    parts = [part for part in element if not (only_seen and part.tag == "visual")]
    for each in (found for part in parts for found in part.iter()):
        for key, count in _NUMBERS.get(each.tag, {}).items():
            text = each.get(key)
            if text is None:
                continue
            try:
                numbers = [float(word) for word in text.split()]
            except ValueError:
                numbers = []
            least = -FARTHEST if each.tag in ("origin", "axis", "mesh") else 0.0
            if len(numbers) != count or not all(least <= one <= FARTHEST for one in numbers):
                many = f"{count} numbers" if count > 1 else "a number"
                raise DescriptionError(
                    f"{path}: {element.tag} {element.get('name')!r}: {each.tag} {key}: {text!r} "
                    f"is not {many} from {least:g} to {FARTHEST:g} (m, rad)"
                )


def _joint(path: Path, element: ElementTree.Element) -> DescribedJoint:
    name, kind = element.get("name", ""), element.get("type", "")

    def number(tag: str, key: str, default: float, most: float = 1e9) -> float:
        found = element.find(tag)
        text = None if found is None else found.get(key)
        try:
            value = default if text is None else float(text)
        except ValueError:
            value = math.nan
        if not abs(value) <= most:
            what = "no number" if most == 1e9 else f"no number from {-most:g} to {most:g}"
            raise DescriptionError(f"{path}: joint {name}: {tag} {key}: {text!r} is {what}")
        return value

    lower, upper = number("limit", "lower", 0.0), number("limit", "upper", 0.0)
    stated = (lower, upper)
    # One turn each way: a plan counts turns, and a cable does too.
    if kind == "continuous":
        lower, upper = -WHOLE_TURN, WHOLE_TURN
    elif kind == "revolute" and max(abs(lower), abs(upper)) <= MOST_TURNS * WHOLE_TURN:
        lower, upper = max(lower, -WHOLE_TURN), min(upper, WHOLE_TURN)
    mimic = None
    if (follows := element.find("mimic")) is not None:
        master = follows.get("joint", "")
        multiplier = number("mimic", "multiplier", 1.0, MOST_MULTIPLIER)
        mimic = (master, multiplier, number("mimic", "offset", 0.0, MOST_OFFSET))
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
        stated,
        abs(number("limit", "velocity", 0.0)),
        abs(number("limit", "effort", 0.0)),
        mimic,
    )
