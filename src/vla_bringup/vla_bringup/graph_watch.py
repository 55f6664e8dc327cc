# SPDX-License-Identifier: Apache-2.0
"""A node that watches a launched graph: what moves, what stops it, what the policy does."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from rcl_interfaces.srv import SetParameters
from rclpy.action import ActionClient
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from vla_msgs.action import RunPolicy
from vla_msgs.msg import ActionChunk, MonitorStatus, PolicyStatus, TaskState
from vla_msgs.srv import ResetScene

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.messages import to_ns
from vla_bringup.recording import ChunkArrival, GraphRecording
from vla_bringup.video import EpisodeVideo
from vla_contract.robot import Robot

REST_SAMPLES = 20
ACKNOWLEDGE_S = 0.01


class GraphWatch(Node):
    """Keeps the newest of what is said, and records what moves.

    Attributes:
        arm_joints: Names.
        recording: Of what moved and what was decided, since `watch`.
        video: Of the front camera, while it films.
        safety: The monitor's newest word.
        status: The policy node's.
        task: The simulation's, None where there is none.
        run_policy: Client of the action.
        reset_scene: Client of the simulation's reset.
        set_policy_parameters: Client of the policy node's parameters.
    """

    def watch(self, robot: Robot, film: Path) -> None:
        """Begin to hear the graph.

        Args:
            robot: Whose arm it is.
            film: File of the video.
        """
        self.arm_joints = tuple(robot.limits.joint_names)
        self.recording = GraphRecording(self.arm_joints, robot.limits.jerk)
        self.video = EpisodeVideo(film)
        self.safety = MonitorStatus()
        self.status = PolicyStatus()
        self.task: TaskState | None = None
        self._filming = False
        self._lock = threading.Lock()

        arm = robot.arm_controller
        self.create_subscription(
            JointTrajectoryControllerState,
            f"{arm}/controller_state",
            self._on_controller_state,
            qos.EACH,
        )
        self.create_subscription(JointState, "joint_states", self._on_joint_state, qos.EACH)
        self.create_subscription(
            MonitorStatus, "smoothness_monitor/state", self._on_safety, qos.LATCHED
        )
        self.create_subscription(
            PolicyStatus, "vla_policy_node/status", self._on_status, qos.LATCHED
        )
        self.create_subscription(
            ActionChunk, "vla_policy_node/action_chunk", self._on_chunk, qos.EACH
        )
        self.create_subscription(TaskState, "vla_sim/task_state", self._on_task, qos.NEWEST)
        self.create_subscription(Image, "front_camera/image_raw", self._on_image, qos.IMAGE)
        self.run_policy = ActionClient(self, RunPolicy, "vla_policy_node/run_policy")
        self.reset_scene = self.create_client(ResetScene, "vla_sim/reset")
        self.set_policy_parameters = self.create_client(
            SetParameters, "vla_policy_node/set_parameters"
        )

        # After the subscriptions: what came before a time is then taken in before its word.
        self._motion = MotionClock(self)
        if self._motion.simulated:
            self.create_timer(ACKNOWLEDGE_S, self._motion.acknowledge, clock=self._motion.timers)

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _on_controller_state(self, msg: JointTrajectoryControllerState) -> None:
        position = ordered(msg.joint_names, msg.reference.positions, self.arm_joints)
        if position is not None:
            with self._lock:
                self.recording.add_reference(to_ns(msg.header.stamp), position)

    def _on_joint_state(self, msg: JointState) -> None:
        position = ordered(msg.name, msg.position, self.arm_joints)
        if position is not None:
            with self._lock:
                self.recording.add_measurement(to_ns(msg.header.stamp), position)

    def _on_safety(self, msg: MonitorStatus) -> None:
        with self._lock:
            if msg.first_cause and msg.first_cause != self.safety.first_cause:
                self.recording.trips.append(msg.first_cause)
            self.safety = msg
            self.recording.add_monitor(
                to_ns(msg.header.stamp),
                msg.state,
                np.asarray(msg.measured_jerk, dtype=float),
                np.asarray(msg.command_jerk_peak, dtype=float),
            )

    def _on_status(self, msg: PolicyStatus) -> None:
        with self._lock:
            if msg.plan_time > 0.0 and msg.plans != self.status.plans:
                self.recording.plan_time_s.append(msg.plan_time)
            if msg.phase and msg.phase != self.status.phase:
                self.recording.phases.append((self.get_clock().now().nanoseconds, msg.phase))
            self.status = msg

    def _on_chunk(self, msg: ActionChunk) -> None:
        chunk = ChunkArrival(
            self.get_clock().now().nanoseconds,
            to_ns(msg.header.stamp),
            float(msg.shape[0]) * msg.dt,
            msg.inference_latency,
        )
        with self._lock:
            self.recording.chunks.append(chunk)

    def _on_task(self, msg: TaskState) -> None:
        self.task = msg

    def _on_image(self, msg: Image) -> None:
        if not self._filming:
            return
        rgb = np.frombuffer(msg.data, dtype=np.uint8).reshape(msg.height, msg.width, 3)
        lines = [self.status.instruction, f"phase: {self.status.phase}"]
        if self.safety.first_cause:
            lines.append(f"stopped: {self.safety.first_cause}")
        self.video.add(to_ns(msg.header.stamp), rgb, lines, self.recording.last_jerk_ratio)

    def _reference_speed(self) -> float:
        """Return the fastest joint's commanded speed, rad/s."""
        with self._lock:
            if len(self.recording.reference) < 2:
                return 0.0
            step = self.recording.reference[-1] - self.recording.reference[-2]
            span = self.recording.reference_ns[-1] - self.recording.reference_ns[-2]
        return float(np.max(np.abs(step))) / (span * 1e-9) if span > 0 else 0.0

    def _at_rest(self) -> bool:
        """True when the reference has not moved for a fifth of a second."""
        with self._lock:
            recent = self.recording.reference[-REST_SAMPLES:]
        return len(recent) == REST_SAMPLES and bool(
            np.all(np.ptp(np.stack(recent), axis=0) < 1e-9)
        )


def ordered(names: list[str], values: list[float], wanted: tuple[str, ...]) -> np.ndarray | None:
    """Return values in the order of names that are wanted; None where one is missing."""
    index = {name: place for place, name in enumerate(names)}
    if len(values) != len(names) or any(name not in index for name in wanted):
        return None
    return np.array([values[index[name]] for name in wanted], dtype=float)
