# SPDX-License-Identifier: Apache-2.0
"""The last line of defence: no callback can end the process, whatever it meets.

A callback that decides something and ends in an exception latches the stop. One that only tells
(state, smoothness, diagnostics) is logged: it must not take the stop down with it.
"""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable
from typing import Any

# Tracebacks in the log; then one line each, and then one line for each different one.
_TRACEBACKS = 5
_LINES = 100


class Guard:
    """Wraps callbacks."""

    def __init__(self, on_error: Callable[[str], None], log: Callable[[str], None]) -> None:
        """Begin without errors.

        Args:
            on_error: Is called with what happened in a callback that decides something.
            log: Writes an error.
        """
        self._on_error, self._log = on_error, log
        self._count = 0
        self._told: set[str] = set()

    def deciding(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Return the callback, with exceptions that latch. A service is answered with them."""

        def answer(args: tuple[Any, ...], words: str) -> Any:
            response = args[-1] if args else None
            if hasattr(response, "success") and hasattr(response, "message"):
                response.success = False
                response.message = f"internal error: {words}; the stop is latched for it"
                return response
            return None

        if inspect.iscoroutinefunction(callback):

            @functools.wraps(callback)
            async def waiting(*args: Any) -> Any:
                try:
                    return await callback(*args)
                except Exception as error:
                    return answer(args, self.caught(error, callback.__name__))

            return waiting

        @functools.wraps(callback)
        def guarded(*args: Any) -> Any:
            try:
                return callback(*args)
            except Exception as error:
                return answer(args, self.caught(error, callback.__name__))

        return guarded

    def telling(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Return the callback, with exceptions that are logged."""

        @functools.wraps(callback)
        def guarded(*args: Any) -> Any:
            try:
                return callback(*args)
            except Exception as error:
                self._tell(error, callback.__name__)
                return None

        return guarded

    def caught(self, error: BaseException, where: str) -> str:
        """Take in an exception of something that decides; return it in words."""
        words = self._tell(error, where)
        try:
            self._on_error(words)
        except Exception as another:
            self._tell(another, "the stop")
        return words

    def _tell(self, error: BaseException, where: str) -> str:
        words = f"{where}: {type(error).__name__}: {str(error)[:300]}"
        self._count += 1
        if self._count <= _LINES and (self._count <= _TRACEBACKS or words not in self._told):
            self._told.add(words)
            lines = traceback.format_exception(error) if self._count <= _TRACEBACKS else []
            try:
                self._log("\n".join([f"internal error: {words}", *lines]))
            except Exception:
                # A log that cannot be written is no reason either.
                return words
        return words
