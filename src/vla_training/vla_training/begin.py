# SPDX-License-Identifier: Apache-2.0
"""What an imitation begins from: a model from nothing, or a checkpoint that is there.

It is kept in the run's folder, so that the run begins from the same whatever becomes of the rest.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from smolvla.checkpoint import Checkpoint, read_checkpoint
from smolvla.processing import Statistics
from smolvla.relative import read_columns
from smolvla.saving import made_for, save_checkpoint
from smolvla.torch_backend import load_model
from vla_policies.protocol import PolicyError
from vla_training.errors import TrainingError
from vla_training.heads import ReferringHeads
from vla_training.lessons import Lessons
from vla_training.run_folder import STATE_FILE, RunFolder
from vla_training.settings import CHECKPOINT_SCALE, ImitationSettings
from vla_training.start import make_start

START = "start"
HEADS_FILE = "heads.pt"  # of the run whose checkpoint another goes on from
HEADS = "heads."
# Rows of the same robot and units lie nearer to a checkpoint's mean: degrees are 57 times radians.
MOST_DEVIATIONS = 20.0


def start_of(
    run: RunFolder, lessons: Lessons, settings: ImitationSettings, base: Path | None
) -> Checkpoint:
    """Return the checkpoint that a run begins from; it is made where there is none yet.

    Args:
        run: Its folder.
        lessons: The data.
        settings: How to train.
        base: A checkpoint to go on from; None for a model from nothing.

    Raises:
        PolicyError: The checkpoint cannot be used, or data and model do not fit.
    """
    info, rows = lessons.info, lessons.chunks.shape[2]
    columns = [info.joints.index(name) for name in settings.relative]
    statistics = lessons.statistics(columns)
    folder = run.path / START
    if not (folder / "config.json").exists():
        with run.writing(START) as spare:
            if base is None:
                make_start(
                    spare, settings.size, images=info.cameras, joints=len(info.joints),
                    states=len(info.state_names), rows=rows, statistics=statistics,
                    seed=settings.seed, flow_steps=settings.flow_steps,
                    texts=[f"{text}\n" for texts in info.instructions for text in texts],
                )  # fmt: skip
            elif settings.scale == CHECKPOINT_SCALE:
                began = _with_statistics(base)
                _check_offsets(began.folder, columns, info.joints)
                save_checkpoint(spare, load_model(began), began)
            else:
                sizes = len(info.state_names), len(info.joints)
                with made_for(base, info.cameras, *sizes, statistics) as began:
                    save_checkpoint(spare, load_model(began), began)
            if base is not None:
                _keep_heads(base, spare)
    checkpoint = read_checkpoint(folder)
    _check_model_fits(checkpoint, lessons, rows, base or folder)
    _check_scale_fits(checkpoint, statistics, base or folder)
    return checkpoint


def take_heads(start: Path, heads: ReferringHeads) -> None:
    """Give referring heads the weights of the run that this one goes on from, where they fit.

    They are no part of a checkpoint; new ones would disturb what has been learnt.

    Args:
        start: What the run begins from.
        heads: They are changed.
    """
    path = start / HEADS_FILE
    if not path.exists():
        return
    found = torch.load(path, map_location="cpu", weights_only=True)
    shapes = {name: each.shape for name, each in heads.state_dict().items()}
    if {name: each.shape for name, each in found.items()} == shapes:
        heads.load_state_dict(found)


def _keep_heads(base: Path, start: Path) -> None:
    """Keep the referring heads of the run whose checkpoint `base` is, where it has any."""
    path = base.parent / STATE_FILE
    if not path.exists():
        return
    try:
        average = torch.load(path, map_location="cpu", weights_only=True)["average"]
        heads = {
            name.removeprefix(HEADS): each
            for name, each in average.items()
            if name.startswith(HEADS)
        }
    except Exception:  # torch raises whatever its unpickler raises; a run without it is good
        return
    torch.save(heads, start / HEADS_FILE)


def _with_statistics(base: Path) -> Checkpoint:
    """Read a checkpoint whose own scale is to stay."""
    try:
        return read_checkpoint(base)
    except PolicyError as error:
        if "lacks the statistics" not in str(error):
            raise
        raise TrainingError(
            f"{base}: has no statistics, as a foundation checkpoint; set scale: data to take "
            "those of these rows"
        ) from None


def _check_offsets(base: Path, columns: list[int], joints: tuple[str, ...]) -> None:
    """Refuse a checkpoint whose action has other columns that are offsets."""
    said = read_columns(base)
    if said is not None and said != tuple(sorted(columns)):
        names = ", ".join(joints[column] for column in said if column < len(joints))
        given = ", ".join(joints[column] for column in columns)
        raise TrainingError(
            f"{base}: has learned offsets of {names or 'no joint'}, and relative names "
            f"{given or 'none'}; write relative: [{names}], or scale: data"
        )


def _check_model_fits(checkpoint: Checkpoint, lessons: Lessons, rows: int, source: Path) -> None:
    config, info = checkpoint.config, lessons.info
    for what, wanted, given in (
        ("cameras", sorted(config.cameras), sorted(info.cameras)),
        ("state size", config.state_size, len(info.state_names)),
        ("action size", config.action_size, len(info.joints)),
        ("rows of a chunk", config.chunk_size, rows),
    ):
        if wanted != given:
            raise TrainingError(
                f"{source}: its {what} are {wanted}, those of the data {given}; give a "
                "checkpoint and data that fit"
            )


def _check_scale_fits(checkpoint: Checkpoint, found: Statistics, source: Path) -> None:
    """Refuse rows that the model's scale was not made for: other units, or another robot."""
    for feature, scale in checkpoint.processing.statistics.items():
        if feature not in found or not {"mean", "std"} <= scale.keys():
            continue
        for name in ("q01", "q99"):
            away = np.abs(found[feature][name] - scale["mean"]) / np.maximum(scale["std"], 1e-9)
            column = int(np.argmax(away))
            if not away[column] <= MOST_DEVIATIONS:
                raise TrainingError(
                    f"{source}: value {column} of {feature} is {away[column]:.0f} deviations from "
                    "its mean, so it has learnt with other units or another robot; set scale: "
                    "data to take these rows' own"
                )
