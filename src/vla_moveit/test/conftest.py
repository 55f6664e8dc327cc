# SPDX-License-Identifier: Apache-2.0
"""An arm in simulated time: the real chunk executor, a controller that follows exactly, a move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from smooth_motion import Plan, State
from smooth_motion.clocks import Now
from vla_contract.robot import Robot, load_robot
from vla_contract.workspace import Workspace, load_workspace
from vla_moveit.core.arm_view import ArmView
from vla_moveit.core.goal import MoveRequest, NamedPoses, resolve
from vla_moveit.core.move import Move
from vla_moveit.core.outcome import MoveResult, MoveSettings, MoveStep, StampedRows
from vla_moveit.core.planning import PathPlanner
from vla_moveit.core.schedule import ROW_NS
from vla_moveit.core.straight import StraightPlanner
from vla_policy_node.core.chunk_executor import ChunkExecutor
from vla_policy_node.core.controller_reports import ControllerReport
from vla_policy_node.core.permit import MonitorReport, MonitorState
from vla_policy_node.core.received_chunk import ReceivedChunk
from vla_policy_node.params import PolicyNodeParameters

MS = 1_000_000
START_NS = 1_000_000_000_000
CONFIG = Path(__file__).resolve().parents[3] / "config" / "robots"
# The same parameters for every test; a change of a default must not change what they show.
SETTINGS = MoveSettings(speed=0.5, deviation_rad=0.05, planning_s=5.0)
DELIVERY_NS = 20 * MS


@dataclass
class Bench:
    """Everything between a request and the controller's reference, ticking at 100 Hz.

    Attributes:
        deliver: Whether a plan of the executor reaches the controller, as a gate decides.
        state: What the monitor says of itself.
        scaling: At which share of its speed it lets the arm move.
        commands: The controller's reference at each tick.
        chunks: Everything that was sent to the executor.
    """

    robot: Robot
    planner: PathPlanner
    running: Plan
    deliver: Callable[[Plan], bool] = lambda plan: True
    state: MonitorState = MonitorState.READY
    scaling: float = 1.0
    controller: bool = True
    now_ns: int = START_NS
    host_ns: int = 0
    commands: list[NDArray[np.float64]] = field(default_factory=list)
    chunks: list[StampedRows] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    asked: int = 0
    answers: bool = True
    view: ArmView = field(default_factory=ArmView)
    move: Move | None = None
    result: MoveResult | None = None
    _queue: list[tuple[int, Plan]] = field(default_factory=list)
    _lease: int = 0

    def __post_init__(self) -> None:
        parameters = PolicyNodeParameters(robot_file="r", contract_file="c")
        joints = (*self.robot.limits.joint_names, self.robot.gripper.joint)
        self.executor = ChunkExecutor(self.robot, joints, parameters, lambda: 0)
        self.run(0.1)

    @property
    def now(self) -> Now:
        return Now(self.now_ns, self.now_ns)

    def begin(self, request: MoveRequest, poses: NamedPoses | None = None) -> None:
        known = poses or NamedPoses({"home": self.robot.home_position})
        goal = partial(resolve, request, self.robot, known)
        limits = self.robot.limits
        self.result, self.asked = None, 0
        self.move = Move(request, goal, limits, self.planner, SETTINGS, self.now)

    def until_over(self, most_s: float = 60.0) -> MoveResult:
        for _ in range(round(most_s * 100)):
            self.tick()
            if self.result is not None:
                return self.result
        raise AssertionError(f"the move is not over after {most_s} s: {self.move.phase}")

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 100)):
            self.tick()

    def tick(self) -> None:
        self.now_ns += 10 * MS
        self.host_ns += 10 * MS
        now = self.now_ns
        for due_ns, plan in [item for item in self._queue if item[0] <= now]:
            self._queue.remove((due_ns, plan))
            if self.deliver(plan):
                self.running = plan
                self.executor.heard(plan, now)
        sample = self.running.sample(now)
        self.commands.append(sample.position)
        if self.controller:
            since_ns = now - self.running.start_ns
            self.executor.arm(ControllerReport(now, since_ns, *sample[:3]), now, now)
            zero = np.zeros(1)
            self.executor.gripper(ControllerReport(now, now, zero, zero, zero), now)
            self.view.lead(State(*sample[:3]), now)
        permit = self.state is MonitorState.READY
        report = MonitorReport(now, self.state, permit, "", 0, "", self.scaling)
        self.executor.monitor(report, now)
        self.executor.step(now, now)
        outputs = self.executor.flush()
        if isinstance(outputs.arm, Plan):
            self._queue.append((now + DELIVERY_NS, outputs.arm))
        self._tell()
        if self.move is not None and self.result is None:
            self._do(self.move.step(self.now, self.host_ns, self.view))

    def ask(self, name: str, take_over: bool = False):
        return self.executor.acquire(name, take_over, self.now_ns, self.now_ns)

    def offer(self, lease: int, rows: StampedRows, source: str = "motion_planner") -> None:
        names, dt_s = self.robot.limits.joint_names, ROW_NS / 1e9
        sent = ReceivedChunk(source, lease, 1, rows.stamp_ns, dt_s, names, rows.positions)
        self.executor.offer(sent, self.now_ns, self.now_ns)

    def jerk(self) -> float:
        """Return the largest jerk of the reference as a share of its limit."""
        third = np.abs(np.diff(np.array(self.commands), n=3, axis=0)) / 0.01**3
        return float((third / self.robot.limits.jerk).max())

    def _tell(self) -> None:
        status = self.executor.status(self.now_ns, self.now_ns)
        view = self.view
        view.holder, view.lease, view.status_ns = status.holder, status.lease, self.now_ns
        view.last_end, view.last_refusal = status.last_end, status.statistics.last_refusal
        view.permit, view.scaling = self.state is MonitorState.READY, self.scaling

    def _do(self, step: MoveStep) -> None:
        if step.ask:
            self.asked += 1
            if self.answers:
                grant = self.ask("motion_planner", self.move.request.take_over)
                self._lease = 0 if grant.lease is None else grant.lease.number
                self._do(self.move.granted(self._lease, grant.message, grant.holder, self.now))
        if step.rows is not None:
            self.chunks.append(step.rows)
            self.offer(self._lease, step.rows)
        if step.release:
            self.released.append(step.release)
            self.executor.arbiter.release(step.release)
        if step.result is not None:
            self.result = step.result


def robot_of(name: str) -> Robot:
    return load_robot(CONFIG / name / "robot.yaml")


def workspace_of(name: str) -> Workspace:
    file = "workspace_tabletop.yaml" if name == "so101" else "workspace.yaml"
    return load_workspace(CONFIG / name / file, robot_of(name).limits.joint_names)


@pytest.fixture
def make_bench():
    """Make an arm that rests at a pose, home by default."""

    def make(name: str = "so101", at=None, planner: PathPlanner | None = None) -> Bench:
        robot = robot_of(name)
        place = robot.home_position if at is None else np.asarray(at, dtype=np.float64)
        hold = Plan.hold(robot.limits.joint_names, place, START_NS - 10**9)
        return Bench(robot, planner or StraightPlanner(workspace_of(name)), hold)

    return make


@pytest.fixture
def robots():
    """Return a robot, and what it stays clear of, by name."""
    return lambda name: (robot_of(name), workspace_of(name))
