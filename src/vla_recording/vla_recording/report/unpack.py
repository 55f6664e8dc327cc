# SPDX-License-Identifier: Apache-2.0
"""Unpack Zstandard, no further than is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

# Python 3.14 has its own.
_HOME = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
zstd: Any = importlib.import_module(_HOME)

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
        decompressor = zstd.ZstdDecompressor(options=_OPTIONS)
        return bytes(decompressor.decompress(data, max_length=most))
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
