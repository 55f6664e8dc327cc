# SPDX-License-Identifier: Apache-2.0
"""Fingerprints of files, by which a run that goes on knows what it was begun with."""

from __future__ import annotations

import hashlib
from pathlib import Path

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

    Raises:
        TrainingError: One cannot be read, there are no weights, or there are too many files.
    """
    digest = hashlib.sha256()
    _add(digest, folder / WEIGHTS)
    paths = sorted(each for each in folder.rglob("*") if each.is_file())
    if len(paths) > MOST_FILES:
        raise TrainingError(f"{folder}: has more than {MOST_FILES} files; name a checkpoint")
    for path in paths:
        if path.suffix != ".md" and path.name != WEIGHTS:
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
