# SPDX-License-Identifier: Apache-2.0
"""No recording, however damaged, ends in a traceback or is called within limits unread."""

import os
import shutil
import sqlite3
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("matplotlib")

from report_bags import (
    CONTROLLER_STATE,
    JOINT_STATE,
    MS,
    NAMES,
    T0,
    Bag,
    both,
    reach,
    record,
    run,
    write_robot_file,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from vla_recording.report.errors import ExitCode

FINE = set(ExitCode) - {ExitCode.INTERNAL, ExitCode.USAGE}
MAGIC = b"\x89MCAP0\r\n"


@pytest.fixture
def robot_file(tmp_path):
    return write_robot_file(tmp_path / "robot.yaml")


def made(tmp_path, capsys, path, *more):
    """Return exit code and words; there is no way to end that is not foreseen."""
    out = tmp_path / "made"
    code, printed, err = run(capsys, path, "--out", out, *more)
    assert code in FINE, err
    assert "Traceback" not in err + printed
    if code == ExitCode.NO_REPORT:
        assert err.count("\n") == 1, err
        assert "please" not in err.lower()
    return code, printed + err


def rec(kind, body):
    return struct.pack("<BQ", kind, len(body)) + body


def text(value):
    raw = value.encode()
    return struct.pack("<I", len(raw)) + raw


def mcap(*parts):
    header = rec(1, text("ros2") + text("test"))
    return MAGIC + header + b"".join(parts) + rec(15, b"\0" * 4) + rec(2, b"\0" * 20) + MAGIC


def schema(number, name, encoding, data=b""):
    body = struct.pack("<H", number) + text(name) + text(encoding)
    return rec(3, body + struct.pack("<I", len(data)) + data)


def channel(number, of, topic, encoding):
    body = struct.pack("<HH", number, of) + text(topic) + text(encoding)
    return rec(4, body + struct.pack("<I", 0))


def message(number, ns, data):
    return rec(5, struct.pack("<HIQQ", number, 0, ns, ns) + data)


def joint_message(ns, positions, names=NAMES):
    """Serialise by hand, as any C++ node would."""
    data = b"\0\1\0\0" + struct.pack("<iI", ns // 10**9, ns % 10**9) + struct.pack("<I", 1) + b"\0"

    def pad(data, size):
        return data + b"\0" * (-(len(data) - 4) % size)

    data = pad(data, 4) + struct.pack("<I", len(names))
    for name in names:
        raw = name.encode() + b"\0"
        data = pad(data, 4) + struct.pack("<I", len(raw)) + raw
    for values in (positions, (), ()):
        data = pad(data, 4) + struct.pack("<I", len(values))
        if len(values):
            data = pad(data, 8) + np.asarray(values, "<f8").tobytes()
    return data


def joint_records(count=400):
    return [
        message(1, T0 + k * 10 * MS, joint_message(T0 + k * 10 * MS, [reach(k * 0.01)] * 5))
        for k in range(count)
    ]


JOINTS = schema(1, "sensor_msgs/msg/JointState", "ros2msg") + channel(1, 1, "/joint_states", "cdr")


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_bits_that_flipped_and_ends_that_are_cut_are_no_tracebacks(
    tmp_path, capsys, robot_file, storage
):
    with Bag(tmp_path / "bag", storage=storage) as bag:
        both(bag, 2.0, 50)
    (file,) = (f for f in (tmp_path / "bag").iterdir() if f.suffix != ".yaml")
    whole = file.read_bytes()
    rng = np.random.default_rng(7)
    for trial in range(24):
        data = bytearray(whole)
        if trial % 3 == 0:
            data = data[: int(rng.integers(1, len(data)))]
        for at in rng.integers(0, len(data), int(rng.integers(1, 30))):
            data[at] ^= 1 << int(rng.integers(8))
        if trial % 3 == 2:
            at = int(rng.integers(0, len(data)))
            data[at : at + 8] = b"\xff" * 8
        file.write_bytes(data)
        code, words = made(tmp_path, capsys, tmp_path / "bag", "--robot", robot_file)
        if len(data) < 0.9 * len(whole):
            assert code != ExitCode.DONE, words


def test_messages_of_nonsense_are_no_tracebacks(tmp_path, capsys, robot_file):
    rng = np.random.default_rng(11)
    sound = joint_message(T0, [0.0] * 5)
    with Bag(tmp_path / "bag") as bag:
        both(bag, 2.0, 50)
        for k in range(300):
            data = bytearray(sound)
            for at in rng.integers(0, len(data), 6):
                data[at] = int(rng.integers(256))
            kind = (JOINT_STATE, CONTROLLER_STATE)[k % 2]
            topic = ("/joint_states", "/arm_controller/controller_state")[k % 2]
            bag.write_raw(topic, kind, T0 + (2000 + k) * MS, bytes(data[: 4 + k]))
    code, words = made(tmp_path, capsys, tmp_path / "bag", "--robot", robot_file)
    assert code in (ExitCode.UNCLEAR, ExitCode.BEYOND)
    assert "damaged" in words


@pytest.mark.parametrize("count", [2**32 - 1, 2**31, 10**6])
def test_a_count_that_the_bytes_do_not_hold_costs_nothing(tmp_path, capsys, count):
    """Four billion names in 40 bytes: refused before anything is made of them."""
    head = b"\0\1\0\0" + struct.pack("<iII", 0, 0, 1) + b"\0" * 4
    lies = [head + struct.pack("<I", count) + b"\0" * 40]
    lies.append(head + struct.pack("<II", 0, count) + b"\0" * 40)
    (tmp_path / "a.mcap").write_bytes(mcap(JOINTS, *(message(1, T0, lie) for lie in lies)))
    code, words = made(tmp_path, capsys, tmp_path / "a.mcap")
    assert code == ExitCode.NO_REPORT
    assert "layout that is not known" in words


def test_records_and_chunks_that_claim_to_be_huge_are_not_made_room_for(tmp_path, capsys):
    sound = b"".join(joint_records())
    chunk = struct.pack("<QQQI", T0, T0, 1 << 60, 0) + text("zstd")
    chunk += struct.pack("<Q", 8) + b"\0" * 8
    for name, bad in (
        ("record", struct.pack("<BQ", 5, 1 << 62)),
        ("chunk", rec(6, chunk)),
        ("text", rec(4, struct.pack("<HHI", 9, 1, 2**32 - 1))),
        ("short", rec(3, b"\0")),
        ("empty", rec(5, b"")),
    ):
        file = tmp_path / f"{name}.mcap"
        file.write_bytes(mcap(JOINTS, sound, bad))
        code, words = made(tmp_path, capsys, file)
        assert code == ExitCode.DONE, words
        assert "damaged" in words
        assert record(tmp_path / "made")["streams"][0]["time"]["messages"] == 400


def test_a_small_chunk_that_unpacks_to_gigabytes_is_left_out(tmp_path, capsys):
    from vla_recording.report.unpack import zstd

    bomb = zstd.compress(bytes(1 << 26))
    for claimed in (1 << 26, 1000):
        body = struct.pack("<QQQI", T0, T0, claimed, 0) + text("zstd")
        body += struct.pack("<Q", len(bomb)) + bomb
        (tmp_path / "a.mcap").write_bytes(mcap(JOINTS, *joint_records(), rec(6, body)))
        assert made(tmp_path, capsys, tmp_path / "a.mcap")[0] == ExitCode.DONE


def test_topics_of_other_encodings_are_passed_over_and_the_rest_is_read(
    tmp_path, capsys, robot_file
):
    others = (
        schema(2, "foxglove.Log", "jsonschema", b'{"type": "object"}'),
        channel(2, 2, "/log", "json"),
        schema(3, "foxglove.PointCloud", "protobuf", b"\x0a\x03abc"),
        channel(3, 3, "/points", "protobuf"),
        channel(4, 0, "/untyped", ""),
    )
    noise = [message(n, T0, b"{}") for n in (2, 3, 4)]
    (tmp_path / "a.mcap").write_bytes(mcap(JOINTS, *others, *noise, *joint_records()))
    code, words = made(tmp_path, capsys, tmp_path / "a.mcap", "--robot", robot_file)
    assert code == ExitCode.DONE, words
    joints = schema(5, "sensor_msgs/msg/JointState", "jsonschema") + channel(5, 5, "/js", "json")
    (tmp_path / "b.mcap").write_bytes(mcap(joints, message(5, T0, b"{}")))
    code, words = made(tmp_path, capsys, tmp_path / "b.mcap")
    assert code == ExitCode.NO_REPORT
    assert "as json is not read here" in words


def test_an_mcap_file_without_summary_index_or_chunks_is_read(tmp_path, capsys, robot_file):
    body = MAGIC + rec(1, text("") + text("")) + JOINTS + b"".join(joint_records())
    (tmp_path / "a.mcap").write_bytes(body + rec(15, b"\0" * 4))
    code, words = made(tmp_path, capsys, tmp_path / "a.mcap", "--robot", robot_file)
    assert code == ExitCode.DONE, words
    (tmp_path / "a.mcap").write_bytes(body)
    code, words = made(tmp_path, capsys, tmp_path / "a.mcap", "--robot", robot_file)
    assert code == ExitCode.UNCLEAR
    assert "cut off" in words


def test_an_unknown_compression_and_a_wrong_checksum_are_named(tmp_path, capsys):
    data = b"".join(joint_records())
    for name, crc, word in (("snappy", 0, "snappy"), ("", 12345, "checksum")):
        body = struct.pack("<QQQI", T0, T0, len(data), crc) + text(name)
        chunk = rec(6, body + struct.pack("<Q", len(data)) + data)
        (tmp_path / "a.mcap").write_bytes(mcap(JOINTS, chunk))
        code, words = made(tmp_path, capsys, tmp_path / "a.mcap")
        assert code == ExitCode.NO_REPORT
        assert word in words
    body = struct.pack("<QQQI", T0, T0, len(data), zlib.crc32(data)) + text("")
    (tmp_path / "a.mcap").write_bytes(
        mcap(JOINTS, rec(6, body + struct.pack("<Q", len(data)) + data))
    )
    assert made(tmp_path, capsys, tmp_path / "a.mcap")[0] == ExitCode.DONE


def test_a_recorder_that_was_killed_leaves_its_log_and_the_log_is_read(
    tmp_path, capsys, robot_file
):
    """SQLite with -wal: what was written last is not in the file yet. Nothing there changes."""
    with Bag(tmp_path / "bag", storage="sqlite3") as bag:
        both(bag, 4.0, 100)
    live = sqlite3.connect(tmp_path / "bag" / "bag.db3")
    live.execute("PRAGMA journal_mode=WAL")
    live.execute("PRAGMA wal_autocheckpoint=0")
    live.execute("UPDATE messages SET timestamp = timestamp + 1")
    live.commit()
    killed = tmp_path / "killed"
    killed.mkdir()
    for file in (tmp_path / "bag").glob("bag.db3*"):
        shutil.copy(file, killed / file.name)
    live.close()
    before = {f.name: (f.stat().st_size, f.stat().st_mtime_ns) for f in killed.iterdir()}
    assert before["bag.db3-wal"][0] > 100_000
    code, words = made(tmp_path, capsys, killed, "--robot", robot_file)
    assert code == ExitCode.DONE, words
    assert "killed" in words
    assert record(tmp_path / "made")["start_ns"] == T0 + 1
    assert {f.name: (f.stat().st_size, f.stat().st_mtime_ns) for f in killed.iterdir()} == before


def test_a_database_without_its_log_says_what_to_copy(tmp_path, capsys):
    base = sqlite3.connect(tmp_path / "a.db3")
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("CREATE TABLE topics(id INTEGER)")
    shutil.copy(tmp_path / "a.db3", tmp_path / "b.db3")
    base.close()
    code, words = made(tmp_path, capsys, tmp_path / "b.db3")
    assert code == ExitCode.NO_REPORT
    assert "b.db3-wal" in words


@pytest.mark.parametrize(
    "metadata",
    [
        "a: [",
        "rosbag2_bagfile_information: 5",
        "rosbag2_bagfile_information: {relative_file_paths: [../../etc/passwd, bag.mcap]}",
        "rosbag2_bagfile_information: {message_count: 0, relative_file_paths: [gone.mcap]}",
        "a: &a [1]\nb: [*a, *a]",
        "\x00\x01",
    ],
)
def test_metadata_that_is_edited_or_damaged_hides_nothing(tmp_path, capsys, metadata):
    with Bag(tmp_path / "bag") as bag:
        both(bag, 2.0, 50)
    (tmp_path / "bag" / "metadata.yaml").write_text(metadata, encoding="utf-8")
    code, words = made(tmp_path, capsys, tmp_path / "bag")
    assert code == ExitCode.DONE, words
    assert record(tmp_path / "made")["streams"][0]["time"]["messages"] == 100


@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
def test_bags_that_rosbag2_compressed_are_read(tmp_path, capsys, mode):
    class Packed(Bag):
        def __init__(self, path):
            super().__init__(path, storage="sqlite3")
            self.writer = Writer(path, version=9, storage_plugin=StoragePlugin.SQLITE3)
            self.writer.set_compression(mode, CompressionFormat.ZSTD)

    # rosbags' writer has another folder for its second life.
    with Packed(tmp_path / "packed") as bag:
        both(bag, 2.0, 50)
    code, words = made(tmp_path, capsys, tmp_path / "packed")
    assert code == ExitCode.DONE, words
    assert record(tmp_path / "made")["streams"][0]["time"]["messages"] == 100


def test_a_split_bag_is_one_recording(tmp_path, capsys, robot_file):
    folder = tmp_path / "split"
    folder.mkdir()
    records = joint_records(1200)
    for k in range(12):
        part = records[100 * k : 100 * k + 100]
        (folder / f"split_{k}.mcap").write_bytes(mcap(JOINTS, *part))
    code, words = made(tmp_path, capsys, folder, "--robot", robot_file)
    assert code == ExitCode.DONE, words
    time = record(tmp_path / "made")["streams"][0]["time"]
    assert (time["messages"], time["gaps"], time["backward_stamps"]) == (1200, 0, 0)
    (folder / "split_7.mcap").write_bytes(b"")
    code, words = made(tmp_path, capsys, folder, "--robot", robot_file)
    assert code == ExitCode.UNCLEAR
    assert "is empty" in words


def test_a_file_that_may_not_be_read_is_named(tmp_path, capsys, monkeypatch):
    (tmp_path / "a.mcap").write_bytes(mcap(JOINTS, *joint_records(10)))
    if os.geteuid() == 0:
        # Root may read everything; the system's answer to others is this.
        real = Path.open

        def denied(self, *arguments, **more):
            if self.suffix == ".mcap":
                raise PermissionError(13, "Permission denied")
            return real(self, *arguments, **more)

        monkeypatch.setattr(Path, "open", denied)
    else:
        (tmp_path / "a.mcap").chmod(0)
    code, words = made(tmp_path, capsys, tmp_path / "a.mcap")
    assert code == ExitCode.NO_REPORT
    assert "Permission denied" in words
    assert "chmod" in words


def test_why_there_is_nothing_is_said_by_its_cause(tmp_path, capsys):
    for name, fill, word in (
        ("lengths", lambda bag: bag.joints(T0, ["a"], [0.1, 0.2]), "1 names, 2 positions"),
        ("empty", lambda bag: bag.joints(T0, ["a"], []), "have no position"),
        ("twice", lambda bag: bag.joints(T0, ["a", "a"], [0.1, 0.2]), "named twice"),
        ("none", lambda bag: bag.topics.update(x=bag.writer.add_connection(
            "/joint_states", JOINT_STATE, typestore=bag.store)), "no message was recorded"),
    ):  # fmt: skip
        with Bag(tmp_path / name) as bag:
            fill(bag)
        code, words = made(tmp_path, capsys, tmp_path / name)
        assert code == ExitCode.NO_REPORT
        assert word in words, words


def test_a_name_of_a_file_may_lie_and_a_pointer_of_git_lfs_is_named(tmp_path, capsys):
    (tmp_path / "a.db3").write_bytes(mcap(JOINTS, *joint_records()))
    assert made(tmp_path, capsys, tmp_path / "a.db3")[0] == ExitCode.DONE
    (tmp_path / "b.mcap").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    code, words = made(tmp_path, capsys, tmp_path / "b.mcap")
    assert code == ExitCode.NO_REPORT
    assert "git lfs pull" in words


def test_times_at_the_ends_of_their_numbers_are_no_errors(tmp_path, capsys, robot_file):
    rows = []
    for k in range(40):
        data = bytearray(joint_message(T0 + k * 10 * MS, [reach(k * 0.01)] * 5))
        if k % 7 == 3:
            data[4:12] = struct.pack("<iI", (-1) ** k * (2**31 - 1), 2**32 - 1)
        rows.append(message(1, (2**64 - 1) if k % 5 == 4 else T0 + k * 10 * MS, bytes(data)))
    (tmp_path / "a.mcap").write_bytes(mcap(JOINTS, *rows))
    code, words = made(tmp_path, capsys, tmp_path / "a.mcap", "--robot", robot_file)
    assert code in (ExitCode.UNCLEAR, ExitCode.NOT_JUDGED), words


def test_many_sets_of_joints_and_many_joints_are_bounded(tmp_path, capsys):
    rows = [message(1, T0 + k, joint_message(T0 + k, [0.0], [f"j{k}"])) for k in range(300)]
    names = [f"k{j}" for j in range(3000)]
    rows.append(message(1, T0 + 400, joint_message(T0 + 400, [0.0] * 3000, names)))
    (tmp_path / "a.mcap").write_bytes(mcap(JOINTS, *rows))
    code, words = made(tmp_path, capsys, tmp_path / "a.mcap")
    assert code == ExitCode.DONE
    assert "different sets of joints" in words
    assert "3000 joints" in words
