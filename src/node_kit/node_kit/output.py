# SPDX-License-Identifier: Apache-2.0
"""Words that nobody reads must not hold up a node, least of all the stop.

A process that logs waits where its terminal or its pipe is full: with the output suspended
(Ctrl-S), with a launch system that is stopped or hangs, behind a pager. It waits in the very call
that writes, whichever logger that is. So standard output and error become pipes of this process's
own that are never waited for, and threads carry on what comes through them. Where the reader
waits for long, the newest words are lost, and nothing else is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import threading
from collections.abc import Iterator

_AT_ONCE = 1 << 16
# So many bytes may wait for a reader; less where the system allows less.
_WAITING = 1 << 20
# What the end waits for a reader, s.
CLOSE_S = 1.0


class _Carrier:
    """Carries what is written to file descriptors on to where it went before."""

    def __init__(self, numbers: list[int]) -> None:
        """Take over descriptors that lead to the same place: their words stay in order."""
        self._numbers = numbers
        self._before = os.dup(numbers[0])
        self._end, writing = os.pipe()
        os.set_blocking(writing, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _WAITING)
        for number in numbers:
            os.dup2(writing, number)
        os.close(writing)
        self._thread = threading.Thread(target=self._carry, name="output", daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        heard = True
        while data := os.read(self._end, _AT_ONCE):
            while data and heard:
                try:
                    data = data[os.write(self._before, data) :]
                except BlockingIOError:
                    # Somebody else made it one that does not wait; words are not worth a spin.
                    break
                except OSError:
                    # The reader is gone. What comes is still taken, so that the pipe is not full.
                    heard = False

    def close(self) -> None:
        """Give them back, once what was written is carried on or that takes long."""
        for number in self._numbers:
            os.dup2(self._before, number)
        self._thread.join(CLOSE_S)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


@contextlib.contextmanager
def never_waiting() -> Iterator[None]:
    """Let no write to standard output or error wait, as long as this lasts."""
    # Loggers look once, before the first word, whether they may write colours.
    if "RCUTILS_COLORIZED_OUTPUT" not in os.environ and os.isatty(2):
        os.environ["RCUTILS_COLORIZED_OUTPUT"] = "1"
    _flush()
    places: dict[tuple[int, int], list[int]] = {}
    for number in (1, 2):
        # One that is closed stays so.
        with contextlib.suppress(OSError):
            place = os.fstat(number)
            places.setdefault((place.st_dev, place.st_ino), []).append(number)
    carriers = [_Carrier(numbers) for numbers in places.values()]
    try:
        yield
    finally:
        _flush()
        for carrier in carriers:
            carrier.close()
