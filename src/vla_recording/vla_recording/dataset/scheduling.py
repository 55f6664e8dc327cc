# SPDX-License-Identifier: Apache-2.0
"""How the threads of this process are scheduled, kept as it is while a library starts its own."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")
# Threads that began under such a note. The next one does not take what they have for theirs.
_BEGUN: set[str] = set()


class ThreadScheduling:
    """How the threads of this process were scheduled when this was made.

    SVT-AV1 gives its threads, and the one that starts them, the highest real-time priority
    wherever the process is root's (`svt_create_thread`), as in most containers. A recorder would
    then come before the control loop, and on two cores nothing else would run.
    """

    def __init__(self) -> None:
        """Note it. On what is not Linux nothing is noted, and nothing restored."""
        self._linux = _THREADS.is_dir()
        if self._linux:
            there = set(os.listdir(_THREADS)) - _BEGUN
            self._before = {name: _scheduled(name) for name in there}
            self._own = os.sched_getscheduler(0), os.sched_getparam(0)

    def restore(self) -> None:
        """Schedule every thread as it was, and a new one as the caller was."""
        if not self._linux:
            return
        there = set(os.listdir(_THREADS))
        _BEGUN.intersection_update(there)
        _BEGUN.update(there - self._before.keys())
        for name in there:
            policy, parameters = self._before.get(name) or self._own
            if _scheduled(name) != (policy, parameters):
                with suppress(OSError):  # a thread that has ended meanwhile
                    os.sched_setscheduler(int(name), policy, parameters)


def _scheduled(name: str) -> tuple[int, os.sched_param] | None:
    with suppress(OSError):
        return os.sched_getscheduler(int(name)), os.sched_getparam(int(name))
    return None
