# SPDX-License-Identifier: Apache-2.0
"""What an analysis of a recording results in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from smooth_motion import Movement
from vla_recording.report.limits import LimitSet
from vla_recording.report.series import FloatArray, IntArray
from vla_recording.report.streams import JointStream, Recording


class LimitVerdict(Enum):
    """What the limits say."""

    WITHIN = "within limits"
    BEYOND = "beyond limits"
    UNCLEAR = "not clear"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class StampTiming:
    """How regular a stream's stamps are.

    Attributes:
        messages: How many there are.
        duration_s: From the first to the last sample.
        period_s: Median.
        jitter_s: Standard deviation of the periods that no message is missing in.
        missing: Messages that seem to be missing.
        gaps: In how many places.
        longest_gap_s: The longest time between two messages.
        repeated: Stamps equal to the one before.
        backwards: Stamps older than the one before.
        forwards: Stamps far ahead of the one before, unlike the times of reception.
        first_jump_s: When the first of these two was, or None.
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
    forwards: int
    first_jump_s: float | None
    left_out: int


@dataclass(frozen=True)
class Peak:
    """The largest magnitude of a quantity, as far as it is known.

    Attributes:
        value: As estimated.
        least: So much of it is certain.
        most: It may be so much.
        rms: Root mean square of the estimates, or None where that says nothing.
        seen: Share of the stream's time for which there are estimates.
    """

    value: float
    least: float
    most: float
    rms: float | None = None
    seen: float = 1.0


@dataclass(frozen=True)
class JointFigures:
    """One joint of one stream; None where something cannot be said. SI: rad, or m for a tool.

    Attributes:
        joint: Its name.
        samples: Usable positions.
        seen: Share of the stream's time for which there are positions.
        position_range: Lowest and highest.
        velocity: From the positions.
        reported_velocity: Its peak as reported, or None.
        velocity_ratio: Reported over that of the positions (least squares), or None.
        velocity_fits: The reported velocities are those of the positions.
        acceleration: Of commands.
        jerk: Third derivative.
        noise_floor: Standard deviation that the encoder adds to jerk.
        quantisation_bound: The most that it can add.
        step: The encoder's step.
        step_known: It is the robot file's, not estimated.
        stamp_floor: How much late stamps may add to a command's jerk; None where trajectory time
            is known.
        wraps: Whole turns that were taken out.
    """

    joint: str
    samples: int
    seen: float
    position_range: tuple[float, float]
    velocity: Peak | None
    reported_velocity: float | None
    velocity_ratio: float | None
    velocity_fits: bool
    acceleration: Peak | None
    jerk: Peak | None
    noise_floor: float | None
    quantisation_bound: float | None
    step: float | None
    step_known: bool
    stamp_floor: float | None
    wraps: int = 0


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
        quantity: position, velocity, reported velocity, acceleration or jerk.
        value: The worst value, or None where there is none.
        limit: Its limit, or None where none is given.
        verdict: What follows.
        because: Why it is not clear or not judged, or empty.
    """

    joint: str
    quantity: str
    value: float | None
    limit: float | None
    verdict: LimitVerdict
    because: str = ""


@dataclass(frozen=True, eq=False)
class Pictures:
    """A stream's series as a picture shows them: times (M,) and values (M, J or 1).

    Attributes:
        positions: rad.
        jerk: rad/s^3.
        steps: Between stamps, s.
    """

    positions: tuple[IntArray, FloatArray]
    jerk: tuple[IntArray, FloatArray]
    steps: tuple[IntArray, FloatArray]


@dataclass(frozen=True, eq=False)
class StreamReport:
    """Everything about one stream.

    Attributes:
        stream: Itself.
        timing: Its stamps.
        joints: Figures of each joint.
        pictures: Its series.
        window_s: Stretch of time that one estimate of jerk is made of.
        movements: Found in the joints named, or none where there are none to look at.
        movement_joints: Those.
        worst: Moments of most jerk, the worst first.
        judgements: Against the limits.
        remarks: What else is to be said, in words.
    """

    stream: JointStream
    timing: StampTiming
    joints: tuple[JointFigures, ...]
    pictures: Pictures
    window_s: float
    movements: tuple[Movement, ...]
    movement_joints: tuple[str, ...]
    worst: tuple[Moment, ...]
    judgements: tuple[Judgement, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Report:
    """Everything about a recording.

    Attributes:
        recording: Itself.
        limits: What was judged by, or None.
        streams: Each one's report, commands first.
        verdict: Of all judgements together.
        reasons: Lines that explain the verdict.
        not_judged: Lines that name what was not judged.
    """

    recording: Recording
    limits: LimitSet | None
    streams: tuple[StreamReport, ...]
    verdict: LimitVerdict
    reasons: tuple[str, ...]
    not_judged: tuple[str, ...]

    @property
    def main(self) -> StreamReport:
        """The stream that the picture shows first: a command if there is one."""
        return self.streams[0]
