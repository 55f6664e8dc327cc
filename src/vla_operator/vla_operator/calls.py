# SPDX-License-Identifier: Apache-2.0
"""What the page asks of others: the monitor's stop and reset, and the policy's run.

Asked for in the server's thread, at once; answered in the node's. Who does not answer in time is
said to be silent, and nothing waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import Trigger
from vla_msgs.action import RunPolicy

from node_kit import qos
from vla_operator.core import told
from vla_operator.core.commands import Answer

_ANSWER_S = 1.0
# The controller has to be activated and heard: see the monitor's reset_timeout_s.
_RESET_S = 12.0
_GOAL_S = 3.0
_MOST_PENDING = 16
_CUT = "if the arm moves and should not, cut its power"


@dataclass
class _Pending:
    """A call that is not answered yet, and who waits for it."""

    deadline_s: float
    silent: str
    answers: list[Answer] = field(default_factory=list)
    drop: Callable[[], None] = lambda: None


class Waiting:
    """Calls whose answers are not there yet; each is answered once."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._count = 0
        self._pending: dict[int, _Pending] = {}

    def add(self, timeout_s: float, silent: str, answer: Answer) -> int | None:
        """Return the number of a new call, None where too many are under way already."""
        with self._lock:
            if len(self._pending) >= _MOST_PENDING:
                return None
            self._count += 1
            deadline_s = time.monotonic() + timeout_s
            self._pending[self._count] = _Pending(deadline_s, silent, [answer])
            return self._count

    def join(self, number: int | None, answer: Answer) -> bool:
        """Wait for a call that is under way already; return whether it still is."""
        with self._lock:
            pending = self._pending.get(number or 0)
            if pending is None or len(pending.answers) >= _MOST_PENDING:
                return False
            pending.answers.append(answer)
            return True

    def drops_with(self, number: int, drop: Callable[[], None]) -> None:
        """Say what is done with a call that is never answered."""
        with self._lock:
            if number in self._pending:
                self._pending[number].drop = drop

    def answer(self, number: int, ok: bool, text: str) -> None:
        """Answer a call, if nobody has."""
        with self._lock:
            pending = self._pending.pop(number, None)
        for answer in pending.answers if pending is not None else ():
            answer(ok, text)

    def look(self) -> None:
        """Answer those that are overdue."""
        now_s = time.monotonic()
        with self._lock:
            late = [n for n, each in self._pending.items() if not now_s < each.deadline_s]
            overdue = [self._pending.pop(number) for number in late]
        for each in overdue:
            each.drop()
            for answer in each.answers:
                answer(False, each.silent)


class Calls:
    """Asks the monitor and the policy node.

    Attributes:
        last_end: How the newest run of this page ended, in words.
    """

    def __init__(self, node: Node) -> None:
        """Connect; nobody needs to be there yet."""
        # Apart: whatever else is under way, there is room for a stop.
        self._waiting, self._stops = Waiting(), Waiting()
        self._stop = node.create_client(Trigger, "smoothness_monitor/stop")
        self._reset = node.create_client(Trigger, "smoothness_monitor/reset")
        self._run = ActionClient(node, RunPolicy, "vla_policy_node/run_policy")
        self._instruction = node.create_publisher(String, "vla_policy_node/instruction", qos.EACH)
        self._stopping: int | None = None
        self._runs = 0
        self.last_end = ""

    def look(self) -> None:
        """Answer what is overdue; to be called now and then."""
        self._waiting.look()
        self._stops.look()

    def destroy(self) -> None:
        """Leave the graph."""
        self._run.destroy()

    def stop(self, answer: Answer) -> None:
        """Ask for the stop, whoever seems to be there. In any thread."""
        # One that is under way does for all who ask meanwhile.
        if not self._stops.join(self._stopping, answer):
            silent = f"the monitor does not answer: {_CUT}"
            self._stopping = self._call(self._stops, self._stop, _ANSWER_S, silent, answer)

    def reset(self, answer: Answer) -> None:
        """Ask for the reset."""
        if not self._reset.service_is_ready():
            answer(False, "the monitor is not there")
            return
        silent = "the monitor does not answer"
        self._call(self._waiting, self._reset, _RESET_S, silent, answer)

    def instruct(self, text: str, seconds: float, answer: Answer) -> None:
        """Begin a run of the policy."""
        if not self._run.server_is_ready():
            answer(False, "the policy node is not there")
            return
        number = self._waiting.add(_GOAL_S, "the policy node does not answer", answer)
        if number is None:
            answer(False, "too much is under way")
            return
        self._runs += 1
        run = self._runs
        goal = RunPolicy.Goal(instruction=text, max_duration=seconds)

        def on_goal(future: Future) -> None:
            handle = result_of(future)
            if handle is None or not handle.accepted:
                self._waiting.answer(number, False, "the policy node refused the instruction")
                return
            self._waiting.answer(number, True, "the policy has the instruction")
            handle.get_result_async().add_done_callback(lambda done: self._on_end(run, done))

        self._run.send_goal_async(goal).add_done_callback(on_goal)

    def end(self, answer: Answer) -> None:
        """End whatever instruction there is; what runs comes to rest by itself."""
        self._instruction.publish(String(data=""))
        answer(True, "the policy is told to end")

    def _call(
        self, waiting: Waiting, client: Client, timeout_s: float, silent: str, answer: Answer
    ) -> int | None:
        number = waiting.add(timeout_s, silent, answer)
        if number is None:
            answer(False, f"too much is under way; {_CUT}")
            return None

        def on_answer(future: Future) -> None:
            reply = result_of(future)
            if reply is None:
                waiting.answer(number, False, silent)
            else:
                waiting.answer(number, bool(reply.success), told.text(reply.message))

        future = client.call_async(Trigger.Request())
        waiting.drops_with(number, lambda: client.remove_pending_request(future))
        future.add_done_callback(on_answer)
        return number

    def _on_end(self, run: int, future: Future) -> None:
        reply = result_of(future)
        if run != self._runs or reply is None:
            return
        if reply.status == GoalStatus.STATUS_UNKNOWN:
            self.last_end = "The policy node lost the run; is it there?"
            return
        self.last_end = told.end(int(reply.result.termination_reason), reply.result.message)


def result_of(future: Future) -> Any:
    """Return what came, None where nothing did."""
    return None if future.cancelled() or future.exception() is not None else future.result()
