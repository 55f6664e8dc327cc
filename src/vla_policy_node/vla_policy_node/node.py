# SPDX-License-Identifier: Apache-2.0
"""The node: parameters, messages in, messages out. What it decides is decided in `core`."""

from __future__ import annotations

import sys
import time
from dataclasses import fields
from functools import partial

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import ActionChunk, MonitorStatus, PolicyStatus

from node_kit import log, qos
from node_kit.clock import MotionClock
from node_kit.declare import declare
from node_kit.parameters import ParameterError, check
from node_kit.run import run
from smooth_motion import MotionError, Plan
from vla_contract.contract import ContractError, ImageSource, StateSource
from vla_contract.robot import RobotConfigError
from vla_policy_node import convert
from vla_policy_node.chunk_sources import ChunkSources
from vla_policy_node.core.inference import Inference
from vla_policy_node.core.loading import assemble, load
from vla_policy_node.core.outputs import StepOutputs
from vla_policy_node.overlap_check import OverlapCheck
from vla_policy_node.params import PolicyNodeParameters
from vla_policy_node.run_policy import RunPolicyServer

TICK_S = 0.01
STARTUP_CHECK_S = 0.5
# How often it is looked for an answer while simulated time waits for it.
HOLD_S = 0.005
CLOSE_TIMEOUT_S = 2.0


