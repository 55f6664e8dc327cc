# SPDX-License-Identifier: Apache-2.0
"""Corrections of sag, play and friction: how far the links are from where they are sent."""

import math

import numpy as np
import pytest
from arm_rig import GRIPPER, PERIOD_S, Rig

from so100_driver.core.calibration import JOINTS
from so100_driver.core.orders import ArmLimits, ArmMode
from so100_driver.core.registers import RAD_PER_TICK

SAG, PLAY, TRIM = 0.056, math.radians(0.5), 0.02
# rad, in the order of the joints; the upper arm leans forward there.
GOAL = np.array([0.2, 0.5, 0.4, 0.1, 0.0, 0.5])


def sent(limits, seconds=3.0):
    """Send an arm somewhere in a second, and let it rest; return the rig and the goal."""
    rig = Rig(limits=limits).held()
    begin = rig.angles
    for way in np.linspace(0.0, 1.0, 101)[1:]:
        goal = dict(zip(JOINTS, begin + way * (GOAL - begin), strict=True))
        assert rig.arm.command(list(goal), list(goal.values()), rig.now_s) == ""
        rig.step()
    rig.run(seconds, lambda r: r.arm.command(list(goal), list(goal.values()), r.now_s))
    assert rig.arm.mode is ArmMode.FOLLOWING, rig.words
    return rig, GOAL


def furthest(rig, goal):
    return np.abs(rig.plant.link - goal)[:GRIPPER].max()


def test_with_sag_and_play_corrected_the_links_are_where_they_are_sent():
    errors = [
        furthest(*sent(ArmLimits(sag_rad_nm=sag, play_rad=play)))
        for sag, play in ((0.0, 0.0), (SAG, 0.0), (SAG, PLAY))
    ]
    assert errors[0] > 0.03
    assert PLAY * 0.7 < errors[1] < PLAY * 1.6
    assert errors[2] < 0.6 * errors[1]


def test_what_friction_leaves_is_taken_away_to_a_tick_even_where_the_model_of_the_sag_is_off():
    off = ArmLimits(sag_rad_nm=0.04, trim_rad=TRIM)
    rig, goal = sent(off)
    assert np.abs(rig.angles - goal)[:GRIPPER].max() <= 1.6 * RAD_PER_TICK
    without, goal = sent(ArmLimits(sag_rad_nm=0.04))
    assert np.abs(without.angles - goal)[:GRIPPER].max() > 3.0 * RAD_PER_TICK


def test_a_joint_whose_goal_was_trimmed_rests_and_does_not_hunt():
    rig, goal = sent(ArmLimits(sag_rad_nm=SAG, trim_rad=TRIM), seconds=4.0)
    names = list(JOINTS)
    told = []
    for _ in range(500):
        rig.arm.command(names, list(goal), rig.now_s)
        rig.step()
        told.append([servo.get("Goal_Position") for servo in rig.bus.servos])
    assert np.ptp(np.array(told), axis=0).max() == 0


def test_a_goal_is_trimmed_slowly_and_by_no_more_than_it_may():
    rig, goal = sent(ArmLimits(trim_rad=0.01), seconds=0.2)
    names, told = list(JOINTS), []
    for _ in range(200):
        rig.arm.command(names, list(goal), rig.now_s)
        rig.step()
        told.append([servo.get("Goal_Position") for servo in rig.bus.servos])
    moved = np.diff(np.array(told), axis=0)
    assert np.abs(moved).max() <= 1
    assert np.ptp(np.array(told), axis=0).max() * RAD_PER_TICK <= 0.01 + RAD_PER_TICK
    assert np.abs(moved).sum(axis=0).max() * RAD_PER_TICK / (200 * PERIOD_S) <= 0.02


@pytest.mark.parametrize("end", ["lower_rad", "upper_rad"])
def test_no_correction_leads_a_joint_beyond_its_end(end):
    rig = Rig(limits=ArmLimits(sag_rad_nm=0.1, play_rad=0.05, trim_rad=0.05)).held()
    begin, scales = rig.arm.measured_rad, rig.arm.scales
    goal = dict(begin)
    for way in np.linspace(0.0, 1.0, 151):
        for name in ("elbow_flex", "wrist_flex"):
            goal[name] = begin[name] + way * (getattr(scales[name], end) - begin[name])
        assert rig.arm.command(list(goal), list(goal.values()), rig.now_s) == ""
        rig.step()
    rig.run(1.0, lambda r: r.arm.command(list(goal), list(goal.values()), r.now_s))
    for scale, servo in zip(scales.values(), rig.bus.servos, strict=True):
        told = scale.radians(servo.get("Goal_Position"))
        assert scale.lower_rad - RAD_PER_TICK <= told <= scale.upper_rad + RAD_PER_TICK


def test_a_gripper_that_holds_something_is_not_trimmed():
    rig = Rig(limits=ArmLimits(trim_rad=TRIM)).held()
    rig.plant.low_rad[GRIPPER] = 0.45
    rig.run(1.0, rig.moving("gripper", -0.1))
    goal = dict(rig.arm.measured_rad, gripper=0.42)
    for _ in range(200):
        rig.arm.command(list(goal), list(goal.values()), rig.now_s)
        rig.step()
    at = (rig.bus.servos[GRIPPER].get("Goal_Position") - 2048) * RAD_PER_TICK
    assert at == pytest.approx(0.42, abs=RAD_PER_TICK)
