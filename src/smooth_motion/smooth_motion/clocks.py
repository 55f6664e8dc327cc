# SPDX-License-Identifier: Apache-2.0
"""The two clocks, and whether the one that motions are stamped with was set while they ran.

A controller follows a plan by that clock: set forward by 0.05 s at 1.7 rad/s, it steps its command
by 0.09 rad, and every stamp agrees with every other one. Only a clock that cannot be set tells.
"""

from __future__ import annotations

from typing import NamedTuple

# Simulated time that goes further in one message, and faster than the host's by more than this
# factor, does not come from a simulation that runs.
_MOST_STEP_NS = 1_000_000_000
_FASTEST = 100
# So many messages in a row that continue another time are believed: a simulation was begun anew.
_BELIEVED = 3


class Now(NamedTuple):
    """One instant on the two clocks.

    Attributes:
        ros_ns: ROS time. Trajectories are stamped with it.
        steady_ns: Steady clock. Ages and deadlines are measured with it.
    """

    ros_ns: int
    steady_ns: int


class ClockWatch:
    """Compares ROS time with a steady clock, look by look.

    A clock that is slewed moves by less between two looks than one that is set. A step counts when
    two looks in a row agree on it: between the readings of the two clocks the process may have
    been held up.
    """

    def __init__(self, threshold_ns: int) -> None:
        """Begin without a look.

        Args:
            threshold_ns: A step between two looks that is smaller is slewing.
        """
        self._threshold_ns = threshold_ns
        self._apart_ns: int | None = None
        self._suspected_ns: int | None = None
        self._steady_ns = 0

    @property
    def suspected(self) -> bool:
        """Whether the newest look was the first to see a step."""
        return self._suspected_ns is not None

    def look(self, ros_ns: int, steady_ns: int) -> int:
        """Compare the clocks.

        Args:
            ros_ns: ROS time.
            steady_ns: The clock that durations are measured with, read at the same moment. In a
                simulation it is the same clock, and goes back with it.

        Returns:
            By how much ROS time was set, ns; 0 when it was not.
        """
        apart_ns = ros_ns - steady_ns
        back_ns, self._steady_ns = min(steady_ns - self._steady_ns, 0), steady_ns
        if self._apart_ns is None or back_ns:
            first = self._apart_ns is None
            self._apart_ns, self._suspected_ns = apart_ns, None
            return 0 if first else back_ns
        step_ns = apart_ns - self._apart_ns
        if abs(step_ns) < self._threshold_ns:
            self._apart_ns, self._suspected_ns = apart_ns, None
            return 0
        suspected_ns, self._suspected_ns = self._suspected_ns, apart_ns
        if suspected_ns is None or abs(apart_ns - suspected_ns) >= self._threshold_ns:
            return 0
        self._apart_ns, self._suspected_ns = apart_ns, None
        return step_ns


def set_by(step_ns: int) -> str:
    """Say in words by how much a clock was set."""
    way = "forward" if step_ns > 0 else "back"
    return f"ROS time was set {way} by {abs(step_ns) * 1e-9:.3f} s"


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
