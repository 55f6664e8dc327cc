# SPDX-License-Identifier: Apache-2.0
"""Fit a camera image into the square that the vision tower reads."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vla_policies.protocol import Image


def fit(image: Image, size: int) -> NDArray[np.float32]:
    """Resize keeping the ratio, pad with black on the left and the top, scale to -1..1.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: Side of the square, pixels.

    Returns:
        (3, size, size), contiguous.
    """
    height, width = image.shape[:2]
    ratio = max(width / size, height / size)
    new_height, new_width = int(height / ratio), int(width / ratio)
    # In float32, because rounding to uint8 between the two steps would shift the model's input.
    exact, new_size = image.astype(np.float32), (new_width, new_height)
    resized = np.asarray(cv2.resize(exact, new_size, interpolation=cv2.INTER_LINEAR))
    square = np.full((3, size, size), np.float32(-1), dtype=np.float32)
    square[:, size - new_height :, size - new_width :] = resized.transpose(2, 0, 1) * np.float32(
        2 / 255
    ) - np.float32(1)
    return square
