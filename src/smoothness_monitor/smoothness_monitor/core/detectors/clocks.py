# SPDX-License-Identifier: Apache-2.0
"""Detectors on time: clocks that do not agree, and a process that is held up."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from smoothness_monitor.core.detectors.base import Ages, Detector

_SKEWED_TICKS = 5


class ClockSkew(Detector):
    """An input is stamped by another clock than this node's, or is heard late."""

    name = "clock_skew"
    watches = "joint_states, controller_state"
    trips_when = (
        "the newest stamp is off this node's ROS time by clock_skew_s, in 5 ticks in a row, or "
        "joint_states cannot be compared with controller_state for joint_states_stale_s; at rest "
        "plans wait instead"
    )
    unit = "s"
    latency = "5 ticks, or joint_states_stale_s"
    doc = (
        "A clock was set, on this host or another, use_sim_time differs, or a busy host or "
        "network holds messages back; the detail says which. Plans would come too early or too "
        "late; the stop goes by the controller's clock then."
    )
    waits_at_rest = True

    def __init__(self, threshold_s: float, uncompared_s: float) -> None:
        super().__init__()
        self._threshold_s, self._uncompared_s = threshold_s, uncompared_s
        self._in_a_row = 0
        self._seen: dict[str, float] = {}
        # A message cannot arrive early, so the least that a clock was ever seen behind is its own
        # difference, and what comes on top is the way of the message.
        self._least: dict[str, float] = {}

    @property
    def value(self) -> str:  # type: ignore[override]
        """Which input's clock is off by most, and by how much."""
        source = self._worst
        if not source:
            return ""
        late_s, skew_s = self.late_s(source), self._seen[source]
        if late_s > abs(self._least[source]):
            return f"{source}: heard {late_s:.3f} s late"
        return f"{source}: stamped {-skew_s:.3f} s off this node's clock"

    @property
    def _worst(self) -> str:
        return max(self._seen, key=lambda source: abs(self._seen[source]), default="")

    def behind_s(self, source: str) -> float:
        """Return by how much an input's own clock is behind this node's, s; 0 while unknown."""
        return self._least.get(source, 0.0)

    def late_s(self, source: str) -> float:
        """Return how late an input is heard by now, s; 0 while unknown."""
        if source not in self._seen:
            return 0.0
        return max(0.0, self._seen[source] - self._least[source])

    def begin_anew(self) -> None:
        """Forget how far the clocks are apart: one of them was set."""
        self._seen, self._least = {}, {}

    def on_tick(self, ages: Ages) -> str:
        """Compare the clocks."""
        self._seen = dict(ages.skew_s)
        for source, skew_s in self._seen.items():
            self._least[source] = min(self._least.get(source, skew_s), skew_s)
        source = self._worst
        off = bool(source) and not (abs(self._seen[source]) <= self._threshold_s)
        # After a stall of this node its inputs wait, old, in their queues, but not for long.
        self._in_a_row = self._in_a_row + 1 if off else 0
        clocks = "; check use_sim_time and the clocks of the hosts"
        late = bool(source) and self.late_s(source) > abs(self._least[source])
        hint = "; this host or the network does not keep up" if late else clocks
        self.present = self.value + hint if self._in_a_row >= _SKEWED_TICKS else ""
        if not self.present and not (ages.uncompared_s <= self._uncompared_s):
            self.present = uncompared(ages.skew_s) + clocks
        return self.present


def uncompared(skew_s: Mapping[str, float]) -> str:
    """Say that joint_states cannot be compared with the reference, and how far off they are."""
    if not {"joint_states", "controller_state"} <= skew_s.keys():
        return "joint_states: not stamped within what is known of controller_state"
    ahead_s = skew_s["controller_state"] - skew_s["joint_states"]
    way = "ahead of" if ahead_s > 0.0 else "behind"
    return (
        f"joint_states: stamped {abs(ahead_s):.3f} s {way} controller_state, so the two cannot be "
        "compared"
    )


class ClockStep(Detector):
    """The clock that trajectories are stamped with was set while the node ran."""

    name = "clock_step"
    watches = "ROS time and the steady clock of this host, /clock"
    trips_when = (
        "ROS time moves against the steady clock by clock_step_s or more at once; simulated time "
        "goes back, or forward by 1 s in one message and faster than 100 times the host's"
    )
    unit = "s"
    latency = "1 tick"
    doc = (
        "A controller goes by that clock and steps its command when it is set. Let it be slewed "
        "(chrony: makestep at the start only). Simulated time goes back when a simulation begins "
        "anew, and jumps when somebody else publishes on /clock: that time is not believed."
    )


class StaleClock(Detector):
    """Nobody tells the simulated time that this node lives in."""

    name = "stale_clock"
    watches = "/clock"
    trips_when = (
        "never; reported where use_sim_time is set and nothing came on /clock for 5 s of the "
        "host's time"
    )
    unit = "s"
    latency = "6 s"
    doc = (
        "The simulation is dead, hangs or was never started. One that is paused or waits tells "
        "the time all the same. Time stands, so nothing moves and nothing trips."
    )
    trips = False
    SILENT_S = 5.0

    def judge(self, silent_s: float) -> str:
        """Judge for how long nobody has told the time; return what is wrong, if anything is."""
        self.present = ""
        if not (silent_s <= self.SILENT_S):
            self.present = (
                f"nothing on /clock for {silent_s:.0f} s: the simulation has ended, hangs or was "
                "not started; use_sim_time is set"
            )
        self.value = self.present
        return self.present


class Overrun(Detector):
    """This node does not keep up."""

    name = "overrun"
    watches = "its own cycle"
    trips_when = (
        "overrun_count of the newest overrun_of cycles come overrun_s or more late, or one comes "
        "stall_s late; at rest plans wait instead"
    )
    unit = "s"
    latency = "overrun_count cycles, or 1"
    doc = (
        "The host is overloaded, lastingly, or this process was held up for so long that nobody "
        "watched the arm. A short stall does not trip: inputs wait in their queues and are judged "
        "after it."
    )
    waits_at_rest = True

    def __init__(self, overrun_s: float, count: int, of: int, stall_s: float) -> None:
        super().__init__()
        self._overrun_s, self._count, self._stall_s = overrun_s, count, stall_s
        self._late: deque[bool] = deque(maxlen=of)
        self._late_now = 0

    def on_tick(self, ages: Ages) -> str:
        """Count the cycle."""
        if len(self._late) == self._late.maxlen:
            self._late_now -= self._late[0]
        late = not (ages.cycle_s <= self._overrun_s)
        self._late.append(late)
        self._late_now += late
        if late:
            self.value = f"{ages.cycle_s:.3f} s between cycles, threshold {self._overrun_s:.3f} s"
        if found := self.stalled(ages.cycle_s):
            return found
        many = self._late_now >= self._count
        self.present = f"{self._late_now} of {len(self._late)} cycles late" if many else ""
        return self.present

    def stalled(self, since_s: float) -> str:
        """Judge the time since the last cycle; return what is wrong, empty when nothing is."""
        if since_s <= self._stall_s:
            return ""
        self.value = (
            f"nothing was watched for {since_s:.3f} s, threshold {self._stall_s:.3f} s: this "
            "process was held up"
        )
        return self.value

    def clear(self) -> None:
        """Count anew."""
        self._late.clear()
        self._late_now = 0
        self.present = ""
