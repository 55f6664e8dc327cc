# SPDX-License-Identifier: Apache-2.0
"""A scripted operator on a launched simulation: instructs, takes over by chunks, records."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from numpy.typing import NDArray
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger
from vla_msgs.action import RecordEpisode
from vla_msgs.msg import ActionChunk, ExecutorStatus, MonitorStatus, PolicyStatus
from vla_msgs.srv import AcquireArm, ReleaseArm, ResetScene

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.led import LedJoints
from node_kit.messages import to_ns, to_time
from vla_contract.robot import load_robot

TOP = Path(__file__).resolve().parents[1]
OPERATOR = "scripted operator"
START_S, STEP_S = 600.0, 120.0
# From a chunk to where its plan takes over: what is led begins there.
LEAD_NS = 300_000_000
CHUNK_S = 0.1


class Hands(Node):
    """Gives instructions, takes over, records, and sees what is commanded."""

    def __init__(self) -> None:
        super().__init__(
            "hands", parameter_overrides=[Parameter("use_sim_time", Parameter.Type.BOOL, True)]
        )
        robot = load_robot(TOP / "config" / "robots" / "so101" / "robot.yaml")
        self.joints = (*robot.limits.joint_names, robot.gripper.joint)
        self.motion = MotionClock(self)
        self.position = dict.fromkeys(self.joints, float("nan"))
        # Times and references of the arm, while they are wanted.
        self.seen: list[tuple[int, list[float]]] | None = None
        self.holder, self.policy_state, self.monitor = "", -1, MonitorStatus()
        self.feedback = RecordEpisode.Feedback()
        self._arm = robot.limits.joint_names
        self._led = (
            LedJoints(self, robot.arm_controller, robot.limits.joint_names, self.motion),
            LedJoints(self, robot.gripper.controller, (robot.gripper.joint,), self.motion),
        )
        state = JointTrajectoryControllerState
        for controller in (robot.arm_controller, robot.gripper.controller):
            name = f"{controller}/controller_state"
            self.create_subscription(state, name, self._on_state, qos.ALL_SENSED)
        self.create_subscription(
            ExecutorStatus, "arm/executor_status", self._on_executor, qos.LATCHED
        )
        self.create_subscription(
            PolicyStatus, "vla_policy_node/status", self._on_policy, qos.LATCHED
        )
        self.create_subscription(
            MonitorStatus, "smoothness_monitor/state", self._on_monitor, qos.LATCHED
        )
        self.instruction = self.create_publisher(String, "vla_policy_node/instruction", qos.EACH)
        self.chunks = self.create_publisher(ActionChunk, "arm/action_chunk", qos.EACH)
        self.acquire = self.create_client(AcquireArm, "arm/acquire")
        self.release = self.create_client(ReleaseArm, "arm/release")
        self.reset = self.create_client(ResetScene, "vla_sim/reset")
        self.again = self.create_client(Trigger, "smoothness_monitor/reset")
        self.record = ActionClient(self, RecordEpisode, "episode_recorder/record_episode")

    def led(self) -> NDArray[np.float64]:
        """Return where arm and gripper are led when another plan can take over, (J,) rad."""
        parts = [each.at(self.now_ns + LEAD_NS) for each in self._led]
        # Of a controller that is not heard: chunks that are not finite are refused, and told.
        lost = [np.full(len(self._arm), np.nan), np.full(1, np.nan)]
        found = [
            part if part is not None else none for part, none in zip(parts, lost, strict=True)
        ]
        return np.concatenate(found)

    @property
    def now_ns(self) -> int:
        """Simulated time."""
        return self.motion.now().ros_ns

    def _on_state(self, msg: JointTrajectoryControllerState) -> None:
        self.position.update(zip(msg.joint_names, msg.reference.positions, strict=True))
        if self.seen is not None and set(msg.joint_names) == set(self._arm):
            given = dict(zip(msg.joint_names, msg.reference.positions, strict=True))
            self.seen.append((to_ns(msg.header.stamp), [given[name] for name in self._arm]))

    def _on_executor(self, msg: ExecutorStatus) -> None:
        self.holder = msg.holder

    def _on_policy(self, msg: PolicyStatus) -> None:
        self.policy_state = msg.state

    def _on_monitor(self, msg: MonitorStatus) -> None:
        self.monitor = msg

    def send(self, lease: int, rows: NDArray[np.float64], dt_s: float) -> None:
        """Send a chunk: (T, J) rows, the first for now."""
        self.chunks.publish(
            ActionChunk(
                header=Header(stamp=to_time(self.now_ns)),
                lease=lease,
                source=OPERATOR,
                joint_names=list(self.joints),
                shape=list(rows.shape),
                dt=dt_s,
                positions=rows.ravel().tolist(),
            )
        )


def launched(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Launch something that Ctrl-C ends, also where this process was told to ignore it."""

    def hears_ctrl_c() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with log.open("ab") as stream:
        return subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, preexec_fn=hears_ctrl_c
        )


