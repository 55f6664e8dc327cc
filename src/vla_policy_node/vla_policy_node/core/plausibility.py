# SPDX-License-Identifier: Apache-2.0
"""Whether numbers can be joint positions of this robot, and if not, what they look like.

Units and the order of joints are declared by people, and a wrong declaration drives an arm to its
limits. Three things contradict one: what the training data spanned, a chunk that leads far out of
the robot's range, and a first chunk that begins somewhere else than the arm, but just where it is
by another unit or order. None of them proves a declaration right.

Degrees and percent of a range of some 200 degrees are numbers of one size. They are told apart
only by data that end at exactly 100 where the joint does not.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_contract.contract import WARN
from vla_contract.robot import Robot

Array = NDArray[np.float64]
Range = tuple[float, float]

REMEDY = f"if you know better, write unit_check: {WARN} under policy"

# A reading of the numbers in another unit fits when it leaves the range by no more than this.
FITTING_SLACK = 0.1
MAX_COLUMNS = 16


@dataclass(frozen=True)
class Reading:
    """A unit that numbers may have been in.

    Attributes:
        name: As a message says it.
        to_rad: From numbers, the joint's range (rad) and whether it is the gripper.
    """

    name: str
    to_rad: Callable[[Array, Range, bool], Array]


def _percent(values: Array, limits: Range, gripper: bool) -> Array:
    share = values / 100.0 if gripper else (values + 100.0) / 200.0
    return limits[0] + share * (limits[1] - limits[0])


READINGS = (
    Reading("rad", lambda values, limits, gripper: values),
    Reading("deg", lambda values, limits, gripper: np.radians(values)),
    Reading("percent of the range (-100 to 100, a gripper 0 to 100)", _percent),
    Reading(
        "normalised (-1 to 1)",
        lambda values, limits, gripper: _percent(100.0 * values, limits, False),
    ),
    Reading(
        "encoder ticks (4096 a turn)",
        lambda values, limits, gripper: (values - 2048.0) * (2.0 * math.pi / 4096.0),
    ),
)
RAD, DEG, PERCENT, NORMALISED, _ = (reading.name for reading in READINGS)


def ranges(robot: Robot) -> dict[str, Range]:
    """Return each joint's range, rad, by name."""
    limits, gripper = robot.limits, robot.gripper
    found = {
        name: (float(low), float(high))
        for name, low, high in zip(
            limits.joint_names, limits.position_lower, limits.position_upper, strict=True
        )
    }
    found[gripper.joint] = (gripper.position_lower, gripper.position_upper)
    return found


def excess(low: float, high: float, limits: Range) -> float:
    """Return by how much a span leaves a range, in widths of the range; 0 where it does not."""
    width = limits[1] - limits[0]
    if math.isinf(width):
        return 0.0
    return max(0.0, limits[0] - low, high - limits[1]) / width


def orders(columns: int) -> Iterator[tuple[int, ...]]:
    """Yield how columns are mixed up most often: two of them swapped, or all shifted."""
    if columns > MAX_COLUMNS:
        return
    plain = tuple(range(columns))
    for i in range(columns):
        for k in range(i + 1, columns):
            swapped = list(plain)
            swapped[i], swapped[k] = k, i
            yield tuple(swapped)
    for shift in range(1, columns):
        yield plain[shift:] + plain[:shift]
