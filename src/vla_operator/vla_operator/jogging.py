# SPDX-License-Identifier: Apache-2.0
"""The page's jog as a source of chunks: asks for the arm, sends, and gives it back.

As docs/how-to/add_a_source.md has it: whoever jogs holds the arm by a lease, and what is sent
becomes plans as the policy's chunks do.
"""

from __future__ import annotations

import threading

import numpy as np
from rclpy.node import Node
from rclpy.task import Future
from vla_msgs.msg import ActionChunk, ExecutorStatus
from vla_msgs.srv import AcquireArm, ReleaseArm

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.led import LedJoints
from node_kit.messages import to_time
from vla_contract.robot import Robot
from vla_operator.calls import Waiting, result_of
from vla_operator.core import told
from vla_operator.core.commands import Answer
from vla_operator.core.jog import LEAD_S, ROW_S, FloatArray, Jog

SOURCE = "operator's page"
CHUNK_S = 0.1
_ANSWER_S = 3.0
_UNHEARD = "nothing is heard of the arm's controllers"


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
        # The arm is wanted by one asking at a time: what an earlier one is granted is given back.
        self._lease, self._wanted, self._count = 0, 0, 0
        self._granted_s = 0.0
        self.words = ""
        self._waiting = Waiting()
        self._executor_ns = 0
        self._acquire = node.create_client(AcquireArm, "arm/acquire")
        self._release = node.create_client(ReleaseArm, "arm/release")
        self._chunks = node.create_publisher(ActionChunk, "arm/action_chunk", qos.EACH)
        self._controllers = (
            LedJoints(node, robot.arm_controller, limits.joint_names, motion),
            LedJoints(node, gripper.controller, (gripper.joint,), motion),
        )
        node.create_timer(CHUNK_S, self._send, clock=motion.timers)

    @property
    def holds(self) -> bool:
        """Whether the page holds the arm."""
        return self._lease != 0

    def told(self) -> dict[str, object]:
        """Return what the page shows."""
        silent_ns = self._motion.elapsed_ns() - self._executor_ns
        words = self.words
        if self.holds and not silent_ns * 1e-9 <= told.SILENT_S:
            words = "nobody carries out what is jogged: the policy node is silent"
        return {"holds": self.holds, "words": words}

    def look(self) -> None:
        """Answer what is overdue; to be called now and then."""
        self._waiting.look()

    # -- what pages ask for, in the server's thread -----------------------------------------------

    def take(self, answer: Answer) -> None:
        """Ask for the arm, also from a policy in the middle of a run."""
        with self._lock:
            if self._lease:
                answer(True, "the page holds the arm")
                return
            if self._wanted:
                answer(False, "the arm is being asked for already")
                return
            if self._led() is None:
                answer(False, _UNHEARD)
                return
            if not self._acquire.service_is_ready():
                answer(False, "nobody carries chunks out: is the policy node there?")
                return
            silent = "whoever gives out the arm does not answer"
            number = self._waiting.add(_ANSWER_S, silent, answer)
            if number is None:
                answer(False, "too much is under way")
                return
            self._wanted = number
        self._waiting.drops_with(number, lambda: self._want_no_more(number))
        request = AcquireArm.Request(source=SOURCE, take_over=True)
        self._acquire.call_async(request).add_done_callback(
            lambda future: self._on_answer(future, number)
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

    def give_back(self, answer: Answer = lambda ok, text: None) -> None:
        """Give the arm back, or want it no more. What runs ends at rest."""
        with self._lock:
            lease, self._lease, self._wanted = self._lease, 0, 0
        if not lease:
            answer(True, "the page does not hold the arm")
            return
        number = self._waiting.add(_ANSWER_S, "the page sends no more; nobody answers", answer)
        self._release.call_async(ReleaseArm.Request(lease=lease)).add_done_callback(
            lambda future: self._waiting.answer(number or 0, True, "the arm is given back")
        )

    def _want_no_more(self, number: int) -> None:
        with self._lock:
            if self._wanted == number:
                self._wanted = 0

    # -- in the node's thread ---------------------------------------------------------------------

    def hear_executor(self, msg: ExecutorStatus) -> None:
        """Note that somebody else has the arm."""
        self._executor_ns = self._motion.elapsed_ns()
        now_s = self._executor_ns * 1e-9
        with self._lock:
            # What was said before the grant is not about it.
            if self._lease and msg.lease != self._lease and now_s - self._granted_s > 0.5:
                self._lease = 0
                self.words = told.text(msg.last_end) or "the arm was taken"

    def _on_answer(self, future: Future, number: int) -> None:
        reply, unheard = result_of(future), False
        with self._lock:
            wanted = self._wanted == number
            if wanted:
                self._wanted = 0
            if reply is not None and reply.granted and wanted:
                led = self._led()
                if led is not None:
                    self._jog.begin(led, self._motion.now().ros_ns * 1e-9)
                    self._lease, self.words = int(reply.lease), ""
                    self._executor_ns = self._motion.elapsed_ns()
                    self._granted_s = self._executor_ns * 1e-9
                    self._waiting.answer(number, True, "the page holds the arm")
                    return
                unheard = True
        if reply is not None and reply.granted:
            # Nobody wants it any more.
            self._release.call_async(ReleaseArm.Request(lease=reply.lease))
        why = "no answer" if reply is None else told.text(reply.message) or "not wanted"
        if unheard:
            why = _UNHEARD
        self._waiting.answer(number, False, why)

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

    def _led(self) -> FloatArray | None:
        """Return where the controllers will lead every joint when a plan can take over, rad.

        None where that is not known: what is asked for then would move the arm by itself.
        """
        at_ns = self._motion.now().ros_ns + round(LEAD_S * 1e9)
        parts = [led for each in self._controllers if (led := each.at(at_ns)) is not None]
        return np.concatenate(parts) if len(parts) == len(self._controllers) else None
