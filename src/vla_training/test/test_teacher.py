# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest

from vla_policies.color_pick.policy import GRIPPER_CLOSED, GRIPPER_OPEN
from vla_policies.kinematics import PAN_X, HandKinematics
from vla_training.teacher import AIM_POINT, BIN_PLACES, DOWN, Situation, TableLayout, Teacher

HOME = np.array([0.0, -1.2, 1.0, 1.25, 0.0, 0.1])
TABLE = TableLayout(np.array([0.16, -0.20]), 0.100, 0.025, HOME)
CUBES = np.array([[0.22, 0.06, 0.0125], [0.20, -0.02, 0.0125], [0.15, 0.12, 0.0125]])
HAND = HandKinematics(AIM_POINT)


@pytest.fixture
def teacher():
    return Teacher(TABLE, rows=12, dt_s=0.1)


def over(place, height, opening, roll=0.0):
    """Return joints with the hand over a place (2,), pointing down."""
    x, y = place
    joints, reached = HAND.joints(
        np.array([np.arctan2(y, x - PAN_X), np.hypot(x - PAN_X, y), height, DOWN, roll])
    )
    assert reached
    return np.append(joints, opening)


def _below(joints):
    bearing, radius = HAND.coordinates(joints[:5])[:2]
    return PAN_X + radius * np.cos(bearing), radius * np.sin(bearing)


def situation(joints, cubes=CUBES, target=0):
    return Situation(joints, cubes, np.repeat(np.eye(3)[None], 3, axis=0), target)


def test_it_is_a_function_of_the_situation(teacher):
    now = situation(HOME)
    first = teacher.show(now)
    teacher.show(situation(over((0.2, 0.0), 0.05, 0.5), target=2))
    again = teacher.show(now)
    np.testing.assert_array_equal(first.chunk, again.chunk)
    assert first.phase == again.phase


def test_a_chunk_begins_where_the_arm_is_and_has_the_rows_that_were_asked_for(teacher):
    lesson = teacher.show(situation(HOME))
    assert lesson.chunk.shape == (12, 6)
    np.testing.assert_allclose(lesson.chunk[0, :5], HOME[:5])
    assert lesson.chunk[0, 5] == GRIPPER_OPEN


def test_it_goes_to_the_cube_that_is_named(teacher):
    for target in range(3):
        now = HOME
        for _ in range(2):
            now = teacher.show(situation(now, target=target)).chunk[-1]
        here = HAND.coordinates(now[:5])
        x, y = PAN_X + here[1] * np.cos(here[0]), here[1] * np.sin(here[0])
        assert np.hypot(x - CUBES[target, 0], y - CUBES[target, 1]) < 0.006


def test_it_turns_the_hand_only_where_its_camera_shows_how_the_cube_is_turned(teacher):
    turned = np.repeat(
        np.array([[0.9, -0.436, 0.0], [0.436, 0.9, 0.0], [0.0, 0.0, 1.0]])[None], 3, 0
    )
    far = over(CUBES[0, :2] - [0.0, 0.09], 0.065, 0.55, roll=0.1)
    near = over(CUBES[0, :2] - [0.0, 0.03], 0.065, 0.55, roll=0.1)
    kept, taken = (
        teacher.show(Situation(joints, CUBES, turned, 0)).chunk[:3, 4] for joints in (far, near)
    )
    np.testing.assert_allclose(kept, far[4], atol=0.02)
    assert abs(taken[2] - near[4]) > 0.05


def test_it_closes_around_the_cube_and_not_beside_it(teacher):
    joints = HOME
    for _ in range(2):
        joints = teacher.show(situation(joints)).chunk[-1]
    lesson = teacher.show(situation(joints))
    assert lesson.phase == "close"
    jaws = lesson.chunk[:, 5]
    assert jaws[0] == joints[5]
    # Slowly until they are round it, then all they can.
    assert (np.abs(np.diff(jaws[jaws > 0.25])) < 0.081).all()
    assert jaws[-1] == GRIPPER_CLOSED
    moved = CUBES + np.array([0.0, 0.02, 0.0])
    assert teacher.show(situation(joints, moved)).phase == "fetch"


def test_jaws_that_closed_on_nothing_are_lifted_and_opened_again(teacher):
    joints = over(CUBES[0, :2], 0.0145, -0.1)
    lesson = teacher.show(situation(joints))
    assert lesson.phase == "fetch"
    assert (lesson.chunk[:, 5] == GRIPPER_OPEN).all()
    assert HAND.coordinates(lesson.chunk[-1, :5])[2] > 0.05


def test_it_carries_what_it_holds_and_drops_it_in_the_bin(teacher):
    joints = over((0.22, 0.06), 0.03, 0.185)
    cubes = CUBES.copy()
    cubes[0, 2] = 0.03
    now = situation(joints, cubes)
    assert teacher.holds(now)
    lesson = teacher.show(now)
    assert lesson.phase == "carry"
    assert (lesson.chunk[:, 5] == GRIPPER_CLOSED).all()
    place = np.array([0.16, -0.20]) + BIN_PLACES[0]
    cubes[0] = [*place, 0.058]
    lesson = teacher.show(situation(over(place, 0.058, 0.185), cubes))
    assert lesson.phase == "release"
    assert (lesson.chunk[:, 5] == GRIPPER_OPEN).all()


def test_asked_for_another_cube_it_lets_go_of_the_one_it_holds(teacher):
    cubes = CUBES.copy()
    cubes[0, 2] = 0.03
    lesson = teacher.show(situation(over((0.22, 0.06), 0.03, 0.185), cubes, target=1))
    assert lesson.phase == "fetch"
    assert (lesson.chunk[:, 5] == GRIPPER_OPEN).all()


