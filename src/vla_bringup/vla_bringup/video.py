# SPDX-License-Identifier: Apache-2.0
"""Write the camera's frames to a small video, with what is going on written across them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

FRAMES_PER_SECOND = 15
PERIOD_NS = 1_000_000_000 // FRAMES_PER_SECOND


class EpisodeVideo:
    """An MPEG-4 file of one camera at 15 frames a second.

    Args:
        path: the file to write; the folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: cv2.VideoWriter | None = None
        self._next_ns = 0

    def add(self, stamp_ns: int, rgb: np.ndarray, lines: list[str], jerk_ratio: float) -> None:
        """Add a frame unless the last one is less than a frame's time ago.

        Args:
            stamp_ns: capture time.
            rgb: (H, W, 3) uint8.
            lines: text for the top left corner.
            jerk_ratio: |commanded jerk| / limit, drawn as a bar along the lower edge.
        """
        if stamp_ns < self._next_ns:
            return
        late_ns = stamp_ns - self._next_ns
        self._next_ns = (self._next_ns if late_ns < PERIOD_NS else stamp_ns) + PERIOD_NS
        frame = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        draw(frame, lines, jerk_ratio)
        if self._writer is None:
            size = (frame.shape[1], frame.shape[0])
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self.path), code, FRAMES_PER_SECOND, size)
        self._writer.write(frame)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None


def draw(frame: np.ndarray, lines: list[str], jerk_ratio: float) -> None:
    """Write `lines` and the jerk bar into a (H, W, 3) uint8 BGR frame, in place."""
    height, width = frame.shape[:2]
    for row, line in enumerate(lines):
        at = (12, 26 + 22 * row)
        cv2.putText(frame, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (20, 20, 20), 4, cv2.LINE_AA)
        cv2.putText(
            frame, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (250, 250, 250), 1, cv2.LINE_AA
        )
    share = float(np.clip(np.nan_to_num(jerk_ratio), 0.0, 1.0))
    left, right = 12, width - 12
    cv2.rectangle(frame, (left, height - 20), (right, height - 12), (60, 60, 60), -1)
    filled = left + int(share * (right - left))
    cv2.rectangle(frame, (left, height - 20), (filled, height - 12), (80, 200, 120), -1)
    cv2.putText(
        frame,
        "commanded jerk / limit",
        (left, height - 26),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.42,
        (250, 250, 250),
        1,
        cv2.LINE_AA,
    )
