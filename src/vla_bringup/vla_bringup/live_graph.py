# SPDX-License-Identifier: Apache-2.0
"""A node that sees and does what a comparison needs on a launched graph.

It moves nothing but by what every operator has: the RunPolicy action, the planned way home, the
monitor's stop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from action_msgs.msg import GoalStatus
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger
from vla_msgs.action import MoveTo, RunPolicy
from vla_msgs.msg import MonitorStatus, PolicyStatus

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.messages import to_ns
from vla_bringup.episode_runner import REASONS
from vla_bringup.graph_watch import ACKNOWLEDGE_S, REST_SAMPLES, ordered
from vla_bringup.live_judge import TaskJudge
from vla_contract.images import ImageError, decompressed, to_rgb
from vla_contract.robot import Robot
from vla_training import fingerprints
from vla_training.evaluation.live.command import GraphChoice
from vla_training.evaluation.live.conduct import JUDGED, ArmLostError, LiveRun, Verdict
from vla_training.evaluation.live.ghost import Pixels
from vla_training.evaluation.live.order import SIDES

# Of the host's time: for nodes to answer, for a lost one to come back.
ANSWER_S, GONE_S = 60.0, 5.0
# The second policy's node needs a moment to see that the arm rests.
SETTLED_S = 3.0
NO_SIMULATION_S = 60.0
# Of the motion's time: beyond a run's limit, and for the plan's end at rest.
LATE_S, REST_S, HOME_S = 10.0, 10.0, 120.0
LOOK_S = 0.02
# A camera that has shown nothing for so long, of the motion's time, shows nothing any more.
PICTURE_S = 2.0
STOP_S = 1.0
_CUT = "if the arm moves and should not, cut its power"
_STATES = {
    getattr(MonitorStatus, name): name
    for name in ("STARTUP", "READY", "STOPPING", "STOPPED_LATCHED", "FAULT")
}


class GraphArm(Node):
    """Sees what the trials need of the graph, in a thread beside the operator's.

    Attributes:
        joint_names: Of the arm.
    """

    def __init__(
        self, choice: GraphChoice, robot: Robot, contracts: dict[str, str], simulated: bool
    ) -> None:
        super().__init__(
            "vla_eval",
            parameter_overrides=[Parameter("use_sim_time", Parameter.Type.BOOL, simulated)],
        )
        self.joint_names = tuple(robot.limits.joint_names)
        self._choice, self._contracts = choice, contracts
        self._monitor = MonitorStatus()
        self._statuses = dict.fromkeys(choice.nodes, PolicyStatus())
        self._picture: tuple[int, Image | CompressedImage] | None = None
        self._lock = threading.Lock()
        # The newest of the reference; all of it while a policy acts.
        self._recent: list[tuple[int, np.ndarray]] = []
        self._recording = False
        subscribe = self.create_subscription
        state = JointTrajectoryControllerState
        topic = f"{robot.arm_controller}/controller_state"
        subscribe(state, topic, self._on_state, qos.ALL_SENSED)
        subscribe(MonitorStatus, "smoothness_monitor/state", self._on_monitor, qos.LATCHED)
        self._runs = {}
        for name in dict.fromkeys(choice.nodes):
            told = partial(self._statuses.__setitem__, name)
            subscribe(PolicyStatus, f"{name}/status", told, qos.LATCHED)
            self._runs[name] = ActionClient(self, RunPolicy, f"{name}/run_policy")
        self._homes = ActionClient(self, MoveTo, "motion_planner/move_to")
        self._stops = self.create_client(Trigger, "smoothness_monitor/stop")
        # After the subscriptions: what came before a time is then taken in before its word.
        self._motion = MotionClock(self)
        if simulated:
            self.create_timer(ACKNOWLEDGE_S, self._motion.acknowledge, clock=self._motion.timers)

    def await_all(self) -> None:
        """Wait for what every trial needs.

        Raises:
            TrainingError: It is not there in time.
        """
        choice = self._choice
        for name in self._runs:
            self._until(lambda name=name: bool(self._statuses[name].policy_id), f"{name}/status")
        self._until(lambda: bool(self._recent), "controller_state of the arm's controller")
        if choice.camera:
            self._until(self._find_camera, f"camera on {choice.camera} (--camera names another)")
            self._until(lambda: self.picture() is not None, f"picture on {choice.camera}")
        if choice.home:
            self._until(self._homes.server_is_ready, "motion_planner/move_to, which --home needs "
                        "(motion_planner:=straight)")  # fmt: skip

    def leave(self) -> None:
        """Let a simulation go on without this node, which is about to end."""
        self._motion.leave()
        # rclpy's own leave an action client in the graph until the process ends.
        for client in (*self._runs.values(), self._homes):
            client.destroy()

    # -- what the comparison asks -----------------------------------------------------------------

    def described(self) -> dict[str, dict[str, str]]:
        """Return what is known of each policy, by its side."""
        told = {}
        for side, name in zip(SIDES, self._choice.nodes, strict=True):
            contract = Path(self._contracts[name])
            told[side] = {
                "policy": self._statuses[name].policy_id,
                "contract": fingerprints.of_file(contract)
                if contract.is_file()
                else str(contract),
                "node": name,
            }
        return told

    def judge(self, first_seed: int) -> TaskJudge:
        """Return who lays out scenes and judges in the simulation."""
        return TaskJudge(self, self._until, self._motion, first_seed, lambda: self._monitor)

    def stop(self) -> None:
        """Ask the monitor to stop the arm, and say what came of it."""
        late = threading.Timer(STOP_S, print, (f"  STOP: no answer in {STOP_S:g} s; {_CUT}",))
        late.daemon = True
        late.start()

        def answered(future: Any) -> None:
            late.cancel()
            reply = future.result()
            print(
                "  STOP: the arm brakes" if reply.success else f"  STOP: {reply.message}; {_CUT}"
            )

        self._stops.call_async(Trigger.Request()).add_done_callback(answered)

    def home(self, attend: Callable[[], None]) -> str:
        """Bring the arm home, where that was asked for; return why it is not there, or nothing."""
        if not self._choice.home:
            return ""
        problem = self.problem(attend)
        if problem:
            return problem
        sent = self._homes.send_goal_async(MoveTo.Goal(named="home"))
        self._until(sent.done, "answer of motion_planner/move_to", meanwhile=attend)
        result = sent.result().get_result_async()
        self._until(result.done, "end of the way home", HOME_S, attend)
        told = result.result().result
        if told.reason == MoveTo.Result.REACHED:
            return ""
        return f"the arm is not home ({told.message}); bring it there"

    def problem(self, attend: Callable[[], None]) -> str:
        """Return why no trial can begin now, empty where one can; what passes by is waited for."""
        ends_s = time.monotonic() + SETTLED_S
        while (problem := self._problem()) and time.monotonic() < ends_s:
            attend()
            time.sleep(LOOK_S)
        return problem

    def _problem(self) -> str:
        if not self._monitor.permit:
            state = _STATES.get(self._monitor.state, "unknown")
            cause = self._monitor.first_cause or ", ".join(self._monitor.waiting_for)
            return (
                f"the monitor gives no permit: {state} {cause}; docs/how-to/after_a_stop.md says "
                "how to go on"
            )
        if not all(client.server_is_ready() for client in self._runs.values()):
            return "a policy node is gone; start it again"
        # Of both, always: whose problem it is would tell who acts.
        if any(status.state != PolicyStatus.IDLE for status in self._statuses.values()):
            return "a policy still carries out an instruction, and moves the arm; wait for its end"
        if self._choice.camera and self.picture() is None:
            return f"no picture on {self._choice.camera} for {PICTURE_S:g} s; see to the camera"
        waiting = [each for status in self._statuses.values() for each in status.waiting_for]
        return f"not ready: {'; '.join(waiting)}" if waiting else ""

    def picture(self) -> Pixels | None:
        """Return what the camera sees, (H, W, 3); None where it shows nothing any more."""
        if self._picture is None:
            return None
        heard_ns, msg = self._picture
        if not self._motion.elapsed_ns() - heard_ns <= PICTURE_S * 1e9:
            return None
        try:
            if isinstance(msg, CompressedImage):
                return decompressed(bytes(msg.data))
            size = int(msg.height), int(msg.width), int(msg.step)
            return to_rgb(bytes(msg.data), msg.encoding, *size, "bgr8")
        except ImageError:
            return None

    def pose(self) -> tuple[float, ...]:
        """Return where the controller leads the joints, rad."""
        with self._lock:
            return tuple(float(each) for each in self._recent[-1][1])

    def run(
        self, side: str, instruction: str, limit_s: float, judged: Callable[[], Verdict | None]
    ) -> LiveRun:
        """Have a policy carry out an instruction.

        Raises:
            ArmLostError: A node that is needed is gone.
        """
        name = self._choice.nodes[SIDES.index(side)]
        client = self._runs[name]
        with self._lock:
            del self._recent[:-1]
            self._recording = True
        sent, over = None, False
        try:
            goal = RunPolicy.Goal(instruction=instruction, max_duration=limit_s)
            sent = client.send_goal_async(goal)
            self._until(sent.done, "answer of the policy node")
            handle = sent.result()
            if not handle.accepted:
                raise ArmLostError("the policy node refused the instruction; its log says why")
            began_ns = self._motion.elapsed_ns()
            verdict, result = self._watch(client, handle, limit_s, judged)
            lasted_s = (self._motion.elapsed_ns() - began_ns) * 1e-9
            over = True
            self._until(self._at_rest, "rest after the run", REST_S, judged)
            # Not which node: that would tell who acts.
            self._until(partial(self._is_idle, name), "end of the run", meanwhile=judged)
        finally:
            if sent is not None and not over:
                self._give_up(sent)
            with self._lock:
                self._recording = False
                recent = list(self._recent)
        ended = REASONS.get(result.termination_reason, "UNKNOWN")
        if verdict is not None and ended == "CANCELED":
            ended = JUDGED
        return LiveRun(
            ended,
            result.message,
            lasted_s if ended == JUDGED else float(result.duration),
            np.array([stamp for stamp, _ in recent], dtype=np.int64),
            np.array([position for _, position in recent]),
            verdict,
        )

    # -- how --------------------------------------------------------------------------------------

    def _watch(
        self,
        client: ActionClient,
        handle: Any,
        limit_s: float,
        judged: Callable[[], Verdict | None],
    ) -> tuple[Verdict | None, RunPolicy.Result]:
        """Wait for the end of a run, or end it with a verdict."""
        result = handle.get_result_async()
        ends_ns = self._motion.elapsed_ns() + round((limit_s + LATE_S) * 1e9)
        seen_s, verdict = time.monotonic(), None
        while not result.done():
            if client.server_is_ready():
                seen_s = time.monotonic()
            if time.monotonic() - seen_s > GONE_S:
                raise ArmLostError("the policy node is gone; start it again, then go on")
            if self._motion.elapsed_ns() > ends_ns:
                raise ArmLostError(f"the run has not ended {LATE_S:g} s after its limit")
            self._look_for_the_simulation("end of the run")
            # Also after a verdict, while the arm brakes: it may be stopped at any time.
            said = judged()
            if verdict is None and said is not None:
                verdict = said
                handle.cancel_goal_async()
            time.sleep(LOOK_S)
        reply = result.result()
        if reply.status == GoalStatus.STATUS_UNKNOWN:
            raise ArmLostError("the policy node lost the goal; its log says why")
        return verdict, reply.result

    def _give_up(self, sent: Any) -> None:
        """Cancel a run that nobody waits for any more, also one that is only being accepted."""
        ends_s = time.monotonic() + SETTLED_S
        while not sent.done() and time.monotonic() < ends_s:
            time.sleep(LOOK_S)
        if sent.done() and sent.result().accepted:
            sent.result().cancel_goal_async()

    def _is_idle(self, name: str) -> bool:
        return bool(self._statuses[name].state == PolicyStatus.IDLE)

    def _until(
        self,
        ready: Callable[[], bool],
        what: str,
        motion_s: float | None = None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """Wait for something: so long of the motion's time, or `ANSWER_S` of the host's."""
        now_ns = time.monotonic_ns if motion_s is None else self._motion.elapsed_ns
        limit_s = ANSWER_S if motion_s is None else motion_s
        ends_ns = now_ns() + round(limit_s * 1e9)
        while not ready():
            self._look_for_the_simulation(what)
            if now_ns() > ends_ns:
                raise ArmLostError(f"no {what} after {limit_s:g} s")
            meanwhile()
            time.sleep(LOOK_S)

    def _look_for_the_simulation(self, what: str) -> None:
        silent_s = self._motion.silent_s
        if silent_s > NO_SIMULATION_S:
            raise ArmLostError(f"no {what}: nobody has told the time for {silent_s:.0f} s")

    def _find_camera(self) -> bool:
        wanted = self.resolve_topic_name(self._choice.camera)
        kinds = dict(self.get_topic_names_and_types()).get(wanted, [])
        for kind in (Image, CompressedImage):
            if f"sensor_msgs/msg/{kind.__name__}" in kinds:
                self.create_subscription(kind, wanted, self._on_picture, qos.IMAGE)
                return True
        return False

    def _at_rest(self) -> bool:
        """True when the reference has not moved for a fifth of a second."""
        with self._lock:
            recent = [position for _, position in self._recent[-REST_SAMPLES:]]
        return len(recent) == REST_SAMPLES and bool(
            np.all(np.ptp(np.stack(recent), axis=0) < 1e-9)
        )

    def _on_state(self, msg: JointTrajectoryControllerState) -> None:
        position = ordered(msg.joint_names, msg.reference.positions, self.joint_names)
        if position is None or not np.all(np.isfinite(position)):
            return
        stamp_ns = to_ns(msg.header.stamp)
        with self._lock:
            if self._recent and stamp_ns <= self._recent[-1][0]:
                return
            self._recent.append((stamp_ns, position))
            if not self._recording:
                del self._recent[:-REST_SAMPLES]

    def _on_monitor(self, msg: MonitorStatus) -> None:
        self._monitor = msg

    def _on_picture(self, msg: Image | CompressedImage) -> None:
        self._picture = self._motion.elapsed_ns(), msg
