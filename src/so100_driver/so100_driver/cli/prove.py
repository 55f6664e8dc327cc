# SPDX-License-Identifier: Apache-2.0
"""Find out, before any torque, whether a calibration is this arm's; then keep the proof."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ..bus import BusError
from ..core.calibration import JOINTS, Calibration
from ..core.checkup import READ, Grade, judge_registers
from ..core.description import RANGES_RAD, REST_RAD, TURNS
from ..core.gentle import TORQUE_SHARE, GentleClosing
from ..core.proof import (
    Mismatch,
    judge_file,
    judge_kept,
    judge_pose,
    judge_stop,
    judge_turn,
)
from ..core.proved import CalibrationProof, digest_of, save_proof
from ..core.scale import scales_of, zero_of
from .guide import Guide

_PERIOD_S = 0.02
_PATIENCE = 25


class Registers(Protocol):
    """What a guided command needs of a bus; `ServoBus` has it."""

    def read(self, servo_id: int, name: str) -> int:
        """Return a register's value; raise BusError."""

    def write(self, servo_id: int, name: str, value: int) -> None:
        """Write a register with an answer; raise BusError."""


class NotProvedError(Exception):
    """The calibration is not this arm's. Every line says which joint, and why."""

    def __init__(self, mismatches: Sequence[Mismatch]) -> None:
        super().__init__("\n".join(map(str, mismatches)))
        self.mismatches = tuple(mismatches)


def shown_by(bus: Registers, calibration: Calibration) -> dict[str, int]:
    """Return the position that each joint's servo shows, ticks.

    Raises:
        BusError: One does not answer.
    """
    return {
        name: bus.read(calibration.joints[name].servo_id, "Present_Position") for name in JOINTS
    }


def prove_at_rest(bus: Registers, calibration: Calibration, guide: Guide) -> dict[str, float]:
    """Prove a calibration without any torque.

    Returns:
        What each servo shows at the description's zero, ticks.

    Raises:
        NotProvedError: It is not this arm's.
        BusError: A servo does not answer.
        StoppedByPersonError: The person ended it.
    """
    mismatches = judge_file(calibration)
    if mismatches:
        raise NotProvedError(mismatches)
    kept = {number: {name: bus.read(number, name) for name in READ} for number in range(1, 7)}
    faults = [item for item in judge_registers(kept) if item.grade is Grade.FAIL]
    if faults:
        raise BusError("\n".join(map(str, faults)))
    pushing = [
        name for name, row in zip(JOINTS, kept.values(), strict=True) if row["Torque_Enable"]
    ]
    if pushing:
        raise BusError(
            f"{', '.join(pushing)} has torque: end the program that drives the arm, and switch "
            "its torque off"
        )
    mismatches = judge_kept(calibration, kept)
    if mismatches:
        raise NotProvedError(mismatches)
    zeros = {
        name: zero_of((joint.range_min, joint.range_max), RANGES_RAD[name])
        for name, joint in calibration.joints.items()
    }
    scales = scales_of(calibration, RANGES_RAD, zeros)
    guide.wait(
        "Fold the arm onto its rest: upper arm tipped back, forearm folded over it, gripper "
        "closed,\n   the hand straight ahead and its jaws side by side."
    )
    shown = shown_by(bus, calibration)
    guide.say("joint            should be    is read at")
    for name in JOINTS:
        guide.say(
            f"{name:15} {math.degrees(REST_RAD[name]):+7.0f} deg "
            f"{math.degrees(scales[name].radians(shown[name])):+8.0f} deg"
        )
    mismatches = judge_pose(scales, shown)
    if mismatches:
        raise NotProvedError(mismatches)
    for name in JOINTS:
        before = shown_by(bus, calibration)
        guide.wait(f"{name}: {TURNS[name].words}. Leave it there.")
        mismatches = judge_turn(name, before, shown_by(bus, calibration))
        if mismatches:
            raise NotProvedError(mismatches)
        guide.say(f"ok    {name}: the right servo, in the right direction")
    return zeros


def prove_gripper(
    bus: Registers,
    calibration: Calibration,
    guide: Guide,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Close the gripper gently, and hold where its jaws meet against the file.

    Raises:
        NotProvedError: The file's end is elsewhere.
        BusError: A servo does not answer, or no stop was found.
        StoppedByPersonError: The person ended it.
    """
    joint = calibration.joints["gripper"]
    guide.wait(
        f"The gripper will close slowly, with {TORQUE_SHARE:.0%} of its torque. Take fingers and "
        "things\n   out of it."
    )
    servo = joint.servo_id
    whole = bus.read(servo, "Torque_Limit")
    closing = GentleClosing(bus.read(servo, "Present_Position"))
    try:
        bus.write(servo, "Torque_Limit", round(1000 * TORQUE_SHARE))
        bus.write(servo, "Goal_Position", closing.start_ticks)
        bus.write(servo, "Torque_Enable", 1)
        while not closing.over:
            goal = closing.look(bus.read(servo, "Present_Position"), clock())
            bus.write(servo, "Goal_Position", goal)
            sleep(_PERIOD_S)
        for _ in range(_PATIENCE):
            sleep(_PERIOD_S)
    finally:
        bus.write(servo, "Torque_Enable", 0)
        bus.write(servo, "Torque_Limit", whole)
    if closing.stop_ticks is None:
        raise BusError(f"gripper: {closing.failed}; does it move, and does it close?")
    mismatches = judge_stop(joint, closing.stop_ticks)
    if mismatches:
        raise NotProvedError(mismatches)
    guide.say(
        f"ok    gripper: its stop is at {closing.stop_ticks}, the file has {joint.range_min}"
    )


def keep(path: Path, calibration: Calibration, zeros: Mapping[str, float]) -> Path:
    """Write the proof beside its calibration; return where."""
    return save_proof(path, CalibrationProof(digest_of(calibration), zeros))
