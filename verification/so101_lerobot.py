# SPDX-License-Identifier: Apache-2.0
"""LeRobot's own bus and this driver on one simulated bus: the same values?

    python -m venv LEROBOT && LEROBOT/bin/pip install lerobot feetech-servo-sdk rustypot
    PYTHONPATH=src/so100_driver LEROBOT/bin/python -m verification.so101_lerobot --rounds 100 \
        --out docs/measurements

LeRobot's `FeetechMotorsBus`, with the motors of its SO-101, connects to the arm, configures the
servos and gives them a calibration drawn at random. In each round the servos are somewhere else:
what LeRobot observes is held against what the driver makes of the same registers and file, and
what LeRobot is told to do against what the driver reads then. The calibration file is written by
LeRobot's own writer, read and written by both, and compared to the byte.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import draccus
from lerobot.motors import Motor, MotorCalibration, MotorNormMode
from lerobot.motors.feetech import FeetechMotorsBus

from so100_driver.bus import ServoBus
from so100_driver.core.calibration import JOINTS, Calibration, JointCalibration, load, parse
from so100_driver.sim_bus.arm import simulated_so101, so101_calibration
from so100_driver.sim_bus.port import SimulatedPort
from verification.outcome import tell

CALIBRATIONS = 10
PATIENT_MS = 2000.0
# Both compute in double precision, by the same formula in another order.
TOLERANCE = 1e-9


def drawn(generator: random.Random) -> Calibration:
    """Return a calibration that a person's sweep could have left."""
    joints = {}
    for number, name in enumerate(JOINTS, start=1):
        low = generator.randint(0, 1500)
        ends = (0, 4095) if name == "wrist_roll" else (low, low + generator.randint(900, 2500))
        joints[name] = JointCalibration(number, 0, generator.randint(-2047, 2047), *ends)
    return Calibration(joints)


def as_theirs(calibration: Calibration) -> dict[str, MotorCalibration]:
    """Return LeRobot's objects of a calibration."""
    return {
        name: MotorCalibration(
            item.servo_id, item.drive_mode, item.homing_offset, item.range_min, item.range_max
        )
        for name, item in calibration.joints.items()
    }


def patient(handler: Any, packet_length: int) -> None:
    """Wait for an answer for as long as a busy host may take."""
    handler.packet_start_time = handler.getCurrentTime()
    handler.packet_timeout = PATIENT_MS


def main() -> int:
    """Compare; return 0 where nothing differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    generator = random.Random(5)
    differing: list[str] = []
    observed = commanded = files = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bus = simulated_so101(now_s=time.monotonic())
        port = SimulatedPort(bus)
        motors = {
            name: Motor(
                number,
                "sts3215",
                MotorNormMode.RANGE_0_100 if name == "gripper" else MotorNormMode.DEGREES,
            )
            for number, name in enumerate(JOINTS, start=1)
        }
        robot = FeetechMotorsBus(str(port.path), motors, as_theirs(so101_calibration()))
        robot.port_handler.setPacketTimeout = partial(patient, robot.port_handler)
        robot.connect()
        robot.configure_motors()
        # Nothing moves by itself: what is shown is what was put there.
        bus.advance = lambda now_s: None  # type: ignore[method-assign]
        for servo in bus.servos:
            servo._show = lambda: None  # type: ignore[method-assign]
        with ServoBus(str(port.path), timeout_s=2.0) as ours:
            for number in range(given.rounds):
                if number % max(1, given.rounds // CALIBRATIONS) == 0:
                    files += 1
                    calibration = drawn(generator)
                    robot.write_calibration(as_theirs(calibration))
                    if robot.read_calibration() != as_theirs(calibration):
                        differing.append(f"{number}: what LeRobot reads back")
                    file = folder / "arm.json"
                    with file.open("w") as stream, draccus.config_type("json"):
                        draccus.dump(as_theirs(calibration), stream, indent=4)
                    theirs = file.read_text()
                    if calibration.to_text() != theirs or parse(theirs, "").to_text() != theirs:
                        differing.append(f"{number}: the file")
                    if load(file).joints != calibration.joints:
                        differing.append(f"{number}: what the file says")
                    for item in calibration.joints.values():
                        kept = tuple(
                            ours.read(item.servo_id, name)
                            for name in (
                                *("Homing_Offset", "Min_Position_Limit", "Max_Position_Limit"),
                            )
                        )
                        if kept != (item.homing_offset, item.range_min, item.range_max):
                            differing.append(f"{number}: what servo {item.servo_id} keeps")
                with port.bus() as served:
                    for servo in served.servos:
                        servo.set("Present_Position", generator.randint(0, 4095))
                seen = robot.sync_read("Present_Position")
                for name, item in calibration.joints.items():
                    observed += 1
                    ticks = ours.read(item.servo_id, "Present_Position")
                    unit = item.percent if name == "gripper" else item.degrees
                    if not abs(seen[name] - unit(ticks)) <= TOLERANCE:
                        differing.append(f"{number}: {name}: {seen[name]} {unit(ticks)}")
                wanted = {
                    name: generator.uniform(0.0, 100.0)
                    if name == "gripper"
                    else item.degrees(generator.uniform(item.range_min, item.range_max))
                    for name, item in calibration.joints.items()
                }
                robot.sync_write("Goal_Position", wanted)
                for name, item in calibration.joints.items():
                    commanded += 1
                    back = item.ticks_of_percent if name == "gripper" else item.ticks_of_degrees
                    # LeRobot cuts off what is behind the point.
                    expected = int(back(wanted[name]) + TOLERANCE)
                    goal = ours.read(item.servo_id, "Goal_Position")
                    if goal != expected:
                        differing.append(f"{number}: {name}: goal {goal}, expected {expected}")
        robot.port_handler.closePort()
        port.close()
    outcome = {
        "lerobot": version("lerobot"),
        "rounds": given.rounds,
        "observations": observed,
        "goals": commanded,
        "calibration_files": files,
        "differing": differing,
    }
    return tell("so101_lerobot", outcome, given.out)


if __name__ == "__main__":
    sys.exit(main())
