# SPDX-License-Identifier: Apache-2.0
"""What can go wrong here and its user can mend."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vla_policies.protocol import PolicyError

_FULL = ("PytorchStreamWriter", "enforce fail", "No space left", "Disk quota exceeded")


class TrainingError(PolicyError):
    """Data, settings or a run cannot be used as asked. One line that says what to do."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what prevents a file from being written into one line.

    Raises:
        TrainingError: The disk is full, or the file cannot be written. What was there, is there.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "the disk is full: free some space, and run the same command again to go on"
        reason = remedy if full else f"cannot be written ({error.strerror or error})"
        raise TrainingError(f"{path}: {reason}; what was written before is kept") from None
    except Exception as error:  # torch and safetensors say a full disk in words of their own
        if not any(word in str(error) for word in _FULL):
            raise
        raise TrainingError(
            f"{path}: cannot be written, probably the disk is full: free some space, and run the "
            "same command again to go on; what was written before is kept"
        ) from None
