# SPDX-License-Identifier: Apache-2.0
"""The node: parameters, conversion and I/O. Every decision is made in `core`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from control_msgs.msg import JointTrajectoryControllerState
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import MonitorStatus, PolicyStatus, Smoothness

try:
    from controller_manager_msgs.msg import ControllerManagerActivity
except ImportError:  # Humble: stale_controller_state has to find an inactive controller there.
    ControllerManagerActivity = None

from node_kit import messages, qos
from node_kit.clock import MotionClock
from node_kit.declare import declare, show
from node_kit.parameters import ParameterError
from node_kit.run import run
from smoothness_monitor import convert, graph
from smoothness_monitor.convert_smoothness import smoothness_status, smoothness_to
from smoothness_monitor.core.monitor import Monitor
from smoothness_monitor.core.types import NOTHING, CallResult, MonitorOutputs
from smoothness_monitor.guard import Guard
from smoothness_monitor.ladder_calls import LadderCalls
from smoothness_monitor.latch_file import LatchFile, file_of
from smoothness_monitor.outgoing import Outgoing
from smoothness_monitor.parameter_reader import read_parameters
from smoothness_monitor.params import ConfigError, MonitorConfig, NodeParams, load_files
from smoothness_monitor.plugins import load_detectors
from smoothness_monitor.subscribe import DIAGNOSTICS_BYTES, STATE_BYTES, Bounded, trajectory_bytes
from vla_contract.robot import Robot, RobotConfigError

TICK_S = 0.01
TICKS_PER_STATE = 4
GRAPH_S = 1.0
DIAGNOSTICS_S = 1.0


class SmoothnessMonitor(Node):
    """The only writer to the controllers' topics."""

    def __init__(self) -> None:
        """Read the parameters and connect.

        Raises:
            ParameterError: A file is not named.
            ConfigError: The monitor file is wrong.
            RobotConfigError: The robot file is wrong.
        """
        super().__init__("smoothness_monitor")
        params = declare(self, NodeParams)
        robot, config, space = load_files(params, self.get_namespace())
        show(self, config)
        try:
            self._monitor = Monitor(robot, config, load_detectors(robot, config), space)
        except ValueError as error:
            raise ConfigError(f"detectors: {error}") from error
        self._guard = guard = Guard(self._on_error, self.get_logger().error)
        self._motion = MotionClock(self, guard.deciding(self._on_doubtful_clock))
        self._now = self._motion.now
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._ticks = 0
        self._reset: Future | None = None
        self._robot, self._arm_controller = robot.name, robot.arm_controller
        self._calls = LadderCalls(self, robot, config, guard.deciding(self._on_answer))
        held_up = self._monitor.on_held_up
        self._outgoing = Outgoing(self, guard, robot, self._calls.make, held_up, self._now)
        self._state = self.create_publisher(MonitorStatus, "~/state", qos.LATCHED)
        self._smoothness = self.create_publisher(Smoothness, "~/smoothness", qos.NEWEST)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.NEWEST)
        self._bounded = Bounded(self, guard)
        self._subscribe(robot, config)
        read_parameters(self, robot, config, guard.deciding(self._on_parameters), guard)
        self.create_service(Trigger, "~/stop", guard.deciding(self._on_stop))
        # In a group of its own: while a reset waits for the controller, all else goes on.
        group = MutuallyExclusiveCallbackGroup()
        on_reset = guard.deciding(self._on_reset)
        self.create_service(Trigger, "~/reset", on_reset, callback_group=group)
        self.create_timer(TICK_S, guard.deciding(self._on_tick), clock=self._motion.timers)
        self.create_timer(GRAPH_S, guard.deciding(self._on_graph), clock=steady)
        period_s = 1.0 / config.smoothness_rate_hz
        on_smoothness = guard.telling(self._on_smoothness)
        self.create_timer(period_s, on_smoothness, clock=self._motion.timers)
        self.create_timer(DIAGNOSTICS_S, guard.telling(self._on_diagnostics), clock=steady)
        # Last, for from here on it counts how the process ends.
        self._latch = self._open_latch(params.latch_folder, robot.name)
        guarded = "" if space else "; plans are not judged by where they lead: no workspace file"
        self.get_logger().info(f"{robot.name}: thresholds {params.monitor_file}{guarded}")

    def _open_latch(self, folder: str, robot: str) -> LatchFile:
        """Begin as the process before ended: latched where it was, or where nobody knows."""
        domain = os.environ.get("ROS_DOMAIN_ID") or "0"
        path = file_of(folder, self.get_fully_qualified_name(), domain)
        latch = LatchFile(path, robot)
        if latch.found.why:
            locked_out = latch.found.locked_out
            why = latch.found.why
            self._send(self._monitor.restore(why, locked_out=locked_out, now=self._now()))
        self.get_logger().info(f"the latch is kept in {path}")
        return latch

    def destroy_node(self) -> None:
        """Note how the process ends."""
        latch: LatchFile | None = getattr(self, "_latch", None)
        if latch is not None:
            latch.close(self._monitor.latch)
        super().destroy_node()

    def _subscribe(self, robot: Robot, config: MonitorConfig) -> None:
        bounded = self._bounded
        arm, gripper = robot.arm_controller, robot.gripper.controller
        most = trajectory_bytes(len(robot.limits.joint_names))
        plans = partial(
            bounded.subscribe, JointTrajectory, profile=qos.TRAJECTORY, most_bytes=most
        )
        plans("arm/plan", self._on_plan, refused=self._on_unread_plan)
        plans("gripper/plan", self._on_gripper)
        state = partial(bounded.subscribe, most_bytes=STATE_BYTES)
        arms = partial(state, profile=qos.ALL_SENSED, at_once=True)
        cycle = JointTrajectoryControllerState
        take, driver = self._on_controller_state, config.driver_states_topic
        arms(cycle, f"{arm}/controller_state", take, source="controller_state")
        arms(cycle, f"{gripper}/controller_state", self._on_gripper_state)
        arms(JointState, "joint_states", self._on_joint_states, source="joint_states")
        policy = "vla_policy_node/status"
        state(PolicyStatus, policy, self._on_policy, qos.LATCHED, source="policy")
        if driver:
            take = self._on_driver_states
            arms(JointState, driver, take, source="driver_states")
        if config.servo_status:
            servos = partial(state, most_bytes=DIAGNOSTICS_BYTES, source="servo_status")
            servos(DiagnosticArray, "/diagnostics", self._on_diagnostic, qos.EACH)
        if config.controller_manager and ControllerManagerActivity is not None:
            topic = f"{config.controller_manager}/activity"
            state(ControllerManagerActivity, topic, self._on_activity, qos.LATCHED)

    # -- inputs ----------------------------------------------------------------------------------

    def _on_plan(self, msg: JointTrajectory) -> None:
        self._send(self._monitor.on_plan(messages.trajectory_from(msg), self._now()))

    def _on_unread_plan(self, why: str) -> None:
        self._send(self._monitor.on_unread_plan(why, self._now()))

    def _on_gripper(self, msg: JointTrajectory) -> None:
        self._send(self._monitor.on_gripper(messages.trajectory_from(msg), self._now()))

    def _on_joint_states(self, msg: JointState) -> None:
        message = messages.joint_states_from(msg)
        self._send(self._monitor.on_joint_states(message, self._now()))

    def _on_controller_state(self, msg: JointTrajectoryControllerState) -> None:
        message = messages.controller_state_from(msg)
        self._send(self._monitor.on_controller_state(message, self._now()))

    def _on_gripper_state(self, msg: JointTrajectoryControllerState) -> None:
        self._monitor.on_gripper_state(messages.controller_state_from(msg))

    def _on_driver_states(self, msg: JointState) -> None:
        message = messages.joint_states_from(msg)
        self._send(self._monitor.on_driver_states(message, self._now()))

    def _on_diagnostic(self, msg: DiagnosticArray) -> None:
        statuses = convert.servos_from(msg, self._monitor.config.servo_status)
        self._send(self._monitor.on_servos(statuses, self._now()))

    def _on_activity(self, msg: Any) -> None:
        label = convert.activity_from(msg, self._arm_controller)
        self._send(self._monitor.on_activity(label, self._now()))

    def _on_policy(self, msg: PolicyStatus) -> None:
        self._monitor.on_policy(messages.to_ns(msg.header.stamp), self._now())

    def _on_parameters(self, controller: str, problem: str) -> None:
        self._send(self._monitor.on_controller_parameters(controller, problem))

    def _on_answer(self, answer: CallResult) -> None:
        self._send(self._monitor.on_answer(answer, self._now()))

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._bounded.take_waiting()
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
        self._bounded.take_waiting()
        self._send(self._monitor.tick(self._now()))
        self._ticks += 1
        if self._ticks % TICKS_PER_STATE == 0:
            self._publish_state()
        self._motion.acknowledge()

    def _on_doubtful_clock(self, why: str) -> None:
        self._send(self._monitor.on_doubtful_clock(why, self._now()))

    def _on_graph(self) -> None:
        others = graph.others(self, self._outgoing.publishers, self._motion.topic)
        self._send(self._monitor.on_publishers(others, self._now()))
        self._send(self._monitor.on_silent_clock(self._motion.silent_s))
        self._guard.telling(self._tell_silences)()

    def _tell_silences(self) -> None:
        self._monitor.on_graph(graph.silences(self, self._bounded.inputs))
        if self._latch.problem:
            self.get_logger().error(self._latch.problem, throttle_duration_sec=60.0)

    def _on_error(self, words: str) -> None:
        self._send(self._monitor.on_internal_error(words, self._now()))

    def survive(self, error: Exception) -> None:
        """Take in what escaped from a callback, of whatever kind."""
        self._guard.caught(error, "the executor")

    # -- outputs ---------------------------------------------------------------------------------

    def _send(self, outputs: MonitorOutputs) -> None:
        if outputs is NOTHING:
            return
        self._outgoing.send(outputs)
        self._latch_soon()
        if outputs.changed:
            self._publish_state()
        if outputs.reset is not None and self._reset is not None:
            self._reset.set_result(outputs.reset)

    def _latch_soon(self) -> None:
        latch: LatchFile | None = getattr(self, "_latch", None)
        if latch is not None:
            latch.note(self._monitor.latch)

    def _publish_state(self) -> None:
        self._guard.telling(self._tell_state)()

    def _tell_state(self) -> None:
        stamp_ns = self.get_clock().now().nanoseconds
        self._state.publish(convert.state_to(self._monitor.snapshot(), stamp_ns))

    def _on_smoothness(self) -> None:
        window_s = self._monitor.config.smoothness_window_s
        stamp_ns = self.get_clock().now().nanoseconds
        self._smoothness.publish(smoothness_to(self._monitor.smoothness(), window_s, stamp_ns))

    def _on_diagnostics(self) -> None:
        snapshot, reports = self._monitor.snapshot(), self._monitor.reports()
        name = messages.distinct(self.get_namespace(), self.get_name())
        smoothness = smoothness_status(name, self._monitor.smoothness(), snapshot.slow_reason)
        msg = convert.diagnostics_to(
            name,
            snapshot,
            reports,
            smoothness,
            hardware_id=messages.distinct(self.get_namespace(), self._robot),
            stamp_ns=self.get_clock().now().nanoseconds,
        )
        self._diagnostics.publish(msg)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node.

    Returns:
        0 after an orderly end, 2 after a configuration error.
    """
    wrong = (ParameterError, ConfigError, RobotConfigError)
    return run("smoothness_monitor", SmoothnessMonitor, wrong, args)


if __name__ == "__main__":
    sys.exit(main())
