# SPDX-License-Identifier: Apache-2.0
"""A small video of an episode, for people who look through episodes: its first camera.

It lies beside the bag, and is made with the rows. The dataset's own video is of every row, of its
own size, in a codec that not every browser has, and shares its file with other episodes.
"""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from vla_recording.dataset import VIDEO, Codec, Feature
from vla_recording.dataset.errors import VideoError
from vla_recording.dataset.pictures import Pixels, VideoWriter
from vla_recording.episodes.rows import EpisodeRow

FILE = "video.mp4"
# It shows the episode at its own pace, and a long one with fewer pictures a second.
MOST_PICTURES, MOST_A_SECOND = 1200, 10
LARGEST_SIDE = 480
MOST_BYTES = 16 << 20
# What every browser plays; a picture is found fast.
_CODEC = Codec("h264", crf=30, keyframe_every=10)


class Preview:
    """Writes one. Whatever is wrong with it is told, and is nothing to the rows.

    Attributes:
        problem: Why there is none, in words; empty where there is one.
    """

    def __init__(self, bag: Path, feature: str, rows: int, fps: int) -> None:
        """Begin; nothing is written yet.

        Args:
            bag: Folder that it will lie in.
            feature: Whose pictures are shown; empty where there is no camera.
            rows: Of the episode.
            fps: Rows a second.
        """
        self._path, self._feature = bag / FILE, feature
        self._every = max(math.ceil(fps / MOST_A_SECOND), math.ceil(rows / MOST_PICTURES), 1)
        self._rate = Fraction(fps, self._every)
        self._writer: VideoWriter | None = None
        self.problem = "" if feature else "no camera is recorded"

    def add(self, row: EpisodeRow) -> None:
        """Take in a row; some of them are shown."""
        if self.problem or row.index % self._every:
            return
        pixels = small(row.assembled.observation.images[self._feature])
        try:
            if self._writer is None:
                shown = Feature(VIDEO, pixels.shape)
                self._writer = VideoWriter(self._path, shown, self._rate, _CODEC)
            self._writer.add(pixels)
            if self._writer.bytes > MOST_BYTES:
                self._too_large()
        except VideoError as error:
            self._give_up(str(error))

    def finish(self) -> None:
        """Give it its name."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.close()
        except VideoError as error:
            writer.discard()
            self.problem = str(error)
            return
        if self._path.stat().st_size > MOST_BYTES:
            self._path.unlink()
            self._too_large()

    def close(self) -> None:
        """Leave none behind where it is not finished."""
        if self._writer is not None:
            self._writer.discard()
            self._writer = None

    def _too_large(self) -> None:
        self._give_up(f"{self._path}: has more than {MOST_BYTES} bytes")

    def _give_up(self, problem: str) -> None:
        self.problem = problem
        self.close()


def small(pixels: Pixels) -> Pixels:
    """Return a picture (H, W, 3) no larger than is shown, with sides that the codec takes."""
    height, width = pixels.shape[:2]
    scale = min(1.0, LARGEST_SIDE / max(height, width))
    sides = [max(2, 2 * round(side * scale / 2)) for side in (width, height)]
    if sides == [width, height]:
        return pixels
    return np.asarray(cv2.resize(pixels, sides, interpolation=cv2.INTER_AREA), np.uint8)
