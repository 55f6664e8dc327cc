# SPDX-License-Identifier: Apache-2.0
"""Keeps libjpeg from writing a line to standard error for each damaged picture of a client.

It cannot be told not to. A log that fills a disk, or a pipe that nobody empties, would hold up
every decoder. What other native code writes meanwhile is lost; Python's logging is not, where
`process.serve` has given it a stream of its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2
_lock = threading.Lock()
_inside = 0
_saved: int | None = None


@contextmanager
def native_stderr_closed() -> Iterator[None]:
    """Drop what is written to the file descriptor of standard error, from any thread."""
    global _inside, _saved
    with _lock:
        _inside += 1
        if _inside == 1:
            _saved = _swap()
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _saved is not None:
                os.dup2(_saved, STDERR)
                os.close(_saved)
                _saved = None


def _swap() -> int | None:
    """Point standard error nowhere; return where it pointed, None where it is closed."""
    try:
        saved = os.dup(STDERR)
    except OSError:
        return None
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    os.close(nowhere)
    return saved
