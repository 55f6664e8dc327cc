# SPDX-License-Identifier: Apache-2.0
"""Between a guided command and the person: what is said, and what is answered."""

from __future__ import annotations

import sys
import termios
from typing import Protocol


class StoppedByPersonError(Exception):
    """The person ended a guided command."""


class Guide(Protocol):
    """Who leads a person through a command. Tests have one that moves a simulated arm."""

    def say(self, text: str) -> None:
        """Show a line or more."""

    def wait(self, text: str) -> None:
        """Ask for something to be done; return when it is; raise StoppedByPersonError."""

    def waiting(self) -> bool:
        """Return whether the person is still at it; called again and again."""


class TerminalGuide:
    """A person at a terminal: Enter goes on, Ctrl-C or Ctrl-D ends it."""

    def say(self, text: str) -> None:
        """Show a line or more."""
        print(text, flush=True)

    def wait(self, text: str) -> None:
        """Ask, and wait for Enter; one that was typed before the question answers nothing."""
        if sys.stdin.isatty():
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
        print(f"\n>> {text}\n   Enter when it is done; Ctrl-C ends this.", flush=True)
        try:
            if not sys.stdin.readline():
                raise StoppedByPersonError("ended by its input")
        except KeyboardInterrupt as error:
            raise StoppedByPersonError("ended by Ctrl-C") from error

    def waiting(self) -> bool:
        """Return whether Enter has not been pressed yet."""
        import select

        try:
            ready, _, _ = select.select([sys.stdin], [], [], 0.0)
        except KeyboardInterrupt as error:
            raise StoppedByPersonError("ended by Ctrl-C") from error
        if ready and not sys.stdin.readline():
            raise StoppedByPersonError("ended by its input")
        return not ready
