# SPDX-License-Identifier: Apache-2.0
import numpy as np

from vla_policies.kinematics import LOWER, PAN_X, UPPER, HandKinematics, forward, link_poses

HOME = np.array([0.0, -1.2, 1.0, 1.25, 0.0])
HAND = HandKinematics((0.0096, 0.0, -0.092))
DOWN = np.pi / 2


def test_the_tip_at_home_is_where_the_published_frames_put_it():
    tip = forward(HOME)
    np.testing.assert_allclose(tip[:3, 3], [0.17796, 0.0, 0.07325], atol=1e-4)
    np.testing.assert_allclose(tip[:3, :3] @ tip[:3, :3].T, np.eye(3), atol=1e-12)


def test_joints_come_back_from_their_hand_coordinates():
    rng = np.random.default_rng(0)
    joints = np.clip(HOME + rng.uniform(-0.5, 0.5, (500, 5)), LOWER + 0.02, UPPER - 0.02)
    again, reached = HAND.joints(HAND.coordinates(joints))
    # Not where the point is behind the pan axis: another posture has the same coordinates there.
    ahead = HAND.coordinates(joints)[:, 1] > 0.05
    assert ahead.mean() > 0.9
    assert reached[ahead].all()
    np.testing.assert_allclose(again[ahead], joints[ahead], atol=1e-9)


def test_the_point_is_where_the_coordinates_say():
    joints, reached = HAND.joints([0.4, 0.22, 0.03, DOWN, 0.5])
    assert reached
    x, y, z = _point(joints)
    np.testing.assert_allclose(
        [np.arctan2(y, x - PAN_X), np.hypot(x - PAN_X, y), z], [0.4, 0.22, 0.03], atol=1e-12
    )


def test_a_hand_that_points_down_reaches_the_table_from_12_to_27_cm():
    radius = np.linspace(0.12, 0.27, 16)
    places = np.column_stack(
        [0 * radius, radius, 0 * radius + 0.0145, DOWN + 0 * radius, 0 * radius]
    )
    joints, reached = HAND.joints(places)
    assert reached.all()
    np.testing.assert_allclose(HAND.coordinates(joints)[:, 3], DOWN)


def test_where_the_wrist_cannot_flex_the_hand_tilts_and_the_point_stays():
    place = np.array([0.0, 0.26, 0.12, DOWN, 0.0])
    joints, reached = HAND.joints(place)
    there = HAND.coordinates(joints)
    assert reached
    assert there[3] < DOWN - 0.1
    np.testing.assert_allclose(there[:3], place[:3], atol=1e-12)


def test_a_point_out_of_reach_is_reported_and_its_joints_are_within_the_limits():
    joints, reached = HAND.joints([[0.0, 0.60, 0.1, DOWN, 0.0], [0.0, 0.001, 0.1, DOWN, 0.0]])
    assert not reached.any()
    assert np.all((joints >= LOWER) & (joints <= UPPER))


def test_rolling_by_a_quarter_turns_the_jaws_by_a_quarter():
    roll = np.array([0.0, 0.3, np.pi / 2])
    joints, _ = HAND.joints(
        np.column_stack([0 * roll, 0 * roll + 0.2, 0 * roll + 0.02, 0 * roll + DOWN, roll])
    )
    straight = joints.copy()
    straight[:, 0] = 0.0  # apart from the pan, which compensates for the point's offset
    yaw = HAND.jaw_yaw(straight)
    np.testing.assert_allclose(yaw - yaw[0], roll, atol=1e-9)


def _point(joints):
    pose = link_poses(joints)[-1]
    return pose[:3, :3] @ np.array(HAND.point) + pose[:3, 3]
