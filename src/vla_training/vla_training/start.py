# SPDX-License-Identifier: Apache-2.0
"""A SmolVLA to train from nothing: any size, random weights, a tokenizer of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from smolvla.config import SmolVLAConfig
from smolvla.processing import Statistics
from smolvla.shapes import VLM_FOLDER, Shapes, TextShape, VisionShape, expert_mlp
from smolvla.tiny import random_tensors
from smolvla.weights import EXACT, POSITIONS_KEY, UNUSED, WEIGHTS_FILE, as_other_files, file_name
from smolvla.write import train_tokenizer, write_config, write_processors, write_vlm

EXPERT_WIDTH = 0.75
HEAD = 32


@dataclass(frozen=True)
class Size:
    """How large a model is.

    Attributes:
        image: Side of the square that it reads, pixels.
        patch: Side of a patch, pixels.
        shuffle: Patches along one side that become one token of the text model.
        vision_hidden: Width of the vision tower.
        vision_layers: Its layers.
        text_hidden: Width of the text model, a multiple of 32.
        text_layers: Its layers, and those of the expert.
        vocabulary: Tokens of the text model at most.
        text_length: Tokens of an instruction at most.
    """

    image: int = 96
    patch: int = 16
    shuffle: int = 2
    vision_hidden: int = 128
    vision_layers: int = 3
    text_hidden: int = 128
    text_layers: int = 4
    vocabulary: int = 384
    text_length: int = 48

    def shapes(self) -> Shapes:
        """Return every shape of the model."""
        heads, groups = self.text_hidden // HEAD, max(1, self.text_hidden // HEAD // 2)
        width = int(self.text_hidden * EXPERT_WIDTH)
        text = (self.text_layers, heads, groups, HEAD, 1e-5)
        return Shapes(
            vision=VisionShape(
                hidden=self.vision_hidden, mlp=3 * self.vision_hidden, layers=self.vision_layers,
                heads=self.vision_hidden // HEAD, image_size=self.image, patch_size=self.patch,
                norm_eps=1e-6,
            ),
            shuffle=self.shuffle,
            text=TextShape(self.text_hidden, 2 * self.text_hidden, *text),
            vocabulary=self.vocabulary,
            expert=TextShape(width, expert_mlp(width), *text),
        )  # fmt: skip


def make_start(
    folder: Path,
    size: Size,
    *,
    images: Mapping[str, tuple[int, int]],
    joints: int,
    rows: int,
    statistics: Statistics,
    texts: Iterable[str],
    seed: int,
    flow_steps: int = 10,
    states: int | None = None,
) -> None:
    """Write an untrained checkpoint.

    Args:
        folder: A new folder.
        size: How large.
        images: Height and width of each camera's pictures, by feature.
        joints: Columns of the action.
        rows: Of a chunk.
        statistics: Of state and action.
        texts: Instructions, for the tokenizer.
        seed: Of the weights.
        flow_steps: From noise to action.
        states: Elements of the state; None for as many as joints.
    """
    folder.mkdir(parents=True)
    shapes = size.shapes()
    config = SmolVLAConfig(
        cameras=tuple(images),
        state_size=joints if states is None else states,
        action_size=joints,
        normalisation={"STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
        chunk_size=rows,
        max_state_size=joints if states is None else states,
        max_action_size=joints,
        image_size=size.image,
        text_length=size.text_length,
        flow_steps=flow_steps,
        vlm=VLM_FOLDER,
        vlm_layers=size.text_layers,
        self_attention_every=2,
        expert_width=EXPERT_WIDTH,
        min_period=4e-3,
        max_period=4.0,
    )
    tensors = {}
    for name, values in random_tensors(shapes, config, seed):
        tensors[file_name(name)] = values * np.float32(_scale(name, shapes))
    tensors[UNUSED] = np.zeros((shapes.vocabulary, shapes.text.hidden), np.float32)
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt", POSITIONS_KEY: EXACT})
    as_other_files(folder / WEIGHTS_FILE)
    write_config(folder, config, dict(images))
    write_processors(folder, config, statistics)
    tokenizer = train_tokenizer(texts, size.vocabulary)
    write_vlm(folder / VLM_FOLDER, shapes, tokenizer, config.text_length, "float32")


def _scale(name: str, shapes: Shapes) -> float:
    """Return by what to multiply a tensor so that all tokens enter the text model alike."""
    # The model multiplies tokens of pictures and words by the root of its width.
    root = math.sqrt(shapes.text.hidden)
    return {
        "connector.modality_projection.proj.weight": 1.0 / root,
        "text.embed_tokens.weight": 1.0 / (0.02 * root),
        "vision.embeddings.position_embedding.weight": 0.3 / 0.02,
    }.get(name, 1.0)
