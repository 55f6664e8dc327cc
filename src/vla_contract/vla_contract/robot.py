# SPDX-License-Identifier: Apache-2.0
"""Read a robot file: the one place for a robot's joint names, limits and controllers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smooth_motion.gripper import GripperLimits
from smooth_motion.limits import FloatArray, Limits, frozen_array
from strict_yaml import StrictYamlError, read_yaml
from vla_contract.names import topic_problem

# No limit of a robot is larger than this, in any unit.
LARGEST = 1e9
# No arm's joint turns further from its zero, or faster. What is larger is degrees.
FARTHEST_RAD, FASTEST_RAD_S = 8.0 * math.pi, 50.0


class RobotConfigError(ValueError):
    """A robot file is wrong. The message reads ``<file>: <key.path>: what is wrong``."""


@dataclass(frozen=True, eq=False)
class Robot:
    """A robot as its file describes it.

    Attributes:
        name: The robot's name.
        base_frame: Frame of the base.
        tip_frame: Frame of the tool.
        arm_controller: Name of the arm's joint_trajectory_controller.
        limits: The arm's joints and limits.
        gripper: The gripper's joint, controller and limits.
        home: Where it waits, rad: every arm joint and the gripper.
        ticks_per_turn: Encoder steps in a turn.
    """

    name: str
    base_frame: str
    tip_frame: str
    arm_controller: str
    limits: Limits
    gripper: GripperLimits
    home: Mapping[str, float]
    ticks_per_turn: int

    @property
    def home_position(self) -> FloatArray:
        """The arm's home, (J,) rad, in the order of the limits."""
        names = self.limits.joint_names
        return frozen_array([self.home[name] for name in names], "home", (len(names),))


class _Section:
    """A mapping of the file that must be used up exactly."""

    def __init__(self, file: str, path: str, value: Any) -> None:
        self.file, self.path = file, path
        if not isinstance(value, dict):
            raise self.error("", f"must be a mapping, but is {_shown(value)}")
        self.values = value
        self.unread = set(value)

    def error(self, key: str, what: str) -> RobotConfigError:
        where = ".".join(part for part in (self.path, key) if part)
        return RobotConfigError(f"{self.file}: {where or 'the file'}: {what}")

    def take(self, key: str) -> Any:
        if key not in self.values:
            raise self.error(key, "is missing; add it")
        self.unread.discard(key)
        return self.values[key]

    def section(self, key: str) -> _Section:
        path = f"{self.path}.{key}" if self.path else key
        return _Section(self.file, path, self.take(key))

    def text(self, key: str) -> str:
        value = self.take(key)
        if not isinstance(value, str) or not value:
            raise self.error(key, f"must be a non-empty string, but is {_shown(value)}")
        return value

    def controller(self) -> str:
        name = self.text("controller")
        problem = topic_problem(name)
        if problem:
            raise self.error("controller", problem)
        return name

    def number(self, key: str, *, positive: bool = False) -> float:
        value = self.take(key)
        if not _is_number(value):
            raise self.error(key, f"must be a finite number, but is {_shown(value)}")
        if positive and not (value > 0):
            raise self.error(key, f"must be positive, but is {value}")
        return float(value)

    def range(self, key: str) -> tuple[float, float]:
        value = self.take(key)
        if not (isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))):
            raise self.error(key, f"must be [lower, upper], but is {_shown(value)}")
        if not (value[0] < value[1]):
            raise self.error(key, f"lower must be below upper, but the range is {value}")
        return float(value[0]), float(value[1])

    def end(self) -> None:
        if self.unread:
            key = sorted(map(str, self.unread))[0]
            known = ", ".join(str(k) for k in self.values if k not in self.unread)
            raise self.error(key, f"is not a key of this section; remove it (known: {known})")


def _is_number(value: Any) -> bool:
    # An integer of any size is one in YAML, and not every one is a float.
    return type(value) in (int, float) and abs(value) <= LARGEST and math.isfinite(value)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return f"the text {value!r}"
        return f"the text {value!r}; YAML reads a number without quotes, as in 10.0 or 1e3"
    return "empty" if value is None else repr(value)


