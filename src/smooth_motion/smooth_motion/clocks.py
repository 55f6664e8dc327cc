# SPDX-License-Identifier: Apache-2.0
"""The two clocks, and whether the one that motions are stamped with was set while they ran.

A controller follows a plan by that clock: set forward by 0.05 s at 1.7 rad/s, it steps its command
by 0.09 rad, and every stamp agrees with every other one. Only a clock that cannot be set tells.
"""

from __future__ import annotations

from typing import NamedTuple


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
