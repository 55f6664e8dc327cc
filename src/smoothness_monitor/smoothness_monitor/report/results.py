# SPDX-License-Identifier: Apache-2.0
"""What an analysis of a recording results in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from smooth_motion import Movement, Robot
from smoothness_monitor.report.streams import FloatArray, IntArray, Recording, Stream


class Verdict(Enum):
    """What the limits say."""

    WITHIN = "within limits"
    BEYOND = "beyond limits"
    UNCLEAR = "not clear"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Timing:
    """How regular a stream's stamps are.

    Attributes:
        messages: How many there are.
        duration_s: From the first to the last.
        period_s: Median.
        jitter_s: Standard deviation of the periods that no message is missing in.
        missing: Messages that seem to be missing.
        gaps: In how many places.
        longest_gap_s: The longest time between two messages.
        repeated: Stamps equal to the one before.
        backwards: Stamps older than the one before.
        left_out: Samples that the analysis leaves out for such reasons.
    """

    messages: int
    duration_s: float
    period_s: float
    jitter_s: float
    missing: int
    gaps: int
    longest_gap_s: float
    repeated: int
    backwards: int
    left_out: int


@dataclass(frozen=True)
class JointFigures:
    """One joint of one stream; None where something cannot be said.

    Attributes:
        joint: Its name.
        samples: Finite positions.
        position_range: Lowest and highest, rad.
        velocity_peak: rad/s.
        acceleration_peak: rad/s^2, of commands.
        jerk_rms: rad/s^3.
        jerk_peak: rad/s^3.
        noise_floor: Standard deviation that the encoder adds to jerk, rad/s^3.
        quantisation_bound: The most that it can add, rad/s^3.
        step: The encoder's step, rad.
        step_known: It is the robot file's, not estimated.
        stamp_floor: Standard deviation that the stamps' jitter adds to a command's jerk at the
            highest velocity, rad/s^3; None where trajectory time is known.
    """

    joint: str
    samples: int
    position_range: tuple[float, float]
    velocity_peak: float | None
    acceleration_peak: float | None
    jerk_rms: float | None
    jerk_peak: float | None
    noise_floor: float | None
    quantisation_bound: float | None
    step: float | None
    step_known: bool
    stamp_floor: float | None


@dataclass(frozen=True)
class Moment:
    """An instant of much jerk.

    Attributes:
        time_ns: When.
        joint: Which.
        jerk: rad/s^3.
        ratio: To the joint's limit, or None without one.
    """

    time_ns: int
    joint: str
    jerk: float
    ratio: float | None


@dataclass(frozen=True)
class Judgement:
    """One quantity of one joint against its limit.

    Attributes:
        joint: Which.
        quantity: position, velocity, acceleration or jerk.
        value: The worst value.
        limit: Its limit.
        verdict: What follows.
        because: Why it is not clear, or empty.
    """

    joint: str
    quantity: str
    value: float
    limit: float
    verdict: Verdict
    because: str = ""


@dataclass(frozen=True, eq=False)
class StreamReport:
    """Everything about one stream.

    Attributes:
        stream: Itself.
        timing: Its stamps.
        joints: Figures of each joint.
        jerk_times_ns: (M,) of the jerk estimates.
        jerk: (M, J) rad/s^3; NaN where there is none.
        window_s: Stretch of time that one estimate is made of.
        movements: Found in the joints named, or none where there are none to look at.
        movement_joints: Those.
        worst: Moments of most jerk, the worst first.
        judgements: Against the robot's limits.
    """

    stream: Stream
    timing: Timing
    joints: tuple[JointFigures, ...]
    jerk_times_ns: IntArray
    jerk: FloatArray
    window_s: float
    movements: tuple[Movement, ...]
    movement_joints: tuple[str, ...]
    worst: tuple[Moment, ...]
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True, eq=False)
class Report:
    """Everything about a recording.

    Attributes:
        recording: Itself.
        robot: Whose limits were judged by, or None.
        streams: Each one's report, commands first.
        verdict: Of all judgements together.
        reasons: Lines that explain the verdict.
    """

    recording: Recording
    robot: Robot | None
    streams: tuple[StreamReport, ...]
    verdict: Verdict
    reasons: tuple[str, ...]

    @property
    def main(self) -> StreamReport:
        """The stream that the picture shows first: a command if there is one."""
        return self.streams[0]
