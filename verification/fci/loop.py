# SPDX-License-Identifier: Apache-2.0
"""The same chunks through this suite, and as a user of the controller alone would send them.

This suite: the policy node's executor, the monitor with its gate, the controller. Without it: each
chunk as a trajectory of positions that starts at once. Both move the same arm over the same wire,
in simulated time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from smooth_motion import Plan, Point
from smooth_motion.messages import ControllerState, Trajectory
from smoothness_monitor.core.monitor import Monitor
from smoothness_monitor.core.types import StopState
from smoothness_monitor.params import MonitorConfig, load_config
from verification.faults.bench import Bench
from verification.faults.clock import EPOCH_NS, MS, SimulatedClock
from verification.fci.arm import PERIOD_NS, FciArm
from verification.fci.chunks import DT_NS, BadChunk
from vla_contract.robot import Robot, load_robot
from vla_contract.workspace import Workspace, load_workspace
from vla_policies.adversary import DT_S
from vla_policy_node.core.arm_lease import ChunkSource
from vla_policy_node.core.chunk_executor import ChunkExecutor
from vla_policy_node.core.controller_reports import ControllerReport
from vla_policy_node.core.permit import MonitorReport, MonitorState
from vla_policy_node.core.received_chunk import ReceivedChunk
from vla_policy_node.core.session import RunStatistics
from vla_policy_node.params import PolicyNodeParameters
from vla_sim.fci.joints import Bridge
from vla_sim.fci.reflexes import FciLimits

STEP_NS = 10 * MS
CHUNKS_FROM_NS = 3_000 * MS  # the monitor is ready by then
REST_S = 2.0  # after the last chunk


@dataclass
class FciOutcome:
    """What came of one stream.

    Attributes:
        seconds: Simulated time.
        chunks: That arrived.
        refused: Of these, by the planner; without this suite, those that no controller takes.
        plans: That the gate forwarded; without this suite, trajectories sent.
        gate_refused: Plans that the gate refused.
        stops: Of the monitor.
        stopped_by: What it named first, empty where it did not stop.
        aborts: Of the arm, by the first error.
        first_abort_s: When it aborted first, from the first observation; None where it did not.
        travel_rad: Way of the command, all joints together.
        shares: Largest share of the published limits of velocity, acceleration, jerk.
    """

    seconds: float
    chunks: int = 0
    refused: int = 0
    plans: int = 0
    gate_refused: int = 0
    stops: int = 0
    stopped_by: str = ""
    aborts: dict[str, int] = field(default_factory=dict)
    first_abort_s: float | None = None
    travel_rad: float = 0.0
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Configured:
    """A robot's folder, as it is installed."""

    robot: Robot
    monitor: MonitorConfig
    workspace: Workspace

    @classmethod
    def read(cls, folder: Path) -> Configured:
        """Read it, with the thresholds for controllers at 1 kHz."""
        robot = load_robot(folder / "robot.yaml")
        joints = robot.limits.joint_names
        monitor = load_config(folder / "monitor_1000hz.yaml")
        return cls(robot, monitor, load_workspace(folder / "workspace.yaml", joints))


class GuardedLoop(Bench):
    """The bench of the fault campaign, with the policy node's executor for a policy."""

    def __init__(self, given: Configured, arm: FciArm) -> None:
        """Set everything up at rest.

        Args:
            given: The robot.
            arm: Its controller and joints.
        """
        super().__init__(
            given.robot, given.monitor, arm, jitter=False, control_period_ns=PERIOD_NS
        )
        self.monitor = Monitor(given.robot, given.monitor, workspace=given.workspace)
        for controller in (given.robot.arm_controller, given.robot.gripper.controller):
            self.monitor.on_controller_parameters(controller, "")
        parameters = PolicyNodeParameters(planning_margin_s=0.1, permit_timeout_s=0.5)
        self.executor = ChunkExecutor(given.robot, self.names, parameters, lambda: self._steady_ns)
        self._source = ChunkSource("policy")
        self.statistics = RunStatistics()
        self._number = 0
        self.every(STEP_NS, 5 * MS, self._step)

    @property
    def _steady_ns(self) -> int:
        return self.now.steady_ns

    def chunk(self, chunk: BadChunk, stamp_ns: int) -> None:
        """Let a chunk arrive, as from the policy that holds the arm."""
        executor = self.executor
        if executor.arbiter.holder is None:
            executor.grant(self._source, self.statistics, False, self._steady_ns)
        lease = executor.arbiter.holder
        if lease is None:
            return
        self._number += 1
        received = ReceivedChunk(
            "policy", lease.number, self._number, stamp_ns, DT_S, self.names, chunk.positions
        )
        executor.take(lease, received, self.now_ns, self._steady_ns)

    def _policy_observes(self, message: ControllerState) -> None:
        report = ControllerReport(
            message.stamp_ns,
            message.time_from_start_ns,
            np.array(message.position),
            np.array(message.velocity),
            np.array(message.acceleration),
        )
        self.executor.arm(report, self.now_ns, self._steady_ns)

    def _step(self) -> None:
        snapshot = self.monitor.snapshot()
        state = MonitorState[self.monitor.state.name]
        self.executor.monitor(
            MonitorReport(
                self.now_ns,
                state,
                self.monitor.permit,
                snapshot.first_cause,
                speed_scaling=snapshot.speed_scaling,
            ),
            self._steady_ns,
        )
        self.executor.step(self.now_ns, self._steady_ns)
        outputs = self.executor.flush()
        if isinstance(outputs.arm, Plan):
            trajectory = Trajectory.of(outputs.arm)
            self.after(2 * MS, lambda: self.take(self.monitor.on_plan(trajectory, self.now)))
        for _, sent in self.sent:
            points = ((p.time_from_start_ns, *p[1:]) for p in sent.points)
            plan = Plan.from_points(sent.joint_names, sent.stamp_ns, points)
            self.executor.heard(plan, self.now_ns)
        self.sent.clear()
        self.forget()


