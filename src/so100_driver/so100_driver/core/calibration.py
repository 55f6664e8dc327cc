# SPDX-License-Identifier: Apache-2.0
"""LeRobot's calibration file, and the units between ticks, LeRobot's numbers and radians.

Source: LeRobot `motors_bus.py` (`MotorCalibration`, `_normalize`, `_unnormalize`): degrees are
`(ticks - (min + max) / 2) * 360 / 4095`, a gripper is 0 to 100 between its ends. The zero of those
degrees is the middle of the joint's range, not the zero of the description: `zero_ticks` is what a
radian of the description needs beside the file; `scale.py` has it, and `proof.py` tries it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .registers import STS3215, TICKS_PER_TURN

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
_KEYS = ("id", "drive_mode", "homing_offset", "range_min", "range_max")
_LARGEST_FILE = 64 * 1024
_DEGREES_PER_TICK = 360.0 / (TICKS_PER_TURN - 1)
_LEAST_RANGE_TICKS = 200


class CalibrationError(Exception):
    """A calibration file that cannot be used; one line says what to do."""


@dataclass(frozen=True)
class JointCalibration:
    """What LeRobot writes of one motor.

    Attributes:
        servo_id: Id on the bus.
        drive_mode: 0, or 1 where the direction is inverted (LeRobot's Feetech arms ignore it).
        homing_offset: Value of the register, ticks: shown position = encoder - offset.
        range_min: Lowest shown position that was reached, ticks.
        range_max: Highest.
    """

    servo_id: int
    drive_mode: int
    homing_offset: int
    range_min: int
    range_max: int

    @property
    def middle_ticks(self) -> float:
        """Return the position that LeRobot calls 0 degrees."""
        return (self.range_min + self.range_max) / 2.0

    def degrees(self, ticks: float) -> float:
        """Return LeRobot's degrees of a shown position."""
        return (ticks - self.middle_ticks) * _DEGREES_PER_TICK

    def ticks_of_degrees(self, degrees: float) -> float:
        """Return the shown position of LeRobot's degrees."""
        return degrees / _DEGREES_PER_TICK + self.middle_ticks

    def percent(self, ticks: float) -> float:
        """Return how far open a gripper is, 0 to 100, as LeRobot clips it."""
        bounded = min(self.range_max, max(self.range_min, ticks))
        return (bounded - self.range_min) / (self.range_max - self.range_min) * 100.0

    def ticks_of_percent(self, percent: float) -> float:
        """Return the shown position of a gripper that is this far open."""
        bounded = min(100.0, max(0.0, percent))
        return bounded / 100.0 * (self.range_max - self.range_min) + self.range_min


@dataclass(frozen=True)
class Calibration:
    """A calibration file.

    Attributes:
        joints: Each joint's, in the file's order.
        text: The file as it was read, so that writing it back changes no byte.
    """

    joints: dict[str, JointCalibration]
    text: str = ""

    def to_text(self) -> str:
        """Return the file as LeRobot writes it (`json.dump(..., indent=4)`)."""
        if self.text and parse(self.text, "").joints == self.joints:
            return self.text
        rows = {
            name: dict(
                zip(
                    _KEYS,
                    (
                        item.servo_id,
                        item.drive_mode,
                        item.homing_offset,
                        item.range_min,
                        item.range_max,
                    ),
                    strict=True,
                )
            )
            for name, item in self.joints.items()
        }
        return json.dumps(rows, indent=4)


def load(path: Path) -> Calibration:
    """Read a calibration file.

    Raises:
        CalibrationError: The file is missing or wrong.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise CalibrationError(
                f"{path}: {path.stat().st_size} bytes; a calibration has about 800"
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CalibrationError(
            f"{path}: {error.strerror}; give LeRobot's file "
            "(~/.cache/huggingface/lerobot/calibration/robots/so_follower/<id>.json) or run "
            "`so101 calibrate` or `lerobot-calibrate`"
        ) from error
    except UnicodeDecodeError as error:
        raise CalibrationError(f"{path}: not UTF-8 text") from error
    return parse(text, str(path))


def parse(text: str, where: str) -> Calibration:
    """Read a calibration from its text.

    Args:
        text: JSON.
        where: What to call it in errors.

    Raises:
        CalibrationError: The text is not a calibration of this arm.
    """
    try:
        data = json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CalibrationError(f"{where}: {error}") from error
    if not isinstance(data, dict):
        raise CalibrationError(f"{where}: expected one entry a joint, got {type(data).__name__}")
    missing = [name for name in JOINTS if name not in data]
    unknown = [name for name in data if name not in JOINTS]
    if missing or unknown:
        raise CalibrationError(
            f"{where}: joints {', '.join(JOINTS)} are expected; missing: "
            f"{', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
        )
    _refuse_other_units(data, where)
    joints = {name: _joint(name, row, where) for name, row in data.items()}
    owners: dict[int, str] = {}
    for name, item in joints.items():
        other = owners.setdefault(item.servo_id, name)
        if other != name:
            raise CalibrationError(f"{where}: {other} and {name} have the id {item.servo_id} both")
    return Calibration(joints, text)


def _refuse_other_units(data: dict[str, Any], where: str) -> None:
    """Refuse a file whose ranges are plainly not ticks, and say what they are."""
    ends = [
        row[key]
        for row in data.values()
        if isinstance(row, dict)
        for key in ("range_min", "range_max")
        if type(row.get(key)) in (int, float)
    ]
    if len(ends) != 2 * len(data):
        return
    largest = max(abs(end) for end in ends)
    for most, unit in ((7.0, "radians"), (100.0, "percent"), (360.0, "degrees")):
        if largest <= most:
            raise CalibrationError(
                f"{where}: its ranges are at most {largest:g}: {unit}, not ticks (0 to "
                f"{TICKS_PER_TURN - 1}); take the file that `lerobot-calibrate` or "
                "`so101 calibrate` wrote"
            )


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice} stands twice")
    return found


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no number of a calibration")


def _joint(name: str, row: Any, where: str) -> JointCalibration:
    if not isinstance(row, dict) or set(row) != set(_KEYS):
        raise CalibrationError(f"{where}: {name}: expected the keys {', '.join(_KEYS)}")
    for key in _KEYS:
        if type(row[key]) is not int:
            raise CalibrationError(
                f"{where}: {name}: {key} must be a whole number, got {row[key]!r}"
            )
    found = JointCalibration(*(row[key] for key in _KEYS))
    offset = STS3215["Homing_Offset"].largest
    ranges = (
        ("id", found.servo_id, 1, 253),
        ("drive_mode", found.drive_mode, 0, 1),
        ("homing_offset", found.homing_offset, -offset, offset),
        ("range_min", found.range_min, 0, TICKS_PER_TURN - 1),
        ("range_max", found.range_max, 0, TICKS_PER_TURN - 1),
    )
    for key, value, low, high in ranges:
        if not (low <= value <= high):
            raise CalibrationError(
                f"{where}: {name}: {key} is {value}; {low} to {high} is possible"
            )
    if found.range_max - found.range_min < _LEAST_RANGE_TICKS:
        ticks = found.range_max - found.range_min
        raise CalibrationError(
            f"{where}: {name}: its range is {ticks} ticks ({ticks * _DEGREES_PER_TICK:.0f} deg): "
            "it was hardly moved while the range was recorded; calibrate again"
        )
    return found
