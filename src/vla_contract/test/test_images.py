# SPDX-License-Identifier: Apache-2.0
"""Whatever a camera sends becomes the same RGB, or one line that says what to do."""

import struct
import zlib
from array import array
from dataclasses import replace

import cv2
import numpy as np
import pytest

from vla_contract.contract import ContractError, load_contract
from vla_contract.images import (
    BAYER,
    MAX_PIXELS,
    ImageError,
    decompressed,
    resized,
    to_rgb,
)
from vla_contract.observation import ObservationBuffer

COLOURS = [(200, 30, 60), (20, 180, 90), (40, 60, 220), (255, 255, 255), (128, 128, 128)]
FRONT = "observation.images.front"
ARM = ("pan", "lift", "elbow")


def yuv(colour):
    """Return Y, U, V of BT.601, video range."""
    r, g, b = (value / 255.0 for value in colour)
    y = 16 + 65.481 * r + 128.553 * g + 24.966 * b
    u = 128 - 37.797 * r - 74.203 * g + 112.0 * b
    v = 128 + 112.0 * r - 93.786 * g - 18.214 * b
    return tuple(round(value) for value in (y, u, v))


def padded(rows, fill):
    rows = np.asarray(rows, dtype=np.uint8).reshape(len(rows), -1)
    full = np.hstack([rows, np.full((len(rows), fill), 77, np.uint8)])
    return full.tobytes(), full.shape[1]


