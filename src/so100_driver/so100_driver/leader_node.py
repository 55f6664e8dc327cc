# SPDX-License-Identifier: Apache-2.0
"""A leader arm as a source of chunks: a person moves it, and the follower does the same.

Its servos have no torque, and nothing is written to them. `~/teleop` takes the follower over, from
a policy in motion too, and gives it back: a policy that was interrupted goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import numpy as np
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import SetBool
from vla_msgs.msg import ActionChunk, ExecutorStatus, PolicyStatus
from vla_msgs.srv import AcquireArm, ReleaseArm

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.declare import declare
from node_kit.led import LedJoints
from node_kit.messages import to_ns, to_time
from node_kit.parameters import ParameterError
from node_kit.run import run
from so100_driver.bus import BusError
from so100_driver.connection import DriverError, connect
from so100_driver.core.leader import FloatArray, LeaderArm, LeaderSettings, as_far_open
from so100_driver.core.orders import ArmLimits
from so100_driver.cycle_thread import CycleThread
from so100_driver.params import LeaderParameters
from so100_driver.saying import Saying
from vla_contract.robot import RobotConfigError, load_robot

SOURCE = "leader arm"
CHUNK_S = 0.05


class LeaderNode(Node):
    """Reads a leader arm and, while it holds the follower, sends chunks.

    Raises:
        ParameterError: A parameter is missing or wrong.
        RobotConfigError: The robot file is.
        DriverError: The leader cannot be read as asked.
    """

    def __init__(self) -> None:
        super().__init__("leader_arm")
        given = declare(self, LeaderParameters)
        robot = load_robot(given.robot_file)
        self._motion, self._saying = MotionClock(self), Saying()
        limits, gripper = robot.limits, robot.gripper
        self._joints = (*limits.joint_names, gripper.joint)
        lower = np.append(limits.position_lower, gripper.position_lower)
        upper = np.append(limits.position_upper, gripper.position_upper)
        self._settings = LeaderSettings(
            delay_s=given.delay_s, catch_up_rad_s=given.catch_up_rad_s, gap_s=given.stale_s
        )
        self._leader = LeaderArm(lower, upper, self._settings)
        ends = zip(lower.tolist(), upper.tolist(), strict=True)
        ranges = dict(zip(self._joints, ends, strict=True))
        self._bus, self._loop = connect(
            given.port,
            given.calibration_file,
            ranges,
            ArmLimits(stale_s=given.stale_s),
            given.answer_timeout_s,
        )
        scale = self._loop.arm.scales[gripper.joint]
        self._handle = (scale.lower_rad, scale.upper_rad)
        self._jaws = (gripper.position_lower, gripper.position_upper)
        self._refuse_torque()
        self._lease, self._granted_ns, self._wanted, self._resume = 0, 0, False, ""
        self._policy = PolicyStatus()
        self._arm = LedJoints(self, robot.arm_controller, limits.joint_names, self._motion)
        self._gripper = LedJoints(self, gripper.controller, (gripper.joint,), self._motion)
        self._chunks = self.create_publisher(ActionChunk, "arm/action_chunk", qos.EACH)
        self._instruction = self.create_publisher(String, "vla_policy_node/instruction", qos.EACH)
        self.create_subscription(
            ExecutorStatus, "arm/executor_status", self._on_executor, qos.LATCHED
        )
        self.create_subscription(
            PolicyStatus, "vla_policy_node/status", self._on_policy, qos.LATCHED
        )
        self._acquire = self.create_client(AcquireArm, "arm/acquire")
        self._release = self.create_client(ReleaseArm, "arm/release")
        self.create_service(SetBool, "~/teleop", self._on_teleop)
        self._count = 0
        self._thread: CycleThread | None = None
        self.create_timer(CHUNK_S, self._on_chunk_due, clock=self._motion.timers)
        if self._motion.simulated:
            self.create_timer(1.0 / given.rate_hz, self._on_period, clock=self._motion.timers)
        else:
            self._thread = CycleThread(1.0 / given.rate_hz, self._read, self._on_failure)
            self._thread.start()
        self.get_logger().info(f"reading a leader arm at {given.port}; ~/teleop takes over")

    def destroy_node(self) -> None:
        """Give the follower back, and leave."""
        if self._thread is not None:
            self._thread.end()
        self._bus.close()
        super().destroy_node()

    def _refuse_torque(self) -> None:
        names = {scale.servo_id: name for name, scale in self._loop.arm.scales.items()}
        try:
            stiff = [
                name for number, name in names.items() if self._bus.read(number, "Torque_Enable")
            ]
        except BusError as error:
            raise DriverError(str(error)) from error
        if stiff:
            self._bus.close()
            raise DriverError(
                f"{', '.join(stiff)} of the leader arm has torque: it cannot be moved by hand. Is "
                "it the follower's port? Else end what drives it, and switch its supply off and on"
            )

    # -- the leader ------------------------------------------------------------------------------

    def _read(self) -> None:
        now_ns, steady_ns = self._motion.now()
        arm = self._loop.arm
        self._loop.step(steady_ns * 1e-9)
        with self._loop.lock:
            silent, measured = arm.silent(steady_ns * 1e-9), arm.measured_rad
            if not silent:
                positions = np.array([measured[name] for name in self._joints])
                positions[-1] = as_far_open(float(positions[-1]), self._handle, self._jaws)
                self._leader.hear(positions, now_ns * 1e-9)

    def _on_period(self) -> None:
        self._read()
        self._motion.acknowledge()

    def _on_failure(self, error: Exception) -> None:
        if self.context.ok():
            self._warn(f"a reading failed: {type(error).__name__}: {error}")

    # -- the follower ----------------------------------------------------------------------------

    def _on_teleop(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if request.data:
            response.message = self._ask()
        else:
            response.message = self._give_back("asked to", goes_on=True)
        response.success = not response.message
        return response

    def _ask(self) -> str:
        """Ask for the follower; return why not, empty where it is asked."""
        if self._lease or self._wanted:
            return ""
        now_ns = self._motion.now().ros_ns
        with self._loop.lock:
            silent = self._leader.silent(now_ns * 1e-9)
        if silent:
            return "the leader arm does not answer"
        if self._led(now_ns * 1e-9) is None:
            return "nothing is heard of the follower's controllers"
        if not self._acquire.service_is_ready():
            return "nobody carries chunks out: is the policy node there?"
        running = self._policy.state in (PolicyStatus.WAITING, PolicyStatus.RUNNING)
        self._resume = self._policy.instruction if running else ""
        self._wanted = True
        request = AcquireArm.Request(source=SOURCE, take_over=True)
        self._acquire.call_async(request).add_done_callback(self._on_answer)
        return ""

    def _on_answer(self, future: Future) -> None:
        answer = future.result()
        wanted, self._wanted = self._wanted, False
        if answer is None or not answer.granted:
            reason = "no answer" if answer is None else answer.message
            self._warn(f"the follower is not granted: {reason}")
            return
        self._lease, self._granted_ns = answer.lease, self._motion.now().ros_ns
        if not wanted:
            self._give_back("asked to meanwhile", goes_on=True)
            return
        now_s = self._motion.now().ros_ns * 1e-9
        led = self._led(now_s + self._settings.lead_s)
        if led is None:
            self._give_back("its controllers fell silent", goes_on=False)
            return
        with self._loop.lock:
            self._leader.take_over(led, now_s)
        self.get_logger().info("the follower does what the leader does")
        self._on_chunk_due()

    def _give_back(self, why: str, *, goes_on: bool) -> str:
        """Give the follower back; its plan ends at rest, or a policy goes on from it."""
        if not self._lease:
            # An answer may still be under way.
            self._wanted = False
            return ""
        request = ReleaseArm.Request(lease=self._lease)
        self._lease = 0
        then: Callable[[Future], None] = partial(
            self._on_released, self._resume if goes_on else ""
        )
        self._release.call_async(request).add_done_callback(then)
        self.get_logger().info(f"the follower is given back: {why}")
        return ""

    def _on_released(self, instruction: str, _: Future) -> None:
        if instruction:
            self.get_logger().info(f"the policy goes on: {instruction}")
            self._instruction.publish(String(data=instruction))

    def _on_chunk_due(self) -> None:
        if not self._lease:
            return
        now_ns = self._motion.now().ros_ns
        with self._loop.lock:
            silent = self._leader.silent(now_ns * 1e-9)
            rows = None if silent else self._leader.rows(now_ns * 1e-9)
        if rows is None:
            self._warn("the leader arm does not answer")
            self._give_back("the leader is silent", goes_on=False)
            return
        self._count += 1
        msg = ActionChunk(
            lease=self._lease,
            chunk_id=self._count,
            source=SOURCE,
            joint_names=list(self._joints),
            shape=list(rows.shape),
            dt=self._settings.row_s,
            positions=rows.ravel().tolist(),
        )
        msg.header.stamp = to_time(now_ns)
        self._chunks.publish(msg)

    def _on_executor(self, msg: ExecutorStatus) -> None:
        # What was published before the grant knows nothing of it.
        if self._lease and to_ns(msg.header.stamp) > self._granted_ns and msg.lease != self._lease:
            self._lost(f"{msg.holder} has it" if msg.lease else msg.last_end)

    def _lost(self, why: str) -> None:
        self._lease = 0
        self._warn(f"the follower is lost: {why}")

    def _on_policy(self, msg: PolicyStatus) -> None:
        self._policy = msg

    def _led(self, time_s: float) -> FloatArray | None:
        time_ns = round(time_s * 1e9)
        arm, gripper = self._arm.at(time_ns), self._gripper.at(time_ns)
        return None if arm is None or gripper is None else np.concatenate([arm, gripper])

    def _warn(self, text: str) -> None:
        if self._saying.new(text, self._motion.elapsed_ns() * 1e-9):
            self.get_logger().warning(text)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to end.

    Returns:
        0 after a shutdown, 2 when the leader cannot be read or the configuration is wrong.
    """
    return run("leader_arm", LeaderNode, (ParameterError, RobotConfigError, DriverError), args)


if __name__ == "__main__":
    sys.exit(main())
