# SPDX-License-Identifier: Apache-2.0
"""The page's jog as a source of chunks: asks for the arm, sends, and gives it back.

As docs/how-to/add_a_source.md has it: whoever jogs holds the arm by a lease, and what is sent
becomes plans as the policy's chunks do.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.task import Future
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import ActionChunk, ExecutorStatus
from vla_msgs.srv import AcquireArm, ReleaseArm

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.messages import to_time, trajectory_from
from smooth_motion import MotionError
from vla_contract.robot import Robot
from vla_operator.core import told
from vla_operator.core.commands import Answer
from vla_operator.core.jog import LEAD_S, ROW_S, Jog

SOURCE = "operator's page"
CHUNK_S = 0.1
_MOST_BYTES = 1 << 20


class Jogging:
    """Holds the arm while a page jogs.

    Attributes:
        words: Why the arm is not held any more, empty where nothing is to be said.
    """

    def __init__(self, node: Node, robot: Robot, motion: MotionClock, speed: float) -> None:
        """Connect; nobody needs to be there yet.

        Args:
            node: Whose topics they are.
            robot: Which arm it is.
            motion: Tells the time.
            speed: Of each joint at full rate, as a share of its limit.
        """
        self._node, self._motion = node, motion
        limits, gripper = robot.limits, robot.gripper
        self._joints = (*limits.joint_names, gripper.joint)
        self._jog = Jog(
            np.append(limits.position_lower, gripper.position_lower),
            np.append(limits.position_upper, gripper.position_upper),
            speed * np.append(limits.velocity, gripper.velocity),
        )
        # Pages ask in the server's thread; everything else is the node's.
        self._lock = threading.Lock()
        self._lease, self._wanted, self._count = 0, False, 0
        self._granted_s = 0.0
        self.words = ""
        self._raw: dict[str, bytes] = {}
        self._acquire = node.create_client(AcquireArm, "arm/acquire")
        self._release = node.create_client(ReleaseArm, "arm/release")
        self._chunks = node.create_publisher(ActionChunk, "arm/action_chunk", qos.EACH)
        subscribe = node.create_subscription
        for name in (robot.arm_controller, gripper.controller):
            hear = self._hear(name)
            topic = f"{name}/controller_state"
            subscribe(JointTrajectoryControllerState, topic, hear, qos.SENSED, raw=True)
        path = f"{robot.arm_controller}/joint_trajectory"
        subscribe(JointTrajectory, path, self._hear("path"), qos.TRAJECTORY, raw=True)
        self._controllers = (robot.arm_controller, gripper.controller)
        node.create_timer(CHUNK_S, self._send, clock=motion.timers)

    @property
    def holds(self) -> bool:
        """Whether the page holds the arm."""
        return self._lease != 0

    def _hear(self, key: str) -> Any:
        def keep(data: bytes) -> None:
            if len(data) <= _MOST_BYTES:
                self._raw[key] = data

        return keep

    # -- what pages ask for, in the server's thread -----------------------------------------------

    def take(self, answer: Answer) -> None:
        """Ask for the arm, also from a policy in the middle of a run."""
        with self._lock:
            if self._lease or self._wanted:
                answer(True, "the page holds the arm")
                return
            led = self._led()
            if led is None:
                answer(False, "nothing is heard of the arm's controllers")
                return
            if not self._acquire.service_is_ready():
                answer(False, "nobody carries chunks out: is the policy node there?")
                return
            self._wanted = True
        request = AcquireArm.Request(source=SOURCE, take_over=True)
        self._acquire.call_async(request).add_done_callback(
            lambda future: self._on_answer(future, answer)
        )

    def press(self, rates: tuple[float, ...], answer: Answer) -> None:
        """Move joints for a moment."""
        with self._lock:
            held = self._lease != 0
            done = held and self._jog.press(rates, self._motion.now().ros_ns * 1e-9)
        if not held:
            answer(False, "the page does not hold the arm; take it first")
        elif not done:
            answer(False, f"rates are of {len(self._joints)} joints, each from -1 to 1")
        else:
            answer(True, "")

    def give_back(self) -> None:
        """Give the arm back, or want it no more. What runs ends at rest."""
        with self._lock:
            lease, self._lease, self._wanted = self._lease, 0, False
        if lease:
            self._release.call_async(ReleaseArm.Request(lease=lease))

    # -- in the node's thread ---------------------------------------------------------------------

    def hear_executor(self, msg: ExecutorStatus) -> None:
        """Note that somebody else has the arm."""
        now_s = self._motion.elapsed_ns() * 1e-9
        with self._lock:
            # What was said before the grant is not about it.
            if self._lease and msg.lease != self._lease and now_s - self._granted_s > 0.5:
                self._lease = 0
                self.words = told.text(msg.last_end) or "the arm was taken"

    def _on_answer(self, future: Future, answer: Answer) -> None:
        failed = future.cancelled() or future.exception() is not None
        reply = None if failed else future.result()
        with self._lock:
            wanted, self._wanted = self._wanted, False
            if reply is not None and reply.granted and wanted:
                led = self._led()
                if led is not None:
                    self._jog.begin(led, self._motion.now().ros_ns * 1e-9)
                    self._lease, self.words = int(reply.lease), ""
                    self._granted_s = self._motion.elapsed_ns() * 1e-9
        if self._lease:
            answer(True, "the page holds the arm")
            return
        if reply is not None and reply.granted:
            # Nobody wants it any more.
            self._release.call_async(ReleaseArm.Request(lease=reply.lease))
        answer(False, "no answer" if reply is None else told.text(reply.message) or "not wanted")

    def _send(self) -> None:
        now_ns = self._motion.now().ros_ns
        with self._lock:
            if not self._lease:
                return
            rows, lease = self._jog.rows(now_ns * 1e-9), self._lease
        self._count += 1
        msg = ActionChunk(
            lease=lease,
            chunk_id=self._count,
            source=SOURCE,
            joint_names=list(self._joints),
            shape=[len(rows), len(self._joints)],
            dt=ROW_S,
            positions=rows.ravel().tolist(),
        )
        msg.header.stamp = to_time(now_ns)
        self._chunks.publish(msg)

    def _led(self) -> Any:
        """Return where the controllers will lead every joint when a plan can take over, rad."""
        led: dict[str, float] = {}
        for name in self._controllers:
            if name not in self._raw:
                return None
            msg = deserialize_message(bytes(self._raw[name]), JointTrajectoryControllerState)
            led.update(zip(msg.joint_names, msg.reference.positions, strict=False))
        try:
            path = deserialize_message(bytes(self._raw["path"]), JointTrajectory)
            plan = trajectory_from(path).plan()
        except (KeyError, MotionError):
            pass  # nothing was sent yet, or by somebody else
        else:
            at = plan.sample(self._motion.now().ros_ns + round(LEAD_S * 1e9)).position
            led.update(zip(plan.joint_names, at.tolist(), strict=True))
        found = np.array([led.get(joint, np.nan) for joint in self._joints])
        return found if np.isfinite(found).all() else None
