# SPDX-License-Identifier: Apache-2.0
"""When a bag is due: the monitor trips, or is heard no more. No ROS, no clock."""

from __future__ import annotations

from vla_recording.black_box.writer import Cause


class Watch:
    """Listens to the monitor.

    Attributes:
        stopping: The monitor was last heard stopping the arm.
    """

    def __init__(self, silent_s: float, memory_s: float) -> None:
        """Start without having heard it.

        Args:
            silent_s: Silence of the monitor for which a bag is due.
            memory_s: How far back the black box remembers.
        """
        self.stopping = False
        self._memory_ns = round(memory_s * 1e9)
        self._silent_ns = round(silent_s * 1e9)
        self._trip_ns: int | None = None
        self._heard_ns: int | None = None

    def heard(
        self, stopping: bool, cause: str, detail: str, trip_ns: int, ros_ns: int, steady_ns: int
    ) -> Cause | None:
        """Take in the monitor's state; return the cause of a bag if one is due.

        Args:
            stopping: It is stopping the arm.
            cause: Its first cause.
            detail: In words.
            trip_ns: When it tripped, 0 when it did not.
            ros_ns: ROS time now.
            steady_ns: Steady clock now.
        """
        self.stopping = stopping
        first, before = self._heard_ns is None, self._trip_ns
        self._heard_ns, self._trip_ns = steady_ns, trip_ns
        if not cause or trip_ns in (0, before):
            return None
        # Of a trip from long before the first word of the monitor there is nothing to write. One
        # may have happened just before it, though: while this node found the monitor.
        if first and trip_ns < ros_ns - self._memory_ns:
            return None
        return Cause(cause, detail, ros_ns)

    @property
    def hears(self) -> bool:
        """Tell whether the monitor has been heard, and has not fallen silent since."""
        return self._heard_ns is not None

    def tick(self, ros_ns: int, steady_ns: int) -> Cause | None:
        """Return the cause of a bag if the monitor has been silent for too long, once."""
        if self._heard_ns == 0:
            self._heard_ns = steady_ns  # Heard before simulated time began, at whatever it is now.
        if self._heard_ns is None or steady_ns - self._heard_ns <= self._silent_ns:
            return None
        silent_s = (steady_ns - self._heard_ns) * 1e-9
        self._heard_ns, self.stopping = None, False
        return Cause("monitor_silent", f"nothing heard of it for {silent_s:.2f} s", ros_ns)
