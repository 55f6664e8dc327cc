# SPDX-License-Identifier: Apache-2.0
"""What a recording holds: the motion of joints over time, one stream for each source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import numpy as np

from vla_recording.report.series import FloatArray, IntArray, SeriesSample
from vla_recording.report.spool import Spool

# What a row of a stream begins with: its time, the number of its piece, whether its time is only
# known by a wake-up, nanoseconds since the stamp before.
TIME, PIECE, LOOSE, STEP = range(4)
# Rows around a block that what is estimated in it may need.
CONTEXT = 2048


class Role(Enum):
    """Whether a stream says what is asked of the joints or where they are."""

    COMMAND = "command"
    MEASURED = "measured"


def unnamed(topic: str, place: int) -> str:
    """Return what a joint is called whose messages carry no names."""
    return f"{topic}[{place}]"


@dataclass
class Stamps:
    """What was found out about a stream's stamps while its samples were put in order.

    Attributes:
        messages: How many there are.
        repeated: Stamps equal to the one before.
        backwards: Stamps older than the one before.
        forwards: Stamps far ahead of the one before, which the time of reception does not confirm.
        first_jump_s: When the first of these two was, in seconds since the first sample.
        looseness_s: By how much stamps wander around trajectory time, where that is known.
    """

    messages: int = 0
    repeated: int = 0
    backwards: int = 0
    forwards: int = 0
    first_jump_s: float | None = None
    looseness_s: float = 0.0


@dataclass(eq=False)
class JointStream:
    """Joints that are reported together.

    Attributes:
        topic: Where it was recorded.
        source: Field of the message, or empty.
        role: Command or measurement.
        joint_names: J names.
        samples: (N) rows: TIME, PIECE, LOOSE and STEP; J positions and J velocities, rad (m for a
            sliding joint), NaN where a message lacks the joint or the value is no usable number.
            Times increase strictly. Between pieces nothing is known of how much time passed.
        clock: What the times are, in words.
        even: They are those of a trajectory, not of a wake-up: nothing in them is late.
        start_ns: Of the first sample.
        end_ns: Of the last.
        extremes: (2, J) lowest and highest finite positions, unusable ones too.
        stamps: What was found about them.
        steps: Times between samples, of each joint.
        piece: Some (n, 1 + J) consecutive samples while the joints move.
        lost_joints: How many values are missing.
        not_finite: How many are NaN, infinite or too large to reckon with, as recorded.
        malformed: Messages whose fields do not have one value a joint.
        knots: The samples are points of trajectories, which a controller joins in its own way.
        joined: Why the motion between the knots is not known, or empty.
        unjoined: Why the motion from one trajectory to the next is not, or empty.
        curve_jerk: Peak jerk of the quintics between knots, of each joint, where it is known.
        wraps: Whole turns that were taken out, of each joint.
        received_s: From the reception of the first to that of the last message.
        unit: rad, or m for a tool.
    """

    topic: str
    source: str
    role: Role
    joint_names: tuple[str, ...]
    samples: Spool
    clock: str
    even: bool
    start_ns: int = 0
    end_ns: int = 0
    extremes: FloatArray = field(default_factory=lambda: np.zeros((2, 0)))
    stamps: Stamps = field(default_factory=Stamps)
    steps: list[SeriesSample] = field(default_factory=list)
    piece: FloatArray = field(default_factory=lambda: np.zeros((0, 1)))
    lost_joints: int = 0
    not_finite: int = 0
    malformed: int = 0
    knots: bool = False
    joined: str = ""
    unjoined: str = ""
    curve_jerk: dict[str, float] = field(default_factory=dict)
    wraps: dict[str, int] = field(default_factory=dict)
    received_s: float = 0.0
    unit: str = "rad"

    @property
    def name(self) -> str:
        """Topic and field."""
        return f"{self.topic}, {self.source}" if self.source else self.topic

    @property
    def duration_s(self) -> float:
        """From the first to the last sample."""
        return float(self.end_ns - self.start_ns) * 1e-9

    @property
    def unnamed(self) -> bool:
        """Its messages carry no names and none were given: a joint is called as its place."""
        return self.joint_names[:1] == (unnamed(self.topic, 0),)

    def windows(self) -> Iterator[tuple[IntArray, FloatArray, FloatArray, int, int]]:
        """Yield the samples in blocks: whole numbers, positions, velocities, what is new."""
        joints = len(self.joint_names)
        for whole, floats, lo, hi in self.samples.windows(CONTEXT):
            yield whole, floats[:, :joints], floats[:, joints:], lo, hi


@dataclass(frozen=True)
class Recording:
    """What a bag holds.

    Attributes:
        path: The bag.
        start_ns: When the first message read was received.
        end_ns: Likewise the last.
        streams: One or more.
        notes: What was wrong with it, in words.
        incomplete: Why something that was recorded may not have been read, or empty.
        window_s: The part of it that was asked for, seconds from its first message, or None.
    """

    path: Path
    start_ns: int
    end_ns: int
    streams: tuple[JointStream, ...]
    notes: tuple[str, ...]
    incomplete: str = ""
    window_s: tuple[float, float] | None = None
