# SPDX-License-Identifier: Apache-2.0
"""A port that comes back with another arm behind it, as when a hub names its ports anew."""

import numpy as np
import pytest
from arm_rig import ELBOW, Rig

from so100_driver.core.orders import ArmMode
from so100_driver.core.registers import STS3215


def exchanged(rig, *, torque=0, joints=range(6)):
    """Put another arm's servos in the place of these."""
    for joint in joints:
        servo = rig.bus.servos[joint]
        servo.keep("Homing_Offset", 300)
        servo.restart()
        servo.write(STS3215["Torque_Enable"].address, bytes((torque,)))


def pulled(rig, kind):
    if kind == "port":
        rig.wire.unplug()
    else:
        rig.bus.faults.unplugged = True
    return rig.run(1.5)


def put_back(rig, kind):
    if kind == "port":
        rig.wire.cable_in = True
    else:
        rig.bus.faults.unplugged = False
    # The port is looked for less and less often.
    return rig.run(3.0)


@pytest.mark.parametrize("kind", ["port", "bus"])
def test_another_arm_at_the_same_port_gets_no_torque_and_no_goals(kind):
    rig = pulled(Rig().held(), kind)
    exchanged(rig)
    goals = [servo.get("Goal_Position") for servo in rig.bus.servos]
    put_back(rig, kind)
    assert rig.torque == [0] * 6
    assert [servo.get("Goal_Position") for servo in rig.bus.servos] == goals
    assert rig.arm.mode is ArmMode.HOLDING
    assert "is another servo than before (Homing_Offset is 300, was 0)" in rig.words
    assert "no answer" in rig.arm.clear_faults(rig.now_s)
    assert rig.send() != ""


@pytest.mark.parametrize("kind", ["port", "bus"])
def test_another_arm_that_has_torque_is_not_moved(kind):
    rig = pulled(Rig().held(), kind)
    exchanged(rig, torque=1)
    stood = rig.angles
    assert np.abs(put_back(rig, kind).angles - stood).max() < 0.06
    assert rig.torque == [1] * 6


@pytest.mark.parametrize("kind", ["port", "bus"])
def test_the_right_arm_plugged_in_after_the_wrong_one_is_cleared_and_goes_on(kind):
    rig = pulled(Rig().held(), kind)
    exchanged(rig)
    pulled(put_back(rig, kind), kind)
    for servo in rig.bus.servos:
        servo.keep("Homing_Offset", 0)
        servo.restart()
    put_back(rig, kind)
    assert rig.torque == [1] * 6, rig.words
    assert rig.arm.clear_faults(rig.now_s) == ""
    assert rig.send() == ""


def test_one_servo_that_was_exchanged_while_its_cable_was_out_gets_no_torque():
    rig = Rig().held()
    rig.bus.faults.unpowered = {ELBOW + 1}
    rig.run(1.5)
    exchanged(rig, joints=[ELBOW])
    rig.bus.faults.unpowered = set()
    rig.run(1.0)
    assert rig.torque == [1, 1, 0, 1, 1, 1]
    assert "elbow_flex is another servo" in rig.words


def test_a_homing_that_another_program_wrote_is_named_when_torque_is_asked_for():
    rig = Rig().run(0.1)
    rig.bus.servos[ELBOW].keep("Homing_Offset", 10)
    rig.run(0.5)
    assert "elbow_flex" in rig.arm.torque_on(rig.now_s)
    assert "Homing_Offset is 10, was 0" in rig.arm.torque_on(rig.now_s)
    rig.bus.servos[ELBOW].keep("Homing_Offset", 0)
    # It is looked at once a second, and then has to answer alike.
    rig.run(2.0)
    assert rig.arm.torque_on(rig.now_s) == ""


@pytest.mark.parametrize(("ticks", "within_s"), [(10, 5.0), (200, 0.2)])
def test_a_homing_that_is_written_while_the_arm_has_torque_makes_it_hold_by_name(ticks, within_s):
    rig = Rig().held()
    move = rig.moving("shoulder_pan", 0.1)
    rig.run(0.3, move)
    rig.bus.servos[ELBOW].keep("Homing_Offset", ticks)
    rig.run(within_s, move)
    assert rig.arm.mode is ArmMode.HOLDING, rig.words
    assert (
        f"elbow_flex is another servo than before (Homing_Offset is {ticks}, was 0)" in rig.words
    )


def test_the_same_arm_is_known_again_at_once_and_nothing_is_said_of_it():
    rig = put_back(pulled(Rig().held(), "port"), "port")
    assert "another servo" not in rig.words
    assert rig.send() == ""
