# SPDX-License-Identifier: Apache-2.0
"""What goes into the monitor and what comes out of it. Frozen, and free of ROS types."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from smooth_motion.plan import Knots, Point

FloatArray = npt.NDArray[np.float64]


class State(enum.IntEnum):
    """States of the stop. The values are those of vla_msgs/SafetyState."""

    STARTUP = 0
    READY = 1
    STOPPING = 2
    STOPPED_LATCHED = 3
    FAULT = 4


@dataclass(frozen=True)
class Now:
    """One instant on the two clocks.

    Attributes:
        ros_ns: ROS time. Trajectories are stamped with it.
        steady_ns: Steady clock. Ages and deadlines are measured with it.
    """

    ros_ns: int
    steady_ns: int


@dataclass(frozen=True)
class Trajectory:
    """A trajectory as it is on the wire: nothing about it has been checked yet.

    Attributes:
        stamp_ns: Time of the first knot, and the trajectory's identity.
        joint_names: J names.
        points: One entry a knot. Velocities and accelerations are empty where the wire has none.
    """

    stamp_ns: int
    joint_names: tuple[str, ...]
    points: tuple[Point, ...]

    @classmethod
    def of(cls, knots: Knots) -> Trajectory:
        """Return the trajectory that carries `knots`."""
        return cls(knots.start_ns, knots.joint_names, tuple(knots.points()))


@dataclass(frozen=True)
class ControllerState:
    """One controller_state message.

    Attributes:
        stamp_ns: Time of the control cycle.
        time_from_start_ns: Of the reference, in the trajectory that the controller runs.
        joint_names: Order of the arrays.
        position: Reference, rad.
        velocity: Reference, rad/s; empty when the controller gives none.
        acceleration: Reference, rad/s^2; empty when the controller gives none.
    """

    stamp_ns: int
    time_from_start_ns: int
    joint_names: tuple[str, ...]
    position: tuple[float, ...]
    velocity: tuple[float, ...]
    acceleration: tuple[float, ...]


@dataclass(frozen=True)
class JointStates:
    """One joint_states message. It may hold joints of other mechanisms as well."""

    stamp_ns: int
    joint_names: tuple[str, ...]
    position: tuple[float, ...]


class Level(enum.Enum):
    """How loud a log line is."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True)
class LogLine:
    """A line for the log."""

    level: Level
    text: str


@dataclass(frozen=True)
class Outputs:
    """What the node has to send after one input.

    Attributes:
        arm: Trajectories for the arm's controller, in order.
        gripper: Trajectories for the gripper's controller, in order.
        log: Lines for the log.
        changed: The state is worth publishing at once.
    """

    arm: tuple[Trajectory, ...] = ()
    gripper: tuple[Trajectory, ...] = ()
    log: tuple[LogLine, ...] = ()
    changed: bool = False


@dataclass(frozen=True)
class Snapshot:
    """The monitor's state, as published. Arrays are (J,), rad/s^3; NaN means "not known yet"."""

    state: State
    permit: bool
    first_cause: str
    first_cause_detail: str
    causes: tuple[str, ...]
    trip_ns: int
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
