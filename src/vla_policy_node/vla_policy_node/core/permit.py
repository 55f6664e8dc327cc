# SPDX-License-Identifier: Apache-2.0
"""The monitor's permit: no monitor, no motion."""

import enum
from dataclasses import dataclass


class MonitorState(enum.IntEnum):
    """What the monitor reports. The values are those of ``vla_msgs/msg/MonitorStatus``."""

    STARTUP = 0
    READY = 1
    STOPPING = 2
    STOPPED_LATCHED = 3
    FAULT = 4


STOPPED = frozenset((MonitorState.STOPPING, MonitorState.STOPPED_LATCHED, MonitorState.FAULT))
# Of the monitor's messages the newest is kept. Who heard none for so long, as on a host that
# stood still, may have missed a stop and its reset; sooner than this no person resets one.
UNHEARD_NS = 1_000_000_000


@dataclass(frozen=True)
class MonitorReport:
    """One message of the monitor.

    Attributes:
        stamp_ns: When it was decided, ROS time.
        state: The monitor's state.
        permit: Whether plans may be sent.
        cause: Why it stopped, or what it waits for; empty when neither.
        rejections: How many trajectories it has rejected since it started.
        rejection: Why it rejected the newest of these.
        speed_scaling: Share of its speed at which a motion is carried out now, above 0, at most 1.
    """

    stamp_ns: int
    state: MonitorState
    permit: bool
    cause: str
    rejections: int = 0
    rejection: str = ""
    speed_scaling: float = 1.0


class Permit:
    """Whether the newest message of the monitor permits motion, and is fresh.

    A permit that was gone for a moment is not there until `seen`: whoever looks less often than
    the monitor speaks would take what came before a stop and its reset for what came after them.
    """

    def __init__(self, timeout_ns: int) -> None:
        """Begin without a permit.

        Args:
            timeout_ns: A message older than this permits nothing.
        """
        self._timeout_ns = timeout_ns
        self._report: MonitorReport | None = None
        self._arrival_ns = 0
        # Since it was last looked: why there was no permit, and the stop that was heard.
        self._missed, self._stop = "", ""

    def report(self, report: MonitorReport, steady_ns: int) -> None:
        """Take in a message of the monitor."""
        unheard_ns = steady_ns - self._arrival_ns
        if not _permits(report):
            self._missed = _no_permit(report)
            self._stop = report.state.name if report.state in STOPPED else self._stop
        elif self._report is not None and not unheard_ns <= UNHEARD_NS and not self._missed:
            self._missed = (
                f"smoothness_monitor/state: no message for {unheard_ns / 1e9:.1f} s: a stop and "
                "its reset may have gone unheard"
            )
        self._report, self._arrival_ns = report, steady_ns

    def seen(self) -> None:
        """Note that whoever moves the arm has asked for a problem, and acted upon it."""
        self._missed, self._stop = "", ""

    @property
    def latched(self) -> bool:
        """Whether the monitor was heard stopping the arm, or holding it stopped."""
        report = self._report
        return bool(self._stop) or (report is not None and report.state in STOPPED)

    @property
    def state(self) -> str:
        """The monitor's state as it was last heard, or the stop; empty before that."""
        return self._stop or ("" if self._report is None else self._report.state.name)

    def problem(self, now_ns: int, steady_ns: int) -> str:
        """Say why nothing may be planned, empty when it may.

        Args:
            now_ns: ROS time.
            steady_ns: Steady clock.
        """
        report = self._report
        if report is None:
            return "smoothness_monitor/state: no message yet"
        # By both clocks: a latched message is old though it has just arrived.
        apart_ns, since_ns = now_ns - report.stamp_ns, steady_ns - self._arrival_ns
        age_ns = max(abs(apart_ns), since_ns)
        if not age_ns <= self._timeout_ns:
            text = (
                f"smoothness_monitor/state: stale: {age_ns / 1e9:.3f} s old, "
                f"at most {self._timeout_ns / 1e9:g} s is allowed"
            )
            if since_ns <= self._timeout_ns:
                text += "; but it has just arrived: synchronise the clocks, or check use_sim_time"
            return text
        return self._missed if _permits(report) else _no_permit(report)


def _permits(report: MonitorReport) -> bool:
    return report.permit and report.state is MonitorState.READY


def _no_permit(report: MonitorReport) -> str:
    cause = f": {report.cause}" if report.cause else ""
    return f"smoothness_monitor/state: no permit, {report.state.name}{cause}"
