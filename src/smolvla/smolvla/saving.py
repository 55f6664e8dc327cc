# SPDX-License-Identifier: Apache-2.0
"""Save a trained model as a checkpoint that LeRobot and this package read."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from smolvla.checkpoint import Checkpoint
from smolvla.config import CONFIG_FILE
from smolvla.model import SmolVLA
from smolvla.processing import Statistics
from smolvla.shapes import VLM_FOLDER
from smolvla.text import TOKENIZER_FILE, find_tokenizer
from smolvla.weights import (
    POSITIONS_KEY,
    UNUSED,
    WEIGHTS_FILE,
    as_other_files,
    file_name,
    stays_float32,
)
from smolvla.write import write_processors
from vla_policies.protocol import PolicyError


def save_checkpoint(
    folder: Path,
    model: SmolVLA,
    base: Checkpoint,
    statistics: Statistics | None = None,
    *,
    narrow: bool = False,
) -> None:
    """Write a model that was trained from a checkpoint.

    Args:
        folder: A folder that does not exist yet, or is empty.
        model: Its weights, in the types that they have.
        base: The checkpoint that it began from; it gives all that is not a weight.
        statistics: Of the data that it was trained on, where they are not the base's.
        narrow: Write bfloat16, but for what keeps float32: half the size.

    Raises:
        PolicyError: The folder holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise PolicyError(f"{folder}: holds something already; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, values in model.named_parameters():
        narrowed = narrow and not stays_float32(name, base.config)
        kind = torch.bfloat16 if narrowed else values.dtype
        tensors[file_name(name)] = values.detach().to("cpu", kind).contiguous()
    unused = [UNUSED] if UNUSED in base.header.types else []
    for name, values in base.header.read(unused, "pt"):
        tensors[name] = values.to(torch.float32).contiguous()
    metadata = {"format": "pt", POSITIONS_KEY: base.patch_positions}
    save_file(tensors, folder / WEIGHTS_FILE, metadata)
    as_other_files(folder / WEIGHTS_FILE)
    copy_description(base, folder, statistics)


def copy_description(
    checkpoint: Checkpoint, folder: Path, statistics: Statistics | None = None
) -> None:
    """Copy what a checkpoint holds besides its weights, with the statistics that are in use."""
    source, processing = checkpoint.folder, checkpoint.processing
    shutil.copy(source / CONFIG_FILE, folder)
    shutil.copy(find_tokenizer(source, processing.tokenizer), folder / TOKENIZER_FILE)
    for place in (source / VLM_FOLDER, source / checkpoint.config.vlm):
        if (place / "config.json").is_file():
            shutil.copytree(place, folder / VLM_FOLDER)
            break
    config = replace(
        checkpoint.config,
        normalisation=processing.normalisation,
        text_length=processing.text_length,
    )
    write_processors(
        folder, config, statistics or processing.statistics,
        rename=processing.rename, newline=processing.newline,
    )  # fmt: skip
