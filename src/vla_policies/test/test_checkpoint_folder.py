# SPDX-License-Identifier: Apache-2.0
"""The folder that a user names, and which checkpoint it is by its content."""

import json
import subprocess
import sys

import numpy as np
import pytest

from vla_policies import PolicyError, load_policy
from vla_policies.checkpoint_folder import (
    checkpoint_name,
    content_files,
    content_id,
    find_checkpoint,
    weight_files,
)
from vla_policies.cli.serve import find
from vla_policies.lerobot_adapter import JOIN, refuse_long_texts


def write(folder, kind="act", weights=b"1"):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"type": kind}))
    (folder / "model.safetensors").write_bytes(weights)
    return folder


@pytest.fixture
def run(tmp_path):
    """A training run of LeRobot with two checkpoints."""
    folder = tmp_path / "my_run"
    for step in ("002000", "010000"):
        write(folder / "checkpoints" / step / "pretrained_model")
    return folder


@pytest.mark.parametrize("part", ["", "checkpoints", "checkpoints/010000"])
def test_the_folder_above_a_checkpoint_means_the_newest_in_it(run, part):
    newest = run / "checkpoints/010000/pretrained_model"
    assert find_checkpoint(run / part) == newest
    assert checkpoint_name(newest) == "my_run/010000"
    assert find(str(run / part), {}) == ("lerobot", {"checkpoint": str(newest)})


def test_the_link_to_the_last_checkpoint_is_followed_and_named_by_its_step(run):
    (run / "checkpoints/last").symlink_to("002000")
    found = find_checkpoint(run)
    assert found == run / "checkpoints/last/pretrained_model"
    assert checkpoint_name(found) == "my_run/002000"


def test_a_checkpoint_itself_is_taken_as_it_is(run, tmp_path):
    place = run / "checkpoints/002000/pretrained_model"
    assert find_checkpoint(place) == place
    plain = write(tmp_path / "plain")
    assert (find_checkpoint(plain), checkpoint_name(plain)) == (plain, "plain")


def test_of_the_hubs_cache_the_only_snapshot_is_taken_and_of_several_none(tmp_path):
    cache = tmp_path / "models--me--mine"
    one = write(cache / "snapshots/abc")
    assert find_checkpoint(cache) == one
    write(cache / "snapshots/def")
    with pytest.raises(PolicyError, match=r"2 snapshots; give one of them, e\.g\. "):
        find_checkpoint(cache)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda folder: None, "there is no such folder"),
        (lambda folder: folder.mkdir(), r"holds no config\.json, so it is no checkpoint"),
        (lambda folder: write(folder / "a/b"), r"give one of those in it, e\.g\. .*/a/b"),
    ],
)
def test_a_folder_without_a_checkpoint_is_one_line_that_says_what_to_do(tmp_path, make, problem):
    make(tmp_path / "x")
    options = {"checkpoint": str(tmp_path / "x"), "dt_s": 0.1, "joints": {"a": "rad"}}
    with pytest.raises(PolicyError, match=problem) as caught:
        load_policy("lerobot", options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["", "checkpoints/last/pretrained_model"])
def test_a_peft_adapter_says_that_it_is_one_and_how_to_merge_it(tmp_path, where):
    folder = tmp_path / "run" / where
    folder.mkdir(parents=True)
    # LeRobot writes its own config beside it.
    (folder / "config.json").write_text(json.dumps({"type": "smolvla", "use_peft": True}))
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "me/base"}')
    (folder / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(PolicyError, match=r"is a PEFT adapter.*load me/base.*merge_and_unload"):
        find_checkpoint(tmp_path / "run")


def test_shards_are_those_that_the_index_names(tmp_path):
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": names[1], "b": names[0], "c": names[0]}}))
    assert [path.name for path in weight_files(tmp_path)] == names
    (tmp_path / names[1]).unlink()
    with pytest.raises(PolicyError, match=r"is missing, model\.safetensors\.index\.json names it"):
        weight_files(tmp_path)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"weight_map": {}}', '{"weight_map": {"a": "../x"}}', '{"weight_map": 1}']
)
def test_an_index_that_names_no_file_of_the_folder_is_refused(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(PolicyError, match="names no files of this folder"):
        weight_files(tmp_path)


def test_lerobot_reads_one_file_and_the_remedy_joins_the_shards(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    from safetensors.numpy import load_file, save_file

    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    save_file({"a": np.zeros(2)}, tmp_path / names[0])
    save_file({"b": np.ones(3)}, tmp_path / names[1])
    (tmp_path / "config.json").write_text('{"type": "act"}')
    index = {"weight_map": {"a": names[0], "b": names[1]}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    options = {"checkpoint": str(tmp_path), "dt_s": 0.1, "joints": {"a": "rad"}}
    with pytest.raises(PolicyError, match="LeRobot reads one file of weights; join the shards: "):
        load_policy("lerobot", options)
    code = JOIN.partition('"')[2].rpartition('"')[0]
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert set(load_file(tmp_path / "model.safetensors")) == {"a", "b"}


def test_one_byte_of_the_weights_makes_another_content_and_a_readme_does_not(tmp_path):
    weights = bytes(10_000_000)
    first = write(tmp_path / "a/pretrained_model", weights=weights)
    same = write(tmp_path / "b/pretrained_model", weights=weights)
    other = write(tmp_path / "c/pretrained_model", weights=weights[:-1] + b"\1")
    (same / "README.md").write_text("hello")
    (same / "train_config.json").write_text("{}")
    ids = [content_id(content_files(folder)) for folder in (first, same, other)]
    assert ids[0] == ids[1] != ids[2]
    assert content_id(content_files(first), {"rows": 1}) != ids[0]
    (first / "config.json").write_text(json.dumps({"type": "act", "n": 1}))
    assert content_id(content_files(first)) != ids[0]


def test_two_recordings_of_one_name_are_two_policies(tmp_path):
    ids = set()
    for end in (0.5, 0.6):
        path = tmp_path / "motion.npz"
        np.savez(path, joint_names=["a"], dt_s=0.1, positions=[[0.0], [end]])
        ids.add(load_policy("replay", {"file": str(path), "rows": 2}).spec.policy_id)
    assert len(ids) == 2
    assert all(name.startswith("replay motion.npz ") for name in ids)


class Words:
    """A tokenizer that is called as those of transformers are: a token a word."""

    pad_token_id = 0

    def __call__(self, text, max_length=None, truncation=False, **_):
        texts = [text] if isinstance(text, str) else text
        ids = [each.split()[: max_length if truncation else None] for each in texts]
        return {"input_ids": ids[0] if isinstance(text, str) else ids}


class Step:
    def __init__(self):
        self.input_tokenizer = Words()

    def tokens(self, task):
        return self.input_tokenizer([task], max_length=4, truncation=True, padding="max_length")


def test_lerobot_is_kept_from_cutting_an_instruction():
    step = Step()
    assert len(step.tokens("a b c d e f")["input_ids"][0]) == 4, "what it does by itself"

    class Processor:
        steps = (object(), step)

    refuse_long_texts(Processor())
    assert step.tokens("a b c d")["input_ids"] == [["a", "b", "c", "d"]]
    assert step.input_tokenizer.pad_token_id == 0
    with pytest.raises(PolicyError, match=r"has 5 tokens.*reads 4; shorten it"):
        step.tokens("a b c d e")
