# SPDX-License-Identifier: Apache-2.0
"""Ways to turn a policy's chunks into commands at 100 Hz, without ROS."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smooth_motion import (
    Chunk,
    GripperPlan,
    NoPlanError,
    Plan,
    blend_ns,
    blended,
    overlap,
    splice_ns,
    track,
    track_gripper,
)
from vla_contract.robot import Robot
from vla_policies import Action

Array = NDArray[np.float64]

# From a chunk's arrival to where its plan takes over: the policy node's overlap_s and
# planning_margin_s.
LEAD_S = 0.26


class ActionExecutor(Protocol):
    """Turns chunks into commands."""

    def accept(self, action: Action, stamp_ns: int, now_ns: int) -> None:
        """Take a chunk that arrives now, of an observation stamped earlier."""

    def command(self, now_ns: int) -> Array:
        """Return the command (J,), rad."""


class LinearExecutor:
    """Joins the rows of the newest chunk by straight lines: no bound on anything."""

    def __init__(self, robot: Robot, position: Array) -> None:
        """Begin at rest at `position` (J,), rad."""
        del robot
        self._rows, self._stamp_ns, self._dt_ns = position[None, :], 0, 1

    def accept(self, action: Action, stamp_ns: int, now_ns: int) -> None:
        """Take a chunk."""
        del now_ns
        self._rows, self._stamp_ns = action.positions, stamp_ns
        self._dt_ns = round(action.dt_s * 1e9)

    def command(self, now_ns: int) -> Array:
        """Return the command (J,), rad."""
        row = (now_ns - self._stamp_ns) / self._dt_ns
        index = np.arange(len(self._rows))
        return np.array([np.interp(row, index, column) for column in self._rows.T])


class HoldExecutor(LinearExecutor):
    """Holds each row of the newest chunk until the next, as a servo bus is sent targets."""

    def command(self, now_ns: int) -> Array:
        """Return the command (J,), rad."""
        row = (now_ns - self._stamp_ns) // self._dt_ns
        return np.array(self._rows[min(max(int(row), 0), len(self._rows) - 1)])


class SmoothExecutor:
    """Tracks chunks with jerk-bounded plans, as the policy node does under `chunks: blend`."""

    def __init__(self, robot: Robot, position: Array) -> None:
        """Begin at rest at `position` (J,), rad."""
        self._limits, self._gripper_limits = robot.limits, robot.gripper
        self._plan = Plan.hold(robot.limits.joint_names, position[:-1], 0)
        self._gripper = GripperPlan.hold(robot.gripper.joint, float(position[-1]), 0)
        self.refused = 0

    def accept(self, action: Action, stamp_ns: int, now_ns: int) -> None:
        """Take a chunk."""
        dt_ns = round(action.dt_s * 1e9)
        limits, names = self._limits, self._limits.joint_names
        start_ns = splice_ns(self._plan, now_ns + round(LEAD_S * 1e9))
        begin = self._plan.state(start_ns)
        rows = np.clip(action.positions[:, :-1], limits.position_lower, limits.position_upper)
        times_ns = stamp_ns + dt_ns * np.arange(len(rows), dtype=np.int64)
        rows = blended(rows, times_ns, start_ns, begin.position, blend_ns(start_ns - stamp_ns))
        try:
            chunk = Chunk(names, stamp_ns, dt_ns, rows)
            tail = track(chunk, begin, limits, start_ns=start_ns)
        except NoPlanError:
            self.refused += 1
            return
        self._plan = overlap(self._plan, tail, cut_ns=now_ns)
        self._gripper = track_gripper(
            action.positions[:, -1],
            stamp_ns,
            dt_ns,
            self._gripper,
            self._gripper_limits,
            cut_ns=now_ns,
            splice_ns=start_ns,
        )

    def command(self, now_ns: int) -> Array:
        """Return the command (J,), rad."""
        return np.append(self._plan.state(now_ns).position, self._gripper.position(now_ns))


EXECUTORS: dict[str, type[HoldExecutor] | type[LinearExecutor] | type[SmoothExecutor]] = {
    "hold": HoldExecutor,
    "linear": LinearExecutor,
    "smooth": SmoothExecutor,
}
