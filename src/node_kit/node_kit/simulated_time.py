# SPDX-License-Identifier: Apache-2.0
"""Which simulated time a node goes by. No ROS here."""

from __future__ import annotations

# Simulated time that goes further in one message, and faster than the host's by more than this
# factor, does not come from a simulation that runs.
_MOST_STEP_NS = 1_000_000_000
_FASTEST = 100
# So many messages in a row that continue another time are believed: a simulation was begun anew.
_BELIEVED = 3


class SimulatedTime:
    """Which time to go by, where anybody can publish on `/clock`.

    A single message of another time, or one now and then of a second simulation, sets the clock of
    every node that follows it. Here it is not believed until others continue it.
    """

    def __init__(self) -> None:
        """Begin without a time; the first is believed."""
        self._believed_ns = self._host_ns = 0
        self._other_ns, self._count = 0, 0

    def look(self, ros_ns: int, host_ns: int) -> int:
        """Return the time to go by, ns.

        Args:
            ros_ns: What the node's clock says; it is 0 before the first message.
            host_ns: The host's steady clock.
        """
        return ros_ns if self._goes_on(ros_ns, host_ns) else self._believed_ns

    def hear(self, ros_ns: int, host_ns: int) -> str:
        """Take in a message on `/clock`.

        Args:
            ros_ns: The time that it tells.
            host_ns: The host's steady clock.

        Returns:
            What is wrong with it in words, empty when nothing is.
        """
        if ros_ns < 0:
            return f"a message on /clock tells {ros_ns * 1e-9:.3f} s, which is no time"
        if self._goes_on(ros_ns, host_ns):
            self._believed_ns, self._host_ns, self._count = ros_ns, host_ns, 0
            return ""
        step_s = (ros_ns - self._believed_ns) * 1e-9
        continues = self._count > 0 and 0 <= ros_ns - self._other_ns <= _MOST_STEP_NS
        self._other_ns, self._count = ros_ns, self._count + 1 if continues else 1
        if self._count >= _BELIEVED:
            self._believed_ns, self._host_ns, self._count = ros_ns, host_ns, 0
        way = "ahead of" if step_s > 0.0 else "behind"
        return (
            f"a message on /clock is {abs(step_s):.3f} s {way} the one before: somebody else "
            "publishes there, or the simulation was begun anew"
        )

    def _goes_on(self, ros_ns: int, host_ns: int) -> bool:
        ahead_ns = ros_ns - self._believed_ns
        if self._believed_ns == 0:
            return True
        fastest_ns = _FASTEST * (host_ns - self._host_ns)
        return 0 <= ahead_ns <= max(_MOST_STEP_NS, fastest_ns)
