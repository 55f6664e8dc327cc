# SPDX-License-Identifier: Apache-2.0
"""A contract for a robot that nothing but other sources is to move: its policy only knows home.

The node that carries chunks out is the policy's, and needs a contract whose inputs are there.
"""

from __future__ import annotations

import json
from pathlib import Path

from vla_contract.robot import load_robot

ROW_S = 0.1
ROWS = 10


def resting_contract(robot_file: str | Path, folder: Path) -> Path:
    """Write such a contract for a robot, and what it refers to; return where it is.

    Args:
        robot_file: The robot's. Its joint states alone are asked for.
        folder: Is made where it is not there.

    Raises:
        RobotConfigError: The robot file is missing or wrong.
    """
    robot = load_robot(robot_file)
    joints = [*robot.limits.joint_names, robot.gripper.joint]
    home = [float(robot.home[name]) for name in joints]
    recording, contract = folder / "home.yaml", folder / "resting.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    # JSON is YAML, without the anchors that a dump of YAML makes of what it meets twice.
    motion = {"joint_names": joints, "dt_s": ROW_S, "positions": [home] * ROWS}
    recording.write_text(json.dumps(motion), encoding="utf-8")
    state = {
        "topic": "joint_states",
        "type": "sensor_msgs/msg/JointState",
        "field": "position",
        "joints": joints,
        "units": "rad",
        "max_age_s": 0.2,
    }
    replay = {"name": "replay", "options": {"file": str(recording), "rows": ROWS}}
    contract.write_text(
        json.dumps(
            {
                "policy": replay,
                "observation": {"observation.state": state},
                "action": {"joints": joints, "units": "rad"},
            }
        ),
        encoding="utf-8",
    )
    return contract
