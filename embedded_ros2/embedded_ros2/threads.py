# SPDX-License-Identifier: Apache-2.0
"""Zenoh's threads: how many work for a message, and what Python keeps of them."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import TypeVar

Called = TypeVar("Called", bound=Callable[..., object])

RUNTIME_VARIABLE = "ZENOH_RUNTIME"
_RUNTIME = "(acc: (handover: rx), net: (handover: rx))"
_kept: set[int] = set()
_called_back: set[CodeType] = set()
_put_off: list[Callable[[], None]] = []


def called_back(function: Called) -> Called:
    """Mark a function that Zenoh calls: an exception of it goes nowhere, see `put_off`."""
    _called_back.add(function.__code__)
    return function


def put_off(frame: FrameType | None, action: Callable[[], None]) -> bool:
    """Put off what a signal's handler is about to do, if it may raise where Zenoh has called.

    Zenoh calls on the thread that publishes, too, where the subscription is of the same process.
    It prints an exception that comes back, and goes on.

    Returns:
        Whether it is put off, until `make_up` on the main thread.
    """
    while frame is not None:
        if frame.f_code in _called_back:
            _put_off.append(action)
            return True
        frame = frame.f_back
    return False


def make_up() -> None:
    """Do what was put off, on the main thread; once, however many signals there were."""
    if _put_off and threading.current_thread() is threading.main_thread():
        action = _put_off[0]
        _put_off.clear()
        action()


def let_readers_wait() -> None:
    """Let the thread that reads a socket wait for it as well; call this before Zenoh is used.

    By default one thread of Zenoh waits for all sockets and wakes another one to read. On the way
    of a small message that is a third of the price. What the user has set stays.
    """
    os.environ.setdefault(RUNTIME_VARIABLE, _RUNTIME)


def keep_state() -> None:
    """Let Python keep its state of the calling thread for as long as the thread lives.

    Python has none of a thread that it did not start. For each call that comes from there it makes
    one, maps a page for the frames and unmaps it after the call: a fifth of what it costs to
    receive a message of a few hundred bytes. Zenoh's threads are few and live as long as the
    process. Call this from any callback that comes often; only the first call on a thread does
    anything.
    """
    ident = threading.get_ident()
    if ident not in _kept:
        _kept.add(ident)
        # Not released: the state goes when the last claim on it does.
        ctypes.pythonapi.PyGILState_Ensure()
