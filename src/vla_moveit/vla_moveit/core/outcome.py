# SPDX-License-Identifier: Apache-2.0
"""What a move says of itself, and what it wants done. Values are those of vla_msgs/MoveTo."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from smooth_motion.limits import FloatArray
from vla_moveit.core.schedule import Schedule


class MoveEnd(enum.IntEnum):
    """Why a move is over. The values are those of ``vla_msgs/action/MoveTo``."""

    REACHED = 0
    CANCELED = 1
    REFUSED = 2
    NO_PATH = 3
    NOT_GRANTED = 4
    ARM_TAKEN = 5
    STOPPED = 6
    NOT_FOLLOWED = 7
    INPUT_LOST = 8
    SHUT_DOWN = 9


class MovePhase(enum.IntEnum):
    """What a move is doing. The values are those of ``vla_msgs/action/MoveTo``."""

    ASKING = 0
    STOPPING = 1
    PLANNING = 2
    MOVING = 3


@dataclass(frozen=True)
class MoveSettings:
    """How moves are made.

    Attributes:
        speed: Share of the velocity limits where a request names none.
        deviation_rad: By which a joint may leave the path at the most.
        planning_s: How long a planner may take, s of the host's time.
    """

    speed: float
    deviation_rad: float
    planning_s: float


@dataclass(frozen=True, eq=False)
class MoveResult:
    """How a move ended.

    Attributes:
        reason: Why.
        message: The same in words.
        planning_s: s of the host's time.
        schedule: The path with its times, None where there is none.
    """

    reason: MoveEnd
    message: str
    planning_s: float
    schedule: Schedule | None


@dataclass(frozen=True, eq=False)
class StampedRows:
    """A chunk to be sent.

    Attributes:
        stamp_ns: For when row 0 is meant, ROS time.
        positions: (T, J), rad, each `ROW_NS` after the one before.
    """

    stamp_ns: int
    positions: FloatArray


@dataclass(frozen=True, eq=False)
class MoveStep:
    """What is to be done now.

    Attributes:
        ask: Ask for the arm.
        rows: A chunk to send, None for none.
        release: The lease to give back, 0 for none.
        result: How the move ended, None while it goes on.
    """

    ask: bool = False
    rows: StampedRows | None = None
    release: int = 0
    result: MoveResult | None = None
