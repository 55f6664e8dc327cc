# SPDX-License-Identifier: Apache-2.0
"""Ways to turn a policy's chunks into commands: what others do, and what this suite does.

Each is told when a chunk arrives and of which observation it is, and is asked for the command at
every tick of the controller. They are here to be measured against each other, nothing else.
"""

from collections.abc import Callable

from executors.alternatives import (
    AccelerationLimited,
    Butterworth,
    ContinuedPoints,
    Online,
    UpsampledPoints,
)
from executors.base import ChunkRows, Executor, Setup
from executors.baselines import Ensemble, LeRobot, LeRobotHeld, Naive
from executors.controllers import LinearPoints, Smooth
from executors.link import ChunkDelay, DelayedLink

EXECUTORS: dict[str, Callable[[Setup], Executor]] = {
    "naive replacement": Naive,
    "temporal ensembling": Ensemble,
    "LeRobot, held": LeRobotHeld,
    "LeRobot, lines": LeRobot,
    "linear points, JTC": LinearPoints,
    "spline points, JTC": UpsampledPoints,
    "spline, continued": ContinuedPoints,
    "Servo, low-pass": Butterworth,
    "Servo, acceleration": AccelerationLimited,
    "Ruckig": Online,
    "this suite": Smooth,
}

__all__ = [
    "EXECUTORS",
    "AccelerationLimited",
    "Butterworth",
    "ChunkDelay",
    "ChunkRows",
    "ContinuedPoints",
    "DelayedLink",
    "Ensemble",
    "Executor",
    "LeRobot",
    "LeRobotHeld",
    "LinearPoints",
    "Naive",
    "Online",
    "Setup",
    "Smooth",
    "UpsampledPoints",
]
