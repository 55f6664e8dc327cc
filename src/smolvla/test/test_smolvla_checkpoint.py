# SPDX-License-Identifier: Apache-2.0
"""A checkpoint is read completely or refused with one line that says what to do."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("safetensors", reason="safetensors is not installed: smolvla[torch]")
pytest.importorskip("tokenizers", reason="tokenizers is not installed: smolvla[torch]")

from safetensors.numpy import load_file, save_file

from smolvla.checkpoint import read_checkpoint
from smolvla.tiny import TINY_SHAPES, make_tiny
from smolvla.weights import UNUSED, file_name
from vla_policies import PolicyError

PRE = "policy_preprocessor.json"
POST = "policy_postprocessor.json"
STATISTICS = (
    "policy_preprocessor_step_5_normalizer_processor.safetensors",
    "policy_postprocessor_step_0_unnormalizer_processor.safetensors",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    make_tiny(folder)
    return folder


@pytest.fixture
def tiny(made, tmp_path):
    """A copy that a test may break."""
    return shutil.copytree(made, tmp_path / "tiny")


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def edit_weights(folder, change, metadata=None):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    default = {"vla_policies.patch_positions": "exact"}
    save_file(tensors, folder / "model.safetensors", default if metadata is None else metadata)


def refusal(folder, **options):
    with pytest.raises(PolicyError) as caught:
        read_checkpoint(folder, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_smolvla_tiny_is_a_complete_checkpoint_of_a_few_megabytes(made):
    checkpoint = read_checkpoint(made)
    assert checkpoint.shapes == TINY_SHAPES
    assert checkpoint.config.cameras == ("observation.images.front", "observation.images.wrist")
    assert checkpoint.patch_positions == "exact"
    assert sum(path.stat().st_size for path in made.rglob("*") if path.is_file()) < 8e6


def test_the_same_seed_makes_the_same_weights_and_another_seed_others(made, tmp_path):
    make_tiny(tmp_path / "same")
    make_tiny(tmp_path / "other", seed=1)
    first, same, other = (
        load_file(folder / "model.safetensors")
        for folder in (made, tmp_path / "same", tmp_path / "other")
    )
    assert all(np.array_equal(first[name], same[name]) for name in first)
    name = file_name("action_out_proj.weight")
    assert not np.array_equal(first[name], other[name])


def test_a_folder_that_holds_something_is_not_written_over(made):
    with pytest.raises(PolicyError, match="holds something already"):
        make_tiny(made)


def test_a_missing_tensor_is_refused_by_its_name(tiny):
    name = file_name("expert.layers.1.self_attn.k_proj.weight")
    edit_weights(tiny, lambda tensors: tensors.pop(name))
    assert name in refusal(tiny)


def test_a_tensor_that_the_model_has_no_use_for_is_refused_by_its_name(tiny):
    edit_weights(tiny, lambda tensors: tensors.update({"model.extra": np.zeros(3, np.float32)}))
    assert "model.extra" in refusal(tiny)


def test_the_output_layer_of_the_text_model_may_be_there_or_not(tiny):
    edit_weights(tiny, lambda tensors: tensors.pop(UNUSED))
    assert UNUSED not in read_checkpoint(tiny).header.types


def test_a_tensor_of_another_shape_is_refused_with_both_shapes(tiny):
    name = file_name("state_proj.weight")
    edit_weights(tiny, lambda tensors: tensors.update({name: np.zeros((96, 31), np.float32)}))
    message = refusal(tiny)
    assert "(96, 31)" in message
    assert "(96, 32)" in message


def test_a_tensor_of_another_type_is_refused(tiny):
    name = file_name("state_proj.bias")
    edit_weights(tiny, lambda tensors: tensors.update({name: np.zeros(96, np.float64)}))
    assert "F64" in refusal(tiny)


def test_a_truncated_weights_file_is_refused(tiny):
    path = tiny / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100_000])
    assert "is damaged" in refusal(tiny)


def test_weights_that_can_run_code_are_not_read(tiny):
    (tiny / "model.safetensors").rename(tiny / "pytorch_model.bin")
    assert "pytorch_model.bin can run code and is not read" in refusal(tiny)


def test_a_name_on_the_hub_is_not_downloaded_but_told_how_to():
    assert "hf download lerobot/smolvla_base" in refusal("lerobot/smolvla_base")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("made_up", 1),
        ("type", "act"),
        ("n_obs_steps", 2),
        ("adapt_to_pi_aloha", True),
        ("add_image_special_tokens", True),
        ("attention_mode", "self_attn"),
        ("num_expert_layers", 2),
        ("num_vlm_layers", 5),
        ("chunk_size", 0),
        ("chunk_size", 10**12),
        ("chunk_size", True),
        ("min_period", float("nan")),
        ("resize_imgs_with_padding", [128, 64]),
        ("resize_imgs_with_padding", [256, 256]),
        ("input_features", None),
        ("max_state_dim", 5),
        ("use_peft", True),
    ],
)
def test_a_config_that_means_something_else_is_refused_by_key(tiny, key, value):
    edit(tiny / "config.json", lambda config: config.update({key: value}))
    message = refusal(tiny)
    assert "config.json" in message
    assert key in message or "elements" in message


@pytest.mark.parametrize("key", ["fine_tune_vision_encoder", "pretrained_revision", "license"])
def test_keys_of_newer_versions_that_change_nothing_are_accepted(tiny, key):
    edit(tiny / "config.json", lambda config: config.update({key: None}))
    read_checkpoint(tiny)


def test_a_missing_config_key_is_named(tiny):
    edit(tiny / "config.json", lambda config: config.pop("num_steps"))
    assert "num_steps: is missing" in refusal(tiny)


def test_an_unknown_language_model_says_which_file_to_bring(tiny):
    shutil.rmtree(tiny / "vlm")
    edit(tiny / "config.json", lambda config: config.update(vlm_model_name="some/model"))
    message = refusal(tiny)
    assert "some/model" in message
    assert "vlm/config.json" in message


def test_empty_cameras_are_left_out(tiny):
    extra = {"observation.images.empty_camera_0": {"type": "VISUAL", "shape": [3, 480, 640]}}
    edit(tiny / "config.json", lambda config: config["input_features"].update(extra))
    assert len(read_checkpoint(tiny).config.cameras) == 2


def test_statistics_under_other_names_are_refused_with_what_to_do(tiny):
    # As in smolvla_base: LeRobot's normaliser misses them and hands z-scores to the robot.
    for file in STATISTICS:
        statistics = load_file(tiny / file)
        moved = {f"so100.buffer.{k}": v for k, v in statistics.items() if "action" in k}
        save_file(moved, tiny / file)
    message = refusal(tiny)
    assert "observation.state.mean" in message
    assert "so100.buffer.action" in message
    assert "meta/stats.json" in message


def test_statistics_of_a_dataset_replace_those_of_the_checkpoint(tiny, tmp_path):
    for file in STATISTICS:
        save_file({"so100.buffer.action.mean": np.zeros(6, np.float32)}, tiny / file)
    path = tmp_path / "stats.json"
    stats = {"mean": [1.0] * 6, "std": [2.0] * 6, "min": [0.0] * 6, "count": [7]}
    path.write_text(json.dumps({"action": stats, "observation.state": stats, "index": {"min": 0}}))
    processing = read_checkpoint(tiny, statistics=path).processing
    np.testing.assert_allclose(processing.action.unnormalise(np.ones(6)), 3.0)
    np.testing.assert_allclose(processing.state.normalise(np.full(6, 5.0)), 2.0)


def test_statistics_among_the_weights_are_found(tiny):
    for path in tiny.glob("policy_*"):
        path.unlink()
    old = {
        "normalize_inputs.buffer_observation_state.mean": np.full(6, 1, np.float32),
        "normalize_inputs.buffer_observation_state.std": np.full(6, 2, np.float32),
        "normalize_targets.buffer_action.mean": np.full(6, 3, np.float32),
        "normalize_targets.buffer_action.std": np.full(6, 4, np.float32),
        "unnormalize_outputs.buffer_action.mean": np.full(6, 3, np.float32),
        "unnormalize_outputs.buffer_action.std": np.full(6, 4, np.float32),
    }
    edit_weights(tiny, lambda tensors: tensors.update(old))
    processing = read_checkpoint(tiny).processing
    np.testing.assert_allclose(processing.state.normalise(np.full(6, 5.0)), 2.0)
    np.testing.assert_allclose(processing.action.unnormalise(np.ones(6)), 7.0)


def test_no_statistics_at_all_are_refused(tiny):
    for path in tiny.glob("policy_*"):
        path.unlink()
    assert "it has none" in refusal(tiny)


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("action.mean", np.full(6, np.nan, np.float32), "not finite"),
        ("action.std", np.full(6, np.inf, np.float32), "not finite"),
        ("action.std", np.full(6, -1, np.float32), "negative"),
        ("action.mean", np.zeros(7, np.float32), r"(7,)"),
    ],
)
def test_unusable_statistics_are_refused(tiny, name, values, says):
    save_file({**load_file(tiny / STATISTICS[1]), name: values}, tiny / STATISTICS[1])
    message = refusal(tiny)
    assert name in message
    assert says in message


@pytest.mark.parametrize(
    ("mode", "low", "high"),
    [("MIN_MAX", "min", "max"), ("QUANTILES", "q01", "q99"), ("QUANTILE10", "q10", "q90")],
)
def test_every_way_to_normalise_can_be_undone(tiny, mode, low, high):
    values = {f"action.{low}": np.full(6, -2, np.float32), f"action.{high}": np.full(6, 6, "f4")}
    save_file(values, tiny / STATISTICS[1])
    edit(tiny / POST, lambda doc: doc["steps"][0]["config"]["norm_map"].update(ACTION=mode))
    action = read_checkpoint(tiny).processing.action
    np.testing.assert_allclose(action.unnormalise(np.array([-1.0] * 6)), -2.0)
    np.testing.assert_allclose(action.unnormalise(np.array([1.0] * 6)), 6.0)
    np.testing.assert_allclose(action.normalise(np.full(6, 2.0)), 0.0)


def test_an_unknown_step_is_refused_by_name(tiny):
    step = {"registry_name": "relative_actions_processor", "config": {}}
    edit(tiny / POST, lambda document: document["steps"].append(step))
    assert "relative_actions_processor" in refusal(tiny)


def test_a_step_may_be_named_by_its_class(tiny):
    def change(document):
        step = next(s for s in document["steps"] if s["registry_name"] == "tokenizer_processor")
        del step["registry_name"]
        step["class"] = "lerobot.processor.tokenizer_processor.TokenizerProcessorStep"

    edit(tiny / PRE, change)
    read_checkpoint(tiny)


@pytest.mark.parametrize(("file", "index"), [(PRE, -1), (POST, 0)])
def test_a_missing_normaliser_is_refused(tiny, file, index):
    edit(tiny / file, lambda document: document["steps"].pop(index))
    assert "normalizer_processor" in refusal(tiny)


def test_a_statistics_file_outside_the_folder_is_refused(tiny):
    edit(tiny / POST, lambda doc: doc["steps"][0].update(state_file="../x.safetensors"))
    assert "state_file" in refusal(tiny)


def test_renamed_features_are_known_by_both_names(tiny):
    names = {"observation.images.top": "observation.images.front"}
    edit(tiny / PRE, lambda document: document["steps"][0]["config"].update(rename_map=names))
    assert read_checkpoint(tiny).processing.rename == names


def test_float32_vision_weights_of_unknown_origin_need_a_decision(tiny):
    # LeRobot shifts patch positions in float32, so a model trained like that needs it again.
    edit_weights(tiny, lambda tensors: None, metadata={"format": "pt"})
    assert "patch_positions" in refusal(tiny)
    assert read_checkpoint(tiny, patch_positions="shifted").patch_positions == "shifted"


def test_patch_positions_that_contradict_the_file_are_refused(tiny):
    assert "contradicts" in refusal(tiny, patch_positions="shifted")


def test_a_missing_tokenizer_is_not_downloaded_but_told_how_to(tiny):
    (tiny / "vlm" / "tokenizer.json").unlink()
    assert "hf download" in refusal(tiny)


def test_a_tokenizer_of_another_model_is_refused(tiny):
    path = tiny / "vlm" / "tokenizer.json"
    extra = {f"word{index}": 1000 + index for index in range(600)}
    edit(path, lambda document: document["model"]["vocab"].update(extra))
    assert "belongs to another model" in refusal(tiny)


def test_a_task_ends_with_one_newline(made):
    tokens = read_checkpoint(made).tokens
    np.testing.assert_array_equal(tokens("pick up"), tokens("pick up\n"))
    assert len(tokens("pick up the red cube")) < 12


def shard(folder):
    """Split the weights as transformers does."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    places = {}
    for index in range(3):
        file = f"model-0000{index + 1}-of-00003.safetensors"
        part = {name: tensors[name] for name in names[index::3]}
        save_file(part, folder / file, {"vla_policies.patch_positions": "exact"})
        places |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def test_weights_in_shards_are_the_same_model(made, tiny):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from smolvla.torch_backend import load_model

    shard(tiny)
    whole, parts = (load_model(read_checkpoint(folder)) for folder in (made, tiny))
    for (name, first), (_, second) in zip(
        whole.named_parameters(), parts.named_parameters(), strict=True
    ):
        assert torch.equal(first, second), name


def test_a_shard_that_lacks_a_tensor_is_refused_by_its_name(tiny):
    shard(tiny)
    path = tiny / "model-00002-of-00003.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if name != UNUSED)
    tensors.pop(name)
    save_file(tensors, path, {"vla_policies.patch_positions": "exact"})
    assert name in refusal(tiny)


def test_the_folder_of_a_training_run_means_its_last_checkpoint(made, tmp_path):
    shutil.copytree(made, tmp_path / "run/checkpoints/000100/pretrained_model")
    found = read_checkpoint(tmp_path / "run").folder
    assert found == tmp_path / "run/checkpoints/000100/pretrained_model"


def test_an_instruction_that_is_longer_than_what_the_model_reads_is_refused(made):
    tokens = read_checkpoint(made).tokens
    words = "pick up the red cube in the bin " * 20
    short = "pick up the red cube in the bin"
    assert len(tokens(short)) <= 48
    with pytest.raises(PolicyError, match="the policy reads 48: 'pick up the red cube") as refused:
        tokens(words)
    read = str(refused.value).split("'")[1]
    assert len(tokens(read)) <= 48
    assert words.startswith(read)
