# SPDX-License-Identifier: Apache-2.0
"""A crash, a full disk, a damaged file: they cost the episode under way at most, in one line."""

import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_scenes import FEATURES, FPS, FRONT, H264, PLAIN, WRIST, row, write

from vla_recording.dataset import Dataset, DatasetError, DatasetWriter, files, picture, vector
from vla_recording.dataset.tables import Rows

CRASHED = 9


def in_a_process(work) -> int:
    """Do something in a child process; return how it ended."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def crash_before_step(number: int) -> None:
    """End this process without a word before its step `number` that reaches the disk."""
    steps = [0]

    def counted(real):
        def step(*arguments, **options):
            steps[0] += 1
            if steps[0] == number:
                os._exit(CRASHED)
            return real(*arguments, **options)

        return step

    os.fsync = counted(os.fsync)
    Path.replace = counted(Path.replace)
    Path.unlink = counted(Path.unlink)


def steps_until_done(root: Path, copy_of: Path, work) -> list[int]:
    """Crash at the first step, the second, ...; yield after each, until the work is done."""
    number = 0
    while True:
        number += 1
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(copy_of, root)

        def crashing(number=number):
            crash_before_step(number)
            work()

        ended = in_a_process(crashing)
        assert ended in (0, CRASHED)
        yield number
        if ended == 0:
            return


@pytest.mark.parametrize("features", [FEATURES, PLAIN], ids=["with pictures", "without"])
def test_a_crash_at_any_step_loses_at_most_the_episode_under_way(tmp_path, features):
    saved = write(tmp_path / "saved", features=features)
    root = tmp_path / "set"

    def add_a_third():
        write(root, lengths=(4,), tasks=("", "", "stack"), features=features, first=2, resume=True)

    steps = 0
    for step in steps_until_done(root, saved, add_a_third):
        steps = step
        dataset = Dataset(root)
        assert len(dataset.episodes) in (2, 3)
        assert dataset.problems() == []
        # Whoever opens it to add to it finds it in order, and it is in order after that.
        have = len(dataset.episodes)
        write(root, lengths=(6,), tasks=("push",), features=features, first=have, resume=True)
        again = Dataset(root)
        assert [episode.length for episode in again.episodes] == [*[5, 7, 4][:have], 6]
        assert again.problems() == []
        total = json.loads((root / "meta/info.json").read_text())["total_episodes"]
        assert total == have + 1
        assert not list(root.rglob("*.part"))
    assert steps > 8


def test_a_crash_while_an_episode_is_deleted_leaves_it_whole_or_gone(tmp_path):
    saved = write(tmp_path / "saved", lengths=(5, 7, 4), tasks=("pick", "place", "stack"))
    root = tmp_path / "set"

    def delete():
        with DatasetWriter(root, FEATURES, FPS, resume=True, codec=H264) as writer:
            writer.delete_last_episode()

    lengths = set()
    for _ in steps_until_done(root, saved, delete):
        dataset = Dataset(root)
        assert dataset.problems() == []
        lengths.add(len(dataset.episodes))
        write(root, lengths=(6,), tasks=("push",), first=len(dataset.episodes), resume=True)
        assert Dataset(root).problems() == []
        assert Dataset(root).episodes[-1].length == 6
    assert lengths == {2, 3}


def without_room(bytes_a_file: int) -> None:
    """Let the system refuse every file of this process beyond a size, as a full disk does."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, hard))


def test_a_full_disk_is_one_line_and_the_episode_can_be_saved_when_there_is_room(tmp_path):
    root = write(tmp_path / "set", features=PLAIN)

    def record():
        with DatasetWriter(root, PLAIN, FPS, "arm", resume=True) as writer:
            for index in range(300):
                writer.add_frame(row(2, index, PLAIN))
            without_room(100)
            with pytest.raises(DatasetError, match="cannot be written: File too large") as raised:
                writer.save_episode("stack")
            assert "\n" not in str(raised.value)
            assert Dataset(root).problems() == []
            assert len(Dataset(root).episodes) == 2
            without_room(resource.RLIM_INFINITY)
            writer.save_episode("stack")

    assert in_a_process(record) == 0
    dataset = Dataset(root)
    assert [episode.length for episode in dataset.episodes] == [5, 7, 300]
    assert dataset.problems() == []


