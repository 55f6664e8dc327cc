# SPDX-License-Identifier: Apache-2.0
"""Ears and hands of an attacker in a running graph."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import MonitorStatus

from node_kit.messages import controller_state_from, trajectory_from
from smooth_motion import MotionError
from smoothness_monitor.core import gripper
from smoothness_monitor.core.controller_tracker import ControllerTracker
from smoothness_monitor.core.gripper import GripperTracker
from verification.fuzz.gate_verdict import OWN, Command, LegRecord, same
from verification.fuzz.runs import MS, SECOND
from vla_contract.robot import Robot


def flat(stamp: Any) -> int:
    """Return a Time or Duration in ns."""
    return int(stamp.sec) * SECOND + int(stamp.nanosec)


class LiveGraph(Node):
    """Ears and hands in the running graph."""

    def __init__(self, robot: Robot) -> None:
        super().__init__("fuzz_gate_live")
        self.record = LegRecord()
        self.robot = robot
        self.tracker = ControllerTracker(robot.limits.joint_names, 200 * MS)
        self.gripper = GripperTracker(robot.gripper.joint)
        self.safety = MonitorStatus(state=MonitorStatus.STARTUP)
        self.heard = 0
        self.by_stamp: dict[int, str] = {}
        self.counts: Counter[str] = Counter()
        controllers = {"arm": robot.arm_controller, "gripper": robot.gripper.controller}
        for topic, name in controllers.items():
            self._listen(topic, name)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(
            MonitorStatus, "smoothness_monitor/state", self._on_safety, latched
        )
        deep = QoSProfile(depth=10)
        self.plans = self.create_publisher(JointTrajectory, "arm/plan", deep)
        self.gripper_plans = self.create_publisher(JointTrajectory, "gripper/plan", deep)
        self.stop = self.create_client(Trigger, "smoothness_monitor/stop")
        self.reset = self.create_client(Trigger, "smoothness_monitor/reset")

    def _listen(self, topic: str, controller: str) -> None:
        def on_state(msg: JointTrajectoryControllerState) -> None:
            self._on_cycle(topic, msg)

        def on_command(msg: JointTrajectory, info: Any) -> None:
            self._on_command(topic, msg, info["source_timestamp"])

        self.create_subscription(
            JointTrajectoryControllerState,
            f"{controller}/controller_state",
            on_state,
            QoSProfile(depth=200),
        )
        self.create_subscription(
            JointTrajectory, f"{controller}/joint_trajectory", on_command, QoSProfile(depth=50)
        )

    def now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _on_safety(self, msg: MonitorStatus) -> None:
        if msg.state == MonitorStatus.READY and self.safety.state != MonitorStatus.READY:
            # A controller that was activated begins with a hold of its own.
            self.tracker.forget()
        if msg.plans_rejected != self.safety.plans_rejected:
            self.counts[f"rejected: {msg.last_rejection.partition(':')[0]}"] += 1
        self.safety, self.heard = msg, self.heard + 1
        self.record.states.append(
            (
                flat(msg.header.stamp),
                int(msg.state),
                tuple(msg.causes),
                f"{msg.first_cause}: {msg.first_cause_detail}" if msg.first_cause else "",
                int(msg.rung),
            )
        )

    def _on_cycle(self, topic: str, msg: JointTrajectoryControllerState) -> None:
        state = controller_state_from(msg)
        names = self.robot.limits.joint_names if topic == "arm" else (self.robot.gripper.joint,)
        places = [state.joint_names.index(name) for name in names]
        empty = np.zeros(len(names))
        position = np.array(state.position)[places]
        velocity = np.array(state.velocity)[places] if len(state.velocity) else empty
        acceleration = np.array(state.acceleration)[places] if len(state.acceleration) else empty
        self.record.cycles[topic].append(
            (state.stamp_ns, state.time_from_start_ns, position, velocity)
        )
        if topic == "gripper":
            self.gripper.observe(state, self.now_ns())
        elif np.isfinite(position).all():
            reference = np.stack((position, velocity, acceleration))
            self.tracker.observe(state, reference, self.now_ns())

    def _on_command(self, topic: str, msg: JointTrajectory, published_ns: int) -> None:
        trajectory = trajectory_from(msg)
        name = self.by_stamp.get(trajectory.stamp_ns, OWN)
        self.counts[f"{name}: forwarded" if topic == "arm" else "forwarded to the gripper"] += 1
        now_ns = self.now_ns()
        if topic == "arm":
            plan: Any = (arm_plan := trajectory.plan())
            # A brake is sent twice.
            with suppress(MotionError):
                if self.tracker.running is not None:
                    self.tracker.sent(arm_plan, now_ns, now_ns)
        else:
            finger_plan, _ = gripper.plan_of(trajectory, self.robot.gripper.joint)
            assert finger_plan is not None
            self.gripper.sent(plan := finger_plan, now_ns)
        commands = self.record.commands[topic]
        if name != OWN or not (commands and same(commands[-1].plan, plan)):
            commands.append(Command(plan, published_ns, name))