def moved_to(path: str | Path, name: str) -> str:
    """Say where a robot's file is, for a path from before each robot had its folder.

    Args:
        path: Such as ``config/robots/so101/monitor.yaml``.
        name: What it is called now, such as ``monitor.yaml``.

    Returns:
        What to do in words; empty where the path is another.
    """
    old = Path(path).expanduser()
    new = old.parent.parent / "robots" / old.stem / name
    if old.exists() or not new.is_file():
        return ""
    return f"is in the robot's own folder now; give {new}"


def load_robot(path: str | Path) -> Robot:
    """Read a robot file, strictly.

    Args:
        path: A YAML file like ``config/robots/so101/robot.yaml``.

    Raises:
        RobotConfigError: The file cannot be read, a key is missing, unknown or twice, or a value
            is of the wrong kind. The message is one line: ``<file>: <key.path>: what to do``.
    """
    file = str(path)
    try:
        values = read_yaml(path)
    except StrictYamlError as error:
        problem = moved_to(path, "robot.yaml") or error.problem
        raise RobotConfigError(f"{file}: {error.key or 'the file'}: {problem}") from None

    top = _Section(file, "", values)
    name, base, tip = top.text("robot"), top.text("base_frame"), top.text("tip_frame")

    arm = top.section("arm")
    controller, limits = arm.controller(), _arm_limits(arm)
    arm.end()

    grip = top.section("gripper")
    grip_range = grip.range("position")
    gripper = GripperLimits(
        grip.controller(),
        grip.text("joint"),
        *grip_range,
        grip.number("velocity", positive=True),
    )
    if gripper.controller == controller:
        raise grip.error("controller", f"{controller} is already the arm's; each has its own")
    if gripper.joint in limits.joint_names:
        raise grip.error("joint", f"{gripper.joint} is already a joint of the arm")
    grip.end()

    encoder = top.section("encoder")
    ticks = encoder.take("ticks_per_turn")
    if type(ticks) is not int or not (ticks > 0):
        what = f"must be a positive integer, but is {_shown(ticks)}"
        raise encoder.error("ticks_per_turn", what)
    encoder.end()

    home_section = top.section("home")
    home = {joint: home_section.number(joint) for joint in (*limits.joint_names, gripper.joint)}
    home_section.end()
    top.end()

    lowers = (*limits.position_lower.tolist(), gripper.position_lower)
    uppers = (*limits.position_upper.tolist(), gripper.position_upper)
    for (joint, position), low, high in zip(home.items(), lowers, uppers, strict=True):
        if not (low <= position <= high):
            raise home_section.error(joint, f"{position} is outside its limits [{low}, {high}]")
    return Robot(name, base, tip, controller, limits, gripper, home, ticks)


def _arm_limits(arm: _Section) -> Limits:
    joints = arm.take("joints")
    if not (isinstance(joints, list) and joints and all(isinstance(j, str) and j for j in joints)):
        raise arm.error("joints", "must be a list of one or more joint names")
    if len(set(joints)) != len(joints):
        raise arm.error("joints", f"must be distinct, but are {', '.join(joints)}")
    table = arm.section("limits")
    rows = []
    for joint in joints:
        row = table.section(joint)
        position = row.range("position")
        if not max(map(abs, position)) <= FARTHEST_RAD:
            raise row.error("position", f"{[*position]} is more than four turns; write rad")
        velocity = row.number("velocity", positive=True)
        if not velocity <= FASTEST_RAD_S:
            raise row.error("velocity", f"{velocity:g} is faster than any arm's; write rad/s")
        others = (row.number(key, positive=True) for key in ("acceleration", "jerk"))
        rows.append((*position, velocity, *others))
        row.end()
    table.end()
    shape = (len(joints),)
    columns = [frozen_array(column, "limits", shape) for column in zip(*rows, strict=True)]
    return Limits(tuple(joints), *columns)
