# SPDX-License-Identifier: Apache-2.0
"""Where controllers lead an arm's joints now and in a moment, as far as their topics say.

Whoever takes an arm over while it moves begins there, and not where it is: a plan takes over a
little later, and to go back meanwhile is a jerk, and lets go of what a gripper closes on.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from numpy.typing import NDArray
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.messages import read_message, to_ns, trajectory_from
from smooth_motion import MotionError

# What a controller said longer ago is not where it leads its joints now.
FRESH_NS = 500_000_000
# A plan that the reference is farther from is none that the controller follows: rad.
FOLLOWS_RAD = 0.1
_MOST_BYTES = 1 << 20


class LedJoints:
    """Where one controller leads its joints. Messages are read only when somebody asks."""

    def __init__(
        self, node: Node, controller: str, joints: tuple[str, ...], motion: MotionClock
    ) -> None:
        """Hear a controller.

        Args:
            node: That hears it.
            controller: Its name.
            joints: That it leads, in the order in which they are asked for.
            motion: Tells for how long it has been silent.
        """
        self._joints, self._motion = joints, motion
        self._state = self._path = b""
        self._heard_ns = 0
        for kind, topic, profile in (
            (JointTrajectoryControllerState, f"{controller}/controller_state", qos.SENSED),
            (JointTrajectory, f"{controller}/joint_trajectory", qos.EACH),
        ):
            hear = partial(self._hear, kind)
            node.create_subscription(kind, topic, hear, profile, raw=True)

    def at(self, ros_ns: int) -> NDArray[np.float64] | None:
        """Return where the joints are led at a time (ROS time, ns), (J,) rad.

        None where that is not known, because nothing was heard of the controller, or not now.
        """
        silent_ns = self._motion.elapsed_ns() - self._heard_ns
        if not self._state or not silent_ns <= FRESH_NS:
            return None
        try:
            msg = read_message(self._state, JointTrajectoryControllerState)
        # Anybody may publish there, and whatever it is that reads bytes has errors of its own.
        except Exception:
            return None
        reference = self._ordered(msg.joint_names, np.array(msg.reference.positions))
        if reference is None or not np.isfinite(reference).all():
            return None
        planned = self._planned((to_ns(msg.header.stamp), ros_ns))
        # The newest plan may be over, and the arm brought elsewhere since: by hand, by its
        # driver, in a new scene.
        if planned is None or not (np.abs(planned[0] - reference) <= FOLLOWS_RAD).all():
            return reference
        soon: NDArray[np.float64] = planned[1]
        return soon

    def _hear(self, kind: type, data: bytes) -> None:
        if len(data) > _MOST_BYTES:
            return
        if kind is JointTrajectory:
            self._path = bytes(data)
        else:
            self._state, self._heard_ns = bytes(data), self._motion.elapsed_ns()

    def _planned(self, times_ns: tuple[int, int]) -> NDArray[np.float64] | None:
        """Return where the newest plan has the joints at two times, (2, J) rad."""
        if not self._path:
            return None
        try:
            msg = read_message(self._path, JointTrajectory)
        except Exception:
            return None
        try:
            plan = trajectory_from(msg).plan()
        except MotionError:
            return None  # somebody else's
        return self._ordered(plan.joint_names, plan.sample(np.array(times_ns)).position)

    def _ordered(
        self, names: tuple[str, ...], values: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """Return columns in the order of the joints, None where one is missing."""
        places = {name: place for place, name in enumerate(names)}
        if values.shape[-1:] != (len(places),) or not places.keys() >= set(self._joints):
            return None
        return np.asarray(values[..., [places[name] for name in self._joints]], dtype=np.float64)