class HandsOn:
    """Spins the operator's node while it waits for something.

    Attributes:
        hands: The node.
        stopped: Why the monitor stopped the arm, each time.
    """

    def __init__(self, hands: Hands, launched: subprocess.Popen[bytes]) -> None:
        self.hands, self._launched = hands, launched
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(hands)
        self.stopped: list[str] = []

    def look(self) -> None:
        """Do what is due while something is waited for."""

    def until(self, ready: Callable[[], bool], what: str, host_s: float = STEP_S) -> None:
        """Spin until something holds.

        Raises:
            RuntimeError: It does not, or everything has ended.
        """
        ends_s = time.monotonic() + host_s
        while not ready():
            if time.monotonic() > ends_s or self._launched.poll() is not None:
                raise RuntimeError(f"no {what}; {self.hands.holder!r} {self.hands.monitor}")
            self._executor.spin_once(timeout_sec=0.1)
            self.look()

    def call(self, client: Any, request: Any) -> Any:
        """Call a service and return its answer."""
        self.until(client.service_is_ready, client.srv_name, START_S)
        future = client.call_async(request)
        self.until(future.done, f"answer of {client.srv_name}")
        return future.result()

    def pass_s(self, seconds: float) -> None:
        """Let simulated time pass."""
        ends_ns = self.hands.now_ns + round(seconds * 1e9)
        self.until(lambda: self.hands.now_ns >= ends_ns, "passing of time", STEP_S + 20 * seconds)

    def lead(
        self,
        rows: Callable[[float], NDArray[np.float64]],
        dt_s: float,
        last_s: float,
        over: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take the arm over and lead it along rows, which begin at a time since then.

        Args:
            rows: Returns (T, J) from a time on, s.
            dt_s: Between two of them, s.
            last_s: For how long, s.
            over: Ends it before.
        """
        hands = self.hands
        answer = self.call(hands.acquire, AcquireArm.Request(source=OPERATOR, take_over=True))
        if not answer.granted:
            print(f"not granted: {answer.message}", flush=True)
            return
        began_ns = hands.now_ns
        while (hands.now_ns - began_ns) * 1e-9 < last_s and not over():
            hands.send(answer.lease, rows((hands.now_ns - began_ns) * 1e-9), dt_s)
            self.pass_s(CHUNK_S)
        self.call(hands.release, ReleaseArm.Request(lease=answer.lease))

    def goes_on(self) -> None:
        """Reset the monitor where it has stopped the arm, and note why it had.

        A scripted operator does not look at what the gripper presses on. The recording goes on.
        """
        seen = self.hands
        if seen.monitor.state != MonitorStatus.STOPPED_LATCHED:
            return
        self.stopped.append(f"{seen.monitor.first_cause}: {seen.monitor.first_cause_detail}")
        self.call(seen.again, Trigger.Request())
        self.pass_s(1.5)
