# SPDX-License-Identifier: Apache-2.0
import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from vla_policies import STATE, Observation, PolicyError, check_action, load_policy
from vla_policies.color_pick import config, motion, vision
from vla_policies.color_pick.instruction import colour_of
from vla_policies.kinematics import LOWER, PAN_X, UPPER, HandKinematics

FRONT = "observation.images.front"
HOME = [0.0, -1.2, 1.0, 1.25, 0.0, 0.1]
OPTIONS = {
    "camera": {
        "feature": FRONT,
        "width": 640,
        "height": 480,
        "focal_px": [625.0, 625.0],
        "centre_px": [319.5, 239.5],
        "position": [0.60, 0.16, 0.46],
        "orientation_xyzw": [0.502826, 0.751719, -0.354681, -0.237247],
    },
    "bin": {"centre": [0.16, -0.20], "side": 0.1},
    "cube_side": 0.025,
    "home": HOME,
}
CONFIG = config.read(OPTIONS)
FINE = 4  # painted at a multiple of the resolution, as a lens averages
PAINT = {"red": (200, 30, 30), "green": (30, 150, 50), "blue": (30, 70, 210)}


def picture(*cubes):
    """Paint cubes (colour, x, y, yaw), each face in another brightness, on a grey table."""
    image = np.full((480 * FINE, 640 * FINE, 3), 150, np.uint8)
    for colour, x, y, yaw in cubes:
        turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        for axis, sign, shade in (
            (0, -1, 0.5),
            (1, -1, 0.6),
            (0, 1, 0.7),
            (1, 1, 0.8),
            (2, 1, 1.0),
        ):
            square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.0125
            face = np.insert(square, axis, sign * 0.0125, axis=1) @ turn.T + [x, y, 0.0125]
            normal = turn[:, axis] * sign
            if normal @ (CONFIG.camera.position - face.mean(axis=0)) > 0:
                corners = np.round((CONFIG.camera.project(face) + 0.5) * FINE - 0.5)
                paint = tuple(int(shade * part) for part in PAINT[colour])
                cv2.fillConvexPoly(image, corners.astype(np.int32), paint)
    return cv2.resize(image, (640, 480), interpolation=cv2.INTER_AREA)


def seen(image, task="put the red cube in the bin", joints=HOME, stamp_ns=0):
    return Observation(stamp_ns, {FRONT: image}, {STATE: np.array(joints, dtype=float)}, task)


@pytest.mark.parametrize(
    "task",
    [
        "put the red cube in the bin",
        "Pick up the RED block and drop it into the box.",
        "red",
        "could you move that red, please?",
    ],
)
def test_the_colour_is_found_in_any_phrasing(task):
    assert colour_of(task, vision.HUES) == "red"


@pytest.mark.parametrize("task", ["put the purple cube in the bin", "", "a hundred cubes", "redo"])
def test_an_instruction_without_a_known_colour_is_an_error_that_names_them(task):
    with pytest.raises(PolicyError, match="names no colour that is known; use red, green, blue"):
        colour_of(task, vision.HUES)


def test_an_instruction_with_two_colours_is_an_error():
    with pytest.raises(PolicyError, match="names red and blue; name one"):
        colour_of("put the blue cube beside the red one", vision.HUES)