class PolicyNode(Node):
    """Feeds runner and executor with what arrives and publishes what they decide."""

    def __init__(self) -> None:
        """Read the configuration, load the policy and connect.

        Raises:
            ParameterError: A parameter is missing or wrong.
            RobotConfigError: The robot file cannot be used.
            ContractError: The contract cannot be used.
        """
        super().__init__("vla_policy_node")
        self._settings = declare(self, PolicyNodeParameters)
        loaded = load(self._settings)
        self._contract = loaded.contract
        self._arm_joints = loaded.robot.limits.joint_names
        self._gripper_joints = (loaded.robot.gripper.joint,)
        self._policy_id = loaded.policy.spec.policy_id
        self._motion = MotionClock(self)
        latency_s = self._settings.simulated_latency_s if self._motion.simulated else 0.0
        latency_ns = round(latency_s * convert.SECOND_NS)
        self._inference = Inference(
            loaded.policy, loaded.timeout_ns, time.monotonic_ns, latency_ns, loaded.warm_up_ns
        )
        # What a run of this node before this one granted is not granted by this one.
        self._executor, self._runner = assemble(
            loaded,
            self._inference,
            self._settings,
            time.monotonic_ns,
            self._motion.elapsed_ns,
            lease_base=time.time_ns(),
        )
        self._reported: tuple[object, ...] = ()
        self._publish_to()
        self._subscribe_to(loaded.robot.arm_controller, loaded.robot.gripper.controller)
        self._action = RunPolicyServer(self, self._runner, self._motion.elapsed_ns)
        timeout_s = self._settings.source_timeout_s
        self._sources = ChunkSources(self, self._executor, self._motion, timeout_s)
        OverlapCheck(self, lambda: self._settings.overlap_s, self.get_logger().error)
        self.add_on_set_parameters_callback(self._on_set)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._began_ns = time.monotonic_ns()
        self._startup = self.create_timer(STARTUP_CHECK_S, self._check_startup, clock=steady)
        self.create_timer(TICK_S, self._tick, clock=self._motion.timers)
        # Looks for the answer that simulated time waits for.
        self._hold = self.create_timer(HOLD_S, self._tick, clock=steady)
        self.create_timer(self._settings.status_period_s, self._report, clock=self._motion.timers)
        self.get_logger().info(f"{self._policy_id} is loaded; give an instruction")

    def destroy_node(self) -> None:
        """End the policy's thread, and the node."""
        if not self._inference.close(CLOSE_TIMEOUT_S):
            self.get_logger().warn(f"{self._policy_id} does not return; it is left behind")
        super().destroy_node()

    # -- set-up -----------------------------------------------------------------------------------

    def _publish_to(self) -> None:
        trajectory, depth = JointTrajectory, qos.TRAJECTORY
        self._arm = self.create_publisher(trajectory, "arm/plan", depth)
        self._gripper = self.create_publisher(trajectory, "gripper/plan", depth)
        self._chunk = self.create_publisher(ActionChunk, "~/action_chunk", qos.EACH)
        self._status = self.create_publisher(PolicyStatus, "~/status", qos.LATCHED)

    def _subscribe_to(self, arm: str, gripper: str) -> None:
        subscribe = self.create_subscription
        self._features = {}
        for image in self._contract.images:
            kind = CompressedImage if image.compressed else Image
            self._features[image.feature] = subscribe(
                kind, image.topic, partial(self._on_image, image), qos.IMAGE
            )
        for state in self._contract.states:
            self._features[state.feature] = subscribe(
                JointState, state.topic, partial(self._on_joint_state, state), qos.SENSED
            )
        subscribe(String, "~/instruction", self._on_instruction, qos.EACH)
        subscribe(MonitorStatus, "smoothness_monitor/state", self._on_monitor, qos.LATCHED)
        reference = JointTrajectoryControllerState
        subscribe(reference, f"{arm}/controller_state", self._on_arm, qos.SENSED)
        subscribe(JointTrajectory, f"{arm}/joint_trajectory", self._on_command, qos.EACH)
        subscribe(reference, f"{gripper}/controller_state", self._on_gripper, qos.SENSED)

    def _check_startup(self) -> None:
        """Leave when a topic of the contract has no publisher, once there was time for one."""
        silent = [
            (feature, subscription.topic_name)
            for feature, subscription in self._features.items()
            if self.count_publishers(subscription.topic_name) == 0
        ]
        timeout_s = self._settings.startup_timeout_s
        if not silent:
            self._startup.cancel()
        elif time.monotonic_ns() - self._began_ns > timeout_s * convert.SECOND_NS:
            feature, topic = silent[0]
            raise self._contract.error(
                f"observation.{feature}.topic",
                f"no publisher on {topic} after {timeout_s:g} s; start what publishes it, or "
                "write or remap to the topic that there is",
            )

    # -- what arrives -----------------------------------------------------------------------------

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _on_image(self, source: ImageSource, msg: Image | CompressedImage) -> None:
        stamp_ns, steady_ns = convert.to_ns(msg.header.stamp), self._motion.elapsed_ns()
        observations = self._runner.observations
        try:
            pixels = convert.to_pixels(msg, source.encoding, source.read_as)
        except convert.MessageError as error:
            observations.refuse(source.feature, str(error), stamp_ns, steady_ns)
        else:
            observations.image(source.feature, pixels, stamp_ns, steady_ns)

    def _on_joint_state(self, source: StateSource, msg: JointState) -> None:
        self._runner.observations.state(
            source.feature,
            msg.name,
            np.array(getattr(msg, source.field), dtype=np.float64),
            convert.to_ns(msg.header.stamp),
            self._motion.elapsed_ns(),
        )

    def _on_monitor(self, msg: MonitorStatus) -> None:
        self._executor.monitor(convert.to_monitor(msg), self._motion.elapsed_ns())

    def _on_arm(self, msg: JointTrajectoryControllerState) -> None:
        try:
            report = convert.to_report(msg, self._arm_joints)
        except convert.MessageError as error:
            self._executor.complain(f"controller_state of the arm: {error}")
        else:
            self._executor.arm(report, *self._motion.now())

    def _on_command(self, msg: JointTrajectory) -> None:
        try:
            plan = convert.to_plan(msg)
        except MotionError:
            # Another node's. If the controller runs it, its state will tell.
            return
        self._executor.heard(plan, self._now_ns())

    def _on_gripper(self, msg: JointTrajectoryControllerState) -> None:
        try:
            report = convert.to_report(msg, self._gripper_joints)
        except convert.MessageError as error:
            self._executor.complain(f"controller_state of the gripper: {error}")
        else:
            self._executor.gripper(report, self._motion.elapsed_ns())

    def _on_instruction(self, msg: String) -> None:
        self._runner.instruct(msg.data, self._motion.elapsed_ns())

    def _on_set(self, changes: list[Parameter]) -> SetParametersResult:
        values = {
            spec.name: self.get_parameter(spec.name).value for spec in fields(PolicyNodeParameters)
        }
        changed = {change.name: change.value for change in changes if change.name in values}
        try:
            changed_to = check(PolicyNodeParameters, {**values, **changed})
            self._executor.raw = changed_to.planner == "raw"
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    # -- what leaves ------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._action.cancel_where_asked()
        self._publish(self._runner.step(*self._motion.now()))
        status = self._runner.status(self._motion.elapsed_ns())
        if status.digest != self._reported:
            self._reported = status.digest
            self._status.publish(convert.from_status(status, self._now_ns()))
        self._sources.report(changed=True)
        if not self._motion.simulated:
            return
        if self._inference.holds(self._motion.elapsed_ns()):
            self._motion.hold()
            self._hold.reset()
        else:
            self._hold.cancel()
            self._motion.acknowledge()

    def _publish(self, outputs: StepOutputs) -> None:
        # The trajectories first: everything else can wait.
        if isinstance(outputs.arm, Plan):
            self._arm.publish(convert.from_plan(outputs.arm))
        elif outputs.arm is not None:
            self._arm.publish(convert.from_rows(outputs.arm))
        if outputs.gripper is not None:
            self._gripper.publish(convert.from_rows(outputs.gripper))
        if outputs.chunk is not None:
            self._chunk.publish(convert.from_chunk(outputs.chunk))
        for ended in outputs.ended:
            self._action.ended(ended)
        for line in outputs.log:
            log.write(self.get_logger(), line)

    def _report(self) -> None:
        status = self._runner.status(self._motion.elapsed_ns())
        self._status.publish(convert.from_status(status, self._now_ns()))
        self._action.feed_back(status)
        self._sources.report()


def main() -> int:
    """Run the node until it is shut down; return 2 if its configuration cannot be used."""
    errors = (ContractError, ParameterError, RobotConfigError)
    return run("vla_policy_node", PolicyNode, errors)


if __name__ == "__main__":
    sys.exit(main())
