# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from vla_training.errors import TrainingError
from vla_training.fingerprints import of_checkpoint, of_policy


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "checkpoint"
    (folder / "vlm").mkdir(parents=True)
    for name in ("model.safetensors", "config.json", "vlm/model.safetensors", "README.md"):
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vlm/model.safetensors"])
def test_each_file_of_a_checkpoint_counts(checkpoint, name):
    was = of_checkpoint(checkpoint)
    (checkpoint / name).write_text("another")
    assert of_checkpoint(checkpoint) != was


def test_the_card_of_a_checkpoint_does_not(checkpoint):
    was = of_checkpoint(checkpoint)
    (checkpoint / "README.md").write_text("another")
    assert of_checkpoint(checkpoint) == was


def test_what_is_no_checkpoint_is_one_line(tmp_path):
    with pytest.raises(TrainingError, match=r"holds no config\.json, so it is no checkpoint"):
        of_checkpoint(tmp_path)


def test_a_run_of_lerobots_is_known_by_its_last_checkpoint(checkpoint, tmp_path):
    last = tmp_path / "run/checkpoints/last"
    last.mkdir(parents=True)
    was = of_checkpoint(checkpoint)
    checkpoint.rename(last / "pretrained_model")
    assert of_checkpoint(tmp_path / "run") == was


def test_of_a_policys_options_those_count_that_are_files_or_folders(checkpoint, tmp_path):
    statistics = tmp_path / "statistics.json"
    statistics.write_text("{}")
    options = {"weights": str(checkpoint), "statistics": str(statistics), "dt_s": 0.1, "to": "cpu"}
    was = of_policy(options, None)
    assert "weights " in was
    assert "statistics statistics.json " in was
    assert "to " not in was
    statistics.write_text("{ }")
    changed = of_policy(options, None)
    assert changed != was
    (checkpoint / "config.json").write_text("another")
    assert of_policy(options, None) not in (was, changed)


def test_another_checkpoint_takes_the_place_of_the_options(checkpoint, tmp_path):
    found = of_policy({"checkpoint": str(tmp_path / "none")}, checkpoint)
    assert found == f"checkpoint {of_checkpoint(checkpoint)}"


def test_what_is_no_content_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    options = {"pipe": str(tmp_path / "pipe"), "long": "x" * 10_000, "nothing": "\0", "none": ""}
    assert of_policy(options, None) == ""