def test_with_the_cube_in_the_bin_it_goes_home_and_stays(teacher):
    cubes = CUBES.copy()
    cubes[0] = [0.15, -0.21, 0.0145]
    joints = over((0.15, -0.20), 0.08, 0.5)
    for _ in range(6):
        lesson = teacher.show(situation(joints, cubes))
        assert lesson.phase == "home"
        joints = lesson.chunk[-1]
    np.testing.assert_allclose(joints, HOME, atol=0.02)
    still = teacher.show(situation(HOME, cubes)).chunk
    np.testing.assert_allclose(still, np.repeat(HOME[None], 12, axis=0), atol=1e-6)


@pytest.mark.parametrize("target", range(3))
def test_each_cube_is_let_go_of_over_a_place_of_its_own(teacher, target):
    centre = np.array([0.16, -0.20])
    cubes = CUBES.copy()
    cubes[target] = [*centre, 0.085]
    joints = over(centre, 0.085, 0.185)
    for _ in range(3):
        lesson = teacher.show(situation(joints, cubes, target))
        joints = np.append(lesson.chunk[-1, :5], 0.185)
        cubes[target] = [*_below(joints), HAND.coordinates(joints[:5])[2]]
    np.testing.assert_allclose(cubes[target, :2] - centre, BIN_PLACES[target], atol=0.003)
    assert teacher.show(situation(joints, cubes, target)).phase == "release"


def test_the_places_in_the_bin_have_room_for_a_cube_however_it_is_turned():
    half = 0.5 * np.sqrt(2.0) * TABLE.cube_side
    for index, place in enumerate(np.array(BIN_PLACES)):
        assert np.max(np.abs(place)) + half < 0.5 * TABLE.bin_side
        for other in np.array(BIN_PLACES)[:index]:
            assert np.linalg.norm(place - other) > 2.0 * half


def test_over_the_wall_of_the_bin_it_does_not_let_go(teacher):
    cubes = CUBES.copy()
    place = np.array([0.16 - 0.04, -0.20])
    cubes[0] = [*place, 0.058]
    assert teacher.show(situation(over(place, 0.058, 0.185), cubes)).phase == "carry"


def test_a_cube_that_lies_on_its_side_is_taken_by_its_sides(teacher):
    turned = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    upright = teacher.show(situation(HOME))
    tipped = Situation(HOME, CUBES, np.repeat(turned[None], 3, axis=0), 0)
    np.testing.assert_allclose(teacher.show(tipped).away, upright.away, atol=1e-9)


def test_a_hand_that_came_down_on_the_cube_goes_up_before_it_goes_sideways():
    cube = CUBES[1]
    beside = over(cube[:2] + np.array([0.010, 0.0]), 0.033, GRIPPER_OPEN)
    teacher = Teacher(TABLE, rows=36, dt_s=1.0 / 30.0)
    chunk = teacher.show(situation(beside, target=1)).chunk
    places = np.array([HAND.coordinates(row[:5]) for row in chunk])
    sideways = np.abs(places[:, 1] - places[0, 1])
    # There the finger tips are over the cube's top.
    above = int(np.argmax(places[:, 2] > 0.038))
    assert above > 0
    assert sideways[:above].max() < 0.001
    assert sideways.max() > 0.009


def test_it_comes_down_on_a_cube_more_slowly_than_it_goes_up(teacher):
    cube = CUBES[1]
    down = teacher.show(situation(over(cube[:2], 0.060, GRIPPER_OPEN, 0.0), target=1)).chunk
    heights = np.array([HAND.coordinates(row[:5])[2] for row in down])
    assert heights[-1] < heights[0] - 0.02
    assert np.diff(heights).min() > -0.009  # m in a tenth of a second


def test_a_hand_that_takes_a_cube_to_be_6_mm_beside_where_it_is_still_takes_it():
    pytest.importorskip("mujoco")
    from vla_contract.robot import load_robot
    from vla_policies import Action
    from vla_sim.episode import Timing, run_episode
    from vla_sim.executors import SmoothExecutor
    from vla_sim.world import World
    from vla_training.tabletop import rotation

    robot_file = Path(__file__).resolve().parents[3] / "config/robots/so101/robot.yaml"
    world, robot = World(robot_file, randomise=False), load_robot(robot_file)
    teacher = Teacher(TABLE, rows=12, dt_s=0.1)

    def seen(wrong):
        there = world.objects()
        cubes = np.array([each.position for each in there])
        turned = np.array([rotation(each.quaternion) for each in there])
        now = Situation(world.joint_readings()[0], cubes, turned, 0)
        # In its hand, and in the bin, nothing is missed by so little.
        if not teacher.holds(now) and cubes[0, 2] < 0.02:
            cubes[0] += wrong
        return now

    for way in (0, 6, 13, 19):
        angle = way
        wrong = 0.006 * np.array([np.cos(angle), np.sin(angle), 0.0])
        world.place_arm(world.home)
        world.reset_scene(way)
        course = run_episode(
            world,
            SmoothExecutor(robot, world.home),
            look=lambda now_ns, wrong=wrong: seen(wrong),
            drive=lambda now: Action(teacher.show(now).chunk, 0.1, world.joint_names),
            timing=Timing(10, latency_s=(0.1, 0.2), period_s=(0.15, 0.25)),
            rng=np.random.default_rng(way),
            limit_s=20.0,
            finished=lambda: world.objects()[0].in_bin,
        )
        assert course.ended == "done", way
        assert not course.touched - {"red_cube"}
