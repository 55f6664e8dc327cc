# SPDX-License-Identifier: Apache-2.0
"""Whether a calibration is this arm's: found out before any torque, and told by joint and cause.

What is compared: the file with itself and with the description, the file with what the servos
keep, a pose that a person puts the arm into, and joints that a person turns one by one. Angles are
set by eye, so the tolerances are wide; what is caught is what would throw the arm about.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .calibration import JOINTS, Calibration, JointCalibration
from .description import RANGES_RAD, REST_RAD, TURNS, gravity_nm
from .registers import RAD_PER_TICK, TICKS_PER_TURN
from .scale import FULL_TURN_TICKS, JointScale, turned_ticks, wrapped_rad

# Of the description's range: what a careful sweep finds.
_LEAST_SHARE = 0.88
_LARGEST_SHARE = 1.10
# By eye: the tolerance of the rest pose, rad. How the hand lies differs from arm to arm.
_POSE_RAD = 0.4
_HAND_RAD = 0.9
_TURNED_TICKS = 150
_WEIGHS_NM = 0.15
_PUSHES = 0.03
GRIPPER_STOP_TICKS = 80
_NEW_SERVO = (0, 0, TICKS_PER_TURN - 1)


@dataclass(frozen=True)
class Mismatch:
    """Where a calibration and the arm disagree.

    Attributes:
        joint: Whose.
        seen: What was found.
        cause: What it likely is.
        remedy: What to do.
    """

    joint: str
    seen: str
    cause: str
    remedy: str = "run `so101 calibrate` again"

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.joint}: {self.seen}: {self.cause}; {self.remedy}"


def judge_file(calibration: Calibration) -> list[Mismatch]:
    """Hold a file against the description: ids, directions, widths of the ranges."""
    found = []
    for name in JOINTS:
        joint = calibration.joints[name]
        number = JOINTS.index(name) + 1
        if joint.servo_id != number:
            other = JOINTS[joint.servo_id - 1] if joint.servo_id <= len(JOINTS) else "nothing"
            found.append(
                Mismatch(
                    name,
                    f"has the id {joint.servo_id}, which is {other}'s",
                    "ids in another order than LeRobot's",
                    "give the file that belongs to the arm, or run `so101 setup-motors`",
                )
            )
        if joint.drive_mode:
            found.append(
                Mismatch(
                    name,
                    "drive_mode 1",
                    "a direction that LeRobot's Feetech arms ignore: it would be read two ways",
                )
            )
        found += _judge_range(name, joint)
    return found


def _judge_range(name: str, joint: JointCalibration) -> list[Mismatch]:
    low, high = RANGES_RAD[name]
    ticks = joint.range_max - joint.range_min
    if name == "wrist_roll" and ticks >= FULL_TURN_TICKS - 10:
        return []
    share = ticks * RAD_PER_TICK / (high - low)
    seen = f"its range is {math.degrees(ticks * RAD_PER_TICK):.0f} deg; the joint has "
    seen += f"{math.degrees(high - low):.0f}"
    if ticks >= FULL_TURN_TICKS - 10:
        cause = "its servo passed the encoder's end while the range was recorded"
        return [Mismatch(name, seen, cause)]
    if not (share <= _LARGEST_SHARE):
        beyond = "closes or opens beyond its stop" if name == "gripper" else "beyond its ends"
        return [Mismatch(name, seen, f"the range goes {beyond}")]
    if not (share >= _LEAST_SHARE):
        return [Mismatch(name, seen, "the range is cut: it was not moved to both ends")]
    return []


def judge_kept(calibration: Calibration, kept: Mapping[int, Mapping[str, int]]) -> list[Mismatch]:
    """Hold a file against what the servos keep.

    Args:
        calibration: The file.
        kept: `Homing_Offset`, `Min_Position_Limit`, `Max_Position_Limit` and `Present_Position`
            by servo.
    """
    found, off = [], {}
    for name, joint in calibration.joints.items():
        row = kept.get(joint.servo_id)
        if row is None:
            continue
        own = (row["Homing_Offset"], row["Min_Position_Limit"], row["Max_Position_Limit"])
        given = (joint.homing_offset, joint.range_min, joint.range_max)
        if own != given:
            off[name] = (own, given)
            continue
        shown = row["Present_Position"]
        slack = 100
        if not (joint.range_min - slack <= shown <= joint.range_max + slack):
            found.append(
                Mismatch(
                    name,
                    f"stands at {shown}, outside of {joint.range_min} to {joint.range_max}",
                    "half-turn homing in another pose, or its horn slipped since",
                )
            )
    for name, (own, given) in off.items():
        seen = f"homing, least, largest position: {own} in the servo, {given} in the file"
        if own == _NEW_SERVO:
            cause = "a servo that was exchanged, or whose calibration was erased"
            found.append(Mismatch(name, seen, cause))
        elif len(off) >= len(JOINTS) - 1:
            remedy = "give this arm's own file"
            found.append(Mismatch(name, seen, "this is another arm's file", remedy))
        else:
            cause = "another program calibrated this joint since"
            found.append(Mismatch(name, seen, cause, "take the newest file of this arm"))
    return found


def judge_pose(
    scales: Mapping[str, JointScale],
    shown: Mapping[str, int],
    expected_rad: Mapping[str, float] = REST_RAD,
) -> list[Mismatch]:
    """Hold where the arm was put against where the calibration says it is.

    Args:
        scales: By the calibration.
        shown: Position that each servo shows, ticks.
        expected_rad: The pose it was put into.
    """
    read = {name: scales[name].radians(shown[name]) for name in JOINTS}
    found = []
    for name in JOINTS:
        expected = expected_rad[name]
        tolerance = _HAND_RAD if name in ("wrist_flex", "gripper") else _POSE_RAD
        if abs(read[name] - expected) <= tolerance:
            continue
        found.append(
            Mismatch(
                name,
                f"should be at {expected:+.2f} rad and is read at {read[name]:+.2f}",
                _cause(name, read[name], expected, tolerance)
                + _swapped_with(name, read, expected_rad, tolerance),
            )
        )
    return found


def _swapped_with(
    name: str, read: Mapping[str, float], expected: Mapping[str, float], tolerance: float
) -> str:
    for other in JOINTS:
        if other != name and abs(expected[other] - expected[name]) > tolerance:
            here = abs(read[name] - expected[other]) <= tolerance
            there = abs(read[other] - expected[name]) <= tolerance
            if here and there:
                return f", or its id is swapped with {other}'s"
    return ""


def _cause(name: str, read: float, expected: float, tolerance: float) -> str:
    """Return what it may be, the likeliest first: one pose does not always tell them apart."""
    candidates = [(abs(abs(read - expected) - math.pi), "half-turn homing in another pose")]
    if abs(expected) > tolerance:
        candidates.append((abs(read + expected), "swapped sign"))
    if abs(read - expected) > math.pi:
        candidates.append((abs(wrapped_rad(read - expected)), "a whole turn off"))
    likely = [words for off, words in sorted(candidates) if off <= tolerance]
    if likely:
        return ", or ".join(likely)
    off = math.degrees(read - expected)
    if name == "gripper":
        return f"its zero is {off:+.0f} deg off: homed closed or open, and not by its stops"
    return f"its zero is {off:+.0f} deg off: a range cut on one side, or a horn that slipped"


def judge_turn(joint: str, before: Mapping[str, int], after: Mapping[str, int]) -> list[Mismatch]:
    """Judge which servo moved, and which way, when a person turned a joint.

    Args:
        joint: Which one, in the direction of its `TURNS`.
        before: Shown positions, ticks, by joint.
        after: And afterwards.
    """
    turned = {name: turned_ticks(before[name], after[name]) for name in JOINTS}
    most = max(turned, key=lambda name: abs(turned[name]))
    if not (abs(turned[most]) >= _TURNED_TICKS):
        return [
            Mismatch(
                joint,
                f"turned by {abs(turned[joint])} ticks only",
                "it was not moved, or its servo does not show it",
                "turn it further",
            )
        ]
    if most != joint:
        return [
            Mismatch(
                joint,
                f"when it was turned, the servo of {most} moved",
                "ids in another order",
                "run `so101 setup-motors`",
            )
        ]
    if turned[joint] * TURNS[joint].sign < 0:
        return [
            Mismatch(
                joint,
                f"turned by {turned[joint]:+d} ticks, the other way than the description",
                "swapped sign: the servo or its horn is mounted the other way round",
                "mount it as in the assembly guide",
            )
        ]
    return []


def judge_stop(joint: JointCalibration, stop_ticks: int) -> list[Mismatch]:
    """Judge where the gripper's jaws met.

    Args:
        joint: The gripper's.
        stop_ticks: Where it shows the stop, found gently.
    """
    beyond = stop_ticks - joint.range_min
    if abs(beyond) <= GRIPPER_STOP_TICKS:
        return []
    cause = (
        "'closed' lies beyond its stop: it would push against it for ever"
        if beyond > 0
        else "its stop lies beyond 'closed': it was not closed while its range was recorded"
    )
    return [Mismatch("gripper", f"its stop is {beyond:+d} ticks from the recorded end", cause)]


def judge_weight(angles_rad: Mapping[str, float], loads: Mapping[str, float]) -> list[Mismatch]:
    """Judge whether each joint that holds weight pushes upwards.

    Args:
        angles_rad: Where the arm holds.
        loads: Share of torque on each joint's own scale: positive pushes the angle up.
    """
    found = []
    for name, weight in gravity_nm(angles_rad).items():
        load = loads[name]
        if abs(weight) >= _WEIGHS_NM and abs(load) >= _PUSHES and load * weight > 0:
            found.append(
                Mismatch(
                    name,
                    f"its weight pulls with {weight:+.2f} N m and it pushes the same way "
                    f"(load {load:+.2f})",
                    "swapped sign, or another pose than the one that is read",
                )
            )
    return found
