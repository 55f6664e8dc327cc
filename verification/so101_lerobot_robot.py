# SPDX-License-Identifier: Apache-2.0
"""LeRobot's own robot, `SO101Follower`, on the simulated arm: what it sees, does and leaves.

    PYTHONPATH=src/so100_driver LEROBOT/bin/python -m verification.so101_lerobot_robot \
        --rounds 20 --out docs/measurements

It loads a calibration file of this package's, connects, and sends the arm to poses drawn at
random. At rest, what it observes is held against what the driver makes of the same registers and
file, and the goals that the servos keep against what it was told. `so101_lerobot` says how to make
the environment.
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

from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig

from so100_driver.bus import ServoBus
from so100_driver.core.calibration import JOINTS, load
from so100_driver.core.registers import RAD_PER_TICK
from so100_driver.sim_bus.arm import simulated_so101, so101_calibration
from so100_driver.sim_bus.port import SimulatedPort
from verification.outcome import tell
from verification.so101_lerobot import TOLERANCE, patient

POSE = (0.0, -0.4, 0.4, 0.3, 0.0, 0.5)
# How far a pose is drawn from the middle, degrees, and for the gripper percent.
SPREAD = 15.0
AT_REST, REST_S = 5, 30.0


def at_rest(bus: ServoBus, ids: list[int]) -> dict[int, int]:
    """Return where the servos stand, ticks, once they have said the same several times.

    Raises:
        RuntimeError: They do not come to rest.
    """
    ends_s = time.monotonic() + REST_S
    same, before = 0, dict[int, int]()
    while same < AT_REST:
        if time.monotonic() > ends_s:
            raise RuntimeError("the arm does not come to rest")
        time.sleep(0.05)
        now = {servo_id: bus.read(servo_id, "Present_Position") for servo_id in ids}
        same, before = (same + 1 if now == before else 0), now
    return before


def main() -> int:
    """Compare; return 0 where nothing differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    generator = random.Random(7)
    differing: list[str] = []
    furthest = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "arm.json"
        file.write_text(so101_calibration().to_text(), encoding="utf-8")
        calibration = load(file)
        port = SimulatedPort(simulated_so101(POSE, now_s=time.monotonic()))
        robot = SO101Follower(
            SO101FollowerConfig(port=str(port.path), id="arm", calibration_dir=Path(scratch))
        )
        robot.bus.port_handler.setPacketTimeout = partial(patient, robot.bus.port_handler)
        robot.connect()
        if not robot.is_calibrated:
            differing.append("it takes the arm for one that is not calibrated")
        ids = [item.servo_id for item in calibration.joints.values()]
        with ServoBus(str(port.path), timeout_s=2.0) as ours:
            middle = robot.get_observation()
            for number in range(given.rounds):
                action = {
                    key: min(100.0, max(0.0, told)) if key == "gripper.pos" else told
                    for key, told in (
                        (key, value + generator.uniform(-SPREAD, SPREAD))
                        for key, value in middle.items()
                    )
                }
                if robot.send_action(action) != action:
                    differing.append(f"{number}: what it says it sent")
                stand = at_rest(ours, ids)
                seen = robot.get_observation()
                for name in JOINTS:
                    item = calibration.joints[name]
                    gripper = name == "gripper"
                    unit = item.percent if gripper else item.degrees
                    back = item.ticks_of_percent if gripper else item.ticks_of_degrees
                    ticks = stand[item.servo_id]
                    if not abs(seen[f"{name}.pos"] - unit(ticks)) <= TOLERANCE:
                        differing.append(f"{number}: {name}: {seen[f'{name}.pos']} {unit(ticks)}")
                    goal = ours.read(item.servo_id, "Goal_Position")
                    if goal != int(back(action[f"{name}.pos"]) + TOLERANCE):
                        differing.append(f"{number}: {name}: goal {goal}")
                    furthest = max(furthest, abs(goal - ticks) * RAD_PER_TICK)
            robot.disconnect()
            torque = [ours.read(servo_id, "Torque_Enable") for servo_id in ids]
        port.close()
    outcome = {
        "lerobot": version("lerobot"),
        "actions": given.rounds,
        "observations": given.rounds * len(JOINTS),
        "furthest_from_goal_at_rest_rad": round(furthest, 4),
        "torque_after_disconnect": torque,
        "differing": differing,
    }
    return tell("so101_lerobot_robot", outcome, given.out)


if __name__ == "__main__":
    sys.exit(main())
