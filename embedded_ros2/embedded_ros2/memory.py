# SPDX-License-Identifier: Apache-2.0
"""The C library's allocator, told what a process that handles images needs."""

from __future__ import annotations

import ctypes
import os

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 * 1024 * 1024  # glibc takes no more
_KEPT = 128 * 1024 * 1024
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def keep_large_blocks() -> None:
    """Let freed blocks of an image's size stay in the process.

    By default glibc gives such memory back to the kernel each time, and each next image pays for
    fresh pages: 1 ms of 1.5 ms for a 640x480 rgb8 image. Values that the user has set stay; with
    another C library than glibc, nothing happens.
    """
    if any(variable in os.environ for variable in _VARIABLES):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
