# SPDX-License-Identifier: Apache-2.0
"""A dataset gives back what was written into it, and is of LeRobot's form."""

import json
import os
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from dataset_scenes import FEATURES, FPS, FRONT, H264, JOINTS, PLAIN, WRIST, pixels, row, write

from vla_recording.dataset import (
    Codec,
    Dataset,
    DatasetError,
    DatasetWriter,
    Feature,
    picture,
    vector,
)
from vla_recording.dataset.files import write_json


def test_numbers_and_instructions_come_back_as_they_were_written(tmp_path):
    dataset = Dataset(write(tmp_path / "set"))
    assert (len(dataset), len(dataset.episodes), dataset.tasks) == (12, 2, ("pick", "place"))
    for episode, length in enumerate((5, 7)):
        rows = [row(episode, index) for index in range(length)]
        for name in ("observation.state", "action"):
            wanted = np.stack([each[name] for each in rows]).astype(np.float32)
            assert np.array_equal(dataset.column(name, episode), wanted)
        assert dataset.texts("task", episode) == [("pick", "place")[episode]] * length
    assert dataset.column("index")[:, 0].tolist() == list(range(12))
    times = dataset.column("timestamp", 1)[:, 0]
    assert np.array_equal(times, (np.arange(7) / FPS).astype(np.float32))
    assert dataset.problems() == []


def test_a_png_holds_the_very_bytes_and_a_video_nearly_these(tmp_path):
    dataset = Dataset(write(tmp_path / "set"))
    for episode in (0, 1):
        for index, seen in enumerate(dataset.pictures(FRONT, episode)):
            assert np.array_equal(seen, row(episode, index)[FRONT])
        for index, seen in enumerate(dataset.pictures(WRIST, episode)):
            off = seen.astype(int) - row(episode, index)[WRIST]
            # Any other frame is off by 3 and 5 levels of brightness.
            assert np.abs(off).mean() < 2.5
    assert np.array_equal(dataset.picture(FRONT, 6), row(1, 1)[FRONT])
    assert np.array_equal(dataset.row(6)[FRONT], row(1, 1)[FRONT])
    later = list(dataset.pictures(WRIST, 1, 3, 5))
    assert len(later) == 2
    assert np.array_equal(later[0], list(dataset.pictures(WRIST, 1))[3])


def test_the_default_codec_is_lerobots_and_keeps_every_frame(tmp_path):
    with DatasetWriter(tmp_path / "set", {WRIST: picture(64, 64)}, FPS) as writer:
        for index in range(30):
            writer.add_frame({WRIST: pixels(64, 64, index)})
        writer.save_episode("look")
    dataset = Dataset(tmp_path / "set")
    assert dataset.features[WRIST].info["video.codec"] == "av1"
    seen = list(dataset.pictures(WRIST, 0))
    assert len(seen) == 30
    for index, each in enumerate(seen):
        errors = [np.abs(each.astype(int) - pixels(64, 64, near)).mean() for near in range(30)]
        assert abs(int(np.argmin(errors)) - index) <= 1
        assert errors[index] < 8.0


