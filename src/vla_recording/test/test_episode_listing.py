# SPDX-License-Identifier: Apache-2.0
"""What a recorder's folder is seen to hold: its episodes in their order, and their videos."""

import os
from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("rclpy")
from episode_scenes import GOAL, WALL_NS, Scene

from verification.recorder_graph import POLICY, picture
from vla_recording.episodes import listing, preview
from vla_recording.episodes.command import main
from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.listing import listed, video_piece
from vla_recording.episodes.preview import Preview, small
from vla_recording.episodes.recorder import EpisodeGoal
from vla_recording.episodes.rows import EpisodeRow
from vla_recording.episodes.showing import info
from vla_recording.episodes.store import EpisodeFolder
from vla_recording.episodes.words import Mark


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path / "recorded")


def record(scene, goal=GOAL) -> Path:
    scene.begin(goal)
    scene.run(0.5)
    scene.hold("leader arm")
    scene.run(0.3)
    scene.hold(POLICY)
    scene.recorder.finish(Mark.SUCCESS, False, scene.now_ns)
    return scene.finished().bag


def convert(scene) -> None:
    assert main(["convert", str(scene.folder.root), "--pictures", "image"]) == 0


def whole(folder: EpisodeFolder, name: str) -> bytes:
    """Return a video, piece by piece."""
    found, size = b"", 1
    while len(found) < size:
        size, piece = video_piece(folder, name, len(found))
        found += piece
    return found


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


def test_the_video_of_an_episode_shows_its_first_camera_at_its_own_pace(scene, monkeypatch):
    bag = record(scene)
    (before,) = listed(scene.folder, [bag.name])
    assert before.video_bytes == 0
    with pytest.raises(EpisodeError, match="has no video; it is made with its rows"):
        video_piece(scene.folder, bag.name, 0)
    convert(scene)
    (after,) = listed(scene.folder, [bag.name])
    monkeypatch.setattr(listing, "PIECE_BYTES", 1000)
    assert len(whole(scene.folder, bag.name)) == after.video_bytes > 1000
    shown = frames(bag / preview.FILE)
    # 16 rows at 20 a second, every second of them.
    assert len(shown) == 8
    assert shown[0].shape == picture(0).shape
    with av.open(str(bag / preview.FILE)) as video:
        assert float(video.streams.video[0].average_rate) == 10.0
    # The first one that was recorded, but for what the codec leaves out.
    nearest = min(np.abs(shown[0] - picture(n).astype(float)).mean() for n in range(20))
    assert nearest < 6.0


def test_what_is_told_of_an_episode_is_what_its_bag_says(scene):
    bag = record(scene)
    told = info(listed(scene.folder, [bag.name])[0])
    assert (told.name, told.task, told.operator_name) == (bag.name, GOAL.task, "Ada")
    assert (told.policy_id, told.mark, told.ended) == (POLICY, 1, True)
    assert (told.rows, told.rows_intervened, told.duration) == (16, 6, 0.8)
    assert (told.message, told.episode_index) == ("finished as success", -1)
    convert(scene)
    told = info(listed(scene.folder, [bag.name])[0])
    assert (told.episode_index, told.problem) == (0, "")
    assert told.video_bytes > 0


def test_an_episode_that_is_damaged_or_taken_away_hides_no_other(scene, capsys):
    first, second, third = (record(scene).name for _ in range(3))
    (scene.folder.bags / second / "episode.json").write_text("{")
    names = scene.folder.names()
    assert names == [first, second, third]
    (scene.folder.bags / third / "episode.json").unlink()
    found = listed(scene.folder, names)
    assert [each.name for each in found] == [first, second]
    assert found[1].words is None
    assert "is damaged" in info(found[1]).problem
    assert main(["list", str(scene.folder.root)]) == 1
    said = capsys.readouterr()
    assert said.out.startswith(first)
    assert said.err.startswith("vla-record list: ")


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "../bags/x", "/etc", "..%2f..", "x/../y", ".trial", "a\0b", "x" * 200, "é"],
)
def test_no_name_leads_out_of_the_folder(scene, name):
    for place in (scene.folder.root, scene.folder.root.parent):
        (place / "episode.json").write_text("{}")
        (place / preview.FILE).write_text("secret")
    with pytest.raises(EpisodeError, match="has no episode"):
        video_piece(scene.folder, name, 0)


