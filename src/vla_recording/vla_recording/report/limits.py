# SPDX-License-Identifier: Apache-2.0
"""The limits that a recording is held against: of a robot file, URDF or joint_limits.yaml."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from strict_yaml import StrictYamlError, parse_yaml
from vla_contract.robot import RobotConfigError, load_robot
from vla_recording.report.errors import ReportError
from vla_recording.report.urdf import Urdf, read_urdf

_LARGEST_FILE = 16 << 20
QUANTITIES = ("velocity", "acceleration", "jerk")


@dataclass(frozen=True)
class JointLimit:
    """What is known of one joint; None where no limit is given. SI: rad, m for a prismatic joint.

    Attributes:
        name: The joint's.
        kind: revolute, continuous, prismatic, or empty where the file does not say.
        lower: Position.
        upper: Position.
        velocity: For both directions; so the others.
        acceleration: Likewise.
        jerk: Likewise.
    """

    name: str
    kind: str = ""
    lower: float | None = None
    upper: float | None = None
    velocity: float | None = None
    acceleration: float | None = None
    jerk: float | None = None

    def filled(self, other: JointLimit) -> JointLimit:
        """Return this with what `other` gives in place of its own."""
        given = {key: value for key, value in vars(other).items() if value not in (None, "")}
        return replace(self, **given)

    @property
    def unit(self) -> str:
        """Of its position."""
        return "m" if self.kind == "prismatic" else "rad"


@dataclass(frozen=True)
class LimitSet:
    """The limits of a robot.

    Attributes:
        name: The robot's, or the files'.
        joints: By name.
        encoder_step: rad, of `encoder_joints`, or None.
        encoder_joints: Those whose encoder it is.
        hands: Joints of a gripper: held against their limits where they are recorded, and no
            part of the arm's movements.
        urdf: The robot's structure, or None.
    """

    name: str
    joints: dict[str, JointLimit] = field(default_factory=dict)
    encoder_step: float | None = None
    encoder_joints: frozenset[str] = frozenset()
    hands: frozenset[str] = frozenset()
    urdf: Urdf | None = None

    @property
    def judged(self) -> dict[str, JointLimit]:
        """The joints of which some limit is given."""
        fields = ("lower", "upper", *QUANTITIES)
        return {
            name: joint
            for name, joint in self.joints.items()
            if any(getattr(joint, key) is not None for key in fields)
        }

    @property
    def revolute(self) -> frozenset[str]:
        """Joints that do not turn over: those not known to be continuous."""
        return frozenset(n for n, joint in self.joints.items() if joint.kind != "continuous")


def read_limits(paths: Iterable[Path]) -> LimitSet | None:
    """Read limits; of two files that give the same one the later holds.

    Args:
        paths: Robot files (with or without gripper and encoder), URDFs and joint_limits.yaml of
            MoveIt or ros2_control.

    Raises:
        ReportError: A file cannot be used; the line names it.
        RobotConfigError: Likewise, of a robot file.
    """
    total: LimitSet | None = None
    for path in paths:
        one = _read(Path(path))
        if total is None:
            total = one
            continue
        joints = dict(total.joints)
        for name, joint in one.joints.items():
            joints[name] = joints[name].filled(joint) if name in joints else joint
        total = LimitSet(
            total.name if total.name == one.name else f"{total.name} and {one.name}",
            joints,
            one.encoder_step or total.encoder_step,
            one.encoder_joints or total.encoder_joints,
            one.hands | total.hands,
            one.urdf or total.urdf,
        )
    if total is not None and not total.judged:
        raise ReportError(f"{total.name}: no limit of any joint is given")
    return total


def _read(path: Path) -> LimitSet:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ReportError(f"{path}: larger than {_LARGEST_FILE >> 20} MiB is no robot's file")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ReportError(f"{path}: is not text; give a robot file, URDF or YAML") from None
    if text.lstrip().startswith("<"):
        urdf = read_urdf(path, text)
        joints = {
            joint.name: JointLimit(
                joint.name,
                joint.kind,
                None if joint.kind == "continuous" else joint.lower,
                None if joint.kind == "continuous" else joint.upper,
                joint.velocity,
            )
            for joint in urdf.moving
        }
        return LimitSet(urdf.name, joints, urdf=urdf)
    try:
        values = parse_yaml(text, max_bytes=_LARGEST_FILE)
    except StrictYamlError as error:
        raise ReportError(f"{path}: {error}") from None
    if isinstance(values, dict) and "robot" in values:
        return _robot(path, values)
    table = _joint_limits(values)
    if table is None:
        raise ReportError(
            f"{path}: is no robot file (robot, arm, ...), no URDF and has no joint_limits"
        )
    return LimitSet(path.stem, {str(n): _moveit(path, str(n), v) for n, v in table.items()})


def _robot(path: Path, values: dict[str, Any]) -> LimitSet:
    """Read a robot file; for a report it needs neither gripper, encoder nor home."""
    if {"gripper", "encoder", "home"} <= set(values):
        robot = load_robot(path)
        limits = robot.limits
        joints = {
            name: JointLimit(
                name,
                "revolute",
                float(limits.position_lower[j]),
                float(limits.position_upper[j]),
                *(float(getattr(limits, key)[j]) for key in QUANTITIES),
            )
            for j, name in enumerate(limits.joint_names)
        }
        hand = robot.gripper
        joints[hand.joint] = JointLimit(
            hand.joint, "", hand.position_lower, hand.position_upper, hand.velocity
        )
        everyone = frozenset((*limits.joint_names, hand.joint))
        step = 2.0 * math.pi / robot.ticks_per_turn
        return LimitSet(robot.name, joints, step, everyone, frozenset((hand.joint,)))
    known = {"robot", "base_frame", "tip_frame", "arm", "gripper", "encoder", "home"}
    unknown = sorted(str(key) for key in set(values) - known)
    if unknown:
        raise RobotConfigError(f"{path}: {unknown[0]}: is not a key of this section; remove it")
    arm = values.get("arm")
    table = arm.get("limits") if isinstance(arm, dict) else None
    if not isinstance(table, dict) or not table:
        raise ReportError(f"{path}: arm.limits: is missing; add the joints' limits")
    joints = {}
    for name, row in table.items():
        where = f"{path}: arm.limits.{name}"
        if not isinstance(row, dict):
            raise ReportError(f"{where}: must be a mapping of limits")
        wrong = sorted(str(key) for key in set(row) - {"position", *QUANTITIES, "type"})
        if wrong:
            raise ReportError(f"{where}.{wrong[0]}: is not a limit; remove it")
        kind = row.get("type", "revolute")
        if kind not in ("revolute", "continuous", "prismatic"):
            raise ReportError(f"{where}.type: must be revolute, continuous or prismatic")
        low: float | None = None
        high: float | None = None
        if row.get("position") is not None:
            pair = row["position"]
            if not (isinstance(pair, list) and len(pair) == 2):
                raise ReportError(f"{where}.position: must be [lower, upper]")
            low, high = (_number(f"{where}.position", value) for value in pair)
        peaks = [
            None if row.get(key) is None else _number(f"{where}.{key}", row[key], positive=True)
            for key in QUANTITIES
        ]
        joints[str(name)] = _ordered(where, JointLimit(str(name), kind, low, high, *peaks))
    resolution = None
    encoder = values.get("encoder")
    if isinstance(encoder, dict):
        ticks = _number(f"{path}: encoder.ticks_per_turn", encoder.get("ticks_per_turn"), True)
        resolution = 2.0 * math.pi / ticks
    return LimitSet(str(values["robot"]), joints, resolution, frozenset(joints))


def _joint_limits(values: Any) -> dict[Any, Any] | None:
    """Find the table of joint limits; ros2_control's stands within a node's parameters."""
    for _ in range(3):
        if not isinstance(values, dict):
            return None
        if isinstance(values.get("joint_limits"), dict):
            table: dict[Any, Any] = values["joint_limits"]
            return table
        values = values.get("ros__parameters") or next(iter(values.values()), None)
    return None


def _moveit(path: Path, name: str, row: Any) -> JointLimit:
    where = f"{path}: joint_limits.{name}"
    if not isinstance(row, dict):
        raise ReportError(f"{where}: must be a mapping such as {{max_velocity: 1.0}}")
    found: dict[str, float | None] = {}
    for key, value, has in (
        ("lower", "min_position", "has_position_limits"),
        ("upper", "max_position", "has_position_limits"),
        ("velocity", "max_velocity", "has_velocity_limits"),
        ("acceleration", "max_acceleration", "has_acceleration_limits"),
        ("jerk", "max_jerk", "has_jerk_limits"),
    ):
        switched = row.get(has, value in row)
        if not isinstance(switched, bool):
            raise ReportError(f"{where}.{has}: must be true or false")
        if switched and value not in row and key not in ("lower", "upper"):
            raise ReportError(f"{where}.{value}: is missing, and {has} is true; add it")
        given = switched and row.get(value) is not None
        positive = key not in ("lower", "upper")
        found[key] = _number(f"{where}.{value}", row[value], positive) if given else None
    turns = row.get("angle_wraparound") is True
    return _ordered(where, JointLimit(name, "continuous" if turns else "", **found))


def _ordered(where: str, limit: JointLimit) -> JointLimit:
    if limit.lower is not None and limit.upper is not None and not limit.lower < limit.upper:
        raise ReportError(f"{where}: lower must be below upper: [{limit.lower}, {limit.upper}]")
    return limit


def _number(where: str, value: Any, positive: bool = False) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ReportError(f"{where}: must be a finite number, but is {value!r}")
    if positive and not value > 0:
        raise ReportError(f"{where}: must be positive, but is {value}")
    return float(value)