def ours(
    given: Configured,
    limits: FciLimits,
    bridge: Bridge,
    stream: Iterable[BadChunk],
    seconds: float,
) -> FciOutcome:
    """Run a stream through this suite."""
    arm = FciArm(given.robot, limits, bridge, EPOCH_NS)
    loop = GuardedLoop(given, arm)
    outcome = _run(loop, loop.chunk, stream, seconds)
    snapshot = loop.monitor.snapshot()
    outcome.plans, outcome.gate_refused = snapshot.plans_forwarded, snapshot.plans_rejected
    outcome.refused = loop.statistics.plans_refused
    outcome.stopped_by = f"{snapshot.first_cause} {snapshot.first_cause_detail}".strip()
    outcome.stops = sum(state is StopState.STOPPING for _, state in loop.transitions)
    return _counted(outcome, arm)


def naive(
    given: Configured,
    limits: FciLimits,
    bridge: Bridge,
    stream: Iterable[BadChunk],
    seconds: float,
) -> FciOutcome:
    """Run a stream as trajectories of positions that start at once."""
    arm = FciArm(given.robot, limits, bridge, EPOCH_NS)
    clock = SimulatedClock()

    def cycle() -> None:
        arm.update(clock.now_ns)

    clock.every(PERIOD_NS, 0, cycle)
    names = given.robot.limits.joint_names
    counts = FciOutcome(0.0)

    def arrive(chunk: BadChunk, stamp_ns: int) -> None:
        rows = chunk.positions
        # Kind to it: what no controller should be sent is not sent.
        sound = rows.shape == (len(rows), len(names)) and np.isfinite(rows).all()
        times = stamp_ns + DT_NS * np.arange(len(rows)) - clock.now_ns
        ahead = np.flatnonzero(times > 0)
        if not sound or not ahead.size:
            counts.refused += 1
            return
        counts.plans += 1
        points = tuple(Point(int(times[i]), rows[i].tolist(), [], []) for i in ahead)
        arm.receive(Trajectory(clock.now_ns, names, points), clock.now_ns)

    outcome = _run(clock, arrive, stream, seconds)
    outcome.plans, outcome.refused = counts.plans, counts.refused
    return _counted(outcome, arm)


def _run(
    clock: SimulatedClock,
    arrive: Callable[[BadChunk, int], None],
    stream: Iterable[BadChunk],
    seconds: float,
) -> FciOutcome:
    outcome = FciOutcome(seconds)
    start_ns = clock.now_ns + CHUNKS_FROM_NS
    newest_ns = -1

    def come(chunk: BadChunk) -> None:
        nonlocal newest_ns
        if chunk.stamp_ns > newest_ns:  # one that was overtaken is dropped
            newest_ns = chunk.stamp_ns
            outcome.chunks += 1
            arrive(chunk, start_ns + chunk.stamp_ns)

    for chunk in stream:
        clock.at(start_ns + chunk.arrival_ns, lambda chunk=chunk: come(chunk))  # type: ignore[misc]
    clock.run(CHUNKS_FROM_NS * 1e-9 + seconds + REST_S)
    return outcome


def _counted(outcome: FciOutcome, arm: FciArm) -> FciOutcome:
    outcome.aborts = dict(arm.aborts)
    if arm.first_abort_s is not None:
        outcome.first_abort_s = arm.first_abort_s - CHUNKS_FROM_NS * 1e-9
    outcome.travel_rad = float(arm.travel.sum())
    arm.finish()
    outcome.shares = tuple(arm.shares.tolist())
    return outcome
