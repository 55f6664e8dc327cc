# SPDX-License-Identifier: Apache-2.0
"""Unpack Zstandard, no further than is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import BinaryIO

try:
    from backports import zstd
except ImportError:
    # Python 3.14 has its own.
    zstd = importlib.import_module("compression.zstd")

# A file may ask for a window of any size; this much is the most that is made for one.
_OPTIONS = {zstd.DecompressionParameter.window_log_max: 27}
_PART = 1 << 20


class PackedError(ValueError):
    """What is to be unpacked is damaged."""


def unpacked(data: bytes, most: int) -> bytes:
    """Return the first `most` bytes, or fewer, of what `data` unpacks to.

    Raises:
        PackedError: It is damaged.
    """
    try:
        return zstd.ZstdDecompressor(options=_OPTIONS).decompress(data, max_length=most)
    except (zstd.ZstdError, EOFError, MemoryError) as error:
        raise PackedError(str(error) or type(error).__name__) from None


def parts(file: BinaryIO) -> Iterator[bytes]:
    """Yield what a file unpacks to, a part at a time.

    Raises:
        PackedError: It is damaged, behind what was yielded.
    """
    try:
        with zstd.open(file, "rb", options=_OPTIONS) as reader:
            while data := reader.read(_PART):
                yield data
    except (zstd.ZstdError, EOFError, OSError, MemoryError) as error:
        raise PackedError(str(error) or type(error).__name__) from None