@pytest.mark.skipif(os.geteuid() != 0, reason="the encoder asks for real-time priority as root")
def test_the_encoder_gets_no_real_time_priority(tmp_path):
    """It asks for the highest there is, for all its threads and the one that starts them."""

    def scheduled():
        return {name: os.sched_getscheduler(int(name)) for name in os.listdir("/proc/self/task")}

    before = scheduled()
    with DatasetWriter(tmp_path / "set", {WRIST: picture(64, 64)}, FPS) as writer:
        # A thread may ask for its priority after the frame that began it: the next one takes it.
        for index in range(20):
            writer.add_frame({WRIST: pixels(64, 64, index)})
            time.sleep(0.01)
            began, found = scheduled(), set(scheduled().values())
            if len(began) > len(before) and found == {os.SCHED_OTHER}:
                break
        assert found == {os.SCHED_OTHER}
        assert len(began) > len(before)  # its threads are there
        writer.save_episode("look")
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_the_layout_is_lerobots_key_by_key(tmp_path):
    """Names, types and order as LeRobot's own writer leaves them: its reader takes them."""
    root = write(tmp_path / "set")
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    assert files == [
        "data/chunk-000/file-000.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/info.json",
        "meta/stats.json",
        "meta/tasks.parquet",
        f"videos/{WRIST}/chunk-000/file-000.mp4",
        f"videos/{WRIST}/chunk-000/file-001.mp4",
    ]
    info = json.loads((root / "meta/info.json").read_text())
    one = {"shape": [1], "names": None}
    features = info.pop("features")
    assert info == {
        "codebase_version": "v3.0",
        "fps": 20,
        "total_episodes": 2,
        "total_frames": 12,
        "total_tasks": 2,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "robot_type": "arm",
        "splits": {"train": "0:2"},
    }
    assert features == {
        FRONT: {"dtype": "image", "shape": [64, 96, 3], "names": ["height", "width", "channels"]},
        WRIST: {
            "dtype": "video",
            "shape": [64, 64, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": 64,
                "video.width": 64,
                "video.codec": "h264",
                "video.pix_fmt": "yuv420p",
                "video.is_depth_map": False,
                "video.fps": 20,
                "video.channels": 3,
                "has_audio": False,
                "video.g": 2,
                "video.crf": 20,
            },
        },
        "observation.state": {
            "dtype": "float32",
            "shape": [3],
            "names": list(JOINTS),
            "info": {"units": "rad"},
        },
        "action": {
            "dtype": "float32",
            "shape": [3],
            "names": list(JOINTS),
            "info": {"units": "rad"},
        },
        "timestamp": {"dtype": "float32", **one},
        "frame_index": {"dtype": "int64", **one},
        "episode_index": {"dtype": "int64", **one},
        "index": {"dtype": "int64", **one},
        "task_index": {"dtype": "int64", **one},
    }
    data = pq.ParquetFile(root / "data/chunk-000/file-000.parquet")
    assert data.metadata.num_row_groups == 2
    assert {field.name: str(field.type) for field in data.schema_arrow} == {
        FRONT: "struct<bytes: binary, path: string>",
        "observation.state": "fixed_size_list<element: float>[3]",
        "action": "fixed_size_list<element: float>[3]",
        "timestamp": "float",
        "frame_index": "int64",
        "episode_index": "int64",
        "index": "int64",
        "task_index": "int64",
    }
    tasks = pq.read_table(root / "meta/tasks.parquet")
    assert tasks.to_pydict() == {"task_index": [0, 1], "task": ["pick", "place"]}
    told = json.loads(tasks.schema.metadata[b"pandas"])
    assert told["index_columns"] == ["task"]
    episodes = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet")
    last = episodes.to_pylist()[1]
    statistics = {key: last.pop(key) for key in list(last) if key.startswith("stats/")}
    assert last == {
        "episode_index": 1,
        "tasks": ["place"],
        "length": 7,
        "data/chunk_index": 0,
        "data/file_index": 0,
        "dataset_from_index": 5,
        "dataset_to_index": 12,
        f"videos/{WRIST}/chunk_index": 0,
        f"videos/{WRIST}/file_index": 1,
        f"videos/{WRIST}/from_timestamp": 0.0,
        f"videos/{WRIST}/to_timestamp": 0.35,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
    }
    names = ("min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99")
    assert set(statistics) == {f"stats/{name}/{each}" for name in features for each in names}
    assert statistics["stats/action/min"] == pytest.approx([101.0, 51.0, 0.2])
    assert statistics["stats/action/count"] == [7]
    assert np.shape(statistics[f"stats/{WRIST}/mean"]) == (3, 1, 1)


def test_the_statistics_are_those_of_all_rows(tmp_path):
    dataset = Dataset(write(tmp_path / "set", lengths=(5, 7, 9)))
    found = dataset.statistics()
    values = dataset.column("action").astype(np.float64)
    wanted = {
        "min": values.min(axis=0),
        "max": values.max(axis=0),
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
        "count": [21],
    }
    for name, share in (("q01", 0.01), ("q10", 0.1), ("q50", 0.5), ("q90", 0.9), ("q99", 0.99)):
        wanted[name] = np.quantile(values, share, axis=0)
    assert set(found["action"]) == set(wanted)
    for name, value in wanted.items():
        assert found["action"][name] == pytest.approx(value), name
    seen = np.concatenate([list(dataset.pictures(FRONT, episode)) for episode in range(3)]) / 255
    assert found[FRONT]["mean"].ravel() == pytest.approx(seen.mean(axis=(0, 1, 2)))
    assert found[FRONT]["std"].ravel() == pytest.approx(seen.std(axis=(0, 1, 2)))
    assert found[FRONT]["max"].ravel() == pytest.approx(seen.max(axis=(0, 1, 2)))
    assert found[FRONT]["mean"].shape == (3, 1, 1)


def test_every_kind_of_number_and_texts_are_kept(tmp_path):
    kinds = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")
    features = {kind: vector(["a", "b"], kind) for kind in kinds}
    features["single"] = Feature("float64", (1,))
    features["note"] = Feature("string", (1,))
    with DatasetWriter(tmp_path / "set", features, 10) as writer:
        for index in range(3):
            given = {kind: np.array([index % 2, 1], dtype=kind) for kind in kinds}
            writer.add_frame({**given, "single": index / 3, "note": f"no. {index}"})
        writer.save_episode("count")
    dataset = Dataset(tmp_path / "set")
    for kind in kinds:
        found = dataset.column(kind)
        assert found.dtype == kind
        assert found.tolist() == [[index % 2, 1] for index in range(3)]
    assert dataset.column("single").tolist() == [[0.0], [1 / 3], [2 / 3]]
    assert dataset.texts("note", 0) == ["no. 0", "no. 1", "no. 2"]
    assert dataset.problems() == []


