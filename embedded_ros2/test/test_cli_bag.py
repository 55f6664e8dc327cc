# SPDX-License-Identifier: Apache-2.0
"""A recording outlives its recorder, whatever ends it."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rosbags.rosbag2 import Reader

from embedded_ros2.cli import main

PATIENT_S = 60.0
TALKER = """
import rclpy
from sensor_msgs.msg import Image
from std_msgs.msg import Int64
rclpy.init(args=[])
node = rclpy.create_node("talker")
numbers = node.create_publisher(Int64, "numbers", 10)
images = node.create_publisher(Image, "images", 10)
sent = 0
def send():
    global sent
    sent += 1
    numbers.publish(Int64(data=sent))
    images.publish(Image(width=64, height=48, encoding="rgb8", step=192, data=bytes(9216)))
node.create_timer(0.01, send)
rclpy.spin(node)
"""


@pytest.fixture(autouse=True)
def talker(monkeypatch):
    """Let a process publish in a domain of its own."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(121 + os.getpid() % 100))
    process = subprocess.Popen([sys.executable, "-c", TALKER])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def record(tmp_path):
    """Return a function that starts a recorder; it has recorded something when this returns."""
    started = []

    def start(*topics, at_least=1, **options):
        bag = tmp_path / "bag"
        process = subprocess.Popen(
            [sys.executable, "-m", "embedded_ros2.cli", "bag", "record", "-o", str(bag), *topics],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        started.append(process)
        file = bag / "bag.mcap"
        end = time.monotonic() + PATIENT_S
        while process.poll() is None and not (file.exists() and file.stat().st_size > at_least):
            assert time.monotonic() < end, "nothing is written"
            time.sleep(0.05)
        return process, bag

    yield start
    for process in started:
        process.kill()
        process.communicate()


def numbers_of(bag):
    """Return the numbers in a bag, which is whole."""
    from std_msgs.msg import Int64  # noqa: F401  (its definition comes with the bag)

    with Reader(bag) as reader:
        chosen = [one for one in reader.connections if one.topic == "/numbers"]
        return [int.from_bytes(data[4:12], "little") for _, _, data in reader.messages(chosen)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_recording_in_the_ordinary_way(record, number):
    process, bag = record("/numbers", "/images", at_least=1000)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENT_S)
    assert (process.returncode, err) == (0, "")
    found = numbers_of(bag)
    assert found == list(range(found[0], found[0] + len(found)))
    assert f"Recorded {2 * len(found)} messages" in out or "on 2 topics" in out
    assert main(["bag", "info", str(bag)]) == 0


def test_impatient_signals_do_not_break_the_end_off(record):
    process, bag = record("/numbers", "/images", at_least=1000)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.001)
    assert numbers_of(bag)


def test_nohup_is_heeded(record):
    process, bag = record(
        "/numbers", at_least=1000, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    process.send_signal(signal.SIGHUP)
    size = (bag / "bag.mcap").stat().st_size
    end = time.monotonic() + PATIENT_S
    while (bag / "bag.mcap").stat().st_size == size:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENT_S)
    assert numbers_of(bag)


def test_what_a_killed_recorder_has_written_can_be_read_after_reindex(record, capsys):
    process, bag = record("/numbers", "/images", at_least=1000)
    process.kill()
    process.communicate()
    assert main(["bag", "info", str(bag)]) == 1
    assert f"embedded-ros2 bag reindex {bag}" in capsys.readouterr().err
    assert main(["bag", "reindex", str(bag)]) == 0
    assert f"the broken one is '{bag}.broken'" in capsys.readouterr().out
    found = numbers_of(bag)
    assert found
    assert found == list(range(found[0], found[0] + len(found)))
    assert main(["bag", "info", str(bag)]) == 0
    assert "Type: sensor_msgs/msg/Image" in capsys.readouterr().out


def test_a_file_cut_off_anywhere_gives_what_is_whole(record, tmp_path):
    process, bag = record("/numbers", at_least=5000)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENT_S)
    whole, data = numbers_of(bag), (bag / "bag.mcap").read_bytes()
    most = 0
    for number, size in enumerate(range(20, len(data), len(data) // 40)):
        cut = tmp_path / f"cut{number}"
        cut.mkdir()
        (cut / "cut.mcap").write_bytes(data[:size])
        if main(["bag", "reindex", str(cut)]) == 0:
            found = numbers_of(cut)
            assert found == whole[: len(found)]
            most = max(most, len(found))
        else:
            assert (cut / "cut.mcap").read_bytes() == data[:size]
    assert most > 0.9 * len(whole)


@pytest.mark.parametrize("content", [b"", b"\x89MCAP0\r\n", b"x" * 100, bytes(1000)])
def test_a_file_with_nothing_whole_in_it_is_left_alone(tmp_path, content, capsys):
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "bag.mcap").write_bytes(content)
    assert main(["bag", "reindex", str(tmp_path / "bag")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]
    assert (tmp_path / "bag" / "bag.mcap").read_bytes() == content


def test_a_file_that_cannot_grow_ends_the_recording_in_one_line_and_keeps_what_it_holds(record):
    limit = 500_000  # less than the recorder writes at once

    def cap():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process, bag = record("/numbers", "/images", preexec_fn=cap)
    _, err = process.communicate(timeout=PATIENT_S)
    assert process.returncode == 1
    assert err.count("\n") == 1
    assert f"embedded-ros2 bag reindex {bag}" in err
    assert main(["bag", "reindex", str(bag)]) == 0
    assert numbers_of(bag)


def test_a_disk_that_runs_full_ends_the_recording_while_there_is_room_for_the_index(
    record, tmp_path
):
    # The recorder sees a disk with less room than it keeps.
    (tmp_path / "sitecustomize.py").write_text(
        "import shutil\nfrom collections import namedtuple\n"
        "usage, looks = namedtuple('usage', 'total used free'), []\n"
        "def disk_usage(path):\n"
        "    looks.append(1)\n"
        "    return usage(1, 1, 1000 if len(looks) > 20 else 10**12)\n"
        "shutil.disk_usage = disk_usage\n"
    )
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    process, bag = record("/numbers", env={**os.environ, "PYTHONPATH": path})
    out, _ = process.communicate(timeout=PATIENT_S)
    assert process.returncode == 1
    assert "disk" in out
    assert numbers_of(bag)
    assert Path(bag / "metadata.yaml").exists()
