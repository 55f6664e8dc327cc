# SPDX-License-Identifier: Apache-2.0
"""Meta-World behind the interface of worlds, where it is installed: make test-metaworld."""

import warnings

import numpy as np
import pytest

pytest.importorskip("metaworld", reason="metaworld is not installed: make .venv-metaworld")

from vla_training.worlds.interface import chosen, open_world

CAMERA = "corner2"


@pytest.fixture(scope="module")
def world():
    made = open_world("metaworld")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the experts warn of their own gains
        yield


def solve(world, task, seed, each_step=lambda: None):
    world.begin(task, seed)
    way = [world.state()]
    for _ in range(world.tasks[task].horizon):
        each_step()
        solved = world.step(world.expert())
        way.append(world.state())
        if solved:
            return True, np.array(way)
    return False, np.array(way)


def test_there_are_the_fifty_tasks_in_their_groups(world):
    assert len(world.tasks) == 50
    sizes = {name: len(chosen(world, [name])) for name in ("easy", "medium", "hard", "very_hard")}
    assert sizes == {"easy": 28, "medium": 11, "hard": 6, "very_hard": 5}
    assert len(chosen(world, ["mt10"])) == 10


@pytest.mark.parametrize("seed", [0, 100_000])
def test_every_task_begins_and_its_expert_acts(world, seed):
    spec = world.spec
    for task in world.tasks:
        world.begin(task, seed)
        assert world.state().shape == (len(spec.state_names),), task
        assert world.things().shape == (len(spec.things), 3), task
        assert np.isfinite(world.things()).all(), task
        action = world.expert()
        assert action.shape == (len(spec.action_names),), task
        assert np.abs(action).max() <= 1.0, task
        assert not world.step(world.idle()) or task, task


@pytest.mark.parametrize("task", ["reach-v3", "pick-place-v3", "door-open-v3"])
def test_the_expert_solves_a_scene_that_is_a_function_of_its_seed(world, task):
    solved, way = solve(world, task, 3)
    assert solved
    solve(world, "drawer-close-v3", 5)
    again, same = solve(world, task, 3)
    assert again
    np.testing.assert_array_equal(way, same)
    _, other = solve(world, task, 4)
    assert len(other) != len(way) or not np.array_equal(other, way)


def test_to_foresee_changes_nothing_and_is_what_then_happens(world):
    plain = solve(world, "pick-place-v3", 7)[1]
    told = []
    ahead = solve(world, "pick-place-v3", 7, lambda: told.append(world.foreseen(5)))[1]
    np.testing.assert_array_equal(plain, ahead)
    for step in range(len(told) - 5):
        done = np.array([told[step + row][0] for row in range(5)])
        np.testing.assert_array_equal(told[step], done)


def test_the_picture_is_upright_and_things_are_where_they_are_said_to_be(world):
    for seed in range(4):
        world.begin("reach-v3", seed)
        picture = world.picture(CAMERA, (128, 128))
        assert picture.shape == (128, 128, 3)
        object_at, goal = world.seen(CAMERA, world.things())
        # The goal is a red ball, and the puck a dark red one.
        u, v = (goal * 128).astype(int)
        assert picture[v, u, 0] > 150, (seed, picture[v, u])
        assert picture[v, u, 1] < 90, (seed, picture[v, u])
        u, v = (object_at * 128).astype(int)
        assert picture[v, u, 0] > picture[v, u, 1] + 30, (seed, picture[v, u])
    assert world.picture(CAMERA, world.spec.image_size).shape == (480, 480, 3)
    # The table is below, the wall above.
    assert picture[-10:].mean() < picture[:10].mean()
