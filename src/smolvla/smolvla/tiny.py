# SPDX-License-Identifier: Apache-2.0
"""smolvla_tiny: SmolVLA's classes at toy size, untrained, as a complete checkpoint folder.

For tests, for trying the whole path on any machine, and as a start for training on one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from smolvla.config import ACTION, SmolVLAConfig
from smolvla.processing import Array32, Statistics
from smolvla.shapes import VLM_FOLDER, Shapes, TextShape, VisionShape
from smolvla.weights import (
    EXACT,
    POSITIONS_KEY,
    UNUSED,
    WEIGHTS_FILE,
    as_other_files,
    file_name,
    tensor_shapes,
)
from smolvla.write import train_tokenizer, write_config, write_processors, write_vlm
from vla_policies.protocol import IMAGES, STATE, PolicyError

TINY_SHAPES = Shapes(
    vision=VisionShape(
        hidden=96, mlp=256, layers=4, heads=4, image_size=128, patch_size=8, norm_eps=1e-6
    ),
    shuffle=4,
    text=TextShape(hidden=96, mlp=256, layers=4, heads=4, kv_heads=2, head_size=24, norm_eps=1e-5),
    vocabulary=512,
    expert=TextShape(
        hidden=72, mlp=256, layers=4, heads=4, kv_heads=2, head_size=24, norm_eps=1e-5
    ),
)
CAMERAS = ("front", "wrist")
# The SO-101's rest pose and a spread about it, rad.
_MEAN = (0.0, -1.2, 1.0, 1.25, 0.0, 0.5)
_STD = (0.4, 0.4, 0.4, 0.3, 0.4, 0.4)


def tiny_config(cameras: Sequence[str] = CAMERAS, joints: int = 6) -> SmolVLAConfig:
    """Return the config of smolvla_tiny."""
    return SmolVLAConfig(
        cameras=tuple(IMAGES + camera for camera in cameras),
        state_size=joints,
        action_size=joints,
        normalisation={"STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
        chunk_size=50,
        max_state_size=32,
        max_action_size=32,
        image_size=TINY_SHAPES.vision.image_size,
        text_length=48,
        flow_steps=10,
        vlm=VLM_FOLDER,
        vlm_layers=TINY_SHAPES.text.layers,
        self_attention_every=2,
        expert_width=0.75,
        min_period=4e-3,
        max_period=4.0,
    )


def make_tiny(folder: Path, *, cameras: Sequence[str] = CAMERAS, seed: int = 0) -> None:
    """Write smolvla_tiny, untrained, for the SO-101.

    Args:
        folder: A folder that does not exist yet, or is empty.
        cameras: Names of its cameras.
        seed: Of its weights. The same seed gives the same weights everywhere.

    Raises:
        PolicyError: The folder holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise PolicyError(f"{folder}: holds something already; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    config = tiny_config(cameras, len(_MEAN))
    tensors = {
        file_name(name): values for name, values in random_tensors(TINY_SHAPES, config, seed)
    }
    tensors[UNUSED] = np.zeros((TINY_SHAPES.vocabulary, TINY_SHAPES.text.hidden), np.float32)
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt", POSITIONS_KEY: EXACT})
    as_other_files(folder / WEIGHTS_FILE)
    write_config(folder, config, dict.fromkeys(config.cameras, (480, 640)))
    write_processors(folder, config, tiny_statistics())
    tokenizer = train_tokenizer(_instructions(), TINY_SHAPES.vocabulary)
    write_vlm(folder / VLM_FOLDER, TINY_SHAPES, tokenizer, config.text_length, "float32")


def tiny_statistics() -> Statistics:
    """Return the statistics of smolvla_tiny: joint angles of the SO-101, rad."""
    mean, std = np.array(_MEAN, np.float32), np.array(_STD, np.float32)
    return {name: {"mean": mean, "std": std} for name in (STATE, ACTION)}


def random_tensors(
    shapes: Shapes, config: SmolVLAConfig, seed: int
) -> Iterator[tuple[str, Array32]]:
    """Yield weights by name in the model, from which training can start.

    From numpy's generator, whose numbers are the same on every machine.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    for name, shape in tensor_shapes(shapes, config).items():
        if name.endswith(".bias"):
            yield name, np.zeros(shape, np.float32)
        elif len(shape) == 1:
            yield name, np.ones(shape, np.float32)
        else:
            table = name.startswith("text.embed") or "position_embedding" in name
            scale = 0.02 if table else float(np.prod(shape[1:])) ** -0.5
            yield name, (random.standard_normal(shape) * scale).astype(np.float32)


def _instructions() -> Iterator[str]:
    """Yield the sort of sentences of which the tokenizer makes few tokens."""
    verbs = ("pick up", "put", "place", "move", "push", "grasp", "lift")
    colours = ("red", "green", "blue", "yellow", "orange", "purple", "black", "white")
    things = ("cube", "block", "ball", "cup", "box", "pen")
    places = ("bin", "box", "tray", "bowl", "plate", "table")
    for verb, colour, thing, place in product(verbs, colours, things, places):
        yield f"{verb} the {colour} {thing} in the {place}\n"
        yield f"{verb} the {thing} on the {place} and drop it into the {colour} {place}.\n"
