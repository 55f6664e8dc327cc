# SPDX-License-Identifier: Apache-2.0
"""Kinematics of an arm of seven joints, from the frames that its contract gives."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import yaml

from vla_policies import STATE, Observation, PolicyError, check_action, load_policy
from vla_policies.color_pick import config, motion

CONTRACTS = Path(__file__).parents[3] / "config" / "policies"
OPTIONS = yaml.safe_load((CONTRACTS / "panda_color_pick.yaml").read_text("utf-8"))["policy"][
    "options"
]
DOWN = np.pi / 2


@pytest.fixture(scope="module")
def settings():
    return config.read(OPTIONS)


@pytest.fixture(scope="module")
def hand(settings):
    return settings.arm.hand


def test_the_ready_pose_points_down_with_the_jaws_sideways(hand, settings):
    bearing, radius, height, pitch, roll = hand.coordinates(settings.home[:-1])
    # The published pose of the hand's tip: x 0.3069 m, z 0.4869 m, straight down.
    assert (radius, height) == pytest.approx((0.30689, 0.48688), abs=1e-4)
    assert (bearing, pitch, roll) == pytest.approx((0.0, DOWN, 0.0), abs=1e-5)


def test_joints_are_found_for_places_that_are_near_each_other(hand):
    steps = np.linspace(0.0, 1.0, 40)[:, None]
    begin = hand.coordinates(hand.rest)
    end = np.array([0.6, 0.5, 0.0145, DOWN, -0.7])
    places = begin + steps * (end - begin)
    joints, reached = hand.joints(places, hand.rest)
    assert reached.all()
    np.testing.assert_allclose(hand.coordinates(joints)[-1], end, atol=2e-3)
    assert np.max(np.abs(np.diff(joints, axis=0))) < 0.12, "each row is near the one before"


def test_a_place_is_found_without_a_posture_near_it(hand):
    places = [
        [b, r, 0.0145, DOWN, roll] for b in (-0.7, 0.7) for r in (0.4, 0.6) for roll in (-0.7, 0.7)
    ]
    for place in places:
        joints, reached = hand.joints(place)
        assert reached, place
        assert np.all((hand.lower <= joints) & (joints <= hand.upper))


@pytest.mark.parametrize("robot", ["panda", "fr3"])
def test_every_place_on_the_table_is_within_the_joints_ranges(robot):
    """Where the cubes lie and where the bin is, low and high."""
    text = (CONTRACTS / f"{robot}_color_pick.yaml").read_text("utf-8")
    settings = config.read(yaml.safe_load(text)["policy"]["options"])
    hand = settings.arm.hand
    near, far = settings.arm.reach
    for height in (0.0145, 0.15):
        for bearing in (-0.7, 0.0, 0.7):
            for radius in np.linspace(near, far, 4):
                joints, reached = hand.joints([bearing, radius, height, DOWN, 0.0])
                assert reached, (bearing, radius, height)
                assert np.all((hand.lower <= joints) & (joints <= hand.upper))


def test_a_place_out_of_reach_is_said_to_be(hand):
    joints, reached = hand.joints([0.0, 1.2, 0.0145, DOWN, 0.0])
    assert not reached
    assert np.all(np.isfinite(joints))


def test_the_way_home_ends_in_the_posture_that_home_is(hand):
    joints, _ = hand.joints([0.6, 0.5, 0.1, DOWN, -0.5])
    home = motion.HandGoal(tuple(hand.coordinates(hand.rest)), ((0.02, 0.487), (0.7, 0.2)))
    way = motion.path(hand, joints, home, 300, 1 / 30)
    np.testing.assert_allclose(way[-1], hand.rest, atol=0.02)


def test_rolling_by_a_quarter_turns_the_jaws_by_a_quarter(hand):
    yaw = [float(hand.jaw_yaw(hand.joints([0.2, 0.5, 0.1, DOWN, roll])[0])) for roll in (0.0, 0.7)]
    assert yaw[1] - yaw[0] == pytest.approx(0.7, abs=0.01)


def test_a_chunk_has_a_column_for_each_of_the_seven_joints_and_the_fingers(settings):
    policy = load_policy("color_pick", OPTIONS)
    image = np.full((480, 640, 3), 150, np.uint8)
    seen = Observation(0, {settings.image: image}, {STATE: settings.home}, "the red cube")
    action = policy.infer(seen)
    check_action(action, policy.spec)
    assert action.positions.shape[1] == 8
    assert action.joint_names[0] == "panda_joint1"
    assert action.joint_names[-1] == "panda_finger_joint1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arm: arm["frames"].pop(), "arm.frames: must have a row for each of the 7 joints"),
        (lambda arm: arm["frames"][2].pop(), r"arm.frames.2: is .*; write 6 finite numbers"),
        (lambda arm: arm.update(joints=["one"]), "arm.joints: .*write 6 to 16 names"),
        (lambda arm: arm.update(joints=["j"] * 10**6), "write 6 to 16 names"),
        (lambda arm: arm.update(forward_axis=[0, 0, 2]), "arm.forward_axis: has length 2.0000"),
        (lambda arm: arm.update(jaw_axis=[0, 0, 1]), "arm.jaw_axis: must be perpendicular"),
        (lambda arm: arm["jaws"].update(empty=0.05), "jaws.closed: must be below empty"),
        (lambda arm: arm["lower"].__setitem__(0, 3.0), "arm.lower: must be below upper"),
        (lambda arm: arm["lower"].__setitem__(0, float("nan")), "arm.lower: .*7 finite numbers"),
    ],
)
def test_an_arm_that_cannot_be_is_refused_by_key(change, message):
    options = copy.deepcopy(OPTIONS)
    change(options["arm"])
    if len(options["arm"]["joints"]) != 7:
        options["home"] = [0.0] * (min(len(options["arm"]["joints"]), 16) + 1)
    with pytest.raises(PolicyError, match=message):
        load_policy("color_pick", options)
