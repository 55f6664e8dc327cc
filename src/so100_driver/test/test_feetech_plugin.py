# SPDX-License-Identifier: Apache-2.0
"""An arm for the usual ros2_control plugin: what is examined before it gets the port."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from so100_driver.cli.prove import keep
from so100_driver.connection import DriverError
from so100_driver.core.calibration import JOINTS
from so100_driver.feetech_plugin import disagreement, examine
from so100_driver.sim_bus.arm import REST_RAD, so101_calibration
from vla_contract.robot import load_robot

ROBOT = load_robot(Path(__file__).parents[3] / "config" / "robots" / "so101" / "robot.yaml")
SLOWER = replace(ROBOT, limits=replace(ROBOT.limits, acceleration=np.full(5, 7.6)))
# What each servo shows at its joint's zero, as the proof found it; the arm's are 2048.
ZEROS = dict.fromkeys(JOINTS, 2048.0)


@pytest.fixture
def proved(tmp_path):
    path = tmp_path / "arm.json"
    path.write_text(so101_calibration().to_text())
    keep(path, so101_calibration(), ZEROS)
    return path


def test_the_plugin_is_told_ids_and_zeros_and_where_the_arm_is(port, proved, tmp_path):
    arm = examine(str(port.path), str(proved), SLOWER)
    arm.write(tmp_path / "servos.yaml")
    written = json.loads((tmp_path / "servos.yaml").read_text())
    assert written == {
        name: {"id": number, "offset": 2048} for number, name in enumerate(JOINTS, start=1)
    }
    assert arm.pose == pytest.approx(dict(zip(JOINTS, REST_RAD, strict=True)), abs=0.12)
    # The port is the plugin's now, and nothing was switched on.
    examine(str(port.path), str(proved), SLOWER)
    with port.bus() as bus:
        assert [servo.get("Torque_Enable") for servo in bus.servos] == [0] * 6


def test_plans_that_are_faster_than_the_plugin_are_refused_before_the_port_is_opened():
    with pytest.raises(DriverError, match=r"shoulder_pan: .* 10 rad/s\^2, .* 7\.67"):
        examine("/dev/no_port", "/no/file", ROBOT)
    fast = replace(SLOWER, limits=replace(SLOWER.limits, velocity=np.array([2, 2, 2, 4, 2])))
    with pytest.raises(DriverError, match="wrist_flex: plans move by up to 4 rad/s"):
        examine("/dev/no_port", "/no/file", fast)


def test_a_calibration_that_was_not_proved_is_refused(port, proved):
    proved.with_suffix(".proof.json").unlink()
    with pytest.raises(DriverError, match="so101 prove"):
        examine(str(port.path), str(proved), SLOWER)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ({"elbow_flex": 1.6, "gripper": 0.0}, ""),
        ({"elbow_flex": 1.64, "gripper": 0.0, "another": 9.0}, ""),
        (
            {"elbow_flex": 1.6 - 3.1416, "gripper": 0.0},
            "elbow_flex: the plugin shows it at -1.542",
        ),
        ({"elbow_flex": float("nan"), "gripper": 0.0}, "elbow_flex: the plugin shows it at +nan"),
        ({"elbow_flex": 1.6}, "gripper: the plugin tells nothing of it"),
    ],
)
def test_a_plugin_with_another_zero_is_named(shown, words):
    found = disagreement({"elbow_flex": 1.6, "gripper": 0.0}, shown)
    assert found.startswith(words)
    assert bool(found) == bool(words)
