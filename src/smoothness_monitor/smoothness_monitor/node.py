# SPDX-License-Identifier: Apache-2.0
"""The node: parameters, conversion and I/O. Every decision is made in `core`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from control_msgs.msg import JointTrajectoryControllerState
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import PolicyStatus, SafetyState, Smoothness

try:
    from controller_manager_msgs.msg import ControllerManagerActivity
except ImportError:  # Humble: stale_controller_state has to find an inactive controller there.
    ControllerManagerActivity = None

from smooth_motion import Robot, load_robot
from smoothness_monitor import convert, qos
from smoothness_monitor.clock import MotionClock
from smoothness_monitor.convert_smoothness import smoothness_status, smoothness_to
from smoothness_monitor.core.monitor import Monitor
from smoothness_monitor.core.types import NOTHING, Answer, Level, Now, Outputs
from smoothness_monitor.ladder_calls import LadderCalls
from smoothness_monitor.parameter_reader import read_parameters
from smoothness_monitor.params import MonitorConfig, NodeParams, load_config
from smoothness_monitor.run import run
from smoothness_monitor.subscribe import (
    DIAGNOSTICS_BYTES,
    STATE_BYTES,
    Bounded,
    trajectory_bytes,
)

TICK_S = 0.01
TICKS_PER_STATE = 4
GRAPH_S = 1.0
DIAGNOSTICS_S = 1.0


class SmoothnessMonitor(Node):
    """The only writer to the controllers' topics."""

    def __init__(self) -> None:
        """Read the parameters and connect.

        Raises:
            ConfigError: A parameter or the monitor file is wrong.
            RobotConfigError: The robot file is wrong.
        """
        super().__init__("smoothness_monitor")
        params = self._declare_params()
        robot, config = load_robot(params.robot_file), load_config(params.monitor_file)
        self._show_config(config)
        self._monitor = Monitor(robot, config)
        self._motion = MotionClock(self)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._ticks = 0
        self._reset: Future | None = None
        self._arm_controller = robot.arm_controller

        arm, gripper = robot.arm_controller, robot.gripper.controller
        self._arm = self.create_publisher(
            JointTrajectory, f"{arm}/joint_trajectory", qos.TRAJECTORY
        )
        self._gripper = self.create_publisher(
            JointTrajectory, f"{gripper}/joint_trajectory", qos.TRAJECTORY
        )
        self._state = self.create_publisher(SafetyState, "~/state", qos.STATE)
        self._smoothness = self.create_publisher(Smoothness, "~/smoothness", qos.SMOOTHNESS)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        self._subscribe(robot, config)
        self._calls = LadderCalls(self, robot, config, self._on_answer)
        read_parameters(self, robot, config, self._on_parameters)
        self.create_service(Trigger, "~/stop", self._on_stop)
        # In a group of its own: while a reset waits for the controller, all else goes on.
        group = MutuallyExclusiveCallbackGroup()
        self.create_service(Trigger, "~/reset", self._on_reset, callback_group=group)
        self.create_timer(TICK_S, self._on_tick, clock=self._motion.timers)
        self.create_timer(GRAPH_S, self._on_graph, clock=steady)
        period_s = 1.0 / config.smoothness_rate_hz
        self.create_timer(period_s, self._on_smoothness, clock=self._motion.timers)
        self.create_timer(DIAGNOSTICS_S, self._on_diagnostics, clock=steady)
        self.get_logger().info(
            f"{robot.name}: {len(robot.limits.joint_names)} joints, thresholds from "
            f"{params.monitor_file}"
        )

    def _declare_params(self) -> NodeParams:
        values = {}
        for item in fields(NodeParams):
            descriptor = ParameterDescriptor(description=item.metadata["doc"], read_only=True)
            values[item.name] = self.declare_parameter(item.name, "", descriptor).value
        return NodeParams(**values)

    def _show_config(self, config: MonitorConfig) -> None:
        """Declare the thresholds, to be read and not to be set."""
        for item in fields(config):
            unit = item.metadata["unit"]
            doc = item.metadata["doc"]
            descriptor = ParameterDescriptor(
                description=f"{doc} Unit: {unit}." if unit else doc, read_only=True
            )
            value = getattr(config, item.name)
            self.declare_parameter(item.name, value, descriptor, ignore_override=True)

    def _subscribe(self, robot: Robot, config: MonitorConfig) -> None:
        subscribe = Bounded(self).subscribe
        arm, gripper = robot.arm_controller, robot.gripper.controller
        trajectory = trajectory_bytes(len(robot.limits.joint_names))
        for topic, take, refused in (
            ("~/joint_trajectory_in", self._on_plan, self._on_unread_plan),
            ("~/gripper_trajectory_in", self._on_gripper, None),
        ):
            subscribe(
                JointTrajectory,
                topic,
                take,
                qos.TRAJECTORY,
                most_bytes=trajectory,
                refused=refused,
            )
        state = partial(subscribe, most_bytes=STATE_BYTES)
        cycle = JointTrajectoryControllerState
        state(JointState, "joint_states", self._on_joint_states, qos.INPUT)
        state(cycle, f"{arm}/controller_state", self._on_controller_state, qos.INPUT)
        state(cycle, f"{gripper}/controller_state", self._on_gripper_state, qos.INPUT)
        state(PolicyStatus, "vla_policy_node/status", self._on_policy, qos.HEARTBEAT)
        if config.driver_states_topic:
            state(JointState, config.driver_states_topic, self._on_driver_states, qos.SENSOR)
        if config.servo_status:
            take, most = self._on_diagnostic, DIAGNOSTICS_BYTES
            subscribe(DiagnosticArray, "/diagnostics", take, qos.HEALTH, most_bytes=most)
        if config.controller_manager and ControllerManagerActivity is not None:
            topic = f"{config.controller_manager}/activity"
            state(ControllerManagerActivity, topic, self._on_activity, qos.ACTIVITY)

    def _now(self) -> Now:
        return self._motion.now()

    # -- inputs ----------------------------------------------------------------------------------

    def _on_plan(self, msg: JointTrajectory) -> None:
        self._send(self._monitor.on_plan(convert.trajectory_from(msg), self._now()))

    def _on_unread_plan(self, why: str) -> None:
        self._send(self._monitor.on_unread_plan(why, self._now()))

    def _on_gripper(self, msg: JointTrajectory) -> None:
        self._send(self._monitor.on_gripper(convert.trajectory_from(msg), self._now()))

    def _on_joint_states(self, msg: JointState) -> None:
        message = convert.joint_states_from(msg)
        self._send(self._monitor.on_joint_states(message, self._now()))

    def _on_controller_state(self, msg: JointTrajectoryControllerState) -> None:
        message = convert.controller_state_from(msg)
        self._send(self._monitor.on_controller_state(message, self._now()))

    def _on_gripper_state(self, msg: JointTrajectoryControllerState) -> None:
        self._monitor.on_gripper_state(convert.controller_state_from(msg))

    def _on_driver_states(self, msg: JointState) -> None:
        message = convert.joint_states_from(msg)
        self._send(self._monitor.on_driver_states(message, self._now()))

    def _on_diagnostic(self, msg: DiagnosticArray) -> None:
        self._send(self._monitor.on_servos(convert.servos_from(msg), self._now()))

    def _on_activity(self, msg: Any) -> None:
        label = convert.activity_from(msg, self._arm_controller)
        self._send(self._monitor.on_activity(label, self._now()))

    def _on_policy(self, _: PolicyStatus) -> None:
        self._monitor.on_policy(self._now())

    def _on_parameters(self, controller: str, problem: str) -> None:
        self._send(self._monitor.on_controller_parameters(controller, problem))

    def _on_answer(self, answer: Answer) -> None:
        self._send(self._monitor.on_answer(answer, self._now()))

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message, outputs = self._monitor.request_stop(
            "~/stop was called", self._now()
        )
        self._send(outputs)
        return response

    async def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        accepted, message, outputs = self._monitor.request_reset(self._now())
        if accepted is None:
            self._reset = Future()
        self._send(outputs)
        if accepted is None:
            # The controller is being activated; the answer waits for it, the node does not.
            verdict = await self._reset
            accepted, message = verdict.accepted, verdict.message
        response.success, response.message = accepted, message
        return response

    def _on_tick(self) -> None:
        self._send(self._monitor.tick(self._now()))
        self._ticks += 1
        if self._ticks % TICKS_PER_STATE == 0:
            self._publish_state()
        self._motion.acknowledge()

    def _on_graph(self) -> None:
        others: list[str] = []
        for publisher in (self._arm, self._gripper):
            topic = publisher.topic_name
            names = [
                f"{info.node_namespace.rstrip('/')}/{info.node_name}"
                for info in self.get_publishers_info_by_topic(topic)
            ]
            # One of them is this node's own; a second of the same name is not.
            own = self.get_fully_qualified_name()
            if own in names:
                names.remove(own)
            others += [f"{name} publishes on {topic}" for name in names]
        self._send(self._monitor.on_publishers(tuple(others), self._now()))

    # -- outputs ---------------------------------------------------------------------------------

    def _send(self, outputs: Outputs) -> None:
        if outputs is NOTHING:
            return
        for trajectory in outputs.arm:
            self._arm.publish(convert.trajectory_to(trajectory))
        for trajectory in outputs.gripper:
            self._gripper.publish(convert.trajectory_to(trajectory))
        for call in outputs.calls:
            self._calls.make(call)
        for line in outputs.log:
            # One call site a level, as rclpy demands.
            if line.level is Level.ERROR:
                self.get_logger().error(line.text)
            elif line.level is Level.WARN:
                self.get_logger().warning(line.text)
            else:
                self.get_logger().info(line.text)
        if outputs.changed:
            self._publish_state()
        if outputs.reset is not None and self._reset is not None:
            self._reset.set_result(outputs.reset)

    def _publish_state(self) -> None:
        stamp_ns = self.get_clock().now().nanoseconds
        self._state.publish(convert.state_to(self._monitor.snapshot(), stamp_ns))

    def _on_smoothness(self) -> None:
        window_s = self._monitor.config.smoothness_window_s
        stamp_ns = self.get_clock().now().nanoseconds
        self._smoothness.publish(smoothness_to(self._monitor.smoothness(), window_s, stamp_ns))

    def _on_diagnostics(self) -> None:
        name, snapshot = self.get_name(), self._monitor.snapshot()
        stamp_ns = self.get_clock().now().nanoseconds
        msg = convert.diagnostics_to(name, snapshot, self._monitor.reports(), stamp_ns)
        smoothness = self._monitor.smoothness()
        msg.status.append(smoothness_status(name, smoothness, snapshot.slow_reason))
        self._diagnostics.publish(msg)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node.

    Returns:
        0 after an orderly end, 2 after a configuration error.
    """
    return run("smoothness_monitor", SmoothnessMonitor, args)


if __name__ == "__main__":
    sys.exit(main())