def test_no_link_leads_out_of_the_folder_and_nothing_but_a_file_is_read(scene, tmp_path):
    bag = record(scene)
    secret = tmp_path / "secret"
    secret.mkdir()
    for name in ("episode.json", preview.FILE):
        (secret / name).write_text((bag / "episode.json").read_text())
    (scene.folder.bags / "linked").symlink_to(secret)
    with pytest.raises(EpisodeError, match="has no episode"):
        video_piece(scene.folder, "linked", 0)
    video = bag / preview.FILE
    for make in (
        lambda: video.symlink_to(secret / preview.FILE),
        lambda: os.mkfifo(video),
        lambda: video.mkdir(),
    ):
        make()
        with pytest.raises(EpisodeError, match=r"has no video|is none that was made here"):
            video_piece(scene.folder, bag.name, 0)
        video.rmdir() if video.is_dir() and not video.is_symlink() else video.unlink()
    video.write_bytes(b"")
    os.truncate(video, preview.MOST_BYTES + 1)
    with pytest.raises(EpisodeError, match="is none that was made here"):
        video_piece(scene.folder, bag.name, 0)
    os.truncate(video, 10)
    with pytest.raises(EpisodeError, match="has 10 bytes, and none at 11"):
        video_piece(scene.folder, bag.name, 11)


def test_a_clock_that_was_set_back_changes_neither_the_order_nor_what_the_last_one_is(scene):
    names = []
    for number in range(12):
        scene.run(0.2)
        year_ns = 365 * 86400 * 10**9
        wall_ns = WALL_NS - (number % 3) * 30 * year_ns
        assert scene.recorder.begin(GOAL, scene.now_ns, wall_ns) == ""
        scene.step()
        scene.run(0.2)
        scene.recorder.finish(Mark.UNMARKED, False, scene.now_ns)
        names.append(scene.finished().bag.name)
    assert scene.folder.names() == names
    assert names[11].endswith("_12")


# -- the preview itself --------------------------------------------------------------------------


class Seen:
    """What a row shows."""

    def __init__(self, pixels):
        self.observation = self
        self.images = {"front": pixels}


def row(index: int, pixels) -> EpisodeRow:
    return EpisodeRow(index, 0, Seen(pixels), np.zeros(1), "", False)


def test_a_long_episode_is_shown_with_fewer_pictures_a_second_and_no_longer(tmp_path, monkeypatch):
    monkeypatch.setattr(preview, "MOST_PICTURES", 20)
    shown = Preview(tmp_path, "front", 300, 30)
    for index in range(300):
        shown.add(row(index, np.full((50, 70, 3), index % 255, np.uint8)))
    shown.finish()
    assert shown.problem == ""
    with av.open(str(tmp_path / preview.FILE)) as video:
        stream = video.streams.video[0]
        assert stream.frames == 20
        assert float(stream.duration * stream.time_base) == pytest.approx(10.0, abs=0.6)


@pytest.mark.parametrize("size", [(1, 1), (1079, 1921), (33, 1), (480, 640), (4096, 4096)])
def test_a_picture_is_made_small_and_of_even_sides(size):
    height, width = small(np.zeros((*size, 3), np.uint8)).shape[:2]
    assert height % 2 == width % 2 == 0
    assert 2 <= max(height, width) <= preview.LARGEST_SIDE


def test_a_video_that_grows_too_large_or_cannot_be_written_is_none_and_ends_nothing(
    tmp_path, monkeypatch
):
    noise = np.random.default_rng(1)
    monkeypatch.setattr(preview, "MOST_BYTES", 100_000)
    shown = Preview(tmp_path, "front", 200, 10)
    for index in range(200):
        shown.add(row(index, noise.integers(0, 256, (240, 320, 3), dtype=np.uint8)))
    assert "has more than" in shown.problem
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    other = Preview(tmp_path / "file", "front", 200, 10)
    other.add(row(0, np.zeros((32, 32, 3), np.uint8)))
    other.add(row(1, np.zeros((32, 32, 3), np.uint8)))
    assert "cannot be written" in other.problem
    other.finish()


def test_an_episode_without_a_camera_has_no_video(tmp_path):
    shown = Preview(tmp_path, "", 10, 10)
    shown.add(row(0, np.zeros((32, 32, 3), np.uint8)))
    shown.finish()
    assert shown.problem == "no camera is recorded"
    assert list(tmp_path.iterdir()) == []


def test_a_conversion_whose_video_fails_keeps_its_rows(scene, monkeypatch, capsys):
    record(scene, EpisodeGoal("wave", fps=10))
    monkeypatch.setattr(preview, "MOST_BYTES", 0)
    convert(scene)
    assert "has no video to look at" in capsys.readouterr().out
    (found,) = listed(scene.folder, scene.folder.names())
    assert (found.words.episode_index, found.video_bytes) == (0, 0)