def test_a_painted_cube_is_found_where_it_is_and_as_it_is_turned():
    for x, y, yaw in [
        (0.20, 0.05, 0.0),
        (0.15, 0.15, 0.3),
        (0.25, -0.05, -0.6),
        (0.22, 0.0, 0.78),
    ]:
        found = vision.find_cube(picture(("red", x, y, yaw)), "red", CONFIG.camera, 0.025)
        assert found is not None
        assert np.hypot(found.x - x, found.y - y) < 0.001
        assert abs((found.yaw - yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4) < 0.08
        assert found.in_sight > 0.9


def test_only_the_named_colour_is_found():
    image = picture(("red", 0.20, 0.05, 0.0), ("blue", 0.25, -0.05, 0.0))
    assert vision.find_cube(image, "green", CONFIG.camera, 0.025) is None
    blue = vision.find_cube(image, "blue", CONFIG.camera, 0.025)
    assert blue is not None
    assert abs(blue.x - 0.25) < 0.002


def test_a_cube_that_is_half_hidden_is_known_to_be():
    image = picture(("red", 0.20, 0.05, 0.0))
    column = int(CONFIG.camera.project(np.array([0.20, 0.05, 0.0125]))[0])
    image[:, column:] = 150
    found = vision.find_cube(image, "red", CONFIG.camera, 0.025)
    assert found is not None
    assert found.in_sight < 0.7


def test_a_way_starts_where_the_arm_is_and_ends_at_the_goal_through_the_funnel():
    hand = HandKinematics((0.0096, 0.0, -0.092))
    goal = motion.HandGoal(
        (0.5, 0.2, 0.0145, np.pi / 2, 0.2), ((0.003, 0.0145), (0.005, 0.04), (0.03, 0.065))
    )
    way = motion.path(hand, np.array(HOME[:5]), goal, 150, 1 / 30)
    np.testing.assert_array_equal(way[0], HOME[:5])
    places = hand.coordinates(way)
    along, up, turn = goal.distance(places[-1])
    assert max(along, up) < 0.001
    assert turn < 0.01
    away = np.array([goal.distance(place)[0] for place in places])
    assert np.all(places[away > 0.006, 2] > 0.038)


def test_a_paced_way_keeps_the_joint_speed_and_starts_gently():
    hand = HandKinematics((0.0096, 0.0, -0.092))
    goal = motion.HandGoal((-1.2, 0.24, 0.06, np.pi / 2, 0.0), ((0.01, 0.06), (0.03, 0.085)))
    way = motion.pace(motion.path(hand, np.array(HOME[:5]), goal, 60, 1 / 30), 1 / 30, 0.0)
    speed = np.max(np.abs(np.diff(way, axis=0)), axis=1) * 30
    assert np.max(speed) <= motion.JOINT_SPEED + 1e-9
    assert speed[0] < 0.05


def test_a_chunk_fits_the_spec_and_starts_at_the_arm():
    policy = load_policy("color_pick", OPTIONS)
    action = policy.infer(seen(picture(("red", 0.2, 0.05, 0.2))))
    check_action(action, policy.spec)
    assert action.positions.shape == (policy.spec.chunk_size, 6)
    assert action.phase == "approach"
    assert not action.done
    np.testing.assert_allclose(action.positions[0], HOME)


def test_from_any_posture_a_chunk_is_finite_slow_and_starts_there():
    rng = np.random.default_rng(1)
    image = picture(("red", 0.2, 0.05, 0.2))
    policy = load_policy("color_pick", OPTIONS)
    for _ in range(40):
        policy.reset()
        joints = np.append(rng.uniform(LOWER, UPPER), rng.uniform(-0.1, 1.7))
        action = policy.infer(seen(image, joints=joints))
        check_action(action, policy.spec)
        np.testing.assert_allclose(action.positions[0], joints)
        step = np.max(np.abs(np.diff(action.positions[:, :5], axis=0)))
        assert step * 30 <= motion.JOINT_SPEED + 1e-9


def test_a_chunk_continues_the_one_before_while_the_arm_follows():
    policy = load_policy("color_pick", OPTIONS)
    image = picture(("red", 0.2, 0.05, 0.2))
    first = policy.infer(seen(image))
    lagging = first.positions[5]
    second = policy.infer(seen(image, joints=lagging, stamp_ns=round(7 / 30 * 1e9)))
    np.testing.assert_allclose(second.positions[:8, :5], first.positions[7:15, :5], atol=0.01)


def test_a_chunk_starts_anew_where_the_arm_is_when_it_did_not_follow():
    policy = load_policy("color_pick", OPTIONS)
    image = picture(("red", 0.2, 0.05, 0.2))
    policy.infer(seen(image))
    elsewhere = [0.5, *HOME[1:]]
    action = policy.infer(seen(image, joints=elsewhere, stamp_ns=200_000_000))
    np.testing.assert_allclose(action.positions[0, :5], elsewhere[:5])


def test_an_arm_that_is_late_on_the_way_is_taken_to_follow_but_not_one_that_stands_still():
    policy = load_policy("color_pick", OPTIONS)
    image = picture(("red", 0.2, 0.05, 0.2))
    leads = [policy.infer(seen(image)).positions]
    for tick in range(1, 8):
        action = policy.infer(seen(image, stamp_ns=tick * 250_000_000))
        leads.append(action.positions)
        ahead = np.max(np.abs(action.positions[0, :5] - HOME[:5]))
        if tick == 3:
            assert ahead > 0.21
            rows = [np.interp(7.5, range(30), column) for column in leads[2].T]
            np.testing.assert_allclose(action.positions[0, :5], rows[:5], atol=1e-6)
        if ahead == 0.0:
            break
    # It left at about 0.2 s: what stands still is not on the way of the last second for long.
    assert 5 <= tick <= 7


def test_a_cube_that_is_already_in_the_bin_needs_nothing_done():
    policy = load_policy("color_pick", OPTIONS)
    action = policy.infer(seen(picture(("red", 0.16, -0.2, 0.1))))
    assert action.done
    assert action.phase == "done"


def test_a_cube_that_nobody_sees_is_searched_for_and_then_reported():
    policy = load_policy("color_pick", OPTIONS)
    image = picture(("green", 0.2, 0.05, 0.2))
    assert policy.infer(seen(image)).phase == "search"
    assert policy.infer(seen(image, stamp_ns=1_500_000_000)).phase == "search"
    with pytest.raises(PolicyError, match="no red cube is in full view"):
        policy.infer(seen(image, stamp_ns=2_500_000_000))
    policy.reset()
    assert policy.infer(seen(image, stamp_ns=2_600_000_000)).phase == "search"


def test_a_cube_out_of_reach_is_reported_with_its_place():
    policy = load_policy("color_pick", OPTIONS)
    image = picture(("red", PAN_X + 0.31, 0.0, 0.0))
    with pytest.raises(PolicyError, match=r"red cube at x 0\.3\d+ m, y -?0\.00\d m is out of"):
        policy.infer(seen(image))


def test_an_observation_without_the_camera_is_refused():
    policy = load_policy("color_pick", OPTIONS)
    with pytest.raises(PolicyError, match=FRONT):
        policy.infer(Observation(0, {}, {STATE: np.array(HOME)}, "red"))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("cube_side",), None, r"color_pick: options\.cube_side: is missing"),
        (("cube_side",), 0.0, "write a positive number"),
        (("colour",), "red", r"options\.colour: is not an option"),
        (("home",), [0.0], "write 6 finite numbers"),
        (("camera", "orientation_xyzw"), [1, 1, 0, 0], "write a unit quaternion"),
        (("camera", "fov"), 1.0, r"options\.camera\.fov: is not an option"),
        (("bin",), 3, "write a mapping"),
    ],
)
def test_a_wrong_option_is_an_error_that_names_it(path, value, words):
    options = copy.deepcopy(OPTIONS)
    inner = options
    for key in path[:-1]:
        inner = inner[key]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    with pytest.raises(PolicyError, match=words):
        load_policy("color_pick", options)


