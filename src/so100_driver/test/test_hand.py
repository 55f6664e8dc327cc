# SPDX-License-Identifier: Apache-2.0
"""What a person types at a simulated arm, in a rehearsal. Time is given, but for the port's."""

import math
import subprocess
import sys

import pytest
from arm_rig import ELBOW, GRIPPER, Rig
from test_proof import passing

from so100_driver.cli.__main__ import main
from so100_driver.cli.calibrate import calibrate
from so100_driver.cli.prove import prove_at_rest, prove_gripper
from so100_driver.core.calibration import JOINTS
from so100_driver.core.description import TURNS
from so100_driver.sim_bus.arm import REST_RAD
from so100_driver.sim_bus.hand import HELP, ArmHand

LONGEST_MOVE_S = 15.0


class Typist:
    """Reads what a guided command asks for, and types it at the simulated arm."""

    def __init__(self, hand, sleep):
        self.hand, self.sleep, self.looks = hand, sleep, 0

    def type(self, line):
        assert self.hand.do(line) != HELP

    def say(self, text):
        if "to both of its ends" in text:
            self.type("sweep")
            self.looks = round(LONGEST_MOVE_S / 0.02)

    def wait(self, text):
        lines = {"MIDDLE": "middle", "Fold the arm": "rest", "gripper will close": "let go"}
        lines |= {turn.words: f"{name} {45 * turn.sign:+d}" for name, turn in TURNS.items()}
        for words, line in lines.items():
            if words in text:
                self.type(line)
                self.sleep(3.0 if line != "let go" else 0.0)

    def waiting(self):
        self.looks -= 1
        return self.looks > 0


def test_what_is_typed_leads_an_arm_from_no_calibration_to_its_proof():
    rig = Rig(pose=REST_RAD)
    for servo in rig.bus.servos:
        servo.angle_offset_ticks = 1500 + 300 * servo.servo_id
    sleep, clock = passing(rig)
    person = Typist(ArmHand(rig.bus), sleep)
    calibration = calibrate(rig.wire, person, sleep=sleep)
    assert set(prove_at_rest(rig.wire, calibration, person)) == set(JOINTS)
    prove_gripper(rig.wire, calibration, person, sleep, clock)


def test_a_hand_holds_a_joint_against_its_weight_until_it_lets_go():
    rig = Rig()
    sleep, _ = passing(rig)
    hand = ArmHand(rig.bus)
    before = rig.plant.encoder[ELBOW]
    assert hand.do("elbow_flex -30") == "elbow_flex turns by -30 degrees, and is held"
    sleep(5.0)
    held = rig.plant.encoder[ELBOW]
    assert held == pytest.approx(before - math.radians(30))
    hand.do("let go")
    sleep(1.0)
    assert abs(rig.plant.encoder[ELBOW] - held) > 0.01


def test_a_hand_takes_no_joint_beyond_its_stop():
    rig = Rig()
    sleep, _ = passing(rig)
    ArmHand(rig.bus).do("gripper 300")
    sleep(5.0)
    assert rig.plant.encoder[GRIPPER] == pytest.approx(rig.plant.high_rad[GRIPPER])


@pytest.mark.parametrize(
    "line", ["help", "elbow_flex", "elbow_flex far", "elbow_flex nan", "elbow 5", "alone 6", "let"]
)
def test_what_is_not_understood_moves_nothing_and_says_what_would_be(line):
    rig = Rig()
    assert ArmHand(rig.bus).do(line) == HELP
    assert not rig.plant.way_rad
    assert rig.bus.alone is None


def test_so101_simulate_takes_what_is_typed_and_goes_on_when_nobody_types_any_more(tmp_path):
    arm = subprocess.Popen(
        [sys.executable, "-m", "so100_driver.cli", "simulate", "--link", str(tmp_path / "arm")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert "answers at" in arm.stdout.readline()
    arm.stdin.write("let go\n")
    arm.stdin.close()
    assert arm.stdout.readline() == "nothing is held\n"
    assert main(["doctor", str(tmp_path / "arm")]) == 0
    arm.terminate()
    assert arm.wait(60) == 0
    arm.stdout.close()