def test_a_disk_that_fills_up_while_a_video_is_written_costs_that_episode_only(tmp_path):
    root = write(tmp_path / "set")
    noise = np.random.default_rng(0)

    def record_noise(writer):
        for index in range(300):
            loud = noise.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            writer.add_frame({**row(2, index), WRIST: loud})
        writer.save_episode("stack")

    def record():
        with DatasetWriter(root, FEATURES, FPS, "arm", resume=True, codec=H264) as writer:
            without_room(20_000)
            with pytest.raises(DatasetError, match=r"wrist.*cannot be written"):
                record_noise(writer)
            without_room(resource.RLIM_INFINITY)
            writer.discard_episode()
            writer.add_frame(row(2, 0))
            writer.save_episode("stack")

    assert in_a_process(record) == 0
    dataset = Dataset(root)
    assert [episode.length for episode in dataset.episodes] == [5, 7, 1]
    assert dataset.problems() == []
    assert not list(root.rglob("*.part"))


def test_a_damaged_episode_leaves_the_others_readable(tmp_path, monkeypatch):
    monkeypatch.setattr("vla_recording.dataset.writer.PACKED_BYTES", 0)
    root = write(tmp_path / "set", lengths=(5, 7, 4), tasks=("pick", "place", "stack"))
    path = root / "data/chunk-000/file-001.parquet"
    path.write_bytes(path.read_bytes()[:200])
    dataset = Dataset(root)
    with pytest.raises(DatasetError, match=r"file-001\.parquet: is damaged: .*; restore it"):
        dataset.column("action", 1)
    assert dataset.column("action", 0).shape == (5, 3)
    assert dataset.column("action", 2).shape == (4, 3)
    problems = dataset.problems()
    assert len(problems) == 1
    assert "file-001.parquet" in problems[0]
    with pytest.raises(DatasetError, match=r"file-00.\.parquet"):
        write(root, lengths=(1,), first=3, resume=True)


def damages(content: bytes, generator: np.random.Generator):
    """Yield a file cut off, empty, overwritten in places, and as something else."""
    yield content[: len(content) // 2]
    yield b""
    yield content[:-1]
    yield b"no such thing\n" * 20
    for _ in range(12):
        changed = bytearray(content)
        for place in generator.integers(0, len(content), 6):
            changed[place] = generator.integers(0, 256)
        yield bytes(changed)


def test_whatever_is_damaged_is_told_in_one_line(tmp_path):
    """No other exception, and no end of the process, in any file, by any of these damages."""
    root = write(tmp_path / "set")
    generator = np.random.default_rng(7)
    told = 0
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for changed in damages(content, generator):
            path.write_bytes(changed)
            try:
                problems = Dataset(root).problems()
            except DatasetError as error:
                problems = [str(error)]
            assert all("\n" not in problem for problem in problems)
            told += bool(problems)
        path.write_bytes(content)
    assert told > 40
    assert Dataset(root).problems() == []


def changed_info(root: Path, **changes) -> None:
    path = root / "meta/info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codebase_version": "v2.1"}, "convert it with LeRobot's"),
        ({"fps": 0}, "fps: is 0"),
        ({"total_episodes": 9}, "counts 9 episodes, meta/episodes has 2"),
        ({"data_path": "../{chunk_index}/{file_index}"}, "data_path: is"),
        ({"features": []}, "features: are no table"),
        ({"features": {"a": {"dtype": "float32", "shape": [1 << 40]}}}, "has 1099511627776"),
        ({"features": {"a": {"dtype": "image", "shape": [1 << 20, 1 << 20, 3]}}}, "pixels"),
    ],
)
def test_what_info_says_is_judged_before_anything_is_read(tmp_path, changes, message):
    root = write(tmp_path / "set", features=PLAIN)
    changed_info(root, **changes)
    with pytest.raises(DatasetError, match=message):
        Dataset(root)


def test_a_table_of_another_size_than_declared_is_refused(tmp_path):
    root = write(tmp_path / "set", features=PLAIN)
    features = json.loads((root / "meta/info.json").read_text())["features"]
    features["action"]["shape"] = [4]
    changed_info(root, features=features)
    with pytest.raises(DatasetError, match=r"has 15 numbers in 5 rows, info\.json says 4 a row"):
        Dataset(root).column("action")


def test_a_picture_of_another_size_than_declared_is_refused(tmp_path):
    root = write(tmp_path / "set")
    features = json.loads((root / "meta/info.json").read_text())["features"]
    features[FRONT]["shape"], features[WRIST]["shape"] = [32, 96, 3], [128, 64, 3]
    changed_info(root, features=features)
    dataset = Dataset(root)
    with pytest.raises(DatasetError, match=r"is 96 x 64, info\.json says 96 x 32"):
        dataset.picture(FRONT, 0)
    with pytest.raises(DatasetError, match=r"is 64 x 64, info\.json says 64 x 128"):
        dataset.picture(WRIST, 0)


