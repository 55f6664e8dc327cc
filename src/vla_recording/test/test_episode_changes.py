# SPDX-License-Identifier: Apache-2.0
"""Marks, tasks, what is deleted and resumed, who held the arm, and what is remembered."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("rclpy")
from episode_scenes import GOAL, WALL_NS, Scene

from verification.recorder_graph import MS, POLICY
from vla_recording.dataset import Dataset
from vla_recording.dataset.files import read_json
from vla_recording.episodes.changes import delete_newest, edit
from vla_recording.episodes.command import main
from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.recorder import EpisodeGoal
from vla_recording.episodes.words import Mark, read_words

LEADER = "leader arm"


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path / "recorded")


def record(scene, seconds=0.5, mark=Mark.UNMARKED, goal=GOAL) -> Path:
    scene.begin(goal)
    scene.run(seconds)
    scene.recorder.finish(mark, False, scene.now_ns)
    return scene.finished().bag


def convert(scene) -> Dataset:
    assert main(["convert", str(scene.folder.root), "--pictures", "image"]) == 0
    return Dataset(scene.folder.dataset)


def ledger(scene) -> dict:
    return read_json(scene.folder.dataset / "meta/recording.json")["episodes"]


def test_marks_and_tasks_are_changed_in_the_bag_and_in_the_dataset(scene):
    first = record(scene, mark=Mark.SUCCESS)
    second = record(scene)
    record(scene)
    convert(scene)
    edit(first, Mark.FAILURE)
    edit(second, task="put the blue cube in the bin")
    assert read_words(first).mark == "FAILURE"
    told = ledger(scene)
    assert [told[key]["mark"] for key in "012"] == ["FAILURE", "UNMARKED", "UNMARKED"]
    assert told["0"]["operator"] == "Ada"
    assert told["0"]["policy_id"] == POLICY
    dataset = Dataset(scene.folder.dataset)
    assert dataset.problems() == []
    assert [episode.tasks for episode in dataset.episodes] == [
        (GOAL.task,),
        ("put the blue cube in the bin",),
        (GOAL.task,),
    ]
    assert set(dataset.texts("task", 1)) == {"put the blue cube in the bin"}
    assert set(dataset.texts("task", 2)) == {GOAL.task}
    with pytest.raises(EpisodeError, match="task: write at most"):
        edit(first, task="x" * 20_000)


def test_the_newest_episode_is_taken_out_and_its_bag_is_kept_aside(scene):
    first, second = record(scene), record(scene)
    convert(scene)
    said = delete_newest(scene.folder)
    assert said.startswith("episode 1 is taken out of")
    assert len(Dataset(scene.folder.dataset).episodes) == 1
    assert set(ledger(scene)) == {"0"}
    assert not second.exists()
    assert (scene.folder.deleted / second.name / "episode.json").exists()
    assert scene.folder.names() == [first.name]
    third = record(scene)
    assert third.name == second.name, "names are of the host's clock, which stands here"
    dataset = convert(scene)
    assert len(dataset.episodes) == 2
    assert dataset.problems() == []


def test_an_episode_that_is_meant_by_its_name_is_taken_out_only_while_it_is_the_newest(scene):
    first, second = record(scene), record(scene)
    convert(scene)
    for name in (first.name, "another", f"{second.name}/"):
        with pytest.raises(EpisodeError) as refused:
            delete_newest(scene.folder, name)
        assert str(refused.value) == f"only the newest episode is deleted, which is {second.name}"
    assert scene.folder.names() == [first.name, second.name]
    assert len(Dataset(scene.folder.dataset).episodes) == 2
    for bag in (second, first):
        assert str(scene.folder.deleted / bag.name) in delete_newest(scene.folder, bag.name)
    assert len(Dataset(scene.folder.dataset).episodes) == 0


def test_an_episode_that_is_not_the_last_of_the_dataset_is_not_taken_out(scene):
    first, second = record(scene), record(scene)
    out = ["--output", str(scene.folder.dataset), "--pictures", "image"]
    assert main(["convert", str(second), str(first), *out]) == 0
    with pytest.raises(EpisodeError, match="is episode 0 of 2"):
        delete_newest(scene.folder)
    assert second.exists()


def test_a_dataset_is_resumed_and_one_of_other_rows_is_refused_in_one_line(
    scene, tmp_path, capsys
):
    record(scene)
    convert(scene)
    again = Scene(scene.folder.root)
    record(again)
    assert len(convert(again).episodes) == 2
    record(again, goal=EpisodeGoal("wave", fps=10, convert_later=True))
    assert main(["convert", str(again.folder.root)]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines == [f"vla-record convert: {again.folder.dataset}: has 20 rows a second, not 10"]


def test_the_episodes_of_a_folder_are_listed(scene, capsys):
    bag = record(scene, mark=Mark.SUCCESS)
    convert(scene)
    capsys.readouterr()
    assert main(["list", str(scene.folder.root)]) == 0
    line = capsys.readouterr().out.strip()
    assert line == f"{bag.name}  10 rows  success  finished  episode 0  {GOAL.task}"
    assert main(["list", str(scene.folder.root / "elsewhere")]) == 1
    assert "has no episode" in capsys.readouterr().err


# -- who held the arm ----------------------------------------------------------------------------


def test_each_row_says_who_held_the_arm_and_whether_somebody_intervened(scene):
    scene.begin()
    scene.run(0.5)
    scene.hold(LEADER)
    scene.run(0.5)
    scene.hold("")
    scene.run(0.2)
    scene.hold(POLICY)
    scene.run(0.3)
    scene.recorder.finish(Mark.SUCCESS, False, scene.now_ns)
    scene.finished()
    dataset = convert(scene)
    sources = dataset.texts("source", 0)
    assert sources[:10] == [POLICY] * 10
    assert sources[10:20] == [LEADER] * 10
    assert sources[-6:] == [POLICY] * 6
    assert set(sources) == {POLICY, LEADER, ""}
    corrections = dataset.column("intervention", 0)[:, 0]
    assert corrections.dtype == bool
    assert corrections.tolist() == [source == LEADER for source in sources]


# -- what is remembered --------------------------------------------------------------------------


def test_the_last_seconds_become_an_episode_when_somebody_asks_for_them(scene):
    scene.run(5.0)
    name = scene.recorder.keep_last(GOAL, Mark.SUCCESS, 2.0, scene.now_ns, WALL_NS)
    ended = scene.finished()
    assert ended.words.name == name
    dataset = convert(scene)
    words = read_words(ended.bag)
    assert 39 <= words.rows <= 41, "two seconds at 20 rows a second"
    assert (words.mark, words.highlight) == ("SUCCESS", True)
    assert len(dataset) == words.rows
    since_ns = scene.now_ns - words.begin_ns
    assert 1950 * MS <= since_ns <= 2020 * MS


def test_of_what_is_remembered_the_last_stretch_without_a_fault_is_kept(scene):
    scene.run(2.0)
    scene.camera = False
    scene.run(1.0)
    scene.camera = True
    scene.run(1.5)
    scene.recorder.keep_last(GOAL, Mark.UNMARKED, 30.0, scene.now_ns, WALL_NS)
    ended = scene.finished()
    convert(scene)
    assert 27 <= read_words(ended.bag).rows <= 31


def test_nothing_is_kept_while_an_episode_is_recorded_or_before_anything_was_heard(tmp_path):
    scene = Scene(tmp_path / "recorded")
    scene.begin()
    with pytest.raises(EpisodeError, match="an episode is being recorded"):
        scene.recorder.keep_last(GOAL, Mark.UNMARKED, 2.0, scene.now_ns, WALL_NS)


def test_what_is_remembered_has_a_bound_in_time_and_in_bytes(tmp_path):
    scene = Scene(tmp_path / "recorded", remember_s=3.0)
    scene.run(6.0)
    assert scene.recorder.remembered_s() == pytest.approx(3.0, abs=0.02)
    small = Scene(tmp_path / "small", remember_bytes=500_000)
    small.run(3.0)
    assert small.recorder.remembered_s() < 1.5
    assert small.recorder._ring.size <= 500_000
    assert np.isfinite(small.recorder.remembered_s())
