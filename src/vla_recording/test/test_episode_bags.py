# SPDX-License-Identifier: Apache-2.0
"""What becomes of an episode when its recorder is killed, the disk is full or too slow."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("rclpy")
from episode_scenes import GOAL, WALL_NS, Scene

from vla_recording.black_box.writer import Topic
from vla_recording.dataset import Dataset
from vla_recording.episodes import bag as bags
from vla_recording.episodes.bag import EpisodeBag
from vla_recording.episodes.command import main
from vla_recording.episodes.reading import text_message
from vla_recording.episodes.words import EndReason, Mark, read_words

TEXT = Topic("std_msgs/msg/String", "string data")
HERE = Path(__file__).parent
PLACES = [str(HERE), str(HERE.parents[2])]


def run(code: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {PLACES}\n{code}", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_a_recorder_that_was_killed_had_recorded_is_converted(tmp_path, capsys):
    """kill -9 in the middle of an episode; what was flushed, at most half a second before, is."""
    code = """
import time
from pathlib import Path
from episode_scenes import Scene
scene = Scene(Path(sys.argv[1]))
scene.begin()
scene.run(3.0)
bag = scene.recorder.current.bag
deadline = time.monotonic() + 300
while bag._queue and time.monotonic() < deadline:
    time.sleep(0.05)
while time.monotonic() < deadline and not bag._whole_bytes:
    time.sleep(0.05)
size = 0
while time.monotonic() < deadline and size != bag._whole_bytes:
    size = bag._whole_bytes
    time.sleep(2 * 0.5 + 0.2)
print("written", flush=True)
time.sleep(600)
"""
    process = run(code, str(tmp_path / "recorded"))
    assert process.stdout.readline() == "written\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (bag,) = (tmp_path / "recorded" / "bags").iterdir()
    assert not (bag / "metadata.yaml").exists(), "it was cut off"
    assert read_words(bag).reason == ""
    assert main(["convert", str(tmp_path / "recorded"), "--pictures", "image"]) == 0
    capsys.readouterr()
    words = read_words(bag)
    assert words.reason == "SHUT_DOWN"
    assert "ended without a word" in words.message
    dataset = Dataset(tmp_path / "recorded" / "dataset")
    assert len(dataset) == words.rows >= 55, "of 60 rows"
    assert dataset.problems() == []
    assert main(["convert", str(bag)]) == 0
    assert "is in" in capsys.readouterr().out, "and once only"
    assert len(Dataset(tmp_path / "recorded" / "dataset").episodes) == 1


def test_a_disk_that_becomes_full_ends_the_episode_in_one_line_and_keeps_what_was_written(
    tmp_path, monkeypatch
):
    scene = Scene(tmp_path / "recorded")
    scene.begin()
    scene.run(1.0)
    written = scene.recorder.current.bag
    monkeypatch.setattr(bags, "SPARE_BYTES", 1 << 62)
    deadline = time.monotonic() + 60.0
    while not written.full and time.monotonic() < deadline:
        time.sleep(0.05)
    scene.run(0.5)
    ended = scene.finished()
    assert ended.reason is EndReason.NO_SPACE
    assert ended.message == f"the disk of {ended.bag} is full; what was written is kept"
    assert (ended.bag / "metadata.yaml").exists(), "there was room for its end"
    said = scene.recorder.begin(GOAL, scene.now_ns, WALL_NS)
    assert "the disk is full" in said
    monkeypatch.undo()
    assert main(["convert", str(ended.bag), "--pictures", "image"]) == 0
    words = read_words(ended.bag)
    assert (words.reason, words.episode_index) == ("NO_SPACE", 0)
    assert 15 <= words.rows <= 30


def test_a_write_that_fails_leaves_a_file_that_can_be_read_to_its_last_whole_chunk(tmp_path):
    """A limit of the file size stands for the disk: the write fails in the middle."""
    code = """
import resource, signal, time
from pathlib import Path
from episode_scenes import Scene
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, resource.RLIM_INFINITY))
scene = Scene(Path(sys.argv[1]), compressed=False)
scene.begin()
deadline = time.monotonic() + 300
while not scene.ended and time.monotonic() < deadline:
    scene.run(0.1)
    time.sleep(0.05)
print(scene.ended[0].reason.name, scene.ended[0].bag, flush=True)
"""
    process = run(code, str(tmp_path / "recorded"))
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    reason, bag = said.split()
    assert reason == "NO_SPACE"
    assert main(["convert", bag, "--pictures", "image"]) == 0
    assert read_words(Path(bag)).rows >= 10
    assert Dataset(tmp_path / "recorded" / "dataset").problems() == []


def test_messages_that_come_faster_than_the_disk_takes_them_are_counted_and_end_the_episode(
    tmp_path, monkeypatch
):
    scene = Scene(tmp_path / "recorded", queue_bytes=200_000)
    monkeypatch.setattr(EpisodeBag, "_write", lambda *_: time.sleep(0.2))
    scene.begin()
    scene.run(1.0)
    assert scene.recorder.current is None
    words = scene.recorder.newest
    assert words.reason == "MESSAGES_DROPPED"
    assert "messages come faster than the disk takes them" in words.message


def test_a_bag_holds_no_more_than_it_may_while_the_disk_is_slow(tmp_path, monkeypatch):
    monkeypatch.setattr(EpisodeBag, "_write", lambda *_: time.sleep(0.01))
    bag = EpisodeBag(tmp_path / "bag", {"/talk": TEXT}, 10_000, compressed=False)
    data = text_message("x" * 1000)
    kept = sum(bag.put("/talk", stamp, data) for stamp in range(200))
    assert bag._waiting <= 10_000
    assert bag.dropped == {"/talk": 200 - kept}
    assert bag.written == kept
    bag.end()
    assert bag.done.wait(60.0)


def test_the_contract_and_the_robot_file_are_in_the_bag(tmp_path):
    scene = Scene(tmp_path / "recorded")
    scene.begin()
    scene.run(0.2)
    scene.recorder.finish(Mark.UNMARKED, False, scene.now_ns)
    ended = scene.finished()
    from rosbags.rosbag2 import Reader

    from verification.recorder_graph import CONTRACT_TEXT, ROBOT_TEXT

    with Reader(ended.bag) as reader:
        chosen = [c for c in reader.connections if c.topic.endswith("_file")]
        texts = {c.topic: bytes(data)[8:-1].decode() for c, _, data in reader.messages(chosen)}
    assert texts == {
        "/episode_recorder/contract_file": CONTRACT_TEXT,
        "/episode_recorder/robot_file": ROBOT_TEXT,
    }
