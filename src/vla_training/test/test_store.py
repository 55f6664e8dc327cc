# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

pytest.importorskip("safetensors", reason="safetensors is not installed: vla_training[torch]")
pytest.importorskip("tokenizers", reason="tokenizers is not installed: vla_training[torch]")

from vla_recording.dataset import Dataset
from vla_training.errors import TrainingError
from vla_training.lessons import load_lessons
from vla_training.store import DemonstrationWriter, read_episodes, read_info


def test_what_is_written_is_read(dataset, info, episode):
    there = read_info(dataset)
    assert there == info()
    found = list(read_episodes(dataset, there))[1]
    for name, values in episode(seed=1).items():
        np.testing.assert_array_equal(found[name], values)


def test_it_is_a_lerobot_dataset_in_which_nothing_is_wrong(dataset):
    found = Dataset(dataset)
    assert found.problems() == []
    assert list(found.features["action"].names) == ["pan.pos", "lift.pos", "gripper.pos"]
    assert found.tasks == ("the red one",)
    assert found.robot_type == "so101"


def test_a_dataset_is_added_to(dataset, info, episode):
    with DemonstrationWriter(dataset, info(), "so101") as writer:
        assert writer.episodes == 3
        writer.add(episode(seed=7), "the red one")
    assert len(load_lessons([dataset], 4).state) == 48


