# SPDX-License-Identifier: Apache-2.0
"""Camera images as the vision tower reads them."""

import numpy as np
import pytest

from smolvla.images import fit


def bilinear(image, height, width):
    """Resize by the definition: pixel centres at half integers, edges repeated, no smoothing."""

    def axis(old, new):
        place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, None)
        low = np.minimum(place.astype(int), old - 1)
        return low, np.minimum(low + 1, old - 1), place - low

    y0, y1, fy = axis(image.shape[0], height)
    x0, x1, fx = axis(image.shape[1], width)
    rows = image[y0] * (1 - fy)[:, None, None] + image[y1] * fy[:, None, None]
    return rows[:, x0] * (1 - fx)[None, :, None] + rows[:, x1] * fx[None, :, None]


@pytest.mark.parametrize("shape", [(480, 640), (240, 320), (64, 48), (37, 91)])
def test_an_image_is_resized_by_its_longer_side_and_padded_left_and_on_top(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    square = fit(image, 128)
    ratio = max(shape) / 128
    height, width = int(shape[0] / ratio), int(shape[1] / ratio)
    wanted = bilinear(image.astype(np.float64), height, width) / 127.5 - 1
    np.testing.assert_allclose(square[:, 128 - height :, 128 - width :], wanted.transpose(2, 0, 1),
                               atol=2e-5)  # fmt: skip
    assert np.all(square[:, : 128 - height] == -1)
    assert np.all(square[:, :, : 128 - width] == -1)


def test_white_is_one_and_black_is_minus_one():
    square = fit(np.full((128, 128, 3), 255, np.uint8), 128)
    np.testing.assert_allclose(square, 1.0, atol=1e-6)
    assert np.all(fit(np.zeros((128, 128, 3), np.uint8), 128) == -1)


def test_the_result_owns_its_memory_in_order():
    square = fit(np.zeros((480, 640, 3), np.uint8), 64)
    assert square.flags["C_CONTIGUOUS"]
    assert square.dtype == np.float32
