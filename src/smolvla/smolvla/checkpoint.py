# SPDX-License-Identifier: Apache-2.0
"""A checkpoint folder of LeRobot's, read and found to be complete before a weight is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smolvla.config import SmolVLAConfig, read_config
from smolvla.processing import Processing, read_processing
from smolvla.shapes import Shapes, read_shapes
from smolvla.text import TaskTokens, find_tokenizer
from smolvla.weights import WeightsHeader, read_header
from vla_policies.checkpoint_folder import find_checkpoint


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder holds, but for the weights.

    Attributes:
        folder: Where it is.
        config: What config.json says.
        shapes: Of the model.
        processing: What happens around the model.
        tokens: Makes tokens of an instruction.
        patch_positions: ``exact`` or ``shifted``; see `WeightsHeader.patch_positions`.
        header: Of the weights.
    """

    folder: Path
    config: SmolVLAConfig
    shapes: Shapes
    processing: Processing
    tokens: TaskTokens
    patch_positions: str
    header: WeightsHeader


def read_checkpoint(
    folder: str | Path, *, statistics: Path | None = None, patch_positions: str | None = None
) -> Checkpoint:
    """Read a checkpoint folder.

    Args:
        folder: A local folder, as `find_checkpoint` takes it; nothing is downloaded.
        statistics: A file that replaces the statistics of the checkpoint.
        patch_positions: Where the file leaves it open, ``exact`` or ``shifted``.

    Raises:
        PolicyError: It is no complete SmolVLA checkpoint, with what to do.
    """
    place = find_checkpoint(folder)
    config = read_config(place)
    shapes = read_shapes(place, config)
    header = read_header(place, shapes, config)
    processing = read_processing(place, config, header, statistics)
    tokenizer = find_tokenizer(place, processing.tokenizer)
    tokens = TaskTokens(tokenizer, processing, shapes.vocabulary)
    positions = header.patch_positions(patch_positions)
    return Checkpoint(place, config, shapes, processing, tokens, positions, header)
