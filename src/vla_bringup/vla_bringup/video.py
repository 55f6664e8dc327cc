# SPDX-License-Identifier: Apache-2.0
"""Write the camera's frames to a small video, with what is going on written across them."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np

FRAMES_PER_SECOND = 15
PERIOD_NS = 1_000_000_000 // FRAMES_PER_SECOND
LONGEST = 60 * FRAMES_PER_SECOND


class EpisodeVideo:
    """An MPEG-4 file of one camera at 15 frames a second, of the first minute at the most.

    Frames come in one thread and another one ends it; OpenCV's writer bears one caller at a time.

    Args:
        path: the file to write; the folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: cv2.VideoWriter | None = None
        self._next_ns = 0
        self._frames = 0
        self._closed = False
        self._one_at_a_time = threading.Lock()

    def add(self, stamp_ns: int, rgb: np.ndarray, lines: list[str], jerk_ratio: float) -> None:
        """Add a frame; none within a frame's time of the last, past the minute, or once closed.

        Args:
            stamp_ns: capture time.
            rgb: (H, W, 3) uint8.
            lines: text for the top left corner.
            jerk_ratio: |commanded jerk| / limit, drawn as a bar along the lower edge.
        """
        if stamp_ns < self._next_ns or self._frames >= LONGEST:
            return
        late_ns = stamp_ns - self._next_ns
        self._next_ns = (self._next_ns if late_ns < PERIOD_NS else stamp_ns) + PERIOD_NS
        frame = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        draw(frame, lines, jerk_ratio)
        with self._one_at_a_time:
            if self._closed:
                return
            if self._writer is None:
                size = (frame.shape[1], frame.shape[0])
                code = cv2.VideoWriter.fourcc(*"mp4v")
                self._writer = cv2.VideoWriter(str(self.path), code, FRAMES_PER_SECOND, size)
            self._writer.write(frame)
            self._frames += 1

    def close(self) -> None:
        """Finish the file; no frame comes into it any more."""
        with self._one_at_a_time:
            self._closed = True
            if self._writer is not None:
                self._writer.release()
                self._writer = None


def draw(frame: np.ndarray, lines: list[str], jerk_ratio: float) -> None:
    """Write `lines` and the jerk bar into a (H, W, 3) uint8 BGR frame, in place."""
    height, width = frame.shape[:2]
    _darken(frame[: 12 + 24 * len(lines)])
    for row, line in enumerate(lines):
        _write(frame, line, (12, 24 + 24 * row), 0.55)
    _darken(frame[height - 44 :])
    _write(frame, "commanded jerk / limit", (12, height - 26), 0.42)
    share = float(np.clip(np.nan_to_num(jerk_ratio), 0.0, 1.0))
    left, right = 12, width - 12
    filled = left + int(share * (right - left))
    cv2.rectangle(frame, (left, height - 18), (right, height - 10), (60, 60, 60), -1)
    cv2.rectangle(frame, (left, height - 18), (filled, height - 10), (80, 200, 120), -1)


def _darken(strip: np.ndarray) -> None:
    strip //= 2


def _write(frame: np.ndarray, text: str, at: tuple[int, int], size: float) -> None:
    white = (250, 250, 250)
    cv2.putText(frame, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, white, 1, cv2.LINE_AA)
