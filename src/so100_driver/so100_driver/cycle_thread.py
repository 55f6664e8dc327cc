# SPDX-License-Identifier: Apache-2.0
"""The thread that talks to the servos, at a steady rate of the host's clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class CycleThread(threading.Thread):
    """Calls a function once a period until it is ended; one that comes late moves the rest."""

    def __init__(
        self, period_s: float, cycle: Callable[[], None], on_failure: Callable[[Exception], None]
    ) -> None:
        """Prepare the thread.

        Args:
            period_s: Between two calls.
            cycle: Is called.
            on_failure: Gets what it raises; the calls go on.
        """
        super().__init__(name="servo bus", daemon=True)
        self._period_s, self._cycle, self._on_failure = period_s, cycle, on_failure
        self._ended = threading.Event()

    @property
    def ends(self) -> bool:
        """Whether it was told to end."""
        return self._ended.is_set()

    def end(self) -> None:
        """End it, and wait for that."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Call until the end."""
        next_s = time.monotonic()
        while not self.ends:
            try:
                self._cycle()
            except Exception as error:
                if not self.ends:
                    self._on_failure(error)
            next_s = max(next_s + self._period_s, time.monotonic())
            self._ended.wait(max(0.0, next_s - time.monotonic()))
