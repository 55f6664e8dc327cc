# SPDX-License-Identifier: Apache-2.0
"""What a camera sends, as RGB: raw, YUV, Bayer, and compressed with its size known beforehand."""

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

from vla_policies.wire.jpeg import jpeg_problem, jpeg_size

Pixels = NDArray[np.uint8]

# Of a decoded picture; 4096 x 4096.
MAX_PIXELS = 1 << 24
PLAIN = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
# Named by what they hold, not by the order of colours: a contract says what that is.
UNNAMED = {"8UC1": 1, "8UC3": 3, "8UC4": 4}
# Two bytes a pixel; both spellings are ROS's.
PACKED_YUV = {
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "yuyv": cv2.COLOR_YUV2RGB_YUYV,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUYV,
}
# A plane of luminance above one of colours at half the resolution.
PLANAR_YUV = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}
# OpenCV names a pattern by its second row's second and third colour, ROS by its first two.
BAYER = {
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr8": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
}
ENCODINGS = (*PLAIN, *UNNAMED, *PACKED_YUV, *PLANAR_YUV, *BAYER)
COMPRESSED = ("jpeg", "png")
READ_AS = tuple(PLAIN)
_PNG = b"\x89PNG\r\n\x1a\n"


class ImageError(ValueError):
    """An image cannot be used. The text says what is wrong with it and what to do."""


def to_rgb(
    data: bytes, encoding: str, height: int, width: int, step: int, read_as: str | None = None
) -> Pixels:
    """Return a raw image as RGB, (H, W, 3) uint8; without a copy where it is rgb8.

    Args:
        data: The bytes.
        encoding: ROS's name of it.
        height: Rows, pixels.
        width: Columns, pixels.
        step: Bytes of a row, with what it is filled up with.
        read_as: What an encoding without an order of colours (8UC3) is.

    Raises:
        ImageError: The encoding is not known, or the size does not fit the data.
    """
    if encoding in UNNAMED and read_as is not None and PLAIN[read_as] == UNNAMED[encoding]:
        encoding = read_as
    elif encoding in UNNAMED:
        fitting = [name for name, channels in PLAIN.items() if channels == UNNAMED[encoding]]
        raise ImageError(
            f"encoding {encoding} does not say its colours; write read_as: "
            f"{' or '.join(fitting)} in the contract"
        )
    if encoding in PLAIN:
        found = _rows(data, encoding, height, width, step, PLAIN[encoding])
        return _plain(found, encoding)
    if encoding in PACKED_YUV:
        if width % 2:
            raise ImageError(f"{encoding} has pairs of pixels, and {width} columns are none")
        found = _rows(data, encoding, height, width, step, 2)
        return _converted(found, PACKED_YUV[encoding])
    if encoding in PLANAR_YUV:
        if width % 2 or height % 2:
            raise ImageError(f"{encoding} has squares of 2 x 2; {width} x {height} are none")
        found = _rows(data, encoding, height * 3 // 2, width, step, 1)
        return _converted(found[..., 0], PLANAR_YUV[encoding])
    if encoding in BAYER:
        found = _rows(data, encoding, height, width, step, 1)
        return _converted(found[..., 0], BAYER[encoding])
    raise ImageError(
        f"encoding {encoding:.40} is not known; publish one of {', '.join(ENCODINGS)}"
    )


def decompressed(data: bytes) -> Pixels:
    """Return a JPEG or PNG file as RGB, (H, W, 3) uint8. Its size is judged before its pixels.

    Raises:
        ImageError: It is neither, too large, damaged, or of 16 bits.
    """
    size = jpeg_size(data)
    if size is not None:
        problem = jpeg_problem(data, size)
        if problem:
            raise ImageError(problem)
        height, width = size[:2]
    elif data.startswith(_PNG) and data[12:16] == b"IHDR" and len(data) > 33:
        width, height, depth = struct.unpack(">IIB", data[16:25])
        if depth != 8:
            raise ImageError(f"a PNG has {depth} bits a colour; publish 8")
    else:
        raise ImageError(f"is no {' or '.join(COMPRESSED)} file; publish one of these")
    if not 0 < height * width <= MAX_PIXELS:
        raise ImageError(f"is {width} x {height}; at most {MAX_PIXELS} pixels are decoded")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        found = None
    if found is None or found.shape != (height, width, 3):
        raise ImageError("a compressed picture is damaged")
    return _converted(np.asarray(found, dtype=np.uint8), cv2.COLOR_BGR2RGB)


def resized(pixels: Pixels, height: int, width: int, how: str) -> Pixels:
    """Return an image of another size.

    Args:
        pixels: (H, W, 3).
        height: Rows wanted.
        width: Columns wanted.
        how: ``stretch``, or ``crop`` to the wanted shape about the middle first.
    """
    if how == "crop":
        rows, columns = pixels.shape[:2]
        if rows * width > columns * height:
            keep = max(1, round(columns * height / width))
            begin = (rows - keep) // 2
            pixels = pixels[begin : begin + keep]
        else:
            keep = max(1, round(rows * width / height))
            begin = (columns - keep) // 2
            pixels = pixels[:, begin : begin + keep]
    smaller = height * width < pixels.shape[0] * pixels.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=method), dtype=np.uint8)


def _rows(data: bytes, encoding: str, height: int, width: int, step: int, channels: int) -> Pixels:
    """Return (H, W, C), a view of the data."""
    values = np.frombuffer(data, dtype=np.uint8)
    row = width * channels
    if row == 0 or height == 0 or step < row or values.size != height * step:
        raise ImageError(
            f"{height} rows of {step} bytes for {width} pixels do not make "
            f"{values.size} bytes of {encoding}"
        )
    return values.reshape(height, step)[:, :row].reshape(height, width, channels)


def _plain(pixels: Pixels, encoding: str) -> Pixels:
    if encoding == "mono8":
        return np.repeat(pixels, 3, axis=2)
    if encoding.startswith("bgr"):
        return np.ascontiguousarray(pixels[..., 2::-1])
    return np.ascontiguousarray(pixels[..., :3])


def _converted(pixels: Pixels, code: int) -> Pixels:
    try:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), code), dtype=np.uint8)
    except cv2.error:
        raise ImageError(f"{pixels.shape[1]} x {pixels.shape[0]} pixels are too few") from None