def test_a_dataset_is_added_to_and_its_last_episode_is_taken_out(tmp_path):
    root = write(tmp_path / "set")
    write(root, lengths=(4,), tasks=("", "", "stack"), first=2, resume=True)
    dataset = Dataset(root)
    assert [episode.length for episode in dataset.episodes] == [5, 7, 4]
    assert (dataset.tasks, dataset.problems()) == (("pick", "place", "stack"), [])
    before = dataset.statistics()["action"]["max"]

    with DatasetWriter(root, FEATURES, FPS, "arm", resume=True, codec=H264) as writer:
        writer.delete_last_episode()
        assert len(writer.catalogue.episodes) == 2
    dataset = Dataset(root)
    assert (len(dataset), dataset.tasks, dataset.problems()) == (12, ("pick", "place"), [])
    assert dataset.statistics()["action"]["max"][0] < before[0]
    assert not (root / f"videos/{WRIST}/chunk-000/file-002.mp4").exists()
    assert pq.read_metadata(root / "data/chunk-000/file-000.parquet").num_rows == 12

    with DatasetWriter(root, FEATURES, FPS, "arm", resume=True, codec=H264) as writer:
        writer.delete_last_episode()
        writer.delete_last_episode()
        with pytest.raises(DatasetError, match="has no episode to delete"):
            writer.delete_last_episode()
    assert (len(Dataset(root)), Dataset(root).tasks) == (0, ())
    write(root, resume=True)
    assert Dataset(root).problems() == []


def test_rows_and_episodes_go_into_new_files_when_one_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr("vla_recording.dataset.writer.PACKED_BYTES", 4000)
    monkeypatch.setattr("vla_recording.dataset.writer.EPISODES_A_FILE", 2)
    monkeypatch.setattr("vla_recording.dataset.files.FILES_A_CHUNK", 2)
    root = write(tmp_path / "set", lengths=(3, 4, 5, 3, 4), features=PLAIN)
    assert len(list(root.glob("data/chunk-*/file-*.parquet"))) > 1
    assert len(list(root.glob("meta/episodes/chunk-*/file-*.parquet"))) == 3
    dataset = Dataset(root)
    assert dataset.problems() == []
    assert dataset.column("frame_index")[:, 0].tolist() == [
        index for length in (3, 4, 5, 3, 4) for index in range(length)
    ]


def test_no_value_is_too_large_for_those_who_read_it_as_float32(tmp_path):
    """1e300 was written, and its square made a dataset that no writer opens any more."""
    features = {"far": vector(["a", "b"], "float64")}
    with DatasetWriter(tmp_path / "set", features, FPS) as writer:
        for bad in (1e300, -1e39, np.inf, np.nan):
            with pytest.raises(DatasetError, match="far: element 1 is not finite, or larger"):
                writer.add_frame({"far": np.array([0.0, bad])})
        writer.add_frame({"far": np.array([1.0, 3e38])})
        writer.save_episode("look")
    with DatasetWriter(tmp_path / "set", features, FPS, resume=True) as writer:
        writer.add_frame({"far": np.array([1.0, -3e38])})
        writer.save_episode("look")
    assert Dataset(tmp_path / "set").problems() == []