def test_the_contract_of_the_repository_is_complete():
    path = Path(__file__).parents[3] / "config" / "policies" / "so101_color_pick.yaml"
    contract = yaml.safe_load(path.read_text(encoding="utf-8"))
    policy = load_policy(contract["policy"]["name"], contract["policy"]["options"])
    assert {feature.name for feature in policy.spec.observation} <= set(contract["observation"])
    assert list(policy.spec.joint_names) == contract["action"]["joints"]


def test_a_cube_is_dropped_where_the_bin_is_free():
    policy = load_policy("color_pick", OPTIONS)
    centre = CONFIG.bin_centre
    # The red cube in a closed hand over the bin, painted where the hand is.
    hand = HandKinematics((0.0096, 0.0, -0.092))
    place = [np.arctan2(centre[1], centre[0] - PAN_X), 0.2338, 0.085, np.pi / 2, 0.0]
    joints = np.append(hand.joints(place)[0], 0.18)
    point = np.array([*centre, 0.085])
    lift = CONFIG.camera.on_plane(CONFIG.camera.project(point), 0.0125)
    image = picture(("green", *centre, 0.1), ("red", lift[0], lift[1], 0.0))
    action = policy.infer(seen(image, joints=joints))
    assert action.phase in ("carry", "release")
    end = hand.coordinates(action.positions[-1, :5])
    x, y = PAN_X + end[1] * np.cos(end[0]), end[1] * np.sin(end[0])
    assert np.hypot(x - centre[0], y - centre[1]) > 0.02
    assert max(abs(x - centre[0]), abs(y - centre[1])) < 0.5 * CONFIG.bin_side
