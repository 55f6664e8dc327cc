# SPDX-License-Identifier: Apache-2.0
import json
import os

import numpy as np
import pytest

pytest.importorskip("safetensors", reason="safetensors is not installed: vla_training[torch]")
pytest.importorskip("tokenizers", reason="tokenizers is not installed: vla_training[torch]")

from vla_training.errors import TrainingError
from vla_training.lessons import load_lessons
from vla_training.store import (
    episode_files,
    episode_path,
    read_episode,
    read_info,
    write_episode,
    write_info,
)


def test_what_is_written_is_read(dataset, info, episode):
    there = read_info(dataset)
    assert there == info()
    found = read_episode(episode_files(dataset)[1], there)
    for name, values in episode(seed=1).items():
        np.testing.assert_array_equal(found[name], values)


def test_a_damaged_episode_is_one_line_that_names_it(dataset):
    path = episode_path(dataset, 1)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(TrainingError, match=r"000001\.npz: is damaged .*delete it") as caught:
        load_lessons([dataset], 4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("observation.state", np.zeros((12, 4), np.float32), "has shape"),
        ("observation.images.front", np.zeros((12, 32, 32, 3), np.float32), "not uint8"),
        ("observation.images.front", np.zeros((12, 16, 16, 3), np.uint8), "has shape"),
        ("action", np.full((12, 3), np.nan, np.float32), "not finite"),
        ("teacher.chunk", np.full((12, 3, 4, 3), np.inf, np.float32), "not finite"),
        ("task_index", np.full(12, 3), "no instruction"),
        ("task_index", np.full(12, 0.5), "no instruction"),
    ],
)
def test_an_episode_whose_features_do_not_fit_is_refused(dataset, name, values, says, episode):
    write_episode(dataset, 2, {**episode(seed=2), name: values})
    with pytest.raises(TrainingError, match=rf"000002\.npz: .*{says}"):
        load_lessons([dataset], 4)


def test_an_episode_that_lacks_a_feature_is_refused(dataset, episode):
    cut = episode(seed=2)
    del cut["observation.images.wrist"]
    write_episode(dataset, 2, cut)
    with pytest.raises(TrainingError, match=r"lacks observation\.images\.wrist"):
        load_lessons([dataset], 4)


def test_no_pickle_is_read(dataset, episode):
    harm = {**episode(), "action": np.array([{"a": 1}] * 12, dtype=object)}
    np.savez(episode_path(dataset, 0), **harm)
    with pytest.raises(TrainingError, match="is damaged"):
        load_lessons([dataset], 4)


def test_a_full_disk_loses_nothing_and_says_so(dataset, episode):
    path = episode_path(dataset, 1)
    was = path.read_bytes()
    # The kernel's own answer of a full disk, where the file would be written first.
    path.with_name(f".{path.stem}.{os.getpid()}.npz").symlink_to("/dev/full")
    with pytest.raises(TrainingError, match="the disk is full: free some space"):
        write_episode(dataset, 1, episode(seed=9))
    assert path.read_bytes() == was
    write_episode(dataset, 1, episode(seed=9))
    assert path.read_bytes() != was


def test_a_dataset_of_another_kind_is_left_alone(dataset, info):
    with pytest.raises(TrainingError, match="another kind of dataset"):
        write_info(dataset, info(chunk_rows=5))
    assert read_info(dataset) == info()


def test_datasets_of_two_kinds_are_not_mixed(dataset, tmp_path, make_dataset):
    other = make_dataset(tmp_path / "other", fps=20.0)
    with pytest.raises(TrainingError, match=r"other: fps differ .*20.0 against 10.0"):
        load_lessons([dataset, other], 4)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 99}', "\x00"])
def test_a_damaged_description_is_one_line(dataset, text):
    (dataset / "meta" / "info.json").write_text(text)
    with pytest.raises(TrainingError, match=r"info\.json"):
        read_info(dataset)


def test_a_folder_without_a_dataset_is_one_line(tmp_path, info):
    with pytest.raises(TrainingError, match="vla-train collect"):
        load_lessons([tmp_path], 4)
    write_info(tmp_path, info())
    with pytest.raises(TrainingError, match="holds no episode"):
        load_lessons([tmp_path], 4)


def test_a_description_of_nonsense_is_refused(dataset):
    path = dataset / "meta" / "info.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "fps": "fast"}))
    with pytest.raises(TrainingError, match="is damaged"):
        read_info(dataset)


def test_without_chunks_of_a_teacher_a_chunk_is_what_was_done_next(
    tmp_path, episode, make_dataset
):
    lessons = load_lessons([make_dataset(tmp_path / "plain", episodes=2, chunk_rows=0)], 5)
    done = episode(seed=1, chunk_rows=0)["action"]
    assert lessons.chunks.shape == (24, 1, 5, 3)
    np.testing.assert_array_equal(lessons.chunks[12 + 3, 0], done[3:8])
    assert lessons.valid[12 + 3].all()
    # Behind the end of an episode there is nothing to learn from.
    assert lessons.valid[11].tolist() == [True, False, False, False, False]


def test_statistics_are_those_of_offsets_where_offsets_are_learned(dataset):
    lessons = load_lessons([dataset], 4)
    plain, offsets = lessons.statistics([]), lessons.statistics([0, 1])
    moved = (lessons.chunks - lessons.state[:, None, None]).reshape(-1, 3)
    np.testing.assert_allclose(offsets["action"]["mean"][:2], moved.mean(0)[:2], atol=1e-6)
    np.testing.assert_allclose(offsets["action"]["mean"][2], plain["action"]["mean"][2])
    np.testing.assert_allclose(
        plain["observation.state"]["mean"], lessons.state.mean(0), atol=1e-6
    )