def test_a_damaged_file_is_one_line_that_names_it(dataset):
    path = next((dataset / "data").rglob("*.parquet"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + bytes(200) + whole[len(whole) // 2 + 200 :])
    with pytest.raises(TrainingError, match=r"file-000\.parquet") as caught:
        load_lessons([dataset], 4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("observation.state", np.zeros((12, 4), np.float32), "is of shape"),
        ("observation.images.front", np.zeros((12, 32, 32, 3), np.float32), "is no picture"),
        ("observation.images.front", np.zeros((12, 16, 16, 3), np.uint8), "is of shape"),
        ("action", np.full((12, 3), np.nan, np.float32), "not finite"),
        ("teacher.chunk", np.full((12, 3, 4, 3), np.inf, np.float32), "not finite"),
    ],
)
def test_rows_that_do_not_fit_are_not_added(dataset, info, episode, name, values, says):
    with DemonstrationWriter(dataset, info(), "so101") as writer:
        with pytest.raises(TrainingError, match=says):
            writer.add({**episode(), name: values}, "the red one")
        writer.add(episode(seed=3), "the red one")
    assert len(load_lessons([dataset], 4).state) == 48


@pytest.mark.parametrize(
    "name",
    [
        "observation.images.front", "observation.images.wrist", "observation.state",
        "teacher.asked", "teacher.chunk", "teacher.pixels", "teacher.phase",
    ],
)  # fmt: skip
def test_whatever_is_learned_from_is_in_the_fingerprint(tmp_path, info, episode, name):
    """A run went on with other pictures and actions than it was begun with."""

    def fingerprint(folder, rows):
        with DemonstrationWriter(folder, info(), "so101") as writer:
            writer.add(rows, "the red one")
        return load_lessons([folder], 4).fingerprint

    rows = episode()
    was = fingerprint(tmp_path / "one", rows)
    assert fingerprint(tmp_path / "same", rows) == was
    changed = rows[name].copy()
    last = changed.reshape(len(changed), -1)[-1]
    last[0] = last[0] // 2 if last.dtype == np.uint8 else 1 - last[0]
    assert fingerprint(tmp_path / "other", {**rows, name: changed}) != was


@pytest.mark.parametrize("change", ["joints", "units", "parts"])
def test_what_rows_are_and_which_are_of_one_dataset_is_in_the_fingerprint(
    tmp_path, info, episode, change
):
    """Rows of each dataset are drawn alike, and an offset is of a joint by its name."""

    def written(folder, seeds):
        with DemonstrationWriter(folder, info(), "so101") as writer:
            for seed in seeds:
                writer.add(episode(seed=seed), "the red one")
        return folder

    whole = written(tmp_path / "whole", (0, 1, 2))
    was = load_lessons([whole], 4).fingerprint
    if change == "parts":
        parts = [written(tmp_path / "one", (0,)), written(tmp_path / "two", (1, 2))]
        assert load_lessons(parts, 4).fingerprint != was
        return
    path = whole / "meta/info.json"
    old, new = {
        "joints": (
            '"pan.pos",\n                "lift.pos"', '"lift.pos",\n                "pan.pos"'
        ),
        "units": ('"rad"', '"deg"'),
    }[change]  # fmt: skip
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert load_lessons([whole], 4).fingerprint != was


@pytest.mark.parametrize("name", ["observation.state", "teacher.chunk"])
def test_values_that_no_arm_has_are_named(dataset, info, episode, name):
    rows = episode(seed=3)
    rows[name] = rows[name].copy()
    rows[name].flat[5] = 1e30
    with DemonstrationWriter(dataset, info(), "so101") as writer:
        writer.add(rows, "the red one")
    with pytest.raises(TrainingError, match=rf"episode 3: {name} has values .* beyond 1e\+06"):
        load_lessons([dataset], 4)


def test_a_process_that_is_killed_as_it_begins_leaves_no_dataset_of_another_kind(
    tmp_path, info, episode, monkeypatch
):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vla_training.store.DatasetWriter", killed)
        with pytest.raises(KeyboardInterrupt):
            DemonstrationWriter(tmp_path / "set", info(), "so101")
    with DemonstrationWriter(tmp_path / "set", info(), "so101") as writer:
        writer.add(episode(), "the red one")
    assert read_info(tmp_path / "set") == info()


def test_a_folder_of_something_else_gets_nothing(tmp_path, info):
    (tmp_path / "letters").mkdir()
    with pytest.raises(TrainingError, match="is no dataset and holds letters"):
        DemonstrationWriter(tmp_path, info(), "so101")
    assert [each.name for each in tmp_path.iterdir()] == ["letters"]


@pytest.mark.parametrize(
    ("state", "action", "units"),
    [
        ("rad", "rad", "rad"),
        (None, None, ""),
        ("deg", "rad", "rad and deg"),
        (None, "rad", "rad and "),
    ],
)
def test_units_are_those_that_the_data_says(dataset, tmp_path, make_dataset, state, action, units):
    """Degrees that nobody called so were learned as radians."""
    other = make_dataset(tmp_path / "other")
    path = other / "meta/info.json"
    document = json.loads(path.read_text())
    for name, unit in (("observation.state", state), ("action", action)):
        document["features"][name]["info"] = {"units": unit} if unit else {}
    path.write_text(json.dumps(document))
    assert read_info(other).units == units
    if units == "rad":
        assert len(load_lessons([dataset, other], 4).state) == 72
        return
    with pytest.raises(TrainingError, match="other: units differ"):
        load_lessons([dataset, other], 4)


def test_what_is_asked_for_must_be_an_instruction(dataset, info, episode):
    with DemonstrationWriter(dataset, info(), "so101") as writer:
        writer.add({**episode(), "teacher.asked": np.full(12, 3)}, "the red one")
    with pytest.raises(TrainingError, match="episode 3: asks for what is no instruction"):
        load_lessons([dataset], 4)


def test_a_dataset_of_another_kind_is_left_alone(dataset, info):
    for other in (info(chunk_rows=5), info(source="seeds from 7, the teacher")):
        with pytest.raises(TrainingError, match="is another dataset"):
            DemonstrationWriter(dataset, other, "so101")
    assert read_info(dataset) == info()


def test_datasets_of_two_kinds_are_not_mixed(dataset, tmp_path, make_dataset):
    other = make_dataset(tmp_path / "other", fps=20)
    with pytest.raises(TrainingError, match=r"other: fps differ .*20 against 10"):
        load_lessons([dataset, other], 4)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"chunk_rows": 4}', '{"source": "", "related": 1, "chunk_rows": 0}']
)
def test_a_damaged_description_is_one_line(dataset, text):
    (dataset / "meta" / "teacher.json").write_text(text)
    with pytest.raises(TrainingError, match=r"teacher\.json: is damaged"):
        read_info(dataset)


