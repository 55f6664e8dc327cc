# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
import yaml

from vla_policies import kinematics
from vla_sim.world import World, WorldError, sample_scene
from vla_sim.world import scene as scenes

ROBOT = Path(__file__).parents[3] / "config" / "robots" / "so101" / "robot.yaml"


@pytest.fixture
def world():
    return World(ROBOT)


def places(world):
    return np.array([state.position for state in world.objects()])


def test_the_same_seed_lays_out_the_same_scene_and_another_seed_another(world):
    world.reset_scene(7)
    first = places(world)
    world.reset_scene(8)
    other = places(world)
    world.reset_scene(7)
    np.testing.assert_array_equal(places(world), first)
    assert not np.allclose(first, other)


def test_any_64_bit_seed_gives_a_scene():
    spots = [
        sample_scene(seed, randomise=True).positions for seed in (-(1 << 63), -1, 0, (1 << 63) - 1)
    ]
    assert len({spot.tobytes() for spot in spots}) == 4


def test_the_same_commands_in_the_same_scene_give_the_same_motion():
    ends = []
    for _ in range(2):
        world = World(ROBOT, seed=3)
        world.command(world.home + 0.2)
        world.step(300)
        ends.append((world.joint_truth()[0], places(world)))
    np.testing.assert_array_equal(ends[0][0], ends[1][0])
    np.testing.assert_array_equal(ends[0][1], ends[1][1])


def test_cubes_lie_within_reach_apart_from_each_other_and_from_the_bin():
    for seed in range(200):
        spots = sample_scene(seed, randomise=True).positions[:, :2]
        radius = np.linalg.norm(spots - scenes.PAN_AXIS, axis=1)
        assert np.all((radius >= 0.150) & (radius <= 0.245))
        for a, b in ((0, 1), (0, 2), (1, 2)):
            assert np.linalg.norm(spots[a] - spots[b]) >= 0.062
        assert np.all(np.max(np.abs(spots - scenes.BIN_CENTRE), axis=1) > 0.5 * scenes.BIN_INNER)


def test_the_layout_does_not_depend_on_whether_the_look_varies():
    plain, varied = sample_scene(5, randomise=False), sample_scene(5, randomise=True)
    np.testing.assert_array_equal(plain.positions, varied.positions)
    np.testing.assert_array_equal(plain.yaws, varied.yaws)
    assert not np.allclose(plain.look.colours, varied.look.colours)
    np.testing.assert_array_equal(plain.look.camera_shift, 0.0)


def test_a_new_scene_does_not_move_the_arm(world):
    world.command(world.home + np.array([0.3, 0.2, -0.2, 0.1, 0.2, 0.3]))
    world.step(200)
    before = world.joint_truth()
    world.reset_scene(11)
    after = world.joint_truth()
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])


def test_the_arm_holds_home_and_the_cubes_lie_still(world):
    before = places(world)
    world.step(1000)
    np.testing.assert_allclose(world.joint_truth()[0], world.home, atol=2e-3)
    np.testing.assert_allclose(places(world), before, atol=5e-4)
    assert world.time_s == pytest.approx(2.0)


def test_the_arm_goes_where_it_is_commanded(world):
    target = np.array([0.5, -0.5, 0.5, 1.0, 0.4, 0.8])
    world.command(target)
    world.step(1000)
    np.testing.assert_allclose(world.joint_truth()[0], target, atol=3e-3)


def test_joint_positions_are_read_on_the_encoders_grid(world):
    world.command(world.home + 0.1)
    world.step(37)
    reading, truth = world.joint_readings()[0], world.joint_truth()[0]
    ticks = reading / (2 * np.pi / 4096)
    np.testing.assert_allclose(ticks, np.round(ticks), atol=1e-9)
    assert np.max(np.abs(reading - truth)) <= np.pi / 4096 + 1e-12
    assert np.any(reading != truth)


def test_a_cube_counts_as_in_the_bin_only_inside_at_rest_and_untouched(world):
    def red_in_bin():
        return world.objects()[0].in_bin

    x, y = scenes.BIN_CENTRE
    assert not red_in_bin()
    world.place_object("red_cube", np.array([x, y, 0.05]))
    world.step(10)
    assert not red_in_bin()  # it falls
    world.step(500)
    assert red_in_bin()
    world.place_object("red_cube", np.array([x + 0.08, y, 0.0125]))
    world.step(100)
    assert not red_in_bin()  # it lies beside the bin
    world.place_object("red_cube", np.array([x, y, 0.0145]))
    world.step(200)
    assert red_in_bin()
    finger_tip, touching = (-0.0127, 0.0, -0.102), 0.0265
    world.place_arm(_over(x, y, height=touching, opening=0.0, point=finger_tip))
    world.step(200)
    assert not red_in_bin()  # the gripper rests on it
    world.command(_over(x, y, height=0.08, opening=0.0, point=finger_tip))
    world.step(400)
    assert red_in_bin()


