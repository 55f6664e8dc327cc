# SPDX-License-Identifier: Apache-2.0
"""What goes through a joint_trajectory_controller: chunks as points, and plans."""

from __future__ import annotations

import numpy as np

from executors.base import MS, Array, ChunkRows, Setup
from smooth_motion import (
    Chunk,
    GripperPlan,
    NoPlanError,
    Plan,
    check,
    overlap,
    splice_ns,
    track,
    track_gripper,
)
from vla_sim.core.trajectory import JointTrajectory, TrajectoryPoint
from vla_sim.core.trajectory_controller import ControllerConfig, TrajectoryController

# As the policy node does it: where a plan leaves the running one, and how old its first knot is.
SPLICE_NS = 120 * MS
BACK_NS = 20 * MS


class EmulatedController:
    """An emulated joint_trajectory_controller under ideal joints.

    Attributes:
        velocity: Of the newest command (N,), rad/s.
    """

    def __init__(self, names: tuple[str, ...], position: Array, period_ns: int) -> None:
        self._controller = TrajectoryController(
            ControllerConfig(names, period_ns), position, np.zeros_like(position)
        )
        self._names, self._period_ns, self._position = names, period_ns, position
        self.velocity = np.zeros_like(position)

    def send(self, stamp_ns: int, points: list[TrajectoryPoint], now_ns: int) -> None:
        rejection = self._controller.receive(
            JointTrajectory(stamp_ns, self._names, tuple(points)), now_ns
        )
        assert rejection is None, rejection

    def command(self, now_ns: int) -> Array:
        state = self._controller.update(
            now_ns, self._period_ns, self._position, np.zeros_like(self._position)
        ).state
        self._position, self.velocity = state.reference.positions, state.reference.velocities
        return self._position


class LinearPoints:
    """The rest of each chunk as a trajectory of positions only, to start now.

    The controller goes on from where it is to the first row ahead, along a straight line.
    """

    def __init__(self, setup: Setup) -> None:
        self.refused = 0
        names = tuple(f"joint{i}" for i in range(setup.position.size))
        self._controller = EmulatedController(names, setup.position, setup.period_ns)
        self._now_ns = setup.start_ns

    def accept(self, rows: ChunkRows, now_ns: int) -> None:
        times = rows.stamp_ns + rows.dt_ns * np.arange(len(rows.positions))
        ahead = np.flatnonzero(times > now_ns)
        if ahead.size == 0:
            self.refused += 1
            return
        points = [TrajectoryPoint(int(times[i]) - now_ns, rows.positions[i]) for i in ahead]
        self._controller.send(now_ns, points, now_ns)

    def command(self, now_ns: int) -> Array:
        return self._controller.command(now_ns)


class Smooth:
    """This suite: each chunk becomes a plan of bounded jerk that overlaps the running one."""

    def __init__(self, setup: Setup) -> None:
        self.refused = 0
        self._setup, self._limits = setup, setup.limits
        names, joints = setup.limits.joint_names, setup.joints
        self._plan = Plan.hold(names, setup.position[:joints], setup.start_ns)
        self._controller = EmulatedController(names, setup.position[:joints], setup.period_ns)
        if setup.gripper is not None:
            self._gripper = GripperPlan.hold(
                setup.gripper.joint, float(setup.position[joints]), setup.start_ns
            )

    def accept(self, rows: ChunkRows, now_ns: int) -> None:
        joints = self._setup.joints
        chunk = Chunk(
            self._limits.joint_names, rows.stamp_ns, rows.dt_ns, rows.positions[:, :joints]
        )
        splice = splice_ns(self._plan, now_ns + SPLICE_NS)
        try:
            tail = track(chunk, self._plan.state(splice), self._limits, start_ns=splice)
        except NoPlanError:
            self.refused += 1
            return
        plan = overlap(self._plan, tail, cut_ns=now_ns - BACK_NS)
        if check(plan, self._plan, self._limits, now_ns=now_ns):
            self.refused += 1
            return
        self._plan = plan
        points = [
            TrajectoryPoint(t, np.array(p), np.array(v), np.array(a))
            for t, p, v, a in plan.points()
        ]
        self._controller.send(plan.start_ns, points, now_ns)
        if self._setup.gripper is not None:
            self._gripper = track_gripper(
                rows.positions[:, joints],
                rows.stamp_ns,
                rows.dt_ns,
                self._gripper,
                self._setup.gripper,
                cut_ns=now_ns - BACK_NS,
                splice_ns=splice,
            )

    def command(self, now_ns: int) -> Array:
        arm = self._controller.command(now_ns)
        if self._setup.gripper is None:
            return arm
        return np.append(arm, self._gripper.position(now_ns))
