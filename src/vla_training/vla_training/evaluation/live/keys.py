# SPDX-License-Identifier: Apache-2.0
"""Single keys from a terminal; from a pipe too, a character each."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

try:
    import termios
    import tty
except ImportError:  # Windows, where no ROS 2 graph of this suite runs
    termios = tty = None  # type: ignore[assignment]

END = ""  # of the input


@contextmanager
def single_keys(stream: Any = None) -> Iterator[Keys]:
    """Give what reads keys; a terminal shows none of them until the end, and is itself again."""
    stream = stream or sys.stdin
    number = stream.fileno()
    if termios is None or not os.isatty(number):
        yield Keys(number)
        return
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        yield Keys(number)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


class Keys:
    """Reads keys one at a time."""

    def __init__(self, number: int) -> None:
        """Read from a file descriptor."""
        self._number = number

    def press(self, timeout_s: float) -> str | None:
        """Return the next key, `END` at the end of the input, None where there is none in time."""
        if not select.select([self._number], [], [], timeout_s)[0]:
            return None
        return os.read(self._number, 1).decode("ascii", "replace").lower()

    def forget(self) -> None:
        """Drop what was typed before it was asked for. What comes from a pipe is kept."""
        if termios is not None and os.isatty(self._number):
            termios.tcflush(self._number, termios.TCIFLUSH)
