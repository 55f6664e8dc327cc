# SPDX-License-Identifier: Apache-2.0
"""How the threads of this process are scheduled, kept as it is while a library starts its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")


@contextmanager
def scheduling_kept() -> Iterator[None]:
    """Let no thread be scheduled otherwise at the end of the block than at its beginning.

    SVT-AV1 gives its threads, and the one that starts them, the highest real-time priority
    wherever the process is root's (`svt_create_thread`), as in most containers. A recorder would
    then come before the control loop, and on two cores nothing else would run. New threads are
    scheduled as the caller is.
    """
    if not _THREADS.is_dir():  # not Linux
        yield
        return
    before = {name: _scheduled(name) for name in os.listdir(_THREADS)}
    own = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for name in os.listdir(_THREADS):
            policy, parameters = before.get(name) or own
            if _scheduled(name) != (policy, parameters):
                with suppress(OSError):  # a thread that has ended meanwhile
                    os.sched_setscheduler(int(name), policy, parameters)


def _scheduled(name: str) -> tuple[int, os.sched_param] | None:
    with suppress(OSError):
        return os.sched_getscheduler(int(name)), os.sched_getparam(int(name))
    return None
