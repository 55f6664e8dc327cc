# SPDX-License-Identifier: Apache-2.0
"""What Python keeps of the threads on which Zenoh calls back."""

from __future__ import annotations

import ctypes
import threading

_kept: set[int] = set()


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
