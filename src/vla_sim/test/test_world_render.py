# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest

from vla_sim.world import Renderer, RenderError, World, render

ROBOT = Path(__file__).parents[3] / "config" / "robots" / "so101" / "robot.yaml"


@pytest.fixture(scope="module")
def drawn():
    world = World(ROBOT, randomise=False)
    renderer = Renderer(world)
    yield world, renderer
    renderer.close()


def test_a_picture_has_the_size_and_type_of_a_camera_image(drawn):
    world, renderer = drawn
    for camera in ("front", "wrist"):
        picture = renderer.render(camera, world.snapshot())
        assert picture.shape == (480, 640, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 20


def test_each_cube_is_seen_in_its_colour_where_the_camera_model_projects_it(drawn):
    world, renderer = drawn
    for seed in range(5):
        world.reset_scene(seed)
        picture = renderer.render("front", world.snapshot()).astype(int)
        pixels = world.camera("front").project([state.position for state in world.objects()])
        for channel, (column, row) in enumerate(np.round(pixels).astype(int)):
            colour = picture[row, column]
            assert np.argmax(colour) == channel
            assert colour[channel] > 1.6 * np.delete(colour, channel).max()


def test_the_bin_and_the_tip_at_home_are_within_the_front_picture(drawn):
    world, _ = drawn
    world.place_arm(world.home)
    corners = [[0.16 + dx, -0.20 + dy, 0.04] for dx in (-0.05, 0.05) for dy in (-0.05, 0.05)]
    pixels = world.camera("front").project([*corners, world.tip()[:3, 3]])
    assert np.all((pixels >= 0) & (pixels < [640, 480]))


def test_the_wrist_camera_turns_with_the_arm(drawn):
    world, _ = drawn
    world.place_arm(world.home)
    before = world.camera("wrist").pose
    world.place_arm(world.home + 0.5 * np.eye(6)[0])
    assert not np.allclose(world.camera("wrist").pose, before)
    world.place_arm(world.home)


def test_a_snapshot_gives_the_same_picture_again_and_a_later_one_another(drawn):
    world, renderer = drawn
    world.reset_scene(1)
    snapshot = world.snapshot()
    first = renderer.render("front", snapshot)
    np.testing.assert_array_equal(renderer.render("front", snapshot), first)
    world.step(5)
    # Nothing has moved, but a sensor has noise.
    later = renderer.render("front", world.snapshot())
    assert not np.array_equal(later, first)
    assert np.mean(np.abs(later.astype(int) - first)) < 3.0


def test_a_snapshot_is_not_changed_by_what_the_world_does_next(drawn):
    world, renderer = drawn
    world.reset_scene(1)
    snapshot = world.snapshot()
    first = renderer.render("front", snapshot)
    world.reset_scene(2)
    renderer.render("front", world.snapshot())
    np.testing.assert_array_equal(renderer.render("front", snapshot), first)


def test_the_look_varies_with_the_seed_when_asked_to():
    world = World(ROBOT)
    renderer = Renderer(world, 64, 48)
    pictures = []
    for seed in (1, 2):
        world.reset_scene(seed)
        pictures.append(renderer.render("front", world.snapshot()).astype(int))
    renderer.close()
    table = (slice(40, 48), slice(0, 8))
    assert np.abs(pictures[0][table].mean() - pictures[1][table].mean()) > 2.0


def test_an_unknown_camera_is_refused_with_those_that_exist(drawn):
    world, renderer = drawn
    with pytest.raises(RenderError, match="no camera 'top': choose one of front, wrist"):
        renderer.render("top", world.snapshot())


@pytest.fixture
def fresh_choice(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    render.choose_backend.cache_clear()
    yield monkeypatch
    render.choose_backend.cache_clear()


def test_egl_is_tried_before_osmesa(fresh_choice):
    fresh_choice.setattr(render, "_BACKENDS", {"egl": lambda: None, "osmesa": lambda: None})
    assert render.choose_backend() == "egl"


def test_osmesa_is_taken_where_egl_does_not_work(fresh_choice):
    fresh_choice.setattr(render, "_BACKENDS", {"egl": lambda: "broken", "osmesa": lambda: None})
    assert render.choose_backend() == "osmesa"


def test_without_either_one_error_names_the_reasons_and_the_packages(fresh_choice):
    backends = {"egl": lambda: "no device", "osmesa": lambda: "not there"}
    fresh_choice.setattr(render, "_BACKENDS", backends)
    words = r"egl: no device; osmesa: not there.*libegl1.*libosmesa6"
    with pytest.raises(RenderError, match=words):
        render.choose_backend()


def test_a_backend_named_in_the_environment_is_respected_or_refused(fresh_choice):
    fresh_choice.setenv("MUJOCO_GL", "osmesa")
    assert render.choose_backend() == "osmesa"
    render.choose_backend.cache_clear()
    fresh_choice.setenv("MUJOCO_GL", "vulkan")
    with pytest.raises(RenderError, match="MUJOCO_GL=vulkan: set it to egl or osmesa"):
        render.choose_backend()
