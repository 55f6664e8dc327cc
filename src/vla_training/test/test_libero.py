# SPDX-License-Identifier: Apache-2.0
"""LIBERO behind the interface of worlds, where it is installed: make test-worlds."""

import numpy as np
import pytest

pytest.importorskip("libero", reason="libero is not installed: make .venv-libero/.installed")

from vla_training.worlds.interface import chosen, open_world

SOUP = "libero_object/pick_up_the_alphabet_soup_and_place_it_in_the_basket"


@pytest.fixture(scope="module")
def world():
    made = open_world("libero")
    yield made
    made.close()


def test_there_are_the_suites_with_their_horizons(world):
    counts = {
        name: len(chosen(world, [name]))
        for name in ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
    }
    assert counts == {
        "libero_spatial": 10, "libero_object": 10, "libero_goal": 10, "libero_10": 10,
        "libero_90": 90,
    }  # fmt: skip
    assert len(world.tasks) == 130 + 160
    assert {task.horizon for task in chosen(world, ["libero_10", "libero_10_swap"])} == {520}
    assert all(task.expert for task in chosen(world, ["libero_object"]))
    assert not any(task.expert for task in chosen(world, ["libero_goal", "libero_spatial"]))
    assert world.tasks[SOUP].instruction == (
        "pick up the alphabet soup and place it in the basket"
    )
    changed = {task.instruction for task in chosen(world, ["libero_object_lan"])}
    assert len(changed) == 10
    assert not changed & {task.instruction for task in chosen(world, ["libero_object"])}


def test_a_scene_is_a_function_of_its_seed_and_the_first_are_the_benchmarks_own(world):
    ways = []
    for seed in (0, 1, 0, 1000, 1000):
        world.begin(SOUP, seed)
        ways.append(world.things())
        assert world.state().shape == (8,)
    np.testing.assert_array_equal(ways[0], ways[2])
    np.testing.assert_array_equal(ways[3], ways[4])
    assert not np.array_equal(ways[0], ways[1])
    suite, place = world._known[SOUP]
    own = suite.get_task_init_states(place)
    assert len(own) == 50
    # The first object stands where the initial state has it, but for what it fell.
    world.begin(SOUP, 7)
    state = world._env.sim.get_state().flatten()
    assert state.shape == own[7].shape
    assert np.abs(state[1:40] - own[7][1:40]).max() < 0.05


def test_things_are_in_the_pictures_where_they_are_said_to_be(world):
    """The basket is brown, and moves in the picture as it does on the floor."""
    world.begin(SOUP, 0)
    for camera in world.spec.cameras:
        assert world.picture(camera, (64, 64)).shape == (64, 64, 3)
    before, at = world.picture("agentview", (128, 128)), world.seen("agentview", world.things())
    assert ((at > 0.0) & (at < 1.0)).all(), at
    # Where the thing is, the picture changes when it is gone, and hardly elsewhere.
    env = world._env
    body = env.env.objects_dict[env.obj_of_interest[0]]
    pose = env.sim.data.get_joint_qpos(body.joints[-1]).copy()
    pose[2] += 5.0
    env.sim.data.set_joint_qpos(body.joints[-1], pose)
    env.sim.forward()
    changed = np.abs(world.picture("agentview", (128, 128)).astype(int) - before).sum(-1) > 40
    rows, columns = np.nonzero(changed)
    middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5]) / 128.0
    np.testing.assert_allclose(middle, at[0], atol=0.06)


def test_the_expert_puts_the_named_thing_into_the_basket(world):
    world.begin(SOUP, 0)
    solved = False
    for _ in range(world.tasks[SOUP].horizon):
        solved = world.step(world.expert())
        if solved:
            break
    assert solved
