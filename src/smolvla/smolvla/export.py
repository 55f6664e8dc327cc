# SPDX-License-Identifier: Apache-2.0
"""Convert a checkpoint to a bundle for OpenVINO."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from smolvla.bundle import (
    BUNDLE_FILE,
    EMBEDDING,
    FORMAT,
    HOST_FILE,
    STAGES,
)
from smolvla.checkpoint import Checkpoint
from smolvla.model import SmolVLA
from smolvla.openvino_import import openvino
from smolvla.saving import copy_description
from smolvla.stages import PrefixStage, StepStage, VisionStage
from smolvla.torch_backend import load_model
from smolvla.weights import as_other_files
from vla_policies.protocol import PolicyError


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Make a folder that appears under its name when all of it is there, or not at all.

    Until then it lies beside, as ``NAME.partial``; one that a process left which was killed is
    written anew.

    Raises:
        PolicyError: The folder holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise PolicyError(f"{folder}: holds something already; name a new folder")
    partial = folder.with_name(f"{folder.resolve().name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def convert(checkpoint: Checkpoint, folder: Path, precision: str) -> None:
    """Write a bundle.

    Args:
        checkpoint: What to convert.
        folder: Where to; see `new_folder`.
        precision: Of the computation; see `quantise` for what is quantised afterwards.
    """
    model = load_model(checkpoint)
    for name, stage in trace(model).items():
        # bfloat16 weights fit into float16 but for their smallest, which become 0.
        half = precision != "float32"
        openvino.save_model(stage, folder / f"{name}.xml", compress_to_fp16=half)
    host = {
        name: np.ascontiguousarray(values.detach().numpy())
        for name, values in (
            ("state_proj.weight", model.state_proj.weight),
            ("state_proj.bias", model.state_proj.bias),
            (EMBEDDING, model.text.embed_tokens.weight),
        )
    }
    if precision != "float32":
        half = model.text.embed_tokens.weight.detach().to(torch.bfloat16)
        host[EMBEDDING] = half.view(torch.int16).numpy().view(np.uint16)
    save_file(host, folder / HOST_FILE)
    as_other_files(folder / HOST_FILE)
    copy_description(checkpoint, folder)
    for key, value in (
        ("format", FORMAT),
        ("precision", precision),
        ("checkpoint", checkpoint.folder.name),
        ("patch_positions", checkpoint.patch_positions),
        ("openvino", openvino.__version__),
    ):  # fmt: skip
        note(folder, key, value)


def note(folder: Path, key: str, value: Any) -> None:
    """Write an entry of bundle.json."""
    path = folder / BUNDLE_FILE
    about = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    about[key] = value
    path.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def trace(model: SmolVLA, names: Sequence[str] = STAGES) -> dict[str, openvino.Model]:
    """Return stages as OpenVINO models, with as many tokens and rows as they are given."""
    text, expert = model.shapes.text, model.shapes.expert
    layers, groups, half = text.layers, text.kv_heads, text.head_size // 2
    share = text.heads // groups
    alone = len(range(0, layers, model.config.self_attention_every))
    side, hidden, width = model.shapes.vision.image_size, text.hidden, expert.hidden
    columns = model.config.max_action_size
    many = -1
    shapes: dict[str, list[list[int]]] = {
        "vision": [[1, 3, side, side]],
        "prefix": [
            [1, many, hidden], [1, 1, many, many], [1, many, 1, half], [1, many, 1, half],
            [layers, groups, many, 2 * half], [layers, groups, many, 2 * half],
        ],
        "step": [
            [1, many, columns], [1, 1, width], [1, 1, many, many],
            [2, many, 1, half], [2, many, 1, half],
            *[[alone, groups, many, 2 * half]] * 2,
            *[[layers - alone, groups, many, 2 * half]] * 2,
        ],
    }  # fmt: skip
    rows, past = 4, 3
    sizes = {
        "prefix": [[rows], [share * rows, past + rows], [rows], [rows], [past], [past]],
        "step": [[rows], [], [share * rows, past + rows], [rows], [rows], *[[past]] * 4],
    }
    modules = {"vision": VisionStage, "prefix": PrefixStage, "step": StepStage}
    found = {}
    for name in names:
        shape = shapes[name]
        fill = [iter(size) for size in sizes.get(name, [[]])]
        example = tuple(
            torch.zeros([next(here) if n == many else n for n in one])
            for one, here in zip(shape, fill, strict=True)
        )
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", torch.jit.TracerWarning)
            found[name] = openvino.convert_model(
                modules[name](model), example_input=example, input=shape
            )
    return found
