# SPDX-License-Identifier: Apache-2.0
"""Image encodings: their element types, channels, and the ways between colour layouts.

Source: sensor_msgs, image_encodings.
"""

from __future__ import annotations

import re

import numpy as np

_NAMED = {
    "mono8": ("uint8", 1),
    "mono16": ("uint16", 1),
    "bgr8": ("uint8", 3),
    "rgb8": ("uint8", 3),
    "bgra8": ("uint8", 4),
    "rgba8": ("uint8", 4),
    "bgr16": ("uint16", 3),
    "rgb16": ("uint16", 3),
    "bgra16": ("uint16", 4),
    "rgba16": ("uint16", 4),
    "yuv422": ("uint8", 2),
    "uyvy": ("uint8", 2),
    "yuv422_yuy2": ("uint8", 2),
    "yuyv": ("uint8", 2),
}
_BAYER = re.compile(r"^bayer_(rggb|bggr|gbrg|grbg)(8|16)$")
_GENERIC = re.compile(r"^(8|16|32|64)(U|S|F)(?:C([1-4]))?$")
_KINDS = {"U": "uint", "S": "int", "F": "float"}
_COLOR = re.compile(r"^(mono|bgra|rgba|bgr|rgb)(8|16)$")


def dtype_and_channels(encoding: str) -> tuple[np.dtype, int]:  # type: ignore[type-arg]
    """Return the element type and the number of channels of an encoding.

    Raises:
        ValueError: If the encoding is unknown.
    """
    if encoding in _NAMED:
        name, channels = _NAMED[encoding]
        return np.dtype(name), channels
    match = _BAYER.match(encoding)
    if match:
        return np.dtype(f"uint{match[2]}"), 1
    match = _GENERIC.match(encoding)
    if match:
        bits, kind, channels_text = match.groups()
        if (kind == "F") == (bits in ("32", "64")) or (kind == "S" and bits == "32"):
            return np.dtype(f"{_KINDS[kind]}{bits}"), int(channels_text or 1)
    raise ValueError(f"Unrecognized image encoding [{encoding}]")


def generic_name(dtype: np.dtype, channels: int) -> str:  # type: ignore[type-arg]
    """Return the encoding without colours of an array, such as ``8UC3``."""
    kind = {"u": "U", "i": "S", "f": "F"}[dtype.kind]
    return f"{8 * dtype.itemsize}{kind}C{channels}"


def color_layout(encoding: str) -> tuple[str, int] | None:
    """Return (layout, bits) such as ("bgr", 8), or None for an encoding without colours."""
    match = _COLOR.match(encoding)
    return (match[1], int(match[2])) if match else None


def bayer_pattern(encoding: str) -> tuple[str, int] | None:
    """Return (pattern, bits) such as ("rggb", 8), or None if it is no Bayer encoding."""
    match = _BAYER.match(encoding)
    return (match[1], int(match[2])) if match else None
