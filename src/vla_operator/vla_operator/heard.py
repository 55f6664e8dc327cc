# SPDX-License-Identifier: Apache-2.0
"""What the node heard last: of the monitor, the executor, the policy, servos and joints."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import ActionChunk, ExecutorStatus, MonitorStatus, PolicyStatus, Smoothness

from node_kit import qos
from node_kit.messages import distinct, read_message, to_ns, trajectory_from
from smooth_motion import MotionError, Plan
from vla_contract.robot import Robot
from vla_operator.core import told
from vla_operator.core.curves import BEFORE_S, ShownChunk, chunk_from, curves
from vla_operator.core.gauge import JerkGauge

# Of a message that is heard as bytes: what is larger is passed over.
_MOST_BYTES = 1 << 22
_MOST_STATUSES = 256
_MOST_VALUES = 32
_TRACE = 64
MOST_JOINTS = 32


class Heard:
    """Subscribes, keeps the newest of everything, and says it for the page.

    What comes often or is large is kept as bytes, and read only when somebody looks.
    """

    def __init__(
        self,
        node: Node,
        robot: Robot,
        now_s: Callable[[], float],
    ) -> None:
        """Subscribe.

        Args:
            node: Whose subscriptions they are.
            robot: Which arm it is.
            now_s: The clock of the motion, s, by which its nodes speak: for how long one was not
                heard, and when there was which jerk.
        """
        self._robot, self._node = robot, node
        self._now_s = now_s
        self._joints = tuple(robot.limits.joint_names)
        self.monitor: MonitorStatus | None = None
        self.executor: ExecutorStatus | None = None
        self.policy: PolicyStatus | None = None
        self._heard_s: dict[str, float] = {}
        self._raw: dict[str, bytes] = {}
        self._plan: Plan | None = None
        self._chunk: ShownChunk | None = None
        self._trace: deque[tuple[int, Sequence[float]]] = deque(maxlen=_TRACE)
        self._servos: dict[str, Any] = {}
        self._workspace: dict[str, Any] | None = None
        self._gauge = JerkGauge()
        self.on_executor: Callable[[ExecutorStatus], None] = lambda _: None
        own = node.get_namespace()
        self._servo_prefix = distinct(own, "so100_driver") + "/"
        self._monitor_prefix = distinct(own, "smoothness_monitor: ")
        self._subscribe(robot.arm_controller)

    def _subscribe(self, arm: str) -> None:
        subscribe = self._node.create_subscription
        monitor, policy = "smoothness_monitor/state", "vla_policy_node/status"
        subscribe(MonitorStatus, monitor, partial(self._on, "monitor"), qos.LATCHED)
        subscribe(Smoothness, "smoothness_monitor/smoothness", self._on_smoothness, qos.NEWEST)
        subscribe(PolicyStatus, policy, partial(self._on, "policy"), qos.LATCHED)
        executor = "arm/executor_status"
        subscribe(ExecutorStatus, executor, self._on_executor, qos.LATCHED)
        subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.EACH)
        for key, kind, topic, profile in (
            ("joints", JointState, "joint_states", qos.SENSED),
            ("plan", JointTrajectory, f"{arm}/joint_trajectory", qos.TRAJECTORY),
            ("policy chunk", ActionChunk, "vla_policy_node/action_chunk", qos.EACH),
            ("chunk", ActionChunk, "arm/action_chunk", qos.EACH),
        ):
            subscribe(kind, topic, partial(self._on_bytes, key), profile, raw=True)

    # -- what arrives -----------------------------------------------------------------------------

    def _on(self, key: str, msg: Any) -> None:
        setattr(self, key, msg)
        self._heard_s[key] = self._now_s()

    def _on_executor(self, msg: ExecutorStatus) -> None:
        self._on("executor", msg)
        self.on_executor(msg)

    def _on_bytes(self, key: str, data: bytes) -> None:
        if len(data) <= _MOST_BYTES:
            self._raw[key] = data

    def _on_smoothness(self, msg: Smoothness) -> None:
        # Its peaks are those of its window: none between two messages is missed.
        if self.monitor is not None and len(msg.joint_names) <= MOST_JOINTS:
            self._gauge.add(
                msg.command_jerk_peak,
                msg.measured_jerk_peak,
                msg.jerk_limit,
                self.monitor.measured_jerk_threshold,
                self._now_s(),
            )

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status[:_MOST_STATUSES]:
            if status.name == f"{self._monitor_prefix}workspace":
                values = {item.key: item.value for item in status.values[:_MOST_VALUES]}
                self._workspace = {"text": told.text(values.get("newest", ""))}
                self._heard_s["workspace"] = self._now_s()
            elif status.name.startswith(self._servo_prefix):
                joint = status.name.removeprefix(self._servo_prefix)
                if joint not in (*self._joints, self._robot.gripper.joint, "arm"):
                    continue
                values = {item.key[:64]: item.value[:64] for item in status.values[:_MOST_VALUES]}
                level = int.from_bytes(bytes(status.level), "little")
                self._servos[joint] = told.summary_of_servo(joint, values, level, status.message)
                self._heard_s["servos"] = self._now_s()

    # -- what is told -----------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return the state of everything, in words."""
        now_s = self._now_s()
        return {
            "type": "state",
            "monitor": self._monitor_told(now_s),
            "executor": self._executor_told(now_s),
            "policy": self._policy_told(now_s),
            "servos": self._servos_told(now_s),
            "workspace": self._workspace if self._fresh("workspace", now_s) else None,
        }

    def gauge(self) -> dict[str, Any]:
        """Return the jerk of the last half minute."""
        msg = self.monitor
        told_: dict[str, Any] = {"type": "gauge", **self._gauge.history(self._now_s())}
        if msg is not None and len(msg.joint_names) <= MOST_JOINTS:
            told_["joints"] = told.lines(msg.joint_names)
            for key, values in (
                ("limit", msg.jerk_limit),
                ("now", msg.command_jerk),
                ("peak", msg.command_jerk_peak),
            ):
                told_[key] = [told.number(value, 2) for value in values[:MOST_JOINTS]]
        return told_

    def curves(self, now_ns: int) -> dict[str, Any]:
        """Return the plan against the chunk, joint by joint."""
        self._read()
        found = curves(self._joints, self._plan, self._chunk, tuple(self._trace), now_ns)
        return {"type": "curves", **found}

    def _fresh(self, key: str, now_s: float) -> bool:
        return now_s - self._heard_s.get(key, float("-inf")) <= 3.0

    def _silent_s(self, key: str, now_s: float) -> float | None:
        return now_s - self._heard_s[key] if key in self._heard_s else None

    def _monitor_told(self, now_s: float) -> dict[str, Any]:
        msg = self.monitor if self.monitor is not None else MonitorStatus()
        silent_s = self._silent_s("monitor", now_s)
        name, words = told.monitor_words(int(msg.state), bool(msg.permit), silent_s)
        return {
            "name": name,
            "words": words,
            "permit": bool(msg.permit) and name == "READY",
            "cause": told.cause(msg.first_cause, msg.first_cause_detail),
            "causes": told.lines(msg.causes),
            "waiting_for": told.lines(msg.waiting_for),
            "blocks_reset": told.blocks_reset(name, msg.waiting_for),
            "rung_log": told.lines(msg.rung_log),
            "speed": told.number(msg.speed_scaling),
            "slow_reason": told.text(msg.slow_reason),
            "locked_out": bool(msg.locked_out),
            "rejected": int(msg.plans_rejected),
            "last_rejection": told.text(msg.last_rejection),
        }

    def _executor_told(self, now_s: float) -> dict[str, Any]:
        msg = self.executor if self.executor is not None else ExecutorStatus()
        silent_s = self._silent_s("executor", now_s)
        heard = silent_s is not None and silent_s <= told.SILENT_S
        if not heard:
            name, words = "NOT HEARD", "Nobody says who holds the arm."
        elif msg.holder:
            name, words = "PLANNING", f"{told.text(msg.holder)} holds the arm."
        else:
            name, words = "FREE", "Nobody holds the arm."
        return {
            "name": name,
            "words": words,
            "holder": told.text(msg.holder),
            "waiting_for": told.lines(msg.waiting_for),
            "plans": int(msg.plans),
            "acknowledged": int(msg.plans_acknowledged),
            "refused": int(msg.chunks_refused),
            "last_refusal": told.text(msg.last_refusal),
            "last_end": told.text(msg.last_end),
        }

    def _policy_told(self, now_s: float) -> dict[str, Any]:
        msg = self.policy if self.policy is not None else PolicyStatus()
        silent_s = self._silent_s("policy", now_s)
        name, words = told.node_words("policy node", told.POLICY_STATES, int(msg.state), silent_s)
        return {
            "name": name,
            "words": words,
            "instruction": told.text(msg.instruction),
            "id": told.text(msg.policy_id),
            "phase": told.text(msg.phase),
            "waiting_for": told.lines(msg.waiting_for),
            "remarks": told.lines(msg.remarks),
            "delay_s": told.number(msg.inference_latency) if msg.chunks else None,
            "plan_time_s": told.number(msg.plan_time, 5) if msg.plans else None,
            "chunks": int(msg.chunks),
            "plans": int(msg.plans),
        }

    def _servos_told(self, now_s: float) -> list[Any]:
        if not self._fresh("servos", now_s):
            return []
        order = ("arm", *self._joints, self._robot.gripper.joint)
        return [self._servos[joint] for joint in order if joint in self._servos]

    def _read(self) -> None:
        """Read what came as bytes since somebody looked last."""
        raw, self._raw = self._raw, {}
        for key, kind, take in (
            ("joints", JointState, self._take_joints),
            ("plan", JointTrajectory, self._take_plan),
            ("policy chunk", ActionChunk, self._take_chunk),
            ("chunk", ActionChunk, self._take_chunk),
        ):
            if key in raw:
                try:
                    take(read_message(raw[key], kind))
                # Anybody may publish there. It is not shown, and that is all.
                except Exception as error:
                    text = f"a message ({key}) cannot be read: {type(error).__name__}"
                    self._node.get_logger().warning(text, throttle_duration_sec=10.0)

    def _take_joints(self, msg: JointState) -> None:
        places = {name: place for place, name in enumerate(msg.name)}
        if len(msg.name) == len(msg.position) and all(name in places for name in self._joints):
            stamp_ns = to_ns(msg.header.stamp)
            if self._trace and not self._trace[-1][0] <= stamp_ns:
                self._trace.clear()
            while self._trace and stamp_ns - self._trace[0][0] > BEFORE_S * 1e9:
                self._trace.popleft()
            row = tuple(float(msg.position[places[name]]) for name in self._joints)
            self._trace.append((stamp_ns, row))

    def _take_plan(self, msg: JointTrajectory) -> None:
        try:
            self._plan = trajectory_from(msg).plan()
        except MotionError:
            # Another node's. It is not shown as if it were one of ours.
            self._plan = None

    def _take_chunk(self, msg: ActionChunk) -> None:
        stamp_ns = to_ns(msg.header.stamp)
        self._chunk = chunk_from(msg.joint_names, stamp_ns, msg.dt, msg.shape, msg.positions)


def packed(what: dict[str, Any]) -> str:
    """Return a message for the page."""
    return json.dumps(what, separators=(",", ":"), allow_nan=False)
