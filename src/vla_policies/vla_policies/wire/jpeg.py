# SPDX-License-Identifier: Apache-2.0
"""What a JPEG file would cost to decode, known before a pixel of it is.

A decoder passes over the whole picture once for each scan. A progressive file of some hundred
kilobytes can hold thousands of scans, which take half a minute; so only files are decoded that
have one scan for each colour at most, which is what cameras and encoders write by default.

Source: ITU-T T.81, annex B (markers and segments).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SOI, _SOS, _EOI = b"\xff\xd8", 0xDA, 0xD9
_BASELINE, _EXTENDED = 0xC0, 0xC1  # Huffman-coded, sequential
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers that carry a picture's size
_BARE = frozenset((0x01, *range(0xD0, 0xD8)))  # markers without a length
# The next marker after a scan's data, in which 0xFF00 is a byte and 0xFFD0 to 0xFFD7 are restarts.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_NOT_FILL = re.compile(rb"[^\xff]", re.DOTALL)
MAX_SEGMENTS = 512


def jpeg_size(data: bytes) -> tuple[int, ...] | None:
    """Return (H, W, channels) that a JPEG announces, None where it is none. Decodes nothing."""
    for marker, at in _segments(data):
        if marker in _FRAMES:
            length = int.from_bytes(data[at : at + 2], "big")
            if length < 8 or at + 8 > len(data):
                return None
            height = int.from_bytes(data[at + 3 : at + 5], "big")
            width = int.from_bytes(data[at + 5 : at + 7], "big")
            return height, width, data[at + 7]
        if marker in (_SOS, _EOI):
            return None
    return None


def jpeg_problem(data: bytes, shape: tuple[int, ...]) -> str:
    """Say why a file is not decoded, empty where it is.

    Args:
        data: The file.
        shape: (H, W, channels) as its sender announces.
    """
    size = jpeg_size(data)
    if size != shape:
        return f"a JPEG is announced as {shape}, its file says {size or 'nothing'}"
    frames, scans, ended = 0, 0, False
    for count, (marker, at) in enumerate(_segments(data)):
        if count >= MAX_SEGMENTS:
            return f"a JPEG has more than {MAX_SEGMENTS} segments; send a plain one"
        if marker in _FRAMES:
            frames += 1
            if marker not in (_BASELINE, _EXTENDED):
                return "a JPEG is progressive or arithmetic-coded; send a baseline one"
            if frames > 1:
                return "a JPEG has several frames; send a plain one"
            if data[at + 2] != 8:
                return f"a JPEG has {data[at + 2]} bits a colour; send 8"
        elif marker == _SOS:
            scans += 1
            if scans > shape[2]:
                return f"a JPEG has more scans than its {shape[2]} colours; send a plain one"
        ended = marker == _EOI
    # What is missing at the end would be filled with grey and taken for seen.
    return "" if ended and scans else "a JPEG is cut short; send it whole"


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker with the place of what follows it, up to the end of the picture.

    Ends after `MAX_SEGMENTS` and one more.
    """
    if not data.startswith(_SOI):
        return
    at, left = len(_SOI), MAX_SEGMENTS + 1
    while left and at + 2 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            # Fill bytes, of which there may be millions.
            at = _past_fill(data, at)
            continue
        at, left = at + 2, left - 1
        if marker == _EOI:
            yield marker, at
            return
        if marker in _BARE:
            yield marker, at
            continue
        if at + 2 > len(data):
            return
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2:
            return
        yield marker, at
        at += length
        if marker == _SOS:
            found = _MARKER.search(data, at)
            if found is None:
                return
            at = found.start()


def _past_fill(data: bytes, at: int) -> int:
    """Return the place of the last 0xFF of a row of them."""
    found = _NOT_FILL.search(data, at)
    return len(data) if found is None else found.start() - 1
