# SPDX-License-Identifier: Apache-2.0
"""Save a trained model as a checkpoint that LeRobot and this package read."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from smolvla.checkpoint import Checkpoint, read_checkpoint
from smolvla.config import ACTION, CONFIG_FILE
from smolvla.files import read_json
from smolvla.model import SmolVLA
from smolvla.processing import Statistics, flat
from smolvla.relative import COLUMNS_FILE
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
from vla_policies.checkpoint_folder import find_checkpoint
from vla_policies.protocol import STATE, PolicyError


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


@contextmanager
def made_for(
    folder: Path,
    images: Mapping[str, tuple[int, int]],
    state_size: int,
    action_size: int,
    statistics: Statistics,
) -> Iterator[Checkpoint]:
    """Give a checkpoint as if it had been made for other data, as LeRobot's fine-tuning does.

    A foundation checkpoint such as ``smolvla_base`` has no statistics, and cameras and joints of
    others: here it gets them. Its folder is left as it is.

    Args:
        folder: The checkpoint.
        images: Height and width of each camera's pictures, by feature.
        state_size: Elements of the state.
        action_size: Columns of the action.
        statistics: Of state and action.

    Raises:
        PolicyError: It is no checkpoint, or its model is too small for them.
    """
    source = find_checkpoint(folder).absolute()
    with tempfile.TemporaryDirectory(prefix="smolvla_") as name:
        place = Path(name)
        for each in source.iterdir():
            if each.name not in (CONFIG_FILE, COLUMNS_FILE):
                (place / each.name).symlink_to(each)
        config = dict(read_json(source / CONFIG_FILE).values)
        visual = {name: {"type": "VISUAL", "shape": [3, *size]} for name, size in images.items()}
        config["input_features"] = {STATE: {"type": "STATE", "shape": [state_size]}, **visual}
        config["output_features"] = {ACTION: {"type": "ACTION", "shape": [action_size]}}
        config["empty_cameras"] = 0
        (place / CONFIG_FILE).write_text(json.dumps(config, indent=2), encoding="utf-8")
        save_arrays(flat(statistics), place / "its_statistics.safetensors")
        found = read_checkpoint(place, statistics=place / "its_statistics.safetensors")
        yield replace(found, processing=replace(found.processing, rename={}))


def copy_description(
    checkpoint: Checkpoint, folder: Path, statistics: Statistics | None = None
) -> None:
    """Copy what a checkpoint holds besides its weights, with the statistics that are in use."""
    source, processing = checkpoint.folder, checkpoint.processing
    shutil.copy(source / CONFIG_FILE, folder)
    if (source / COLUMNS_FILE).is_file():
        shutil.copy(source / COLUMNS_FILE, folder)
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
