# SPDX-License-Identifier: Apache-2.0
"""A camera's picture as a JPEG of bounded size."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_QUALITIES = (70, 45, 25)


def jpeg(pixels: NDArray[np.uint8], most_width: int, most_bytes: int) -> bytes | None:
    """Return a picture for the page, None where it cannot be made small enough.

    Args:
        pixels: (H, W, 3), RGB.
        most_width: It is made no wider than that, pixels, and no higher.
        most_bytes: Of the file. A coarser quality is tried where it is larger.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, most_width / max(height, width))
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    for quality in _QUALITIES:
        done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if done and len(data) <= most_bytes:
            return data.tobytes()
    return None
