# SPDX-License-Identifier: Apache-2.0
"""The policy that needs no model, against the world, in closed loop."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from one_cube import run_episode

from vla_contract.robot import load_robot
from vla_policies import kinematics, load_policy
from vla_policies.color_pick import config, vision
from vla_sim.executors import EXECUTORS, SmoothExecutor
from vla_sim.world import Renderer, World

CONFIG = Path(__file__).parents[3] / "config"
ROBOT = CONFIG / "robots" / "so101" / "robot.yaml"
CONTRACT = yaml.safe_load((CONFIG / "policies" / "so101_color_pick.yaml").read_text("utf-8"))
OPTIONS = CONTRACT["policy"]["options"]


@pytest.fixture(scope="module")
def stage():
    world = World(ROBOT)
    renderer = Renderer(world)
    yield world, renderer, load_robot(ROBOT)
    renderer.close()


@pytest.fixture
def policy():
    return load_policy("color_pick", OPTIONS)


def test_the_options_describe_the_simulated_table(stage):
    world, _, _ = stage
    options, camera = config.read(OPTIONS), world.camera("front")
    np.testing.assert_allclose(options.camera.matrix, camera.K, atol=1e-3)
    np.testing.assert_allclose(options.camera.rotation, camera.pose[:3, :3], atol=1e-5)
    np.testing.assert_allclose(options.camera.position, camera.pose[:3, 3], atol=1e-9)
    np.testing.assert_allclose(options.home, world.home)
    assert (options.camera.width, options.camera.height) == (camera.width, camera.height)


def test_the_arm_that_the_policy_knows_is_that_of_the_robot_file(stage):
    limits = stage[2].limits
    assert limits.joint_names == kinematics.JOINTS
    np.testing.assert_array_equal(limits.position_lower, kinematics.LOWER)
    np.testing.assert_array_equal(limits.position_upper, kinematics.UPPER)


def test_every_cube_is_detected_within_5_mm_in_scenes_that_look_different(stage):
    world, renderer, _ = stage
    options = config.read(OPTIONS)
    world.place_arm(world.home)
    for seed in range(40):
        world.reset_scene(seed)
        picture = renderer.render("front", world.snapshot())
        for state in world.objects():
            colour = state.name.removesuffix("_cube")
            found = vision.find_cube(picture, colour, options.camera, options.cube_side)
            assert found is not None
            assert np.hypot(found.x - state.position[0], found.y - state.position[1]) < 0.005
            yaw = 2.0 * np.arctan2(state.quaternion[3], state.quaternion[0])
            turned = (found.yaw - yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4
            assert abs(turned) < np.deg2rad(5.0)


@pytest.mark.parametrize(
    ("executor", "seed", "colour"),
    [("smooth", 0, "red"), ("smooth", 1, "green"), ("smooth", 2, "blue"), ("linear", 3, "red")],
)
def test_the_named_cube_and_no_other_ends_in_the_bin(stage, policy, executor, seed, colour):
    world, renderer, robot = stage
    mover = EXECUTORS[executor](robot, world.home)
    episode = run_episode(world, renderer, policy, mover, seed=seed, colour=colour)
    assert episode.success, episode
    assert episode.phases[0] == "approach"
    assert episode.phases[-1] == "done"
    assert 5.0 < episode.duration_s < 15.0


def test_smooth_execution_keeps_the_jerk_limit(stage, policy):
    world, renderer, robot = stage
    mover = SmoothExecutor(robot, world.home)
    episode = run_episode(world, renderer, policy, mover, seed=4, colour="green")
    assert episode.success
    assert np.all(np.abs(episode.jerk) <= robot.limits.jerk * (1.0 + 1e-6))
    assert mover.refused == 0


def test_a_cube_that_is_snatched_from_the_jaws_is_fetched_again(stage, policy):
    world, renderer, robot = stage

    class Snatcher:
        """Passes everything on, and moves the cube away the first time it is lifted."""

        spec, reset, close = policy.spec, policy.reset, policy.close
        snatched = False

        def infer(self, observation):
            action = policy.infer(observation)
            if action.phase == "lift" and not self.snatched:
                self.snatched = True
                world.place_object("red_cube", np.array([0.25, 0.08, 0.0125]))
            return action

    mover = SmoothExecutor(robot, world.home)
    episode = run_episode(world, renderer, Snatcher(), mover, seed=0, colour="red")
    assert episode.success, episode
    assert episode.phases.count("grasp") == 2


def test_a_policy_that_starts_with_the_cube_in_hand_brings_it(stage, policy):
    world, renderer, robot = stage

    class Forgetful:
        """Forgets everything once, with the cube in the air."""

        spec, reset, close = policy.spec, policy.reset, policy.close
        phases = ()

        def infer(self, observation):
            action = policy.infer(observation)
            self.phases = (*self.phases, action.phase)
            if self.phases.count("carry") == 2:
                policy.reset()
            return action

    forgetful = Forgetful()
    mover = SmoothExecutor(robot, world.home)
    episode = run_episode(world, renderer, forgetful, mover, seed=2, colour="blue")
    assert episode.success, episode
    assert episode.phases.count("grasp") == 1


def test_an_arm_that_starts_elsewhere_does_the_same_task(stage, policy):
    world, renderer, robot = stage
    start = np.array([-1.0, -0.4, 0.6, 0.9, 0.8, 0.9])
    mover = SmoothExecutor(robot, start)
    episode = run_episode(world, renderer, policy, mover, seed=1, colour="red")
    assert episode.success, episode
