# SPDX-License-Identifier: Apache-2.0
"""Others at the same folder: a second command while one records, copies, two robots."""

import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("rclpy")
from episode_scenes import GOAL, WALL_NS, Scene

from vla_recording.dataset import Dataset
from vla_recording.dataset.errors import DatasetError
from vla_recording.dataset.files import read_json
from vla_recording.dataset.writer import locked
from vla_recording.episodes import convert as conversion
from vla_recording.episodes.command import main
from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.notes import EpisodeNotes
from vla_recording.episodes.words import Mark, read_words

IMAGES = ("--pictures", "image")
OTHER = "put the blue cube in the bin"


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path / "recorded")


def record(scene, seconds=0.5) -> Path:
    scene.begin()
    scene.run(seconds)
    scene.recorder.finish(Mark.UNMARKED, False, scene.now_ns)
    return scene.finished().bag


def tasks(dataset: Path) -> list[str]:
    """Return the task of each episode, as tables and notes have it."""
    told = [episode.tasks for episode in Dataset(dataset).episodes]
    noted = read_json(dataset / "meta/recording.json")["episodes"]
    assert told == [(noted[str(index)]["task"],) for index in range(len(told))]
    return [task for (task,) in told]


def test_an_episode_that_is_recorded_is_neither_converted_nor_changed_nor_taken_out_by_others(
    scene, capsys
):
    first = record(scene)
    scene.begin()
    scene.run(0.5)
    current = scene.recorder.current.bag.folder
    for words in (
        ["convert", str(scene.folder.root), *IMAGES],
        ["mark", str(current), "success"],
        ["retask", str(current), OTHER],
        ["delete-last", str(scene.folder.root)],
    ):
        assert main(words) == 1
        said = capsys.readouterr().err
        assert f"{current}: is being recorded, converted or changed just now" in said
    assert [each.length for each in Dataset(scene.folder.dataset).episodes] == [
        read_words(first).rows
    ], "the one that is over was converted all the same"
    scene.run(0.5)
    scene.recorder.finish(Mark.SUCCESS, False, scene.now_ns)
    ended = scene.finished()
    assert main(["convert", str(scene.folder.root), *IMAGES]) == 0
    assert Dataset(scene.folder.dataset).episodes[1].length == ended.words.rows > 19
    assert read_words(current).mark == "SUCCESS"


def waits_for(folder: Path) -> bool:
    """Whether somebody waits for the lock of a folder, as the kernel tells."""
    inode = f":{folder.stat().st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and inode in line for line in lines)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the kernel does not tell its locks")
def test_the_recorder_s_conversion_waits_for_who_writes_on_the_dataset(scene, capsys):
    record(scene)
    assert main(["convert", str(scene.folder.root), *IMAGES]) == 0
    record(scene)
    dataset = scene.folder.dataset
    held = locked(dataset)
    assert main(["convert", str(scene.folder.root), *IMAGES]) == 1
    assert "another process writes on it" in capsys.readouterr().err
    codes = []
    waiting = threading.Thread(
        target=lambda: codes.append(main(["--wait", "convert", str(scene.folder.root), *IMAGES]))
    )
    waiting.start()
    while waiting.is_alive() and not waits_for(dataset):
        pass
    assert codes == []
    os.close(held)
    waiting.join()
    assert codes == [0]
    assert len(Dataset(dataset).episodes) == 2


def test_what_is_changed_in_a_copy_of_the_folder_is_not_changed_in_the_first(scene):
    bag = record(scene)
    assert main(["convert", str(scene.folder.root), *IMAGES]) == 0
    copy = scene.folder.root.with_name("copy")
    shutil.copytree(scene.folder.root, copy)
    assert main(["retask", str(copy / "bags" / bag.name), OTHER]) == 0
    assert tasks(copy / "dataset") == [OTHER]
    assert tasks(scene.folder.dataset) == [GOAL.task]
    assert read_words(bag).task == GOAL.task


def test_what_is_changed_after_the_folder_was_moved_is_changed_in_its_dataset(scene):
    bag = record(scene)
    elsewhere = scene.folder.root.with_name("all")
    for where in ([], ["--output", str(elsewhere)]):
        assert main(["convert", str(scene.folder.root), *where, *IMAGES]) == 0
    moved = scene.folder.root.with_name("moved")
    scene.folder.root.rename(moved)
    assert main(["retask", str(moved / "bags" / bag.name), OTHER]) == 0
    assert tasks(moved / "dataset") == tasks(elsewhere) == [OTHER]


