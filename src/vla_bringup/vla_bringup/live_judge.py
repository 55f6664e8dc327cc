# SPDX-License-Identifier: Apache-2.0
"""In place of the operator, where the simulation knows what lies in the bin."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from std_srvs.srv import Trigger
from vla_msgs.msg import MonitorStatus, TaskState
from vla_msgs.srv import ResetScene

from node_kit import qos
from node_kit.clock import MotionClock
from vla_bringup.task import only_in_bin
from vla_training.errors import TrainingError
from vla_training.evaluation.live.conduct import LiveRun, Notice, Verdict

# The named cube in the bin for so long ends the run of a policy that never says that it is done.
STAYS_S = 3.0
SEEN_S, SETTLED_S = 10.0, 30.0
# So often a trial is tried that something else interrupts.
MOST_ATTEMPTS = 3
Until = Callable[..., None]


class TaskJudge:
    """Lays out a scene for each pair, by its seed, and looks into the bin.

    Where the monitor's stop latches, that was the policy's doing: nobody else moves the arm here.
    What else interrupts a trial is not, and the trial is made again.
    """

    def __init__(
        self,
        node: Node,
        until: Until,
        motion: MotionClock,
        first_seed: int,
        monitor: Callable[[], MonitorStatus],
    ) -> None:
        """Connect with the simulation.

        Args:
            node: Whose clients they are.
            until: Waits for something, and says what it was where it does not come.
            motion: Tells the simulation's time.
            first_seed: Of the scene of the first pair.
            monitor: Returns its newest word.

        Raises:
            TrainingError: There is no simulation.
        """
        self._until, self._motion, self._seed, self._monitor = until, motion, first_seed, monitor
        self._task: TaskState | None = None
        self._name, self._there_ns = "", 0
        # A trial, its attempt, and how often that was to be laid out.
        self._asked = 0, 0, 0
        if not motion.simulated:
            raise TrainingError("--judge simulation: the arm is no simulation; leave it out")
        self._scene = node.create_client(ResetScene, "vla_sim/reset")
        self._again = node.create_client(Trigger, "smoothness_monitor/reset")
        node.create_subscription(TaskState, "vla_sim/task_state", self._on_task, qos.NEWEST)
        self._until(lambda: self._task is not None, "vla_sim/task_state")

    def lay_out(self, notice: Notice) -> bool:
        """Lay out the scene of a pair.

        Raises:
            TrainingError: The instruction names none of its objects, or a trial never ends.
        """
        this = notice.case.trial, notice.case.attempt
        self._asked = (*this, self._asked[2] + 1 if self._asked[:2] == this else 1)
        if notice.case.attempt > MOST_ATTEMPTS:
            raise TrainingError(f"{notice.title} was interrupted {MOST_ATTEMPTS} times")
        if notice.remark and self._asked[2] > MOST_ATTEMPTS:
            raise TrainingError(f"{notice.title} cannot begin: {notice.remark}")
        self._mend()
        seed = self._seed + notice.case.pair - 1
        self._lay_out(seed)
        words = set(re.findall(r"\w+", notice.instruction.lower()))
        named = [name for name in self._task.object_names if name.split("_")[0] in words]
        if len(named) != 1:
            raise TrainingError(
                f"{notice.instruction!r} names {len(named)} of "
                f"{', '.join(self._task.object_names)}; --judge simulation has to know which one "
                "is meant"
            )
        self._name, self._there_ns = named[0], 0
        # The picture is to be of this scene.
        later_ns = self._motion.elapsed_ns() + round(0.5e9)
        self._until(lambda: self._motion.elapsed_ns() >= later_ns, "passing of time", SEEN_S)
        return True

    def attend(self) -> None:
        """See to nothing: nobody is there."""

    def watch(self) -> Verdict | None:
        """Return a success when the cube has been in the bin for a while."""
        now_ns = self._motion.elapsed_ns()
        if not only_in_bin(self._task, self._name):
            self._there_ns = 0
        elif not self._there_ns:
            self._there_ns = now_ns
        elif now_ns - self._there_ns >= STAYS_S * 1e9:
            return Verdict.SUCCESS
        return None

    def judge(self, notice: Notice, run: LiveRun) -> Verdict:
        """Look into the bin."""
        # A host that is too busy lets the permit lapse, and latches nothing.
        latched = self._monitor().state in (MonitorStatus.STOPPING, MonitorStatus.STOPPED_LATCHED)
        if run.interrupted:
            stopped = run.ended == "STOPPED" and latched
            verdict = Verdict.FAILURE if stopped else Verdict.AGAIN
        else:
            good = only_in_bin(self._task, self._name)
            verdict = Verdict.SUCCESS if good else Verdict.FAILURE
        print(f"{notice.title}: {verdict.name.lower()}, {run.ended}", flush=True)
        return verdict

    def _mend(self) -> None:
        """Have the monitor permit motion again, after a stop."""
        stopping = MonitorStatus.STOPPING
        self._until(lambda: self._monitor().state != stopping, "end of the stop", SETTLED_S)
        if self._monitor().state == MonitorStatus.STOPPED_LATCHED:
            refused = self._call(self._again, Trigger.Request())
            if refused:
                raise TrainingError(f"the monitor is not reset: {refused}")
        self._until(lambda: self._monitor().permit, "permit of the monitor", SETTLED_S)

    def _lay_out(self, seed: int) -> None:
        """Lay out a scene, as soon as no trajectory runs any more."""
        self._until(lambda: not self._call(self._scene, ResetScene.Request(seed=seed)),
                    "standstill, without which no scene is laid out", SETTLED_S)  # fmt: skip
        self._until(lambda: self._task.seed == seed, "new scene", SEEN_S)

    def _call(self, client: Any, request: Any) -> str:
        """Call a service; return why it refused, empty where it did not."""
        self._until(client.service_is_ready, client.srv_name)
        future = client.call_async(request)
        self._until(future.done, f"answer of {client.srv_name}")
        reply = future.result()
        return "" if reply.success else str(reply.message)

    def _on_task(self, msg: TaskState) -> None:
        self._task = msg