def test_a_description_of_other_columns_is_refused(dataset):
    path = dataset / "meta" / "teacher.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "chunk_rows": 5}))
    with pytest.raises(TrainingError, match=r"teacher\.chunk does not fit what teacher"):
        read_info(dataset)


def test_a_folder_without_a_dataset_is_one_line(tmp_path, info):
    with pytest.raises(TrainingError, match=r"info\.json"):
        load_lessons([tmp_path / "none"], 4)
    with DemonstrationWriter(tmp_path / "empty", info(), "so101"):
        pass
    with pytest.raises(TrainingError, match="holds no episode; run vla-train collect"):
        load_lessons([tmp_path / "empty"], 4)


def test_without_a_teacher_a_chunk_is_what_was_done_next(tmp_path, episode, make_dataset):
    lessons = load_lessons([make_dataset(tmp_path / "plain", episodes=2, chunk_rows=0)], 5)
    done = episode(seed=1, chunk_rows=0)["action"]
    assert lessons.chunks.shape == (24, 1, 5, 3)
    np.testing.assert_array_equal(lessons.chunks[12 + 3, 0], done[3:8])
    assert lessons.valid[12 + 3].all()
    # Behind the end of an episode there is nothing to learn from.
    assert lessons.valid[11].tolist() == [True, False, False, False, False]
    assert lessons.asked.tolist() == [0] * 12 + [1] * 12


def test_of_a_recording_the_interventions_alone_can_be_learned_from(tmp_path, interventions):
    led = [False] * 3 + [True] * 4 + [False] * 2 + [True] * 3
    done = interventions(tmp_path / "recorded", led)
    assert len(load_lessons([tmp_path / "recorded"], 3).state) == 12
    lessons = load_lessons([tmp_path / "recorded"], 3, interventions=True)
    assert len(lessons.state) == 7
    np.testing.assert_array_equal(lessons.chunks[0, 0], done[3:6])
    # What came after the arm was given back is not what he would have done.
    assert lessons.valid.sum(axis=1).tolist() == [3, 3, 2, 1, 3, 2, 1]


def test_interventions_that_there_are_not_are_one_line(tmp_path, dataset, interventions):
    with pytest.raises(TrainingError, match="does not say who led the arm"):
        load_lessons([dataset], 4, interventions=True)
    interventions(tmp_path / "recorded", [False] * 5)
    with pytest.raises(TrainingError, match="nobody took over from a policy"):
        load_lessons([tmp_path / "recorded"], 4, interventions=True)


def test_recordings_of_several_tasks_are_learned_from_together(tmp_path, make_dataset):
    first = make_dataset(tmp_path / "first", episodes=2, chunk_rows=0)
    second = make_dataset(
        tmp_path / "second", episodes=2, chunk_rows=0, tasks=("b", "the red one")
    )
    lessons = load_lessons([first, second], 5)
    assert lessons.info.instructions == (("the red one",), ("the green one",), ("b",))
    assert lessons.asked[::12].tolist() == [0, 1, 2, 0]


def test_statistics_are_those_of_offsets_where_offsets_are_learned(dataset):
    lessons = load_lessons([dataset], 4)
    plain, offsets = lessons.statistics([]), lessons.statistics([0, 1])
    moved = (lessons.chunks - lessons.state[:, None, None]).reshape(-1, 3)
    np.testing.assert_allclose(offsets["action"]["mean"][:2], moved.mean(0)[:2], atol=1e-6)
    np.testing.assert_allclose(offsets["action"]["mean"][2], plain["action"]["mean"][2])
    np.testing.assert_allclose(
        plain["observation.state"]["mean"], lessons.state.mean(0), atol=1e-6
    )
