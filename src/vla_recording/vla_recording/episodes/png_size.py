# SPDX-License-Identifier: Apache-2.0
"""How large an episode's pictures become as PNG, guessed while it is recorded.

To make each of them a PNG would take a core; some lines of one picture a second do.
"""

from __future__ import annotations

import math

import numpy as np

from vla_recording.dataset.pictures import Pixels, to_png
from vla_recording.episodes.rows import EpisodeRow

# What is looked at: bands of so many lines (what a PNG saves, it saves among neighbours), and of
# a picture no more lines than these.
_BAND_LINES, _MOST_LINES = 16, 128


class PngSize:
    """Adds up the guess, row by row.

    Attributes:
        bytes: Of all rows so far.
    """

    def __init__(self, fps: int) -> None:
        """Begin without a row.

        Args:
            fps: Rows a second.
        """
        self._every, self._of_a_row, self.bytes = fps, 0, 0

    def add(self, row: EpisodeRow) -> None:
        """Take in a row."""
        if row.index % self._every == 0:
            pictures = row.assembled.observation.images.values()
            self._of_a_row = sum(map(guessed_bytes, pictures))
        self.bytes += self._of_a_row


def guessed_bytes(pixels: Pixels) -> int:
    """Return about how many bytes a picture (H, W, 3) has as PNG."""
    height = int(pixels.shape[0])
    every = math.ceil(height / _MOST_LINES)
    lines = np.arange(height)
    chosen = pixels[lines // _BAND_LINES % every == 0]
    return round(len(to_png(chosen)) * height / len(chosen))
