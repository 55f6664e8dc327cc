# SPDX-License-Identifier: Apache-2.0
"""A folder of results or of a training run belongs to one process at a time."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vla_training.errors import TrainingError, writing

LOCK = ".lock"  # a file: over a network, a folder cannot be locked


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a folder to this process: of two that write to one, each goes by its own count.

    Raises:
        TrainingError: Another process has it, or it cannot be made.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise TrainingError(
            f"{folder}: another process is at it; wait for its end, or name another folder"
        ) from None
    except OSError as error:  # a file system that knows no locks
        print(
            f"{folder}: cannot be locked ({error.strerror}); see to it that nothing else writes "
            "to it",
            file=sys.stderr,
        )
    try:
        yield
    finally:
        os.close(descriptor)
