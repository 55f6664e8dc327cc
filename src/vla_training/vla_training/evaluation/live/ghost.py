# SPDX-License-Identifier: Apache-2.0
"""The start picture of a pair's first trial, half transparent over what the camera sees now."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib.image
import numpy as np
from numpy.typing import NDArray

from vla_training.errors import TrainingError, writing

Pixels = NDArray[np.uint8]
STARTS = "starts"


def ghost(start: Pixels, live: Pixels) -> Pixels:
    """Return the mean of two pictures (H, W, 3): what is not back in its place is seen twice.

    A start picture of another size is that of another camera: the live one is returned.
    """
    if start.shape != live.shape:
        return live
    return np.asarray((start.astype(np.uint16) + live) // 2, dtype=np.uint8)


def difference(start: Pixels, live: Pixels) -> float:
    """Return the mean absolute difference of two pictures, share of the range; NaN for sizes."""
    if start.shape != live.shape:
        return float("nan")
    return float(np.abs(start.astype(np.int16) - live).mean() / 255.0)


def jpeg(pixels: Pixels) -> bytes:
    """Return a picture (H, W, 3) as a JPEG."""
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, pixels, format="jpeg")
    return buffer.getvalue()


class StartPictures:
    """Start pictures of the trials of a comparison, as PNG files in its folder."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made when there is a picture for it."""
        self._folder = folder / STARTS

    def path(self, trial: int, attempt: int) -> Path:
        """Return the file of an attempt."""
        return self._folder / f"trial_{trial:03d}_{attempt}.png"

    def keep(self, trial: int, attempt: int, pixels: Pixels) -> None:
        """Write a picture (H, W, 3).

        Raises:
            TrainingError: It cannot be written.
        """
        path = self.path(trial, attempt)
        part = path.with_suffix(".part")
        with writing(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            matplotlib.image.imsave(part, pixels, format="png")
            part.replace(path)

    def find(self, trial: int, attempt: int) -> Pixels | None:
        """Return a picture that was kept, None where there is none.

        Raises:
            TrainingError: It is damaged.
        """
        path = self.path(trial, attempt)
        if not path.exists():
            return None
        try:
            found = matplotlib.image.imread(path, format="png")
        except (OSError, ValueError, SyntaxError) as error:
            raise TrainingError(f"{path}: is damaged ({error}); remove that file") from None
        return np.asarray(np.rint(found[..., :3] * 255.0), dtype=np.uint8)
