# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around an episode: folders that go away, clocks that are set, a full disk."""

import errno
import shutil
import subprocess
import sys
import threading

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("rclpy")
from episode_scenes import GOAL, WALL_NS, Scene

from verification.recorder_graph import MS
from vla_recording.dataset import Dataset
from vla_recording.dataset.errors import DatasetError
from vla_recording.episodes import conversions, recorder
from vla_recording.episodes.command import main
from vla_recording.episodes.conversions import Conversions
from vla_recording.episodes.recorder import EpisodeGoal
from vla_recording.episodes.words import EndReason, Mark

FULL = OSError(errno.ENOSPC, "No space left on device")


# Persian, with a letter of no width within a word, Chinese, and an emoji that is joined of two.
ANYWHERE = "مکعب را می\u200cگذاری 把红色方块放进盒子 \U0001f469\u200d\U0001f527"


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path / "recorded")


def bag_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "bag"]


def test_a_folder_that_is_taken_away_while_an_episode_is_recorded_is_told_as_what_it_is(scene):
    scene.begin()
    bag = scene.recorder.current.bag
    shutil.rmtree(bag.folder)
    while not bag.done.is_set():
        scene.step()
        bag.done.wait(0.01)
    scene.step()
    ended = scene.finished()
    assert ended.reason is EndReason.WRITING_FAILED
    assert ended.message == f"{bag.folder}: is not there any more"
    assert ended.bag is None
    assert list(scene.folder.bags.iterdir()) == [], "nothing is left that looks like an episode"
    scene.begin()
    scene.run(0.3)
    scene.recorder.finish(Mark.UNMARKED, False, scene.now_ns)
    assert scene.finished().reason is EndReason.FINISHED


def test_a_recorder_s_folder_that_is_taken_away_between_episodes_is_made_again(scene):
    scene.run(0.2)
    shutil.rmtree(scene.folder.root)
    scene.begin()
    scene.run(0.3)
    scene.recorder.finish(Mark.UNMARKED, False, scene.now_ns)
    ended = scene.finished()
    assert main(["convert", str(ended.bag), "--pictures", "image"]) == 0
    shutil.rmtree(scene.folder.root)
    scene.folder.root.write_text("a file")
    said = scene.recorder.begin(GOAL, scene.now_ns, WALL_NS)
    assert said == f"{scene.folder.bags}: nothing can be written (Not a directory)"


def test_an_episode_whose_words_cannot_be_written_leaves_neither_folder_nor_thread(
    scene, monkeypatch
):
    scene.run(0.5)
    before = len(bag_threads())

    def full(folder, words):
        raise DatasetError(f"{folder}/episode.json: cannot be written: {FULL.strerror}")

    with monkeypatch.context() as broken:
        broken.setattr(recorder, "write_words", full)
        assert scene.recorder.begin(GOAL, scene.now_ns, WALL_NS) == ""
        scene.step()
        (ended,) = scene.ended
        assert ended.reason is EndReason.WRITING_FAILED
        assert FULL.strerror in ended.message
        with pytest.raises(DatasetError, match=FULL.strerror):
            scene.recorder.keep_last(GOAL, Mark.UNMARKED, 1.0, scene.now_ns, WALL_NS)
    assert list(scene.folder.bags.iterdir()) == []
    assert len(bag_threads()) == before
    assert not scene.recorder.busy
    scene.ended.clear()
    scene.begin()


def test_an_episode_that_waits_for_its_inputs_does_not_outlast_a_clock_that_is_set_back(scene):
    scene.camera = False
    scene.run(1.0)
    assert scene.recorder.begin(GOAL, scene.now_ns, WALL_NS) == ""
    assert scene.recorder.tick(scene.now_ns + MS) == []
    (ended,) = scene.recorder.tick(scene.now_ns - 3_600_000 * MS)
    assert ended.reason is EndReason.INPUT_REFUSED
    assert not scene.recorder.busy


def test_an_episode_that_waits_for_its_inputs_can_be_ended_before_it_begins(scene):
    scene.camera = False
    scene.run(1.0)
    assert scene.recorder.begin(GOAL, scene.now_ns, WALL_NS) == ""
    assert scene.recorder.finish(Mark.SUCCESS, False, scene.now_ns) == ""
    (ended,) = scene.recorder.tick(scene.now_ns)
    assert (ended.reason, ended.bag) == (EndReason.REFUSED, None)
    assert ended.message == "was ended before its inputs were there"
    assert scene.recorder.finish(Mark.SUCCESS, False, scene.now_ns) == (
        "no episode is being recorded"
    )


def test_a_task_in_any_language_is_that_of_the_rows_and_what_hides_letters_is_none(scene):
    scene.begin(EpisodeGoal(ANYWHERE, ANYWHERE, fps=20))
    scene.run(0.3)
    scene.recorder.finish(Mark.UNMARKED, False, scene.now_ns)
    ended = scene.finished()
    assert main(["convert", str(ended.bag), "--pictures", "image"]) == 0
    assert set(Dataset(scene.folder.dataset).texts("task", 0)) == {ANYWHERE}
    for task in ("wave\u202eevaw", "\u200d", "a\ud800"):
        said = scene.recorder.begin(EpisodeGoal(task), scene.now_ns, WALL_NS)
        assert said.startswith("task: ")


def test_an_episode_without_a_task_has_the_one_that_the_policy_carries_out(scene):
    scene.begin(EpisodeGoal("", fps=20))
    scene.run(0.3)
    assert scene.recorder.current.words.task == "wave"
    scene.recorder.finish(Mark.UNMARKED, False, scene.now_ns)
    scene.finished()
    silent = Scene(scene.folder.root.parent / "other")
    silent.recorder.inputs.task = ""
    said = silent.recorder.begin(EpisodeGoal(" "), silent.now_ns, WALL_NS)
    assert said.startswith("task: is empty")


def test_a_conversion_that_cannot_be_begun_is_told_and_the_next_one_is_tried(
    tmp_path, monkeypatch
):
    queue, bags = Conversions(tmp_path / "dataset", "image"), [tmp_path / "a", tmp_path / "b"]
    begin, begun = subprocess.Popen, []

    def refuse_once(*given, **more):
        begun.append(given)
        if len(begun) == 1:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return begin([sys.executable, "-c", ""], **more)

    monkeypatch.setattr(conversions.subprocess, "Popen", refuse_once)
    for bag in bags:
        queue.add(bag)
    found = []
    while len(found) < 2:
        found += queue.poll()
    assert {each.bag: each.problem for each in found} == {
        bags[0]: "the conversion cannot be begun: Cannot allocate memory",
        bags[1]: "",
    }
    assert queue.count == 0
