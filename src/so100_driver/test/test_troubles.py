# SPDX-License-Identifier: Apache-2.0
"""What goes wrong while something else is wrong already, and what a person is told then."""

import numpy as np
from arm_rig import ELBOW, LIFT, Rig

from so100_driver.core.orders import ArmMode


def test_a_lowering_for_heat_that_a_silent_servo_ended_goes_on_once_that_answers():
    rig = Rig().held()

    def hot(rig):
        rig.bus.servos[LIFT].temperature_c = 65.0

    rig.run(0.5, hot)
    assert rig.arm.mode is ArmMode.LOWERING
    rig.bus.faults.silent = {5}
    rig.run(0.3, hot)
    assert rig.arm.mode is ArmMode.WAITING
    rig.bus.faults.silent = set()
    rig.run(10.0, hot)
    assert rig.arm.lowered, rig.words
    assert rig.arm.mode is ArmMode.HOLDING


def test_a_lowering_for_heat_that_a_person_stops_stays_stopped():
    rig = Rig().held()

    def hot(rig):
        rig.bus.servos[LIFT].temperature_c = 65.0

    rig.run(0.5, hot)
    rig.arm.hold()
    stopped = rig.run(0.1, hot).angles
    assert np.abs(rig.run(2.0, hot).angles - stopped).max() < 0.03


def test_clearing_faults_in_a_motion_that_has_none_leaves_the_motion_alone():
    rig = Rig().held()
    each = rig.moving("shoulder_pan", 1.8)
    rig.run(0.4, each)
    assert rig.arm.clear_faults(rig.now_s) == ""
    rig.run(0.2, each)
    assert rig.arm.mode is ArmMode.FOLLOWING, rig.words
    assert rig.last == ""


def test_a_servo_without_torque_for_good_does_not_hide_another_s_restart():
    rig = Rig().held()
    for _ in range(8):
        rig.bus.servos[0].restart()
        rig.run(3.0)
    assert rig.torque[0] == 0
    rig.bus.servos[ELBOW].restart()
    rig.run(1.0)
    assert rig.torque[ELBOW] == 1, rig.words


def test_who_asks_for_torque_off_where_no_servo_answers_is_not_told_that_it_is_off():
    rig = Rig((0.0, -1.7, 1.6, 0.75, 0.0, 0.0)).held()
    rig.bus.faults.unplugged = True
    rig.run(0.3)
    for _ in range(3):
        assert "switch the supply off" in rig.arm.torque_off(rig.now_s)
    assert rig.arm.mode is not ArmMode.OFF
    rig.bus.faults.unplugged = False
    rig.run(0.3)
    assert rig.arm.torque_off(rig.now_s) == ""
    assert rig.run(0.1).torque == [0] * 6


def test_who_asks_for_torque_off_is_told_of_a_silent_servo_first():
    rig = Rig((0.0, -1.7, 1.6, 0.75, 0.0, 0.0)).held()
    rig.bus.faults.silent = {3}
    rig.run(0.3)
    problem = rig.arm.torque_off(rig.now_s)
    assert "elbow_flex, which may go on pushing" in problem
    assert rig.run(0.1).torque == [1] * 6
    assert rig.arm.torque_off(rig.now_s) == ""
    assert rig.run(0.1).torque[:2] == [0, 0]
