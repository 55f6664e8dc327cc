# SPDX-License-Identifier: Apache-2.0
"""Where the follower's controllers lead its joints, as far as their topics say."""

from __future__ import annotations

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from node_kit import qos
from node_kit.messages import to_ns
from so100_driver.core.leader import FloatArray

_MOST_POINTS = 5000


class Led:
    """Where a controller leads its joints, by its newest trajectory and its reference."""

    def __init__(self, node: Node, controller: str, joints: tuple[str, ...]) -> None:
        """Hear a controller of the follower."""
        self._joints = joints
        self._reference: FloatArray | None = None
        self._times_s, self._table = np.zeros(0), np.zeros((0, len(joints)))
        state, path = f"{controller}/controller_state", f"{controller}/joint_trajectory"
        node.create_subscription(JointTrajectoryControllerState, state, self._on_state, qos.SENSED)
        node.create_subscription(JointTrajectory, path, self._on_trajectory, qos.EACH)

    def at(self, time_s: float) -> FloatArray | None:
        """Return where the joints are led at a time, rad; None before anything was heard."""
        if len(self._times_s) and time_s >= self._times_s[0]:
            return np.array([np.interp(time_s, self._times_s, c) for c in self._table.T])
        return self._reference

    def _on_state(self, msg: JointTrajectoryControllerState) -> None:
        positions = self._ordered(msg.joint_names, msg.reference.positions)
        if positions is not None:
            self._reference = positions

    def _on_trajectory(self, msg: JointTrajectory) -> None:
        rows = [self._ordered(msg.joint_names, point.positions) for point in msg.points]
        start_ns = to_ns(msg.header.stamp)
        whole = [row for row in rows if row is not None]
        if not start_ns or not whole or len(whole) != len(rows) or len(rows) > _MOST_POINTS:
            return
        times = [start_ns + to_ns(point.time_from_start) for point in msg.points]
        self._times_s, self._table = np.array(times) * 1e-9, np.array(whole)

    def _ordered(self, names: list[str], values: list[float]) -> FloatArray | None:
        given = dict(zip(names, values, strict=False))
        found = np.array([given.get(name, np.nan) for name in self._joints], dtype=np.float64)
        return found if np.all(np.isfinite(found)) else None