def test_statistics_that_are_not_finite_are_not_written(tmp_path):
    with pytest.raises(DatasetError, match="would hold a number that is not finite"):
        write_json(tmp_path / "stats.json", {"std": [float("inf")]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"action": np.zeros(2)}, r"row 1: action: is of shape \(2,\); give \(3,\)"),
        ({"action": np.array([0, np.nan, 0])}, "action: element 1 is not finite, or larger"),
        ({"action": np.array([0, 1e300, 0])}, "action: element 1 is not finite"),
        ({"action": np.zeros(3, dtype=complex)}, "action: is complex128; give float32"),
        ({FRONT: np.zeros((96, 64, 3), np.uint8)}, r"front: is of shape \(96, 64, 3\); give"),
        ({FRONT: np.zeros((64, 96, 3))}, "front: is no picture; give uint8"),
        ({"speed": 1.0}, "row 1: has speed, which is no feature"),
        ({"action": None}, "action: is of shape"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_and_the_episode_goes_on(tmp_path, change, message):
    with DatasetWriter(tmp_path / "set", FEATURES, FPS, codec=H264) as writer:
        writer.add_frame(row(0, 0))
        with pytest.raises(DatasetError, match=message) as raised:
            writer.add_frame({**row(0, 1), **change})
        assert "\n" not in str(raised.value)
        with pytest.raises(DatasetError, match="row 1: lacks action"):
            writer.add_frame({n: value for n, value in row(0, 1).items() if n != "action"})
        writer.add_frame(row(0, 1))
        writer.save_episode("pick")
    dataset = Dataset(tmp_path / "set")
    assert (len(dataset), dataset.problems()) == (2, [])


@pytest.mark.parametrize(
    ("features", "fps", "message"),
    [
        ({"a/b": vector(["x"])}, 20, "is no name"),
        ({"index": vector(["x"])}, 20, "is filled in by the writer"),
        ({"a": Feature("float16", (2,))}, 20, "dtype 'float16' is unknown"),
        ({"a": picture(63, 64)}, 20, "63 x 64 has no video of half the colours; use image"),
        ({"a": picture(1 << 16, 1 << 16, "image")}, 20, "is no picture's"),
        ({"a": Feature("float32", (2,), ("x",))}, 20, "has 1 names for 2 elements"),
        ({"a": vector(["x"])}, 0, "fps: is 0; give a whole number"),
        ({"a": vector(["x"])}, 29.97, "fps: is 29.97; give a whole number"),
        ({}, 20, "features: are 0"),
    ],
)
def test_features_that_cannot_be_stored_are_refused(tmp_path, features, fps, message):
    with pytest.raises(DatasetError, match=message):
        DatasetWriter(tmp_path / "set", features, fps)
    assert not (tmp_path / "set").exists()


def test_a_picture_too_small_for_the_codec_is_refused_with_another(tmp_path):
    small = {WRIST: picture(32, 32)}
    message = r"too small for libsvtav1, .* use h264, or store PNG"
    with (
        DatasetWriter(tmp_path / "set", small, FPS, codec=Codec()) as writer,
        pytest.raises(DatasetError, match=message),
    ):
        writer.add_frame({WRIST: pixels(32, 32, 0)})


@pytest.mark.parametrize(
    ("features", "fps", "robot", "message"),
    [
        ({**FEATURES, "effort": vector(["a"])}, FPS, "arm", "its rows are others: lacks effort"),
        (PLAIN, FPS, "arm", f"has {FRONT}, {WRIST} besides"),
        (
            {**FEATURES, "action": vector(["x", "y"])},
            FPS,
            "arm",
            r"action is float32 \[3\] \(shoulder.pos, .*\), not float32 \[2\] \(x, y\)",
        ),
        (FEATURES, 30, "arm", "has 20 rows a second, not 30"),
        (FEATURES, FPS, "hand", "is of arm, not of hand"),
    ],
)
def test_other_rows_than_a_dataset_has_are_not_added(tmp_path, features, fps, robot, message):
    root = write(tmp_path / "set")
    with pytest.raises(DatasetError, match=message):
        DatasetWriter(root, features, fps, robot, resume=True)
    assert Dataset(root).problems() == []


def test_nothing_is_written_over_by_mistake(tmp_path):
    root = write(tmp_path / "set")
    with pytest.raises(DatasetError, match="is a dataset already; resume it"):
        DatasetWriter(root, FEATURES, FPS)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match=r"is no dataset and holds notes\.txt"):
        DatasetWriter(tmp_path / "mine", FEATURES, FPS)
    with (
        DatasetWriter(root, FEATURES, FPS, resume=True),
        pytest.raises(DatasetError, match="another process writes on it"),
    ):
        DatasetWriter(root, FEATURES, FPS, resume=True)


def test_an_episode_is_dropped_when_it_is_discarded_or_the_writer_ends(tmp_path):
    with DatasetWriter(tmp_path / "set", FEATURES, FPS, codec=H264) as writer:
        writer.add_frame(row(0, 0))
        writer.discard_episode()
        with pytest.raises(DatasetError, match="there are no rows to save"):
            writer.save_episode("pick")
        writer.add_frame(row(0, 0))
        with pytest.raises(DatasetError, match="task: is no instruction"):
            writer.save_episode(" ")
    with pytest.raises(DatasetError, match="is finalized"):
        writer.add_frame(row(0, 0))
    assert len(Dataset(tmp_path / "set")) == 0
    assert not list((tmp_path / "set").rglob("*.mp4*"))


def test_a_reader_sees_what_was_saved_while_another_process_still_writes(tmp_path):
    with DatasetWriter(tmp_path / "set", FEATURES, FPS, codec=H264) as writer:
        writer.add_frame(row(0, 0))
        writer.save_episode("pick")
        writer.add_frame(row(1, 0))
        assert (len(Dataset(tmp_path / "set")), Dataset(tmp_path / "set").problems()) == (1, [])
