# SPDX-License-Identifier: Apache-2.0
"""How long answers take, measured, and so when the policy must be asked again.

The first answer after a start or a reconnection is slow for reasons of its own (compilers, caches,
memory) and says nothing about the next ones. It counts only as long as there is nothing better.
"""

from collections import deque

from vla_policy_node.core.session import percentile

WINDOW = 64
P99 = 0.99


class DurationPercentile:
    """The 99th percentile of the newest durations, without the first one."""

    def __init__(self) -> None:
        """Begin without any."""
        self._values: deque[int] = deque(maxlen=WINDOW)
        self._first = 0
        self._cold = True

    def cold(self) -> None:
        """The next duration is a first one again."""
        self._cold = True

    def add(self, duration_ns: int) -> None:
        """Take in a duration."""
        if self._cold:
            self._first, self._cold = duration_ns, False
        else:
            self._values.append(duration_ns)

    @property
    def p99_ns(self) -> int:
        """What a duration hardly ever exceeds, 0 before there is any."""
        return int(percentile(self._values, P99)) if self._values else self._first
