# SPDX-License-Identifier: Apache-2.0
"""Write a checkpoint folder that LeRobot 0.4.4 and this package both read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from smolvla.config import ACTION, CONFIG_FILE, SmolVLAConfig
from smolvla.processing import (
    EPSILON,
    POSTPROCESSOR_FILE,
    PREPROCESSOR_FILE,
    Statistics,
    flat,
)
from smolvla.shapes import Shapes
from smolvla.text import TOKENIZER_FILE
from smolvla.weights import as_other_files
from vla_policies.protocol import STATE

# What LeRobot's processor of the vision-language model asks a tokenizer for.
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<image>",
    "<video>",
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
)


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Make a tokenizer over bytes, so that no text is unknown, with merges learned from texts.

    Args:
        texts: What it will mostly see.
        vocabulary: Tokens at most; 262 at least.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def write_tokenizer(folder: Path, tokenizer: Tokenizer, text_length: int) -> None:
    """Write a tokenizer as transformers reads it."""
    tokenizer.save(str(folder / TOKENIZER_FILE))
    _, image, video, fake, global_image, end = SPECIAL_TOKENS
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": SPECIAL_TOKENS[0],
            "eos_token": SPECIAL_TOKENS[0],
            "model_max_length": text_length,
            "clean_up_tokenization_spaces": False,
            "extra_special_tokens": {
                "image_token": image,
                "video_token": video,
                "fake_image_token": fake,
                "global_image_token": global_image,
                "end_of_utterance_token": end,
            },
        },
    )


def write_vlm(
    folder: Path, shapes: Shapes, tokenizer: Tokenizer, text_length: int, dtype: str
) -> None:
    """Write what LeRobot needs to build the vision-language model without the hub.

    Args:
        folder: A new folder, ``vlm`` in the checkpoint.
        shapes: Of the model.
        tokenizer: Its tokenizer.
        text_length: Tokens of an instruction at most.
        dtype: Of its weights, ``float32`` or ``bfloat16``.
    """
    folder.mkdir(parents=True)
    vision, text = shapes.vision, shapes.text
    _write(
        folder / "config.json",
        {
            "architectures": ["SmolVLMForConditionalGeneration"],
            "model_type": "smolvlm",
            "scale_factor": shapes.shuffle,
            "image_token_id": tokenizer.token_to_id("<image>"),
            "pad_token_id": 0,
            "tie_word_embeddings": False,
            "torch_dtype": dtype,
            "vision_config": {
                "model_type": "smolvlm_vision",
                "hidden_size": vision.hidden,
                "intermediate_size": vision.mlp,
                "num_hidden_layers": vision.layers,
                "num_attention_heads": vision.heads,
                "num_channels": 3,
                "image_size": vision.image_size,
                "patch_size": vision.patch_size,
                "hidden_act": "gelu_pytorch_tanh",
                "layer_norm_eps": vision.norm_eps,
                "torch_dtype": dtype,
            },
            "text_config": {
                "model_type": "llama",
                "hidden_size": text.hidden,
                "intermediate_size": text.mlp,
                "num_hidden_layers": text.layers,
                "num_attention_heads": text.heads,
                "num_key_value_heads": text.kv_heads,
                "head_dim": text.head_size,
                "rms_norm_eps": text.norm_eps,
                "hidden_act": "silu",
                "attention_bias": False,
                "mlp_bias": False,
                "vocab_size": shapes.vocabulary,
                "pad_token_id": 0,
                "bos_token_id": 0,
                "eos_token_id": 0,
                "tie_word_embeddings": False,
                "torch_dtype": dtype,
            },
        },
    )
    write_tokenizer(folder, tokenizer, text_length)
    edge = {"longest_edge": vision.image_size}
    images = {
        "do_convert_rgb": True,
        "do_image_splitting": False,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "max_image_size": edge,
        "size": edge,
        "rescale_factor": 1 / 255,
        "processor_class": "SmolVLMProcessor",
    }
    _write(
        folder / "preprocessor_config.json",
        {**images, "image_processor_type": "SmolVLMImageProcessor"},
    )
    _write(
        folder / "video_preprocessor_config.json",
        {**images, "video_processor_type": "SmolVLMVideoProcessor"},
    )
    _write(
        folder / "processor_config.json",
        {"processor_class": "SmolVLMProcessor", "image_seq_len": shapes.image_tokens},
    )


def write_config(
    folder: Path, config: SmolVLAConfig, image_shapes: Mapping[str, tuple[int, int]]
) -> None:
    """Write config.json.

    Args:
        folder: The checkpoint.
        config: What it says.
        image_shapes: Height and width of each camera's images in the training data.
    """
    vector = {STATE: config.state_size}
    visual = {
        name: {"type": "VISUAL", "shape": [3, *image_shapes[name]]} for name in config.cameras
    }
    _write(
        folder / CONFIG_FILE,
        {
            "type": "smolvla",
            "n_obs_steps": 1,
            "normalization_mapping": {"VISUAL": "IDENTITY", **config.normalisation},
            "input_features": {
                **{name: {"type": "STATE", "shape": [size]} for name, size in vector.items()},
                **visual,
            },
            "output_features": {ACTION: {"type": "ACTION", "shape": [config.action_size]}},
            "device": "cpu",
            "use_amp": False,
            "chunk_size": config.chunk_size,
            "n_action_steps": config.chunk_size,
            "max_state_dim": config.max_state_size,
            "max_action_dim": config.max_action_size,
            "resize_imgs_with_padding": [config.image_size, config.image_size],
            "empty_cameras": 0,
            "adapt_to_pi_aloha": False,
            "use_delta_joint_actions_aloha": False,
            "tokenizer_max_length": config.text_length,
            "num_steps": config.flow_steps,
            "use_cache": True,
            "vlm_model_name": config.vlm,
            "load_vlm_weights": False,
            "add_image_special_tokens": False,
            "attention_mode": "cross_attn",
            "prefix_length": -1,
            "pad_language_to": "max_length",
            "num_expert_layers": -1,
            "num_vlm_layers": config.vlm_layers,
            "self_attn_every_n_layers": config.self_attention_every,
            "expert_width_multiplier": config.expert_width,
            "min_period": config.min_period,
            "max_period": config.max_period,
        },
    )


def write_processors(
    folder: Path,
    config: SmolVLAConfig,
    statistics: Statistics,
    *,
    rename: Mapping[str, str] | None = None,
    newline: bool = True,
) -> None:
    """Write the processors and, beside them, the statistics of state and action.

    Args:
        folder: The checkpoint.
        config: Its config.
        statistics: Of ``observation.state`` and ``action``.
        rename: The checkpoint's feature names by those that an observation has.
        newline: A task ends with a newline.
    """
    vision = {name: {"type": "VISUAL", "shape": [3, 0, 0]} for name in config.cameras}
    action = {ACTION: {"type": "ACTION", "shape": [config.action_size]}}
    state = {STATE: {"type": "STATE", "shape": [config.state_size]}}
    norm_map = {"VISUAL": "IDENTITY", **config.normalisation}
    new_line = {"registry_name": "smolvla_new_line_processor", "config": {}}

    def normaliser(name: str, file: str, features: dict[str, Any]) -> dict[str, Any]:
        save_file(flat(statistics), folder / file)
        as_other_files(folder / file)
        settings = {"eps": EPSILON, "features": features, "norm_map": norm_map}
        return {"registry_name": name, "config": settings, "state_file": file}

    _write(
        folder / PREPROCESSOR_FILE,
        {
            "name": "policy_preprocessor",
            "steps": [
                {
                    "registry_name": "rename_observations_processor",
                    "config": {"rename_map": dict(rename or {})},
                },
                {"registry_name": "to_batch_processor", "config": {}},
                *([new_line] if newline else []),
                {
                    "registry_name": "tokenizer_processor",
                    "config": {
                        "max_length": config.text_length,
                        "task_key": "task",
                        "padding_side": "right",
                        "padding": "max_length",
                        "truncation": True,
                        "tokenizer_name": config.vlm,
                    },
                },
                {
                    "registry_name": "device_processor",
                    "config": {"device": "cpu", "float_dtype": None},
                },
                normaliser(
                    "normalizer_processor",
                    "policy_preprocessor_step_5_normalizer_processor.safetensors",
                    {**state, **vision, **action},
                ),
            ],
        },
    )
    _write(
        folder / POSTPROCESSOR_FILE,
        {
            "name": "policy_postprocessor",
            "steps": [
                normaliser(
                    "unnormalizer_processor",
                    "policy_postprocessor_step_0_unnormalizer_processor.safetensors",
                    action,
                ),
                {
                    "registry_name": "device_processor",
                    "config": {"device": "cpu", "float_dtype": None},
                },
            ],
        },
    )


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
