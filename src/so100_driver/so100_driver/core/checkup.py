# SPDX-License-Identifier: Apache-2.0
"""What is wrong with an arm that does nothing but answer: each finding with its remedy.

Nothing here switches torque on or writes a register.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from .calibration import JOINTS, Calibration
from .proof import judge_file, judge_kept
from .registers import MODEL_NUMBER, errors_in

# Registers that are read of each servo.
READ = (
    "Model_Number",
    "Firmware_Major_Version",
    "Firmware_Minor_Version",
    "Return_Delay_Time",
    "Phase",
    "Homing_Offset",
    "Min_Position_Limit",
    "Max_Position_Limit",
    "Operating_Mode",
    "Torque_Enable",
    "Acceleration",
    "Present_Position",
    "Present_Voltage",
    "Present_Temperature",
    "Status",
)
# The two supplies for which the servos are sold, V.
SUPPLIES_V = ((6.0, 8.4), (11.0, 12.6))
# Plans of the SO-101 accelerate by up to 10 rad/s^2; a unit of the register is 100 ticks/s^2.
_LEAST_ACCELERATION = 66
_LARGEST_TEMPERATURE_C = 55
_PHASE_MULTI_TURN = 0x10


class Grade(Enum):
    """How bad a finding is."""

    OK = "ok"
    NOTE = "note"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        grade: How bad it is.
        subject: What was looked at.
        seen: What was found.
        remedy: What to do; empty where nothing is to be done.
    """

    grade: Grade
    subject: str
    seen: str
    remedy: str = ""

    def __str__(self) -> str:
        """Return it as one line."""
        line = f"{self.grade.value:4}  {self.subject}: {self.seen}"
        return f"{line}\n      -> {self.remedy}" if self.remedy else line


def _ok(subject: str, seen: str) -> Finding:
    return Finding(Grade.OK, subject, seen)


def _fail(subject: str, seen: str, remedy: str) -> Finding:
    return Finding(Grade.FAIL, subject, seen, remedy)


def judge_ids(found: set[int], garbled: set[int]) -> list[Finding]:
    """Judge which ids answer.

    Args:
        found: Ids with a valid answer.
        garbled: Ids to which something answers that cannot be read.
    """
    findings = []
    for servo_id in sorted(garbled):
        findings.append(
            _fail(
                f"id {servo_id}",
                "its answers cannot be read: two servos share it, or the wire is bad",
                "connect the servos one at a time and run `so101 setup-motors`",
            )
        )
    wanted = dict(enumerate(JOINTS, start=1))
    for servo_id in sorted(set(wanted) - found - garbled):
        findings.append(
            _fail(
                f"id {servo_id} ({wanted[servo_id]})",
                "no answer",
                "look at the cable to this servo and the one before it; a new servo has the id 1: "
                "`so101 setup-motors`",
            )
        )
    for servo_id in sorted(found - set(wanted)):
        findings.append(
            _fail(
                f"id {servo_id}",
                "an id of no joint answers",
                "give it its id: `so101 setup-motors`",
            )
        )
    if not findings:
        findings.append(_ok("ids", "1 to 6 answer"))
    return findings


def judge_registers(values: Mapping[int, Mapping[str, int]]) -> list[Finding]:
    """Judge what each servo says of itself; `values` holds the registers of `READ` by id."""
    findings: list[Finding] = []
    for servo_id, row in sorted(values.items()):
        name = (
            f"{JOINTS[servo_id - 1]} ({servo_id})" if servo_id <= len(JOINTS) else f"id {servo_id}"
        )
        findings += _judge_servo(name, row)
    findings += _judge_firmware(values)
    findings += _judge_supply(values)
    return findings


def _judge_servo(name: str, row: Mapping[str, int]) -> list[Finding]:
    findings = []
    if row["Model_Number"] != MODEL_NUMBER:
        findings.append(
            _fail(
                name,
                f"model number {row['Model_Number']}",
                f"an STS3215 has {MODEL_NUMBER}; exchange it",
            )
        )
    if row["Operating_Mode"] != 0:
        findings.append(
            _fail(
                name,
                f"operating mode {row['Operating_Mode']}",
                "`so101 calibrate` sets 0, position",
            )
        )
    if row["Phase"] & _PHASE_MULTI_TURN:
        findings.append(
            _fail(name, "counts turns (bit 4 of Phase)", "`so101 calibrate` clears it")
        )
    faults = errors_in(row["Status"])
    if faults:
        findings.append(
            _fail(
                name,
                f"reports {', '.join(faults)}",
                "take the load off, let it cool, switch the supply off and on",
            )
        )
    if not (row["Present_Temperature"] <= _LARGEST_TEMPERATURE_C):
        findings.append(
            _fail(name, f"{row['Present_Temperature']} degrees C", "let it cool before it moves")
        )
    if row["Return_Delay_Time"] > 0:
        findings.append(
            Finding(
                Grade.NOTE,
                name,
                f"waits {2 * row['Return_Delay_Time']} us before each answer",
                "`so101 calibrate` sets 0; six servos at 100 Hz need it",
            )
        )
    if 0 < row["Acceleration"] < _LEAST_ACCELERATION:
        findings.append(
            Finding(
                Grade.NOTE,
                name,
                f"acceleration register {row['Acceleration']}: its profile re-shapes every plan",
                "the driver of this package writes 254; other programs may set it back",
            )
        )
    return findings or [_ok(name, "answers, position mode, no fault")]


def _judge_firmware(values: Mapping[int, Mapping[str, int]]) -> list[Finding]:
    versions = {
        f"{row['Firmware_Major_Version']}.{row['Firmware_Minor_Version']}"
        for row in values.values()
    }
    if len(versions) < 2:
        return [_ok("firmware", ", ".join(sorted(versions)) or "not read")]
    return [
        Finding(
            Grade.NOTE,
            "firmware",
            f"versions differ: {', '.join(sorted(versions))}",
            "LeRobot refuses such an arm; Feetech's FD program updates a servo",
        )
    ]


def _judge_supply(values: Mapping[int, Mapping[str, int]]) -> list[Finding]:
    volts = [row["Present_Voltage"] * 0.1 for row in values.values()]
    if not volts:
        return []
    low, high = min(volts), max(volts)
    for least, most in SUPPLIES_V:
        if least <= low and high <= most:
            return [_ok("supply", f"{low:.1f} to {high:.1f} V")]
    return [
        _fail(
            "supply",
            f"{low:.1f} to {high:.1f} V at the servos",
            "a 7.4 V arm needs 6.0 to 8.4 V at every servo, a 12 V arm 11.0 to 12.6 V: look at "
            "the supply and its plug before anything moves",
        )
    ]


def judge_calibration(
    calibration: Calibration, values: Mapping[int, Mapping[str, int]]
) -> list[Finding]:
    """Hold a calibration file against the description and what the servos keep."""
    found = [*judge_file(calibration), *judge_kept(calibration, values)]
    return [_fail(item.joint, f"{item.seen}: {item.cause}", item.remedy) for item in found] or [
        _ok("calibration", "the servos keep what the file says")
    ]