@pytest.mark.parametrize("fill", [0, 6])
@pytest.mark.parametrize("colour", COLOURS)
def test_every_yuv_encoding_becomes_the_colour_that_was_seen(colour, fill):
    y, u, v = yuv(colour)
    height, width = 6, 8
    packed = {
        "uyvy": [u, y, v, y], "yuv422": [u, y, v, y],
        "yuyv": [y, u, y, v], "yuv422_yuy2": [y, u, y, v],
    }  # fmt: skip
    for encoding, pair in packed.items():
        data, step = padded([pair * (width // 2)] * height, fill)
        found = to_rgb(data, encoding, height, width, step)
        assert found.shape == (height, width, 3)
        assert np.abs(found.astype(int) - colour).max() <= 4, encoding
    for encoding, pair in {"nv12": [u, v], "nv21": [v, u]}.items():
        rows = [[y] * width] * height + [pair * (width // 2)] * (height // 2)
        data, step = padded(rows, fill)
        found = to_rgb(data, encoding, height, width, step)
        assert found.shape == (height, width, 3)
        assert np.abs(found.astype(int) - colour).max() <= 4, encoding


@pytest.mark.parametrize("encoding", BAYER)
@pytest.mark.parametrize("colour", COLOURS)
def test_every_bayer_pattern_becomes_the_colour_that_was_seen(encoding, colour):
    pattern = encoding.removeprefix("bayer_").removesuffix("8")
    values = dict(zip("rgb", colour, strict=True))
    square = np.array([values[c] for c in pattern], np.uint8).reshape(2, 2)
    data, step = padded(np.tile(square, (4, 5)), 3)
    found = to_rgb(data, encoding, 8, 10, step)
    assert np.abs(found[2:-2, 2:-2].astype(int) - colour).max() <= 1


def test_an_encoding_without_colours_asks_how_to_read_it_and_then_does():
    rows = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    with pytest.raises(ImageError, match="write read_as: rgb8 or bgr8 in the contract"):
        to_rgb(rows.tobytes(), "8UC3", 2, 4, 12)
    assert (to_rgb(rows.tobytes(), "8UC3", 2, 4, 12, "rgb8") == rows).all()
    assert (to_rgb(array("B", rows.tobytes()), "8UC3", 2, 4, 12, "bgr8") == rows[..., ::-1]).all()
    with pytest.raises(ImageError, match="write read_as: mono8"):
        to_rgb(rows.tobytes(), "8UC1", 2, 12, 12, "bgr8")


@pytest.mark.parametrize(
    ("encoding", "height", "width", "step", "problem"),
    [
        ("uyvy", 4, 5, 10, "pairs of pixels"),
        ("nv12", 3, 4, 4, "squares of 2 x 2"),
        ("yuyv", 4, 6, 11, "4 rows of 11 bytes for 6 pixels"),
        ("bayer_rggb8", 0, 4, 4, "0 rows"),
        ("16UC1", 4, 4, 8, "16UC1 is not known; publish one of rgb8"),
        ("x" * 9000, 4, 4, 8, "x{40} is not known"),
    ],
)
def test_an_image_that_is_not_what_it_says_is_refused(encoding, height, width, step, problem):
    with pytest.raises(ImageError, match=problem) as caught:
        to_rgb(bytes(40), encoding, height, width, step)
    assert len(str(caught.value)) < 400


def picture(seed=0, height=48, width=64):
    small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(pixels, ending, *parameters):
    return cv2.imencode(ending, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), parameters)[1].tobytes()


def test_a_png_is_exact_and_a_jpeg_nearly():
    pixels = picture()
    assert (decompressed(encoded(pixels, ".png")) == pixels).all()
    error = np.abs(decompressed(encoded(pixels, ".jpg")).astype(int) - pixels)
    assert error.mean() < 4


def test_what_would_take_memory_or_time_without_bound_is_refused_before_its_pixels():
    size = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    body = b"IHDR" + size
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body
    bomb += struct.pack(">I", zlib.crc32(body)) + bytes(40)
    with pytest.raises(ImageError, match=f"60000 x 60000; at most {MAX_PIXELS} pixels"):
        decompressed(bomb)
    large = bytearray(encoded(picture(), ".jpg"))
    frame = large.index(b"\xff\xc0")
    large[frame + 5 : frame + 9] = struct.pack(">HH", 60000, 60000)
    with pytest.raises(ImageError, match="60000 x 60000"):
        decompressed(bytes(large))
    with pytest.raises(ImageError, match="progressive"):
        decompressed(encoded(picture(), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1))


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_a_damaged_file_is_refused_and_never_ends_the_process(ending):
    good = encoded(picture(), ending)
    random = np.random.default_rng(0)
    for cut in (0, 3, 20, 40, len(good) // 2):
        with pytest.raises(ImageError):
            decompressed(good[:cut])
    said = []
    for _ in range(200):
        bad = bytearray(good)
        for at in random.integers(0, len(bad), 8):
            bad[at] = random.integers(256)
        try:
            found = decompressed(bytes(bad))
        except ImageError as error:
            said.append(str(error))
        else:
            assert found.shape[0] * found.shape[1] <= MAX_PIXELS
    assert said
    assert not any("\n" in each for each in said)


def test_sixteen_bits_and_other_formats_are_refused():
    deep = cv2.imencode(".png", np.zeros((4, 4), np.uint16))[1].tobytes()
    with pytest.raises(ImageError, match="16 bits"):
        decompressed(deep)
    for data in (b"", b"GIF89a" + bytes(90), encoded(picture(), ".bmp")):
        with pytest.raises(ImageError, match="jpeg or png"):
            decompressed(data)


def test_a_crop_keeps_the_shape_of_things_and_a_stretch_keeps_the_edges():
    square = np.zeros((48, 64, 3), np.uint8)
    square[16:32, 24:40] = 255
    cropped, stretched = (resized(square, 24, 24, how) for how in ("crop", "stretch"))
    white = [np.argwhere(each[..., 0] > 127) for each in (cropped, stretched)]
    sides = [np.ptp(each, axis=0) + 1 for each in white]
    assert sides[0].tolist() == [8, 8]
    assert sides[1].tolist() == [8, 6]


def test_an_image_of_another_size_is_resized_where_the_contract_says_so(contract):
    (front,) = contract.images
    for how in ("stretch", "crop"):
        told = replace(contract, images=(replace(front, resize=how),))
        buffer = ObservationBuffer(told, {FRONT: (24, 32, 3)})
        buffer.image(FRONT, picture(), 10, 10)
        assert not any(item.feature == FRONT for item in buffer.problems(10, 10))


def test_a_contract_may_ask_for_compressed_images(write_contract):
    kind = "type: sensor_msgs/msg/Image"
    path = write_contract(kind, "type: sensor_msgs/msg/CompressedImage\n    resize: crop")
    (front,) = load_contract(path, ARM, "gripper").images
    assert (front.compressed, front.resize) == (True, "crop")
    path = write_contract(kind, f"{kind}\n    read_as: bgr8")
    (front,) = load_contract(path, ARM, "gripper").images
    assert (front.compressed, front.read_as) == (False, "bgr8")
    path = write_contract(kind, "type: sensor_msgs/msg/CompressedImage\n    encoding: rgb8")
    with pytest.raises(ContractError, match="encoding: unknown key"):
        load_contract(path, ARM, "gripper")
