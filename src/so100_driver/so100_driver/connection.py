# SPDX-License-Identifier: Apache-2.0
"""From a port and two files to an arm that can be driven, or one line that says why not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from vla_contract.robot import Robot

from .bus import BusError, ServoBus
from .control_loop import ControlLoop
from .core.arm import Arm
from .core.calibration import Calibration, CalibrationError, load
from .core.orders import ArmLimits
from .core.proof import judge_kept
from .core.proved import load_proof
from .core.scale import scales_of

_KEPT = ("Homing_Offset", "Min_Position_Limit", "Max_Position_Limit", "Present_Position")
# Nothing moves yet: a busy host is no reason to refuse an arm.
_PATIENT_S = 0.5


class DriverError(Exception):
    """The arm cannot be driven as asked; one line says why and what to do."""


def connect(
    port: str,
    calibration_file: str,
    ranges_rad: Mapping[str, tuple[float, float]],
    limits: ArmLimits,
    answer_timeout_s: float = 0.004,
) -> tuple[ServoBus, ControlLoop]:
    """Open a port and hold the arm against its calibration; write nothing.

    Args:
        port: Serial port.
        calibration_file: LeRobot's, proved on this arm.
        ranges_rad: Ends of each joint, rad, in the order of the published states.
        limits: How the arm behaves.
        answer_timeout_s: How long one answer may take.

    Raises:
        DriverError: It cannot be driven so.
    """
    path = Path(calibration_file).expanduser()
    try:
        calibration = load(path)
        proof = load_proof(path, calibration)
        missing = [name for name in calibration.joints if name not in ranges_rad]
        if missing or len(ranges_rad) != len(calibration.joints):
            raise DriverError(
                f"{path}: joints {', '.join(calibration.joints)}; the robot file has "
                f"{', '.join(ranges_rad)}"
            )
        with ServoBus(port, max(_PATIENT_S, answer_timeout_s)) as bus:
            _hold_against(bus, calibration, port, str(path))
        bus = ServoBus(port, answer_timeout_s)
    except (CalibrationError, BusError) as error:
        raise DriverError(str(error)) from error
    ordered = Calibration({name: calibration.joints[name] for name in ranges_rad})
    scales = scales_of(ordered, ranges_rad, proof.zeros)
    return bus, ControlLoop(bus, Arm(scales, limits), kept_by(calibration))


def _hold_against(bus: ServoBus, calibration: Calibration, port: str, file: str) -> None:
    remedy = f"`so101 doctor {port} --calibration {file}` says more"
    try:
        kept = {
            joint.servo_id: {name: bus.read(joint.servo_id, name) for name in _KEPT}
            for joint in calibration.joints.values()
        }
    except BusError as error:
        raise DriverError(f"{error}; {remedy}") from error
    mismatches = judge_kept(calibration, kept)
    if mismatches:
        raise DriverError(f"{mismatches[0]}; {remedy}")


def joints_of(robot: Robot) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    """Return the ends of each joint, rad, and its velocity limit, rad/s, the gripper's last."""
    limits, gripper = robot.limits, robot.gripper
    names = (*limits.joint_names, gripper.joint)
    lower = (*limits.position_lower.tolist(), gripper.position_lower)
    upper = (*limits.position_upper.tolist(), gripper.position_upper)
    ends = dict(zip(names, zip(lower, upper, strict=True), strict=True))
    return ends, dict(zip(names, (*limits.velocity.tolist(), gripper.velocity), strict=True))


def in_degrees(angles_rad: Mapping[str, float]) -> str:
    """Return a pose in words, for the log."""
    return ", ".join(f"{name} {math.degrees(angle):+.0f}" for name, angle in angles_rad.items())


def kept_by(calibration: Calibration) -> dict[int, dict[str, int]]:
    """Return what each servo keeps of a calibration, by its id and the register's name, ticks."""
    return {
        joint.servo_id: {
            "Homing_Offset": joint.homing_offset,
            "Min_Position_Limit": joint.range_min,
            "Max_Position_Limit": joint.range_max,
        }
        for joint in calibration.joints.values()
    }
