# SPDX-License-Identifier: Apache-2.0
"""The same world with another robot in it: the Panda and the FR3."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from vla_contract.contract import load_contract
from vla_contract.robot import load_robot
from vla_policies.color_pick import config
from vla_sim.world import World, WorldError, sample_scene

CONFIG = Path(__file__).parents[3] / "config"
ROBOTS = ("panda", "fr3")


def robot_file(name):
    return CONFIG / "robots" / name / "robot.yaml"


@pytest.fixture(scope="module", params=ROBOTS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def world(name):
    return World(robot_file(name))


@pytest.fixture
def options(name):
    path = CONFIG / "policies" / f"{name}_color_pick.yaml"
    return config.read(yaml.safe_load(path.read_text("utf-8"))["policy"]["options"])


def test_the_contract_fits_the_robot_file(name, options):
    robot = load_robot(robot_file(name))
    path = CONFIG / "policies" / f"{name}_color_pick.yaml"
    contract = load_contract(path, robot.limits.joint_names, robot.gripper.joint)
    assert contract.action_joints == (*robot.limits.joint_names, robot.gripper.joint)
    np.testing.assert_array_equal(options.arm.hand.lower, robot.limits.position_lower)
    np.testing.assert_array_equal(options.arm.hand.upper, robot.limits.position_upper)


def test_the_options_describe_the_simulated_table(world, options):
    camera = world.camera("front")
    np.testing.assert_allclose(options.camera.matrix, camera.K, atol=1e-3)
    np.testing.assert_allclose(options.camera.rotation, camera.pose[:3, :3], atol=1e-5)
    np.testing.assert_allclose(options.camera.position, camera.pose[:3, 3], atol=1e-9)
    np.testing.assert_allclose(options.home, world.home)
    np.testing.assert_allclose(options.bin_centre, world.table.bin_centre)


def test_the_policys_kinematics_agree_with_the_physics_model(world, options):
    rng = np.random.default_rng(0)
    hand = options.arm.hand
    for _ in range(20):
        joints = rng.uniform(hand.lower, hand.upper)
        world.place_arm(np.append(joints, 0.02))
        pose = hand.link_poses(joints)[-1]
        tip = pose[:3, :3] @ hand.point + pose[:3, 3]
        np.testing.assert_allclose(tip, world.tip()[:3, 3], atol=2e-6)


def test_the_second_finger_is_where_the_first_is(world):
    world.place_arm(np.append(world.home[:-1], 0.01))
    target = np.append(world.home[:-1], 0.035)
    world.command(target)
    world.step(400)
    fingers = [world._data.joint(f"finger_joint{i}").qpos[0] for i in (1, 2)]
    assert fingers == pytest.approx([0.035, 0.035], abs=5e-4)


def test_the_arm_carries_its_own_weight(world):
    world.place_arm(world.home)
    world.step(500)
    np.testing.assert_allclose(world.joint_truth()[0], world.home, atol=1e-4)


def test_cubes_lie_where_the_model_says(world):
    for seed in range(50):
        spots = sample_scene(seed, randomise=False, table=world.table).positions[:, :2]
        radius = np.linalg.norm(spots, axis=1)
        assert np.all((radius >= 0.40) & (radius <= 0.53))
        assert np.all(np.max(np.abs(spots - world.table.bin_centre), axis=1) > 0.09)


def test_a_model_beside_the_robot_file_is_the_robots(tmp_path):
    content = yaml.safe_load(robot_file("panda").read_text("utf-8"))
    content["robot"] = "mine"
    (tmp_path / "robot.yaml").write_text(yaml.safe_dump(content), "utf-8")
    empty = '<custom><text name="empty_table" data="yes"/></custom>'
    model = f'<mujoco><include file="panda.xml"/>{empty}</mujoco>'
    (tmp_path / "model.xml").write_text(model, "utf-8")
    world = World(tmp_path / "robot.yaml")
    assert world.object_names == ()
    assert world.objects() == []
    world.reset_scene(3)
    world.step(10)
    with pytest.raises(WorldError, match="no object 'red_cube': choose one of none"):
        world.place_object("red_cube", np.zeros(3))


def test_a_model_that_is_no_model_is_an_error_of_one_line(tmp_path):
    (tmp_path / "robot.yaml").write_text(robot_file("panda").read_text("utf-8"), "utf-8")
    (tmp_path / "model.xml").write_text(
        "<mujoco><worldbody><nothing/></worldbody></mujoco>", "utf-8"
    )
    with pytest.raises(WorldError, match=r"model\.xml: ") as raised:
        World(tmp_path / "robot.yaml")
    assert "\n" not in str(raised.value)
