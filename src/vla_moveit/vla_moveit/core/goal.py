# SPDX-License-Identifier: Apache-2.0
"""What is asked for: a named pose, joints, or a place of the tool."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from smooth_motion.limits import FloatArray, Limits
from strict_yaml import StrictYamlError, read_yaml
from vla_contract.robot import Robot

HOME = "home"
POSES_FILE = "poses.yaml"
MOST_POSES = 100
# No arm of this suite reaches further from its base, m.
FARTHEST_M = 100.0
_UNIT_TOLERANCE = 0.01


class GoalError(ValueError):
    """A goal, or a file of poses, cannot be used. One line that says what to do."""


@dataclass(frozen=True)
class ToolGoal:
    """Where the tip frame is to be, in the base frame.

    Attributes:
        position: x, y, z, m.
        orientation: Quaternion x, y, z, w of length 1.
    """

    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float]


@dataclass(frozen=True)
class MoveRequest:
    """A goal as it came; nothing of it is checked.

    Attributes:
        named: Name of a pose, empty where none is meant.
        joints: Joints that have a goal.
        positions: rad, one a joint.
        tool: Frame, and what the tip is to be in it; None where none is meant.
        speed: Share of the velocity limits; 0 for the usual one.
        take_over: Take the arm from whoever holds it.
        plan_only: Nothing moves.
    """

    named: str = ""
    joints: tuple[str, ...] = ()
    positions: tuple[float, ...] = ()
    tool: tuple[str, ToolGoal] | None = None
    speed: float = 0.0
    take_over: bool = False
    plan_only: bool = False


@dataclass(frozen=True, eq=False)
class NamedPoses:
    """Poses of the arm by name.

    Attributes:
        positions: (J,) rad each, in the order of the limits.
    """

    positions: Mapping[str, FloatArray] = field(default_factory=dict)

    @classmethod
    def of(cls, robot: Robot, robot_file: str | Path) -> NamedPoses:
        """Return home, and what `poses.yaml` beside the robot file adds, if it is there.

        Raises:
            GoalError: The file has a pose that is none of this arm.
        """
        found = {HOME: robot.home_position}
        file = Path(robot_file).with_name(POSES_FILE)
        if not file.is_file():
            return cls(found)
        try:
            read = read_yaml(file)
        except StrictYamlError as error:
            raise GoalError(f"{file}: {error}") from None
        if not isinstance(read, dict) or len(read) > MOST_POSES:
            raise GoalError(f"{file}: write a mapping of at most {MOST_POSES} names to poses")
        for name, pose in read.items():
            where = f"{file}: {name}"
            if name == HOME or not isinstance(name, str) or not name.strip():
                raise GoalError(f"{where}: write another name; home is the robot file's")
            if not isinstance(pose, dict) or set(pose) != set(robot.limits.joint_names):
                names = ", ".join(robot.limits.joint_names)
                raise GoalError(f"{where}: write a position, rad, for each of {names}")
            found[name] = _within(
                robot.limits, tuple(pose), tuple(pose.values()), robot.home_position, where
            )
        return cls(found)


def resolve(
    request: MoveRequest, robot: Robot, poses: NamedPoses, here: FloatArray
) -> FloatArray | ToolGoal:
    """Return where the arm is to go: joints (J,) rad, or a place of the tool.

    Args:
        request: As it came.
        robot: Joints, limits and frames.
        poses: By name.
        here: (J,) rad: joints that have no goal stay there.

    Raises:
        GoalError: It says several goals or none, or one that this arm cannot have.
    """
    if not 0.0 <= request.speed <= 1.0:
        raise GoalError(f"speed is {request.speed:g}; write a share above 0 and at most 1")
    given = (
        bool(request.named),
        bool(request.joints or request.positions),
        request.tool is not None,
    )
    if sum(given) != 1:
        raise GoalError(
            f"{sum(given)} goals are given; give one: named, or joint_names with positions, or "
            "tool with its frame_id"
        )
    if request.named:
        if request.named not in poses.positions:
            known = ", ".join(poses.positions)
            raise GoalError(f"named is {request.named[:64]!a}; there is {known}")
        return poses.positions[request.named]
    if request.tool is not None:
        return _tool(*request.tool, robot)
    return _within(robot.limits, request.joints, request.positions, here, "the goal")


def _within(
    limits: Limits,
    joints: Sequence[object],
    positions: Sequence[object],
    here: FloatArray,
    where: str,
) -> FloatArray:
    names = limits.joint_names
    if len(joints) != len(positions):
        raise GoalError(
            f"{where}: has {len(joints)} joints and {len(positions)} positions; write one a joint"
        )
    if len(set(joints)) != len(joints) or not set(joints) <= set(names):
        raise GoalError(f"{where}: write joints of the arm, each once: {', '.join(names)}")
    found = np.array(here, dtype=np.float64)
    for name, value in zip(joints, positions, strict=True):
        column = names.index(str(name))
        low, high = float(limits.position_lower[column]), float(limits.position_upper[column])
        if (
            not isinstance(value, (int, float))
            or isinstance(value, bool)
            or not low <= value <= high
        ):
            raise GoalError(f"{where}: {name}: is {value!s:.64}; write {low:g} to {high:g} rad")
        found[column] = value
    found.setflags(write=False)
    return found


def _tool(frame: str, goal: ToolGoal, robot: Robot) -> ToolGoal:
    if frame.strip("/").rpartition("/")[2] != robot.base_frame:
        raise GoalError(
            f"tool: frame_id is {frame[:64]!a}; give the pose in the base frame, "
            f"{robot.base_frame}"
        )
    if not all(abs(value) <= FARTHEST_M for value in goal.position):
        raise GoalError(f"tool: position is {goal.position}; write metres from the base")
    length = math.sqrt(sum(value * value for value in goal.orientation))
    if not abs(length - 1.0) <= _UNIT_TOLERANCE:
        raise GoalError(f"tool: orientation has length {length:g}; write a quaternion of length 1")
    x, y, z, w = (value / length for value in goal.orientation)
    return ToolGoal(goal.position, (x, y, z, w))
