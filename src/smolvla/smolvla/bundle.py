# SPDX-License-Identifier: Apache-2.0
"""A bundle: a checkpoint converted for OpenVINO, in a folder that needs neither torch nor LeRobot.

It holds the model's three stages, the few weights that are used outside them, and the
checkpoint's own files that say what happens around the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smolvla.config import SmolVLAConfig, read_config
from smolvla.files import read_json
from smolvla.processing import Processing, read_processing
from smolvla.shapes import Shapes, read_shapes
from smolvla.text import TaskTokens, find_tokenizer

BUNDLE_FILE = "bundle.json"
HOST_FILE = "host.safetensors"
FORMAT = 1
STAGES = ("vision", "prefix", "step")
# mixed: int8 in the parts where an error allows it, bfloat16 elsewhere.
QUANTISED = ("mixed", "int8")
PRECISIONS = ("float32", "bfloat16", *QUANTISED)
# bfloat16 as its upper 16 bits, since numpy has no such type.
EMBEDDING = "text.embed_tokens.weight"


@dataclass(frozen=True)
class Bundle:
    """What a bundle folder holds, but for the stages.

    Attributes:
        folder: Where it is.
        precision: One of `PRECISIONS`.
        config: Of the checkpoint.
        shapes: Of the model.
        processing: What happens around it.
        tokens: Makes tokens of an instruction.
        about: All of bundle.json.
    """

    folder: Path
    precision: str
    config: SmolVLAConfig
    shapes: Shapes
    processing: Processing
    tokens: TaskTokens
    about: dict[str, Any]


def is_bundle(folder: Path) -> bool:
    """Whether a folder is a bundle rather than a checkpoint."""
    return (folder / BUNDLE_FILE).is_file()


def read_bundle(folder: Path, statistics: Path | None = None) -> Bundle:
    """Read a bundle folder.

    Args:
        folder: Which.
        statistics: A file that replaces the statistics of the bundle.

    Raises:
        PolicyError: A file is missing or damaged, or the format is another.
    """
    about = read_json(folder / BUNDLE_FILE)
    about.fixed("format", FORMAT, otherwise=f"only {FORMAT} is supported; convert again")
    precision = about.text("precision")
    if precision not in PRECISIONS:
        raise about.error("precision", f"is {precision}; known are {', '.join(PRECISIONS)}")
    for name in (*(f"{stage}.{end}" for stage in STAGES for end in ("xml", "bin")), HOST_FILE):
        if not (folder / name).is_file():
            raise about.error("", f"{name} is missing beside it; convert again")
    config = read_config(folder)
    shapes = read_shapes(folder, config)
    processing = read_processing(folder, config, None, statistics)
    tokenizer = find_tokenizer(folder, processing.tokenizer)
    tokens = TaskTokens(tokenizer, processing, shapes.vocabulary)
    return Bundle(folder, precision, config, shapes, processing, tokens, about.values)
