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
_ESCAPE = "\x1b"
# What a key sends comes at once, but for a slow line between.
_REST_S = 0.05
# No key sends more, and no person types as much ahead.
_LONGEST, _MOST_AHEAD = 32, 4096


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
        """Return the next key, `END` at the end of the input, None where there is none in time.

        Arrows and the like, which a terminal sends as several letters, are none of them.
        """
        key = self._letter(timeout_s)
        return self._after_escape() if key == _ESCAPE else key

    def typed(self) -> str:
        """Return the keys that were pressed before they were asked for, and drop them.

        What comes from a pipe is kept until it is asked for.
        """
        found = ""
        if os.isatty(self._number):
            while len(found) < _MOST_AHEAD and (key := self.press(0.0)):
                found += key
        return found

    def _letter(self, timeout_s: float) -> str | None:
        if not select.select([self._number], [], [], timeout_s)[0]:
            return None
        return os.read(self._number, 1).decode("ascii", "replace").lower()

    def _after_escape(self) -> str | None:
        """Drop the rest of what one key sends; return what is none of it."""
        key = self._letter(_REST_S)
        while key == _ESCAPE:
            key = self._letter(_REST_S)
        if key is None or key == END:
            return key
        if key not in "[o":
            # Escape, and then another key, or both at once.
            return key
        for _ in range(_LONGEST):
            key = self._letter(_REST_S)
            if not key or key == " ":
                return key
            if "@" <= key <= "~" and key != "[":
                return None
        return None