def test_a_file_too_large_to_be_read_is_not_read(tmp_path, monkeypatch):
    root = write(tmp_path / "set", features=PLAIN)
    monkeypatch.setattr("vla_recording.dataset.tables.MAX_UNPACKED_BYTES", 50)
    with pytest.raises(DatasetError, match="bytes would be unpacked; at most 50 are"):
        Dataset(root)
    monkeypatch.undo()
    monkeypatch.setattr("vla_recording.dataset.tables.MAX_FILE_BYTES", 100)
    with pytest.raises(DatasetError, match="at most 100 are read"):
        Dataset(root)
    monkeypatch.setattr(files, "MAX_JSON_BYTES", 100)
    with pytest.raises(DatasetError, match="at most 100 are read"):
        Dataset(root)


def test_a_file_that_is_not_the_writers_is_left_alone(tmp_path):
    root = write(tmp_path / "set", features=PLAIN)
    stranger = root / "data/chunk-007/file-042.parquet"
    stranger.parent.mkdir()
    shutil.copy(root / "data/chunk-000/file-000.parquet", stranger)
    with pytest.raises(DatasetError, match=r"file-042\.parquet: belongs to no episode; move it"):
        write(root, lengths=(1,), features=PLAIN, first=2, resume=True)
    assert stranger.exists()


def test_numbers_that_are_not_finite_or_off_their_place_are_problems(tmp_path):
    root = write(tmp_path / "set", features=PLAIN)
    path = root / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    actions = table.column("action").to_pylist()
    actions[8][1] = float("nan")
    field = table.schema.field("action")
    table = table.set_column(1, field, pa.array(actions, field.type))
    times = table.column("timestamp").to_pylist()
    times[3] += 0.02
    place = table.schema.get_field_index("timestamp")
    table = table.set_column(place, "timestamp", pa.array(times, pa.float32()))
    pq.write_table(table, path)
    assert [problem.split(": ", 1)[1] for problem in Dataset(root).problems()] == [
        "episode 0: row 3: timestamp is 0.17000000178813934, and not 0.15",
        "episode 1: action: a number is not finite",
    ]


def test_a_dataset_of_another_writer_is_read_and_added_to(tmp_path):
    """As LeRobot packs it: all videos in one file, lists without a fixed length, plain columns."""
    features = {WRIST: picture(64, 64), **PLAIN, "next.done": vector(["done"], "bool")}
    root = write(tmp_path / "set", lengths=(10,), tasks=("pick",), features=features)
    path = root / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    frames = np.array([*range(4), *range(6)])
    changed = {
        "episode_index": pa.array([0] * 4 + [1] * 6),
        "frame_index": pa.array(frames),
        "timestamp": pa.array((frames / FPS).astype(np.float32)),
        "action": pa.array(table.column("action").to_pylist(), pa.list_(pa.float32())),
    }
    for name, values in changed.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    pq.write_table(table, path)
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    whole = pq.read_table(path).to_pylist()[0]
    rows = [
        {
            **whole,
            "episode_index": index,
            "length": end - begin,
            "dataset_from_index": begin,
            "dataset_to_index": end,
            f"videos/{WRIST}/from_timestamp": begin / FPS,
            f"videos/{WRIST}/to_timestamp": end / FPS,
        }
        for index, (begin, end) in enumerate(((0, 4), (4, 10)))
    ]
    for each in rows:
        each["stats/next.done/max"] = [bool(each["stats/next.done/max"][0])]
    pq.write_table(pa.Table.from_pylist(rows), path)
    changed_info(root, total_episodes=2)
    dataset = Dataset(root)
    assert dataset.problems() == []
    assert dataset.column("action").shape == (10, 3)
    seen = list(dataset.pictures(WRIST, 1))
    assert len(seen) == 6
    for index, each in enumerate(seen):
        assert np.abs(each.astype(int) - row(0, 4 + index)[WRIST]).mean() < 2.5

    tasks = ("", "", "stack")
    write(root, lengths=(3,), tasks=tasks, features=features, first=2, resume=True)
    again = Dataset(root)
    assert again.problems() == []
    assert [episode.length for episode in again.episodes] == [4, 6, 3]
    with DatasetWriter(root, features, FPS, resume=True) as writer:
        writer.delete_last_episode()
        writer.delete_last_episode()
    assert Dataset(root).problems() == []
    assert len(list(Dataset(root).pictures(WRIST, 0))) == 4


@pytest.mark.timeout(60)
def test_a_pipe_in_place_of_a_table_is_not_waited_for(tmp_path):
    path = tmp_path / "tasks.parquet"
    os.mkfifo(path)
    with pytest.raises(DatasetError, match=r"tasks\.parquet: is no file; restore it from a copy"):
        Rows(path)
