# SPDX-License-Identifier: Apache-2.0
"""Eyes and hands on the running graph."""

from __future__ import annotations

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import MonitorStatus

from node_kit import qos
from node_kit.messages import to_ns, trajectory_from, trajectory_to
from smooth_motion import Chunk, MotionError, Plan, overlap, track
from smooth_motion.messages import Trajectory
from verification.stop_trials.timeline import FloatArray, IntArray, trajectory_times
from vla_contract.robot import Robot

TRAVEL_S = 2.4
# Later than a plan would need, so that a loaded host has the time.
SPLICE_NS = 600_000_000
PAST_NS = 20_000_000


class Observer(Node):
    """Eyes and hands on the running graph."""

    def __init__(self, robot: Robot, joints: str) -> None:
        """Subscribe to everything that is measured.

        Args:
            robot: The arm.
            joints: Topic of its joints, as near to them as there is one.
        """
        super().__init__("ladder_trial")
        self.robot = robot
        self.safety = MonitorStatus()
        self.joints: list[tuple[int, np.ndarray]] = []
        self.references: list[bytes] = []
        # What the controller was sent, by its stamp; None where it is no plan.
        self.commands: dict[int, Plan | None] = {}
        arm = robot.arm_controller
        self._states = self.create_subscription(
            JointTrajectoryControllerState,
            f"{arm}/controller_state",
            self._on_state,
            QoSProfile(depth=1000),
            raw=True,
        )
        self.create_subscription(JointState, joints, self._on_joints, QoSProfile(depth=100))
        for topic in (f"{arm}/joint_trajectory", "faults/commands"):
            self.create_subscription(JointTrajectory, topic, self._on_command, qos.TRAJECTORY)
        self.create_subscription(
            MonitorStatus, "smoothness_monitor/state", self._on_safety, qos.LATCHED
        )
        self._plans = self.create_publisher(JointTrajectory, "arm/plan", qos.TRAJECTORY)
        self.stop = self.create_client(Trigger, "smoothness_monitor/stop")
        self.reset = self.create_client(Trigger, "smoothness_monitor/reset")
        self.run_away = self.create_client(Trigger, "trial_driver/run_away")

    def now_ns(self) -> int:
        """Return ROS time."""
        return int(self.get_clock().now().nanoseconds)

    def _on_safety(self, msg: MonitorStatus) -> None:
        self.safety = msg

    def _on_state(self, raw: bytes) -> None:
        self.references.append(raw)
        # The executor takes one at a time, which is too slow for 1 kHz on a loaded host.
        with self._states.handle:
            while taken := self._states.handle.take_message(self._states.msg_type, True):
                self.references.append(taken[0])

    def _on_command(self, msg: JointTrajectory) -> None:
        trajectory = trajectory_from(msg)
        try:
            plan = trajectory.plan()
        except MotionError:
            plan = None
        self.commands[trajectory.stamp_ns] = plan

    def _on_joints(self, msg: JointState) -> None:
        places = dict(zip(msg.name, msg.position, strict=True))
        row = np.array([places[name] for name in self.robot.limits.joint_names])
        self.joints.append((to_ns(msg.header.stamp), row))

    def newest(self) -> JointTrajectoryControllerState:
        """Return the newest state of the controller."""
        return deserialize_message(self.references[-1], JointTrajectoryControllerState)

    def references_between(self, begin: int, end: int) -> tuple[IntArray, FloatArray, FloatArray]:
        """Return trajectory times (N,) ns, positions and velocities (N, J) of the reference."""
        stamps, since, positions, velocities = [], [], [], []
        names: tuple[str, ...] = ()
        for raw in self.references[begin:end]:
            msg = deserialize_message(raw, JointTrajectoryControllerState)
            names = tuple(msg.joint_names)
            stamps.append(to_ns(msg.header.stamp))
            since.append(to_ns(msg.reference.time_from_start))
            positions.append(msg.reference.positions)
            velocities.append(msg.reference.velocities)
        rows = np.array(positions)
        times = trajectory_times(names, np.array(stamps), np.array(since), rows, self.commands)
        return times, rows, np.array(velocities)

    def send_motion(self, travel: np.ndarray) -> None:
        """Send a plan from where the reference rests to somewhere else."""
        state = self.newest()
        start_ns = to_ns(state.header.stamp) - to_ns(state.reference.time_from_start)
        names = self.robot.limits.joint_names
        hold = Plan.hold(names, np.array(state.reference.positions), start_ns)
        now_ns = self.now_ns()
        begin = hold.state(now_ns + SPLICE_NS)
        rows = np.linspace(begin.position, begin.position + travel, int(TRAVEL_S / 0.1))
        chunk = Chunk(names, now_ns + SPLICE_NS, 100_000_000, rows)
        tail = track(chunk, begin, self.robot.limits, start_ns=now_ns + SPLICE_NS)
        plan = overlap(hold, tail, cut_ns=now_ns - PAST_NS)
        trajectory = Trajectory(plan.start_ns, tuple(names), tuple(plan.points()))
        self._plans.publish(trajectory_to(trajectory))
