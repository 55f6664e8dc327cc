# SPDX-License-Identifier: Apache-2.0
"""Calibrate an arm as LeRobot does, step by step; with a dry run that writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ..core.calibration import JOINTS, Calibration, JointCalibration
from ..core.proof import judge_file
from ..core.registers import TICKS_PER_TURN
from ..core.scale import FULL_TURN_TICKS, HOMED_TICKS, turned_ticks
from .guide import Guide
from .prove import NotProvedError, Registers

_PERIOD_S = 0.02
_LARGEST_OFFSET = 2047
# As LeRobot configures a follower: gains, no delay, and a gripper that does not burn.
_SETTINGS: Mapping[str, int] = {
    "Return_Delay_Time": 0,
    "Operating_Mode": 0,
    "P_Coefficient": 16,
    "I_Coefficient": 0,
    "D_Coefficient": 32,
}
_GRIPPER_SETTINGS: Mapping[str, int] = {
    "Max_Torque_Limit": 500,
    "Protection_Current": 250,
    "Overload_Torque": 25,
}
_PHASE_MULTI_TURN = 0x10


def calibrate(
    bus: Registers,
    guide: Guide,
    dry_run: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Calibration:
    """Lead a person through a calibration, and write it into the servos.

    Args:
        bus: The servos.
        guide: Leads the person.
        dry_run: Write nothing into any servo.
        sleep: Between two looks at the joints.

    Returns:
        What LeRobot's file will hold.

    Raises:
        NotProvedError: What was recorded cannot be this arm's; nothing is written.
        BusError: A servo does not answer.
        StoppedByPersonError: The person ended it; nothing is written.
    """
    numbers = {name: number for number, name in enumerate(JOINTS, start=1)}
    pushing = [name for name, number in numbers.items() if bus.read(number, "Torque_Enable")]
    if pushing:
        guide.wait(
            f"{', '.join(pushing)} has torque, which will be switched off now. Support the arm "
            "with a hand."
        )
        if not dry_run:
            for name in pushing:
                bus.write(numbers[name], "Torque_Enable", 0)
    guide.wait(
        "Put every joint near the MIDDLE of its range: upper arm upright, forearm level and\n"
        "   pointing forward, hand straight ahead and level, gripper half open."
    )
    # What the encoder shows before homing: independent of what any program wrote.
    raw = {name: _raw(bus, number) for name, number in numbers.items()}
    offsets = {name: _offset(ticks) for name, ticks in raw.items()}
    guide.say(
        "Now move every joint but wrist_roll to both of its ends, slowly, the gripper too.\n"
        ">> Enter when all have been there; Ctrl-C ends this."
    )
    track = dict.fromkeys(JOINTS, HOMED_TICKS)
    last = dict(raw)
    lowest, highest = dict(track), dict(track)
    while True:
        at_it = guide.waiting()
        for name, number in numbers.items():
            now = _raw(bus, number)
            track[name] += turned_ticks(last[name], now)
            last[name] = now
            lowest[name] = min(lowest[name], track[name])
            highest[name] = max(highest[name], track[name])
        if not at_it:
            break
        sleep(_PERIOD_S)
    lowest["wrist_roll"], highest["wrist_roll"] = 0, FULL_TURN_TICKS
    calibration = Calibration(
        {
            name: JointCalibration(
                numbers[name],
                0,
                offsets[name],
                max(0, lowest[name]),
                min(FULL_TURN_TICKS, highest[name]),
            )
            for name in JOINTS
        }
    )
    for name in JOINTS:
        guide.say(f"{name:15} {lowest[name]:5} to {highest[name]:5}")
    mismatches = judge_file(calibration)
    if mismatches:
        raise NotProvedError(mismatches)
    if dry_run:
        guide.say("dry run: nothing was written into the servos")
        return calibration
    for name, joint in calibration.joints.items():
        _write(bus, name, joint)
    return calibration


def _raw(bus: Registers, number: int) -> int:
    """Return what the encoder shows before homing, ticks."""
    shown = bus.read(number, "Present_Position") + bus.read(number, "Homing_Offset")
    return shown % TICKS_PER_TURN


def _offset(raw: int) -> int:
    """Return the homing with which the servo shows the middle where it is now."""
    return max(-_LARGEST_OFFSET, min(_LARGEST_OFFSET, raw - HOMED_TICKS))


def _write(bus: Registers, name: str, joint: JointCalibration) -> None:
    settings = dict(_SETTINGS)
    if name == "gripper":
        settings.update(_GRIPPER_SETTINGS)
    number = joint.servo_id
    settings["Phase"] = bus.read(number, "Phase") & ~_PHASE_MULTI_TURN
    settings["Homing_Offset"] = joint.homing_offset
    settings["Min_Position_Limit"] = joint.range_min
    settings["Max_Position_Limit"] = joint.range_max
    bus.write(number, "Lock", 0)
    try:
        for register, value in settings.items():
            bus.write(number, register, value)
    finally:
        bus.write(number, "Lock", 1)
