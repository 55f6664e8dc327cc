# SPDX-License-Identifier: Apache-2.0
"""How long messages take between this node and the arm's controller, by what was seen lately.

What is sent now starts to work when it arrives. A trajectory that leaves the running motion before
that steps the command, so nothing that is sent may leave it earlier than the link is seen to need.
"""

from __future__ import annotations

from collections import deque

# What was seen counts for so long. A busy host is busy for longer than one message.
WINDOW_NS = 2_000_000_000
# A controller's period, the way from its subscription to its cycle, and that the next message may
# take longer than those before.
MARGIN_NS = 60_000_000
# A brake waits for no slower link than this: it must begin some time.
LONGEST_LEAD_NS = 500_000_000


class LinkDelay:
    """The largest delay that was seen over the last two seconds.

    The way to the controller is seen in the trajectories that it turns to, which are rare. The way
    back is seen in every message of its state, by its age on arrival; what holds up one of the two
    (a host that is busy, a network that is full) holds up the other. A stamp ahead of this node's
    clock counts like an age: a controller whose clock is ahead carries out everything earlier.
    """

    def __init__(self) -> None:
        """Begin without anything seen."""
        # (own clock, delay), the delays falling.
        self._seen: deque[tuple[int, int]] = deque()

    def clear(self) -> None:
        """Forget what was seen, as when a clock was set."""
        self._seen.clear()

    def heard(self, stamp_ns: int, ros_ns: int, own_ns: int) -> None:
        """Take in a message of the controller's state.

        Args:
            stamp_ns: Its stamp.
            ros_ns: ROS time on its arrival.
            own_ns: The monitor's own clock.
        """
        self._note(abs(ros_ns - stamp_ns), own_ns)

    def adopted(self, sent_ns: int, stamp_ns: int, own_ns: int) -> None:
        """Take in that the controller turned to a trajectory.

        Args:
            sent_ns: ROS time at which that was sent.
            stamp_ns: Of the first cycle that was heard to run it.
            own_ns: The monitor's own clock.
        """
        self._note(stamp_ns - sent_ns, own_ns)

    def _note(self, delay_ns: int, own_ns: int) -> None:
        while self._seen and self._seen[-1][1] <= delay_ns:
            self._seen.pop()
        self._seen.append((own_ns, delay_ns))

    def delay_ns(self, own_ns: int) -> int:
        """Return the largest delay seen over the last two seconds, ns; 0 where none was."""
        # The newest counts however old it is: silence is no sign of a quick link.
        while len(self._seen) > 1 and own_ns - self._seen[0][0] > WINDOW_NS:
            self._seen.popleft()
        return max(self._seen[0][1], 0) if self._seen else 0

    def lead_ns(self, least_ns: int, own_ns: int) -> int:
        """Return for how long what is sent now has to continue the running motion, ns.

        Args:
            least_ns: However quick the link is.
            own_ns: The monitor's own clock.
        """
        return max(least_ns, self.delay_ns(own_ns) + MARGIN_NS)
