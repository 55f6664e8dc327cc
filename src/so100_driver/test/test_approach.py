# SPDX-License-Identifier: Apache-2.0
"""The way back to the controllers, which stand somewhere else than the arm."""

import numpy as np
import pytest
from arm_rig import PERIOD_S, Rig

from so100_driver.core.orders import ArmLimits, ArmMode

PAN = "shoulder_pan"


def elsewhere(**offsets):
    """Return an arm that holds, what sends its controllers' goal, and that goal, rad."""
    rig = Rig().held()
    goal = dict(rig.arm.measured_rad)
    for name, offset in offsets.items():
        goal[name] += offset

    def stand(rig):
        rig.last = rig.arm.command(list(goal), list(goal.values()), rig.now_s)

    rig.run(0.6, stand)
    return rig, stand, goal


def test_a_person_has_the_arm_go_slowly_to_where_its_controllers_stand_and_it_follows_them():
    rig, stand, goal = elsewhere(shoulder_pan=0.6, elbow_flex=-0.3, gripper=0.2)
    before = rig.angles
    assert "the first command is" in rig.last
    assert np.abs(rig.run(1.0, stand).angles - before).max() < 0.01, "nothing moves by itself"
    assert rig.arm.approach(rig.now_s) == ""
    speeds = []
    while rig.arm.mode is not ArmMode.FOLLOWING:
        stand(rig)
        rig.step()
        speeds.append(np.abs(rig.plant.velocity).max())
        assert rig.last == "", rig.words
        assert len(speeds) < 300, rig.words
    assert max(speeds) < 2.0 * ArmLimits().lowering_rad_s
    rig.run(0.5, stand)
    measured = rig.arm.measured_rad
    assert [measured[name] for name in goal] == pytest.approx(list(goal.values()), abs=0.06)
    assert rig.arm.mode is ArmMode.FOLLOWING


def test_a_command_that_comes_while_the_servos_are_read_is_no_old_one():
    rig, _, goal = elsewhere(shoulder_pan=0.2)
    assert rig.arm.approach(rig.now_s) == ""

    def meanwhile(rig):
        # The cycle that follows began before.
        rig.arm.command(list(goal), list(goal.values()), rig.now_s + 1.3 * PERIOD_S)

    rig.run(1.0, meanwhile)
    assert rig.arm.mode is ArmMode.FOLLOWING, rig.words


def test_where_the_controllers_move_or_are_silent_it_is_refused():
    rig = Rig().held()
    assert "nothing is commanded" in rig.arm.approach(rig.now_s)
    rig, stand, goal = elsewhere(shoulder_pan=0.35)
    rig.run(1.0)
    assert "nothing is commanded" in rig.arm.approach(rig.now_s)
    rig.run(0.3, stand)
    assert "moves" in rig.arm.approach(rig.now_s)

    def drifting(rig):
        goal[PAN] += 0.001
        stand(rig)

    rig.run(1.0, drifting)
    assert "moves" in rig.arm.approach(rig.now_s)
    assert rig.arm.mode is ArmMode.WAITING


def test_an_arm_that_a_person_has_not_cleared_does_not_go_anywhere():
    rig, stand, _ = elsewhere(shoulder_pan=0.35)
    rig.arm.hold()
    rig.run(0.6, stand)
    assert "until a person allows it" in rig.arm.approach(rig.now_s)
    rig.arm.torque_off(rig.now_s)
    rig.arm.torque_off(rig.now_s)
    assert "torque" in rig.arm.approach(rig.now_s)


@pytest.mark.parametrize("what", ["silence", "other commands", "a silent servo", "a hold"])
def test_on_its_way_it_stops_where_it_is(what):
    rig, stand, goal = elsewhere(shoulder_pan=0.4)
    assert rig.arm.approach(rig.now_s) == ""
    rig.run(0.3, stand)
    assert rig.arm.mode is ArmMode.APPROACHING
    if what == "other commands":
        goal[PAN] += 0.01
    elif what == "a silent servo":
        rig.bus.faults.silent = {3}
    elif what == "a hold":
        rig.arm.hold()
    each = None if what == "silence" else stand
    rig.run(0.3, each)
    assert rig.arm.mode is (ArmMode.HOLDING if what == "a hold" else ArmMode.WAITING), rig.words
    stopped = rig.angles
    assert np.abs(rig.run(1.0, each).angles - stopped).max() < 0.01
    assert abs(stopped[0]) < 0.3


def test_what_is_in_its_way_makes_it_hold():
    rig, stand, _ = elsewhere(shoulder_pan=0.45)
    assert rig.arm.approach(rig.now_s) == ""
    rig.run(0.2, stand)
    rig.plant.stuck = {0}
    rig.run(3.0, stand)
    assert rig.arm.mode is ArmMode.HOLDING
    assert "pushes in vain" in rig.words
