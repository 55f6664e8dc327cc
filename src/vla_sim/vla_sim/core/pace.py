# SPDX-License-Identifier: Apache-2.0
"""How fast simulated time may go: by the host's clock, and by the nodes that live in it.

The simulation computes every tick, in order. What it does about a slow host is to wait. Times
named steady are of the host's steady clock, every other time is simulated.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

# So much lateness is caught up with, so that a host that hesitates keeps the factor on average.
CATCH_UP_NS = 50_000_000


class Pace:
    """When the next tick is due on the steady clock, for a real-time factor."""

    def __init__(self, period_ns: int, factor: float) -> None:
        """Begin with a tick that is due at once.

        Args:
            period_ns: Simulated time between two ticks.
            factor: Simulated time over the host's; 0 sets no pace.
        """
        self._step_ns = round(period_ns / factor) if factor > 0.0 else 0
        self._due_ns: int | None = None

    def wait_ns(self, steady_ns: int) -> int:
        """Return how long the next tick must wait, 0 when it is due."""
        return 0 if self._due_ns is None else max(0, self._due_ns - steady_ns)

    def ticked(self, steady_ns: int) -> None:
        """Note that a tick was carried out."""
        due_ns = steady_ns if self._due_ns is None else self._due_ns
        self._due_ns = max(due_ns + self._step_ns, steady_ns - CATCH_UP_NS)


@dataclass
class _Participant:
    """A node that lives in simulated time.

    Attributes:
        stamp_ns: Up to which it has dealt with everything.
        waited_ns: Since when the simulation waits for its word, steady; None when it does not.
    """

    stamp_ns: int
    waited_ns: int | None = None


class Lockstep:
    """Lets simulated time run no further ahead of any node than a lead.

    A node takes part from its first word on. One whose process ends is left out, and so is one
    that is waited for and says nothing for as long as the patience; its next word brings it back.
    """

    def __init__(self, lead_ns: int, patience_ns: int) -> None:
        """Begin alone.

        Args:
            lead_ns: How far a tick may lie ahead of what every node has dealt with.
            patience_ns: How long a silent node is waited for, steady; 0: nobody is waited for.
        """
        self._lead_ns, self._patience_ns = lead_ns, patience_ns
        self._nodes: dict[str, _Participant] = {}

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that take part."""
        return tuple(self._nodes)

    def heard(self, name: str, stamp_ns: int) -> None:
        """Take in a node's word that it has dealt with everything up to a time."""
        self._nodes[name] = _Participant(stamp_ns)

    def keep(self, present: Collection[str]) -> tuple[str, ...]:
        """Leave out the nodes that are not present any more, and return them."""
        return self._leave_out([name for name in self._nodes if name not in present])

    def behind(self, tick_ns: int) -> tuple[str, ...]:
        """Return the nodes for which a tick must wait."""
        if self._patience_ns == 0:
            return ()
        return tuple(
            name for name, node in self._nodes.items() if tick_ns - node.stamp_ns > self._lead_ns
        )

    def overdue(self, tick_ns: int, steady_ns: int) -> tuple[str, ...]:
        """Leave out the nodes that were waited for too long, and return them."""
        silent = []
        for name in self.behind(tick_ns):
            node = self._nodes[name]
            if node.waited_ns is None:
                node.waited_ns = steady_ns
            if steady_ns - node.waited_ns >= self._patience_ns:
                silent.append(name)
        return self._leave_out(silent)

    def _leave_out(self, names: list[str]) -> tuple[str, ...]:
        for name in names:
            del self._nodes[name]
        return tuple(names)
