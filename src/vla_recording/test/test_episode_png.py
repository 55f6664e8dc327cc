# SPDX-License-Identifier: Apache-2.0
"""Pictures without loss: of them a dataset takes no more of one episode than it can hold."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("rclpy")
from episode_scenes import GOAL, Scene

from vla_recording.dataset import Dataset, held
from vla_recording.dataset.pictures import to_png
from vla_recording.episodes import recording
from vla_recording.episodes.command import main
from vla_recording.episodes.png_size import guessed_bytes
from vla_recording.episodes.words import EndReason, Mark

LIMIT = 20_000


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch):
    monkeypatch.setattr(recording, "MOST_PNG_BYTES", LIMIT)
    monkeypatch.setattr(held, "MAX_HELD_BYTES", 2 * LIMIT)


def recorded(scene, goal=GOAL, seconds=4.0):
    """Record so long at most, and return what is said of the episode."""
    scene.begin(goal)
    while scene.recorder.current is not None and seconds > 0.0:
        scene.run(0.1)
        seconds -= 0.1
    scene.recorder.finish(Mark.SUCCESS, False, scene.now_ns)
    return scene.finished()


def png_bytes(dataset: Dataset) -> int:
    return sum(
        len(to_png(dataset.row(i)["observation.images.front"])) for i in range(len(dataset))
    )


def test_an_episode_ends_before_its_png_files_are_too_many_and_what_was_recorded_becomes_rows(
    tmp_path,
):
    scene = Scene(tmp_path / "recorded", pictures="image")
    ended = recorded(scene)
    assert ended.reason is EndReason.TOO_LARGE
    assert ended.message.startswith("its pictures as PNG come to some ")
    assert "pictures:=video" in ended.message
    assert main(["convert", str(ended.bag), "--pictures", "image"]) == 0
    dataset = Dataset(scene.folder.dataset)
    assert len(dataset) == ended.words.rows
    assert png_bytes(dataset) == pytest.approx(LIMIT, rel=0.1)
    another = Scene(scene.folder.root)
    assert recorded(another).reason is EndReason.TOO_LARGE, "the dataset that is there has PNG"


def test_what_becomes_a_video_or_is_converted_later_is_as_long_as_it_is(tmp_path, capsys):
    for name, settings in (("video", {"pictures": "video"}), ("new", {})):
        assert recorded(Scene(tmp_path / name, **settings)).reason is EndReason.FINISHED
    scene = Scene(tmp_path / "later", pictures="image")
    ended = recorded(scene, replace(GOAL, convert_later=True), 8.0)
    assert ended.reason is EndReason.FINISHED
    bag = str(ended.bag)
    assert main(["convert", bag, "--pictures", "image"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "store its pictures as video" in said
    videos = tmp_path / "videos"
    assert main(["convert", bag, "--pictures", "video", "--output", str(videos)]) == 0
    assert len(Dataset(videos)) == ended.words.rows


@pytest.mark.parametrize("size", [(480, 640), (96, 96), (250, 340)])
def test_how_large_a_camera_s_picture_becomes_is_guessed_well_from_some_of_its_lines(size):
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    seen = np.stack([80 + x * 99 // width, 40 + y * 150 // height, (x + y) * 120 // width], -1)
    cv2.rectangle(
        seen := seen.astype(np.int32), (20, 30), (width // 2, height // 2), (9, 200, 9), -1
    )
    noise = np.random.default_rng(0).normal(0.0, 2.0, seen.shape)
    pixels = np.clip(seen + noise, 0, 255).astype(np.uint8)
    assert guessed_bytes(pixels) == pytest.approx(len(to_png(pixels)), rel=0.03)