def test_episodes_of_two_recorders_that_have_the_same_name_are_two_in_one_dataset(
    tmp_path, capsys
):
    left, right = Scene(tmp_path / "left"), Scene(tmp_path / "right")
    bags = [record(left, 0.5), record(right, 0.7)]
    assert bags[0].name == bags[1].name
    both = tmp_path / "both"
    for _ in range(2):
        arguments = [*map(str, bags), "--output", str(both), *IMAGES]
        assert main(["convert", *arguments]) == 0
        assert [each.length for each in Dataset(both).episodes] == [
            read_words(bag).rows for bag in bags
        ]
    assert "already, as episode 1" in capsys.readouterr().out
    assert main(["retask", str(bags[1]), OTHER]) == 0
    assert tasks(both) == [GOAL.task, OTHER]


def test_an_episode_whose_conversion_was_cut_off_after_its_rows_is_told_where_they_are(
    scene, monkeypatch
):
    bag = record(scene)

    def cut_off(folder, words):
        raise DatasetError("the power went")

    with monkeypatch.context() as broken:
        broken.setattr(conversion, "write_words", cut_off)
        assert main(["convert", str(bag), *IMAGES]) == 1
    assert read_words(bag).dataset == ""
    assert main(["convert", str(bag), *IMAGES]) == 0
    words = read_words(bag)
    assert (words.dataset, words.episode_index) == (str(scene.folder.dataset), 0)
    assert len(Dataset(scene.folder.dataset).episodes) == 1


def test_of_two_that_say_something_of_a_dataset_at_once_neither_undoes_the_other(scene):
    bags = [record(scene), record(scene)]
    assert main(["convert", str(scene.folder.root), *IMAGES]) == 0
    both = [EpisodeNotes(scene.folder.dataset) for _ in bags]
    for index, (notes, bag) in enumerate(zip(both, bags, strict=True)):
        notes.note(index, read_words(bag).changed(Mark.SUCCESS), bag)
    noted = read_json(scene.folder.dataset / "meta/recording.json")["episodes"]
    assert [noted[key]["mark"] for key in "01"] == ["SUCCESS", "SUCCESS"]


def test_a_list_that_nobody_reads_to_its_end_is_no_failure(scene):
    record(scene)
    reads, writes = os.pipe()
    os.close(reads)
    module = [sys.executable, "-m", "vla_recording.episodes.command", "list"]
    done = subprocess.run(
        [*module, str(scene.folder.root)], stdout=writes, stderr=subprocess.PIPE, text=True
    )
    os.close(writes)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("fps", "settings", "why"),
    [
        (30, {"pictures": "image"}, "has 20 rows a second, not 30"),
        (20, {"pictures": "video"}, "front is image [64, 96, 3], not video [64, 96, 3]"),
    ],
)
def test_rows_that_the_dataset_would_not_take_are_told_before_they_are_recorded(
    scene, fps, settings, why
):
    record(scene)
    assert main(["convert", str(scene.folder.root), *IMAGES]) == 0
    another = Scene(scene.folder.root, **settings)
    another.run(1.0)
    goal = replace(GOAL, fps=fps)
    said = another.recorder.begin(goal, another.now_ns, WALL_NS)
    assert said.startswith(f"{scene.folder.dataset}: ")
    assert said.endswith(f"{why}; record into another folder, or with convert_later")
    with pytest.raises(EpisodeError, match="record into another folder"):
        another.recorder.keep_last(goal, Mark.UNMARKED, 1.0, another.now_ns, WALL_NS)
    later = replace(goal, convert_later=True)
    assert another.recorder.begin(later, another.now_ns, WALL_NS) == ""


def test_rows_that_fit_the_dataset_are_recorded_on_another_day(scene):
    record(scene)
    assert main(["convert", str(scene.folder.root), *IMAGES]) == 0
    for pictures in ("image", ""):
        another = Scene(scene.folder.root, pictures=pictures)
        another.begin()