def test_a_cube_between_the_jaws_is_lifted_by_closing_them(world):
    cube = np.array([0.2388353, 0.0, 0.0125])
    world.place_object("green_cube", np.array([0.05, 0.4, 0.0125]))
    world.place_object("blue_cube", np.array([0.12, 0.4, 0.0125]))
    world.place_arm(_over(*cube[:2], height=0.0145, opening=0.55))
    world.place_object("red_cube", cube)
    world.command(_over(*cube[:2], height=0.0145, opening=-0.1))
    world.step(300)
    world.command(_over(*cube[:2], height=0.08, opening=-0.1))
    world.step(500)
    assert places(world)[0, 2] > 0.06
    assert world.joint_readings()[0][5] > 0.1  # the cube keeps the jaws apart


def test_the_joint_ranges_are_those_of_the_robot_file(tmp_path, world):
    content = yaml.safe_load(ROBOT.read_text(encoding="utf-8"))
    content["arm"]["limits"]["shoulder_pan"]["position"] = [-0.5, 0.5]
    path = tmp_path / "narrow.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    narrow = World(path)
    narrow.command(narrow.home + np.eye(6)[0])
    narrow.step(800)
    assert narrow.joint_truth()[0][0] == pytest.approx(0.5, abs=0.01)


def test_another_robot_is_refused_with_its_name(tmp_path):
    content = yaml.safe_load(ROBOT.read_text(encoding="utf-8"))
    content["robot"] = "nosuch"
    path = tmp_path / "nosuch.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(
        WorldError, match="there is no model of 'nosuch'; there is fr3, panda, so101"
    ):
        World(path)


def test_an_arm_with_other_joints_than_its_model_is_refused(tmp_path):
    content = yaml.safe_load(ROBOT.read_text(encoding="utf-8"))
    for part in (content["arm"]["limits"], content["home"]):
        del part["wrist_roll"]
    content["arm"]["joints"].remove("wrist_roll")
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(WorldError, match="are 5 with the gripper's; the model of so101 has 6"):
        World(path)


def test_the_robot_file_may_call_the_joints_otherwise(tmp_path):
    text = ROBOT.read_text(encoding="utf-8").replace("shoulder_", "left_shoulder_")
    path = tmp_path / "left.yaml"
    path.write_text(text, encoding="utf-8")
    world = World(path)
    assert world.joint_names[:2] == ("left_shoulder_pan", "left_shoulder_lift")


@pytest.mark.parametrize("command", [np.zeros(5), np.full(6, np.nan), np.zeros((1, 6))])
def test_a_command_that_is_not_six_finite_numbers_is_refused(world, command):
    with pytest.raises(WorldError, match="must be 6 finite numbers"):
        world.command(command)


def test_unknown_cameras_and_objects_are_refused_with_those_that_exist(world):
    with pytest.raises(WorldError, match="no camera 'top': choose one of front, wrist"):
        world.camera("top")
    with pytest.raises(WorldError, match="no object 'cup': choose one of red_cube"):
        world.place_object("cup", np.zeros(3))


def test_forward_kinematics_agree_with_the_physics_model(world):
    rng = np.random.default_rng(0)
    for _ in range(50):
        joints = rng.uniform(kinematics.LOWER, kinematics.UPPER)
        world.place_arm(np.append(joints, 0.1))
        np.testing.assert_allclose(kinematics.forward(joints), world.tip(), atol=2e-6)


def _over(x, y, *, height, opening, point=(0.0046, 0.0, -0.092)):
    """Return joints (6,) of a hand that points down, with a point of it at a place."""
    hand = kinematics.HandKinematics(point)
    bearing, radius = np.arctan2(y, x - kinematics.PAN_X), np.hypot(x - kinematics.PAN_X, y)
    joints, reached = hand.joints([bearing, radius, height, np.pi / 2, 0.05])
    assert reached
    return np.append(joints, opening)
