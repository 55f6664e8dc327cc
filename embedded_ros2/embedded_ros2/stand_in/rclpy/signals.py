# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM shut contexts down.

Python runs handlers on the main thread, between two of its own instructions: a main thread that
is deep in a C library handles the signal when it comes back.
"""

from __future__ import annotations

import signal
import threading
from enum import IntFlag
from types import FrameType
from typing import Any

from embedded_ros2 import threads


class SignalHandlerOptions(IntFlag):
    """Which signals shut contexts down."""

    NO = 0
    SIGINT = 1
    SIGTERM = 2
    ALL = 3


_previous: dict[int, Any] = {}


def _handle(number: int, frame: FrameType | None) -> None:
    from rclpy import context

    for living in list(context._living):
        living._invalidate()
    previous = _previous.get(number)
    # For SIGINT, Python's own raises KeyboardInterrupt.
    if callable(previous) and not threads.put_off(frame, lambda: previous(number, None)):
        previous(number, frame)


def install_signal_handlers(options: SignalHandlerOptions = SignalHandlerOptions.ALL) -> None:
    """Install the handlers; on any but the main thread Python allows none, and none are."""
    if threading.current_thread() is not threading.main_thread():
        return
    for option, number in (
        (SignalHandlerOptions.SIGINT, signal.SIGINT),
        (SignalHandlerOptions.SIGTERM, signal.SIGTERM),
    ):
        if options & option and number not in _previous:
            _previous[number] = signal.getsignal(number)
            signal.signal(number, _handle)


def get_current_signal_handlers_options() -> SignalHandlerOptions:
    """Return which handlers are installed."""
    options = SignalHandlerOptions.NO
    if signal.SIGINT in _previous:
        options |= SignalHandlerOptions.SIGINT
    if signal.SIGTERM in _previous:
        options |= SignalHandlerOptions.SIGTERM
    return options


def uninstall_signal_handlers() -> None:
    """Put the previous handlers back."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number, previous in list(_previous.items()):
        # Somebody may have installed a handler over ours since; that one stays.
        if signal.getsignal(number) is _handle:
            signal.signal(number, signal.SIG_DFL if previous is None else previous)
        del _previous[number]
