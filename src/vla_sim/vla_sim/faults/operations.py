# SPDX-License-Identifier: Apache-2.0
"""What a fault does to a stream of messages. No ROS, no clock.

An operation takes a message and the time and returns what goes on instead: nothing, the message
altered, several, or later. The same operations work on joint_states, on controller_state and on
trajectories.
"""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

from vla_sim.faults.arriving import Delay, Drop, Duplicate, Freeze, Hold, Stuck, Swap
from vla_sim.faults.contents import (
    Drift,
    JointStuck,
    Lag,
    Noise,
    NotANumber,
    Offset,
    OmitJoint,
    PositionsOnly,
    Rattle,
    Scale,
    Shorten,
    Spike,
    StampShift,
    SwapJoints,
    TimeScale,
    Truncate,
)
from vla_sim.faults.operation import FaultError, Link, Operation, Passed

__all__ = [
    "OPERATIONS",
    "Delay",
    "Drift",
    "Drop",
    "Duplicate",
    "FaultError",
    "Freeze",
    "Hold",
    "JointStuck",
    "Lag",
    "Link",
    "Noise",
    "NotANumber",
    "Offset",
    "OmitJoint",
    "Operation",
    "Passed",
    "PositionsOnly",
    "Rattle",
    "Scale",
    "Shorten",
    "Spike",
    "StampShift",
    "Stuck",
    "Swap",
    "SwapJoints",
    "TimeScale",
    "Truncate",
    "parameters",
]

OPERATIONS: dict[str, type[Operation]] = {
    operation.name: operation
    for operation in (
        Drop,
        Delay,
        Hold,
        Duplicate,
        Swap,
        Stuck,
        Freeze,
        StampShift,
        NotANumber,
        Offset,
        Drift,
        Spike,
        Noise,
        Rattle,
        Lag,
        JointStuck,
        Scale,
        SwapJoints,
        OmitJoint,
        Shorten,
        Truncate,
        PositionsOnly,
        TimeScale,
    )
}


def parameters(operation: type[Operation]) -> tuple[Field[Any], ...]:
    """Return the parameters of an operation."""
    return fields(operation)
