# SPDX-License-Identifier: Apache-2.0
"""Fingerprints of files, by which a run that goes on knows what it was begun with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from vla_policies.checkpoint_folder import find_checkpoint
from vla_policies.protocol import PolicyError
from vla_training.errors import TrainingError

WEIGHTS = "model.safetensors"
MOST_FILES = 1000  # of a checkpoint


def of_file(path: Path) -> str:
    """Return a file's name and a fingerprint of what is in it.

    Raises:
        TrainingError: It cannot be read.
    """
    digest = hashlib.sha256()
    _add(digest, path)
    return f"{path.name} {digest.hexdigest()[:16]}"


def of_checkpoint(folder: Path) -> str:
    """Return a fingerprint of all that decides a checkpoint's answers.

    Weights, statistics, shapes, tokenizer: every file but its card.

    Args:
        folder: As `find_checkpoint` takes it: a run of LeRobot's too, or weights in several files.

    Raises:
        TrainingError: It is no checkpoint, a file cannot be read, or there are too many.
    """
    try:
        return _of_folder(find_checkpoint(folder))
    except PolicyError as error:
        raise TrainingError(str(error)) from None


def of_policy(options: Mapping[str, Any], checkpoint: Path | None) -> str:
    """Return a policy's options that are a file or folder on this disk, with fingerprints.

    What a policy fetches from elsewhere, or has behind a server, is not seen.

    Args:
        options: Of the policy.
        checkpoint: In place of theirs; None for that.

    Raises:
        TrainingError: One cannot be read, or is a folder of too many files.
    """
    texts = {name: value for name, value in options.items() if isinstance(value, str)}
    found = {}
    if checkpoint is not None:
        texts.pop("checkpoint", None)
        found["checkpoint"] = of_checkpoint(checkpoint)
    for name, text in texts.items():
        if os.path.isdir(text):
            found[name] = _of_folder(Path(text))
        elif os.path.isfile(text):
            found[name] = of_file(Path(text))
    return ", ".join(f"{name} {found[name]}" for name in sorted(found))


def _of_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    weights = folder / WEIGHTS
    if weights.is_file():
        _add(digest, weights)
    files = (each for each in folder.rglob("*") if each.is_file())
    paths = list(islice(files, MOST_FILES + 1))
    if len(paths) > MOST_FILES:
        raise TrainingError(f"{folder}: has more than {MOST_FILES} files; name a checkpoint")
    for path in sorted(paths):
        if path.suffix != ".md" and path != weights:
            digest.update(f"\n{path.relative_to(folder)}\n".encode())
            _add(digest, path)
    return digest.hexdigest()[:16]


def _add(digest: hashlib._Hash, path: Path) -> None:
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror})") from None
