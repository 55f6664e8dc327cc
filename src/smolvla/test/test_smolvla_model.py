# SPDX-License-Identifier: Apache-2.0
"""The model gives LeRobot's numbers, and its shortcuts change nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: smolvla[torch]")
pytest.importorskip("safetensors", reason="safetensors is not installed: smolvla[torch]")
pytest.importorskip("tokenizers", reason="tokenizers is not installed: smolvla[torch]")

import torch

from smolvla.checkpoint import read_checkpoint
from smolvla.flow import integrate, times
from smolvla.images import fit
from smolvla.loading import load_checkpoint
from smolvla.model import SmolVLA
from smolvla.parity import answers, compare, plain_policy
from smolvla.samples import pattern_noise, pattern_sample, random_samples
from smolvla.saving import save_checkpoint
from smolvla.tiny import make_tiny
from smolvla.torch_backend import TorchBackend, load_model
from vla_policies import Observation, PolicyError

GOLDEN = json.loads((Path(__file__).parent / "smolvla_tiny_golden.json").read_text())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    make_tiny(folder)
    return read_checkpoint(folder)


@pytest.fixture(scope="module")
def backend(checkpoint):
    return TorchBackend(checkpoint, "float32", "cpu")


@pytest.fixture(scope="module")
def seen(checkpoint):
    """What the model sees of an observation: pixels, token ids, state."""
    config, processing = checkpoint.config, checkpoint.processing
    sample = pattern_sample(config, processing)
    pixels = [fit(sample.images[name], config.image_size) for name in config.cameras]
    state = np.zeros(config.max_state_size, np.float32)
    state[: config.state_size] = processing.state.normalise(sample.state)
    return pixels, checkpoint.tokens(sample.task), state


def parts(backend, seen):
    pixels, ids, _ = seen
    return [*(backend.encode_image(image) for image in pixels), backend.embed_text(ids)]


def chunk(backend, prefix, noise):
    grid = times(10)
    return integrate(lambda x, step: backend.velocity(prefix, x, float(grid[step])), noise, 10)


def test_a_chunk_is_that_of_lerobot(checkpoint):
    policy = plain_policy(load_checkpoint(checkpoint, "float32"))
    sample = pattern_sample(checkpoint.config, checkpoint.processing)
    observation = Observation(0, sample.images, {"observation.state": sample.state}, sample.task)
    action = policy.infer(observation, noise=pattern_noise(checkpoint.config))
    np.testing.assert_allclose(action.positions, GOLDEN["actions"], atol=1e-5)


def training_batch(checkpoint, seen):
    pixels, ids, state = (torch.from_numpy(np.array(value))[None] for value in seen)
    actions = torch.from_numpy(pattern_noise(checkpoint.config)[::-1].copy())[None]
    noise = torch.from_numpy(pattern_noise(checkpoint.config))[None]
    valid = torch.ones_like(ids, dtype=torch.bool)
    return pixels, ids, valid, state, actions, noise, torch.tensor([0.7])


def test_a_training_loss_is_that_of_lerobot(checkpoint, backend, seen):
    losses = backend.model(*training_batch(checkpoint, seen))
    np.testing.assert_allclose(losses[0, ::7].numpy(), GOLDEN["losses"], atol=1e-5, rtol=1e-5)


def test_the_loss_teaches_every_weight_that_an_action_depends_on(checkpoint, seen):
    model = load_model(checkpoint).requires_grad_(True).train()
    model(*training_batch(checkpoint, seen)).mean().backward()
    last = len(model.text.layers) - 1
    # Nothing reads what leaves the last text layer.
    idle = (f"text.layers.{last}.self_attn.q", f"text.layers.{last}.self_attn.o",
            f"text.layers.{last}.mlp", f"text.layers.{last}.post", "text.norm")  # fmt: skip
    without = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().max() > 0
    ]
    assert all(name.startswith(idle) for name in without)
    # With padding to 48 tokens nothing else would be idle.
    assert len(without) == 7


def test_padding_of_the_text_changes_no_loss(checkpoint, backend, seen):
    pixels, ids, valid, *rest = training_batch(checkpoint, seen)
    padded = torch.cat([ids, torch.zeros(1, 9, dtype=ids.dtype)], dim=1)
    mask = torch.cat([valid, torch.zeros(1, 9, dtype=torch.bool)], dim=1)
    one = backend.model(pixels, ids, valid, *rest)
    other = backend.model(pixels, padded, mask, *rest)
    torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-5)


def test_observations_of_a_batch_do_not_mix(checkpoint, backend, seen):
    batch = training_batch(checkpoint, seen)
    pixels, ids, valid, state, actions, noise, t = batch
    other = [pixels.flip(3), ids.flip(1), valid, -state, -actions, noise.flip(1), t * 0.5]
    both = [torch.cat(pair) for pair in zip(batch, other, strict=True)]
    together = backend.model(*both)
    torch.testing.assert_close(together[:1], backend.model(*batch), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[1:], backend.model(*other), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 16])
def test_the_first_rows_do_not_depend_on_how_many_follow(checkpoint, backend, seen, rows):
    prefix = backend.prefill(parts(backend, seen), seen[2])
    noise = pattern_noise(checkpoint.config)
    whole, short = chunk(backend, prefix, noise), chunk(backend, prefix, noise[:rows])
    np.testing.assert_allclose(short, whole[:rows], atol=4e-6)


def test_a_new_state_on_the_same_images_gives_what_a_whole_computation_gives(backend, seen):
    tokens = parts(backend, seen)
    state = seen[2]
    renewed = backend.renew(backend.prefill(tokens, state + 1), state)
    whole = backend.prefill(tokens, state)
    for one, other in zip(renewed.keys, whole.keys, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=0)
    assert torch.equal(renewed.valid, whole.valid)


def test_the_state_leaves_images_and_text_alone_but_not_the_action(checkpoint, backend, seen):
    tokens = parts(backend, seen)
    one, other = backend.prefill(tokens, seen[2]), backend.prefill(tokens, -seen[2])
    for k, l in zip(one.keys, other.keys, strict=True):  # noqa: E741
        assert torch.equal(k[:, :-1], l[:, :-1])
    noise = pattern_noise(checkpoint.config)
    apart = np.abs(chunk(backend, one, noise) - chunk(backend, other, noise))
    assert apart.max() > 1e-3


def test_another_image_or_task_gives_another_action(checkpoint, backend, seen):
    noise = pattern_noise(checkpoint.config)
    first, second, text = parts(backend, seen)
    usual = chunk(backend, backend.prefill([first, second, text], seen[2]), noise)
    for other in ([second, first, text], [first, second, backend.embed_text(seen[1][:-3])]):
        assert np.abs(chunk(backend, backend.prefill(other, seen[2]), noise) - usual).max() > 1e-3


def test_shifted_patch_positions_are_those_of_float32_lerobot(checkpoint):
    model = SmolVLA(checkpoint.config, checkpoint.shapes, "shifted")
    side = checkpoint.shapes.vision.image_size // checkpoint.shapes.vision.patch_size
    # What transformers computes: bucketize(i / n (1 - 1e-6), k / n) in float32.
    share = (torch.arange(side, dtype=torch.float32) / side) * (1 - 1e-6)
    bucket = torch.bucketize(share, torch.arange(1 / side, 1.0, 1 / side), right=True)
    wanted = (bucket[:, None] * side + bucket).flatten()
    assert torch.equal(model.vision.embeddings.places, wanted)


def test_bfloat16_stays_near_float32_and_keeps_some_weights_wide(checkpoint):
    narrow = load_model(checkpoint, torch.bfloat16)
    wide = [name for name, p in narrow.named_parameters() if p.dtype == torch.float32]
    crossed = [name for name in wide if name.startswith("expert.layers.")]
    assert len(wide) - len(crossed) == 10
    assert len(crossed) == 2 * (checkpoint.config.vlm_layers // 2)
    samples = random_samples(checkpoint.config, checkpoint.processing, 1)
    exact = answers(load_checkpoint(checkpoint, "float32"), samples)
    near = compare(exact, answers(load_checkpoint(checkpoint, "bfloat16"), samples))
    assert 1e-5 < near.worst < 0.06


def test_a_trained_model_is_saved_as_a_checkpoint_that_reads_back(checkpoint, tmp_path):
    model = load_model(checkpoint)
    model.action_out_proj.bias.add_(0.25)
    statistics = {
        name: {"mean": np.full(6, 2, np.float32), "std": np.full(6, 3, np.float32)}
        for name in ("action", "observation.state")
    }
    save_checkpoint(tmp_path / "trained", model, checkpoint, statistics)
    again = read_checkpoint(tmp_path / "trained")
    assert again.header.types == checkpoint.header.types
    np.testing.assert_allclose(again.processing.action.unnormalise(np.ones(6)), 5.0)
    back = load_model(again)
    for name, values in model.named_parameters():
        assert torch.equal(dict(back.named_parameters())[name], values)
    with pytest.raises(PolicyError, match="holds something already"):
        save_checkpoint(tmp_path / "trained", model, checkpoint)


def test_keys_and_values_that_stay_in_place_change_nothing(checkpoint, backend, seen):
    """As on a GPU, whose recorded computations read and write the same memory each time."""
    pixels, ids, state = seen
    replaying = TorchBackend(checkpoint, "float32", "cpu", replay=True)
    noise = pattern_noise(checkpoint.config)
    for rows, dark, moved in (
        (50, False, 0.0),
        (16, False, 0.5),
        (16, True, 0.5),
        (50, True, 0.0),
    ):
        images = [image * np.float32(1 - dark) for image in pixels]
        chunks = []
        for each in (backend, replaying):
            prefix = each.prefill(parts(each, (images, ids, state)), state)
            chunk(each, prefix, noise[:rows])
            prefix = each.renew(prefix, state + np.float32(moved))
            chunks.append(chunk(each, prefix, noise[:rows]))
        np.testing.assert_array_equal(*chunks)
    replaying.close()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_answers_like_the_processor(checkpoint, backend, seen):
    state = seen[2]
    noise = pattern_noise(checkpoint.config)
    prefix = backend.prefill(parts(backend, seen), state)
    wanted = chunk(backend, prefix, noise)
    recorded = TorchBackend(checkpoint, "float32", "cuda")
    for _ in range(2):
        prefix = recorded.prefill(parts(recorded, seen), state)
        np.testing.assert_allclose(chunk(recorded, prefix, noise), wanted, atol=2e-4)
    recorded.close()
