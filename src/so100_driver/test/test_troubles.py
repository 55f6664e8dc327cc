# SPDX-License-Identifier: Apache-2.0
"""What goes wrong while something else is wrong already, and what a person is told then."""

import numpy as np
import pytest
from arm_rig import ELBOW, GRIPPER, LIFT, Rig

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
    assert "shoulder_lift lets go once it is too hot: support the arm by hand" in rig.words


@pytest.mark.parametrize("then", [{LIFT: 63.0}, {LIFT: 65.0, ELBOW: 63.0}])
def test_what_a_person_stopped_is_not_lowered_again_by_heat_that_comes_and_goes(then):
    rig = Rig().held()
    heat = {LIFT: 65.0}

    def hot(rig):
        for joint, degrees in heat.items():
            rig.bus.servos[joint].temperature_c = degrees

    rig.run(0.3, hot)
    assert rig.arm.mode is ArmMode.LOWERING
    rig.arm.hold()
    stopped = rig.run(0.1, hot).angles
    heat.update(then)
    rig.run(0.1, hot)
    heat.update(dict.fromkeys(then, 65.0))
    assert np.abs(rig.run(1.0, hot).angles - stopped).max() < 0.03
    assert rig.arm.mode is ArmMode.HOLDING
    # The last word is a person's, this one too.
    assert rig.arm.lower(rig.now_s) == ""
    assert rig.run(0.1, hot).arm.mode is ArmMode.LOWERING


def test_a_lowering_ends_though_a_servo_that_was_given_up_cannot_go_along():
    rig = Rig(pose=(0.0, -1.5, 1.4, 0.6, 0.0, 0.5)).held()

    def limp(rig):
        rig.bus.servos[3].set("Torque_Enable", 0)

    rig.run(1.5, limp)
    assert rig.arm.lower(rig.now_s) == ""
    rig.run(2.5, limp)
    assert rig.arm.mode is ArmMode.HOLDING
    assert "lowered, but for wrist_flex, which has no torque" in rig.arm.reason
    assert rig.arm.torque_off(rig.now_s) == ""


def test_an_arm_that_a_person_had_held_before_it_was_hot_is_lowered_before_it_would_drop():
    rig = Rig().held()
    rig.arm.hold()
    rig.run(0.2)
    rig.bus.servos[LIFT].temperature_c = 65.0
    rig.until(lambda r: r.arm.lowered, within_s=20.0)
    assert rig.torque == [1] * 6


@pytest.mark.parametrize("by_goal", [True, False])
def test_a_joint_that_sank_without_power_is_not_thrown_back_by_a_goal_still_sent(by_goal):
    rig = Rig(pose=(0.0, 0.6, 0.0, 0.0, 0.0, 0.5), torque_by_goal=by_goal).held()
    before = rig.angles
    rig.bus.faults.unpowered = {2, 3}
    sank = rig.run(0.4).angles
    fallen = np.abs(sank - before)
    assert fallen.max() > 0.2
    rig.bus.faults.unpowered = set()
    at = int(fallen.argmax())
    ways = []
    rig.run(1.0, lambda r: ways.append(abs(r.angles[at] - before[at])))
    assert min(ways) > 0.8 * fallen[at]
    assert rig.torque == [1] * 6


def test_a_torque_limit_that_another_program_writes_makes_the_arm_hold_with_its_own_again():
    rig = Rig().held()
    rig.run(0.2, rig.moving("shoulder_pan", 0.3))
    rig.wire.write(GRIPPER + 1, "Torque_Limit", 1000)
    rig.run(0.3)
    assert rig.arm.mode is ArmMode.HOLDING
    assert "gripper lost its torque limit (100%, was 50%)" in rig.words
    assert rig.bus.servos[GRIPPER].get("Torque_Limit") == 500


def test_a_servo_that_does_not_keep_the_torque_limit_it_is_told_is_named():
    rig = Rig()
    write = rig.wire.write
    rig.wire.write = lambda number, name, value: write(
        number, name, 1000 if name == "Torque_Limit" else value
    )
    rig.held()
    assert "gripper keeps 100% as its torque limit, and was told 50%" in rig.words
    assert rig.arm.mode is ArmMode.WAITING


def test_a_driver_that_is_started_anew_holds_a_holding_arm_where_it_is():
    rig = Rig(pose=(0.0, 0.6, 0.0, 0.0, 0.0, 0.5)).held()
    before = rig.run(1.0).angles
    for _ in range(3):
        rig.anew().held()
    assert np.abs(rig.angles - before).max() < 0.005


def test_a_driver_that_is_started_anew_does_not_take_over_a_goal_that_is_far_away():
    rig = Rig().held()
    rig.plant.stuck = set(range(6))
    rig.wire.write(LIFT + 1, "Goal_Position", rig.bus.servos[LIFT].get("Goal_Position") + 300)
    rig.anew().run(0.1)
    before = rig.angles
    rig.arm.torque_on(rig.now_s)
    rig.run(0.05)
    rig.plant.stuck = set()
    assert np.abs(rig.run(1.0).angles - before).max() < 0.1


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
