# SPDX-License-Identifier: Apache-2.0
"""What goes into the monitor and what comes out of it. Frozen, and free of ROS types."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from node_kit.log import LogLevel, LogLine
from smooth_motion.messages import Trajectory

FloatArray = npt.NDArray[np.float64]


def nanoseconds(seconds: float) -> int:
    """Return a duration in ns."""
    return round(seconds * 1e9)


class StopState(enum.IntEnum):
    """States of the stop. The values are those of vla_msgs/MonitorStatus."""

    STARTUP = 0
    READY = 1
    STOPPING = 2
    STOPPED_LATCHED = 3
    FAULT = 4


class Rung(enum.IntEnum):
    """Rungs of the stop ladder. The values are those of vla_msgs/MonitorStatus."""

    NONE = 0
    BRAKE = 1
    BRAKE_AS_GOAL = 2
    CONTROLLER_OFF = 3
    DRIVER_HOLD = 4
    POWER_CUT = 5

    @property
    def words(self) -> str:
        """The rung as a person reads it."""
        return f"{self.value} {_RUNG_WORDS[self]}"


_RUNG_WORDS = {
    Rung.NONE: "none",
    Rung.BRAKE: "brake on the topic",
    Rung.BRAKE_AS_GOAL: "brake as an action goal",
    Rung.CONTROLLER_OFF: "deactivate the controller",
    Rung.DRIVER_HOLD: "the driver's hold",
    Rung.POWER_CUT: "power cut by a person",
}


class CallRequest(enum.Enum):
    """What the monitor asks of others than the controller's topic."""

    BRAKE_AS_GOAL = "brake as an action goal"
    DEACTIVATE = "deactivate the controller"
    ACTIVATE = "activate the controller"
    DRIVER_HOLD = "the driver's hold"


@dataclass(frozen=True)
class ServoStatus:
    """One diagnostic status about the servos.

    Attributes:
        name: Of the status.
        level: 0 good, 1 warning, 2 error, 3 stale, as in diagnostic_msgs/DiagnosticStatus.
        message: Its text.
    """

    name: str
    level: int
    message: str


@dataclass(frozen=True)
class Call:
    """A request that the node has to carry out; an `CallResult` must come of it.

    Attributes:
        request: What.
        trajectory: The goal, for `CallRequest.BRAKE_AS_GOAL`.
    """

    request: CallRequest
    trajectory: Trajectory | None = None


@dataclass(frozen=True)
class CallResult:
    """What came of a call.

    Attributes:
        request: Of the call.
        done: It was carried out. False also where nobody offers it.
        detail: In words.
    """

    request: CallRequest
    done: bool
    detail: str


@dataclass(frozen=True)
class ResetVerdict:
    """What became of a reset that took its time."""

    accepted: bool
    message: str


@dataclass(frozen=True)
class Latch:
    """What a monitor that is started again must know of the one before it.

    Attributes:
        latched: The stop is latched, or on its way there.
        locked_out: The controller was deactivated for it.
        rests: The controller's reference was at rest when it was last heard.
        first_cause: Name of the detector that tripped first.
        detail: What it found.
        trip_ns: ROS time of it.
    """

    latched: bool
    locked_out: bool = False
    rests: bool = True
    first_cause: str = ""
    detail: str = ""
    trip_ns: int = 0


@dataclass(frozen=True)
class MonitorOutputs:
    """What the node has to send after one input.

    Attributes:
        arm: Trajectories for the arm's controller, in order.
        gripper: Trajectories for the gripper's controller, in order.
        calls: Requests to carry out, in order.
        log: Lines for the log.
        changed: The state is worth publishing at once.
        reset: What became of a reset that was not settled at once.
        made_ns: ROS time for which the trajectories were made; 0 where they may go out at any
            time. `Monitor.on_held_up` makes others where they would go out late.
    """

    arm: tuple[Trajectory, ...] = ()
    gripper: tuple[Trajectory, ...] = ()
    calls: tuple[Call, ...] = ()
    log: tuple[LogLine, ...] = ()
    changed: bool = False
    reset: ResetVerdict | None = None
    made_ns: int = 0


class Outbox:
    """Collects what goes out."""

    def __init__(self) -> None:
        """Start empty."""
        self._clear()

    def _clear(self) -> None:
        self.arm: list[Trajectory] = []
        self.gripper: list[Trajectory] = []
        self.calls: list[Call] = []
        self.lines: list[LogLine] = []
        self.changed = False
        self.reset: ResetVerdict | None = None
        self.made_ns = 0

    def log(self, level: LogLevel, text: str) -> None:
        """Add a line for the log."""
        self.lines.append(LogLine(level, text))

    def take(self) -> MonitorOutputs:
        """Return what was collected and start anew."""
        if not (self.arm or self.gripper or self.calls or self.lines or self.reset):
            changed, self.changed = self.changed, False
            return _CHANGED if changed else NOTHING
        outputs = MonitorOutputs(
            tuple(self.arm),
            tuple(self.gripper),
            tuple(self.calls),
            tuple(self.lines),
            self.changed,
            self.reset,
            self.made_ns,
        )
        self._clear()
        return outputs


# What nearly every message leads to.
NOTHING = MonitorOutputs()
_CHANGED = MonitorOutputs(changed=True)


@dataclass(frozen=True)
class MonitorSnapshot:
    """The monitor's state, as published. Arrays are (J,), rad/s^3; NaN means "not known yet"."""

    state: StopState
    permit: bool
    first_cause: str
    first_cause_detail: str
    causes: tuple[str, ...]
    trip_ns: int
    rung: Rung
    rung_log: tuple[str, ...]
    locked_out: bool
    waiting_for: tuple[str, ...]
    joint_names: tuple[str, ...]
    jerk_limit: FloatArray
    command_jerk: FloatArray
    command_jerk_peak: FloatArray
    measured_jerk: FloatArray
    measured_jerk_noise_floor: FloatArray
    measured_jerk_threshold: FloatArray
    measured_jerk_delay_s: float
    plans_forwarded: int
    plans_rejected: int
    last_rejection: str
    speed_scaling: float
    slow_reason: str


@dataclass(frozen=True)
class DetectorReport:
    """One detector, for the diagnostics.

    Attributes:
        name: Of the detector.
        tripped: It has tripped since the last reset.
        present: What is wrong now, empty when nothing is.
        value: Newest value and threshold in words.
    """

    name: str
    tripped: bool
    present: str
    value: str
