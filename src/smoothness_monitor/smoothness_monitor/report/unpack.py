# SPDX-License-Identifier: Apache-2.0
"""Unpack Zstandard, no further than is asked for, with whichever library rosbags came with."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, BinaryIO

# Up to Python 3.13 rosbags brings a backport, older rosbags another library.
_LIBRARIES = ("compression.zstd", "backports.zstd", "zstandard")
_WINDOW_LOG = 27
_PART = 1 << 20


class PackedError(ValueError):
    """What is to be unpacked is damaged."""


def unpacked(data: bytes, most: int) -> bytes:
    """Return the first `most` bytes, or fewer, of what `data` unpacks to.

    Raises:
        PackedError: It is damaged.
    """
    library = _library()
    try:
        if library.__name__ == "zstandard":
            made = library.ZstdDecompressor(max_window_size=1 << _WINDOW_LOG)
            return bytes(made.stream_reader(data).read(most))
        return bytes(_decompressor(library).decompress(data, max_length=most))
    except (library.ZstdError, EOFError, MemoryError) as error:
        raise PackedError(str(error) or type(error).__name__) from None


def parts(file: BinaryIO) -> Iterator[bytes]:
    """Yield what a file unpacks to, a part at a time.

    Raises:
        PackedError: It is damaged, behind what was yielded.
    """
    library = _library()
    try:
        if library.__name__ == "zstandard":
            reader: Any = library.ZstdDecompressor(max_window_size=1 << _WINDOW_LOG)
            reader = reader.stream_reader(file)
        else:
            largest = {library.DecompressionParameter.window_log_max: _WINDOW_LOG}
            reader = library.open(file, "rb", options=largest)
        while data := reader.read(_PART):
            yield data
    except (library.ZstdError, EOFError, OSError, MemoryError) as error:
        raise PackedError(str(error) or type(error).__name__) from None


def _decompressor(library: Any) -> Any:
    return library.ZstdDecompressor(
        options={library.DecompressionParameter.window_log_max: _WINDOW_LOG}
    )


def _library() -> Any:
    for name in _LIBRARIES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise PackedError("unpacking zstd needs a library: pip install backports.zstd")
