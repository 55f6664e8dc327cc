# SPDX-License-Identifier: Apache-2.0
"""A robot, a contract and a world in simulated time around runner and executor."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from smooth_motion import Plan
from vla_contract.contract import load_contract
from vla_contract.robot import load_robot
from vla_policies import (
    Action,
    FeatureKind,
    FeatureSpec,
    Observation,
    PolicySpec,
    PolicyUnavailableError,
)
from vla_policies.rtc import Committed, continuing
from vla_policy_node.core.chunk_executor import ChunkExecutor
from vla_policy_node.core.controller_reports import ControllerReport
from vla_policy_node.core.inference import InferenceResult
from vla_policy_node.core.outputs import StepOutputs
from vla_policy_node.core.permit import MonitorReport, MonitorState
from vla_policy_node.core.policy_runner import PolicyRunner
from vla_policy_node.core.received_chunk import ReceivedChunk
from vla_policy_node.core.session import Ended
from vla_policy_node.params import PolicyNodeParameters

MS = 1_000_000
ARM = ("pan", "lift", "elbow")
JOINTS = (*ARM, "gripper")
HOME = np.array([0.1, -0.4, 0.3])
START_NS = 1_000_000_000_000

# The toy robot with three joints, and its contract.
FILES = Path(__file__).parents[2] / "vla_contract" / "test" / "three_joints"
CONTRACT = (FILES / "contract.yaml").read_text(encoding="utf-8")

SPEC = PolicySpec(
    policy_id="noise 1",
    observation=(
        FeatureSpec("observation.images.front", FeatureKind.IMAGE, (None, None, 3)),
        FeatureSpec("observation.state", FeatureKind.STATE, (4,), "rad"),
    ),
    joint_names=JOINTS,
    units="rad",
    dt_s=1 / 30,
    chunk_size=50,
)


class NoisePolicy:
    """Targets that jump without any sense, as a bad network's would."""

    spec = SPEC

    def __init__(self, seed: int = 0, size: float = 0.6) -> None:
        self._random = np.random.default_rng(seed)
        self._size = size
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def infer(self, observation: Observation) -> Action:
        walk = self._random.normal(0.0, self._size, (SPEC.chunk_size, len(JOINTS)))
        return Action(observation.state["observation.state"] + walk, SPEC.dt_s, JOINTS)

    def close(self) -> None:
        pass


@dataclass
class DelayedInference:
    """Answers after a latency of simulated time."""

    policy: NoisePolicy
    latency_ns: Callable[[], int]
    continues: bool = False
    committed: list[Committed | None] = field(default_factory=list)
    overdue: bool = False
    generation: int = 0
    asked: list[Observation] = field(default_factory=list)
    _under_way: tuple[int, int, int, Observation, Action | Exception] | None = None

    @property
    def busy(self) -> bool:
        return self._under_way is not None

    def warming_up(self, steady_ns: int) -> str:
        return ""

    def begin(self) -> None:
        self.generation += 1

    def submit(
        self, observation: Observation, steady_ns: int, committed: Committed | None = None
    ) -> None:
        self.asked.append(observation)
        self.committed.append(committed)
        result: Action | Exception
        try:
            if committed is None:
                result = self.policy.infer(observation)
            else:
                result = self.policy.continue_chunk(observation, committed)
        except ValueError as error:
            result = error
        due_ns = steady_ns + self.latency_ns()
        self._under_way = (self.generation, steady_ns, due_ns, observation, result)

    def poll(self, steady_ns: int) -> InferenceResult | None:
        if self._under_way is None or steady_ns < self._under_way[2]:
            return None
        generation, submitted_ns, _, observation, result = self._under_way
        self._under_way = None
        if generation != self.generation:
            return None
        action = None if isinstance(result, Exception) else result
        failure = str(result) if action is None else ""
        away = isinstance(result, PolicyUnavailableError)
        return InferenceResult(
            observation.stamp_ns, submitted_ns, steady_ns, action, failure, away
        )


@dataclass
class World:
    """Cameras, joints, a controller that follows exactly, and a monitor, ticking at 100 Hz.

    Attributes:
        deliver: Whether a plan reaches the controller.
        deliver_gripper: Whether what comes with it reaches the gripper's controller.
        monitor: What the monitor reports; None when it is silent.
        rejected: How many plans it says it rejected, and why the newest.
        lag_ns: How far the controller's time lies behind the clock.
        set_ns: By how much ROS time was set against the steady clock.
        commands: The controller's reference at each tick.
    """

    executor: ChunkExecutor
    runner: PolicyRunner
    inference: DelayedInference
    delivery_ns: int = 5 * MS
    lag_ns: int = 0
    set_ns: int = 0
    now_ns: int = START_NS
    deliver: Callable[[Plan], bool] = lambda plan: True
    deliver_gripper: bool = True
    monitor: MonitorState | None = MonitorState.READY
    rejected: tuple[int, str] = (0, "")
    cameras: bool = True
    controller: bool = True
    running: Plan = field(default_factory=lambda: Plan.hold(ARM, HOME, START_NS - 10**9))
    gripper_running: tuple[int, NDArray[np.int64], NDArray[np.float64]] = (
        START_NS - 10**9,
        np.zeros(1, dtype=np.int64),
        np.array([0.2]),
    )
    commands: list[NDArray[np.float64]] = field(default_factory=list)
    gripper_commands: list[float] = field(default_factory=list)
    plans: list[tuple[int, Plan]] = field(default_factory=list)
    raw: list[ReceivedChunk] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    chunks: int = 0
    _queue: list[tuple[int, StepOutputs]] = field(default_factory=list)
    _random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 100)):
            self.tick()

    def tick(self) -> None:
        self.now_ns += 10 * MS
        now, ros = self.now_ns, self.now_ns + self.set_ns
        for due_ns, outputs in [item for item in self._queue if item[0] <= now]:
            self._queue.remove((due_ns, outputs))
            if isinstance(outputs.arm, Plan) and self.deliver(outputs.arm):
                self.running = outputs.arm
                plan = outputs.gripper
                if plan is not None and self.deliver_gripper:
                    self.gripper_running = (plan.start_ns, plan.times_ns, plan.positions)
        cycle = ros - self.lag_ns
        sample = self.running.sample(cycle)
        start_ns, times_ns, positions = self.gripper_running
        gripper = float(np.interp(cycle - start_ns, times_ns, positions))
        self.commands.append(sample.position)
        self.gripper_commands.append(gripper)
        executor, runner = self.executor, self.runner
        if self.controller:
            zero, arm_since_ns = np.zeros(1), cycle - self.running.start_ns
            executor.arm(ControllerReport(cycle, arm_since_ns, *sample[:3]), ros, now)
            held = ControllerReport(cycle, cycle - start_ns, np.array([gripper]), zero, zero)
            executor.gripper(held, now)
        runner.observations.state(
            "observation.state", JOINTS, np.append(sample.position, gripper), ros, now
        )
        if self.cameras:
            pixels = self._random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            runner.observations.image("observation.images.front", pixels, ros, now)
        if self.monitor is not None:
            permit = self.monitor is MonitorState.READY
            report = MonitorReport(ros, self.monitor, permit, "", *self.rejected)
            executor.monitor(report, now)
        outputs = runner.step(ros, now)
        self.log += [line.text for line in outputs.log]
        self.ended += outputs.ended
        self.chunks += outputs.chunk is not None
        if isinstance(outputs.arm, Plan):
            self.plans.append((ros, outputs.arm))
            self._queue.append((now + self.delivery_ns, outputs))
        elif outputs.arm is not None:
            self.raw.append(outputs.arm)

    def jerk(self) -> NDArray[np.float64]:
        """Return the exact third difference of the command, (N, J), rad/s^3."""
        return np.diff(np.array(self.commands), n=3, axis=0) / 0.01**3


@pytest.fixture
def robot():
    return load_robot(FILES / "robot.yaml")


@pytest.fixture
def write_contract(tmp_path: Path) -> Callable[..., Path]:
    """Write the contract, with one text replaced by another."""

    def write(old: str = "", new: str = "") -> Path:
        assert old in CONTRACT
        path = tmp_path / "contract.yaml"
        path.write_text(CONTRACT.replace(old, new) if old else CONTRACT)
        return path

    return write


@pytest.fixture
def contract(write_contract: Callable[..., Path]):
    return load_contract(write_contract(), ARM, "gripper")


@pytest.fixture
def make_world(robot, contract) -> Callable[..., World]:
    """Make a world with a policy of a given latency."""

    contract_of_file = contract

    def make(
        policy=None,
        latency_ms: int | Callable[[], int] = 100,
        contract=contract_of_file,
        **parameters,
    ) -> World:
        policy = policy or NoisePolicy()
        latency = latency_ms if callable(latency_ms) else lambda: latency_ms
        continues = continuing(policy) is not None
        inference = DelayedInference(policy, lambda: latency() * MS, continues)
        settings = PolicyNodeParameters(robot_file="r", contract_file="c", **parameters)
        executor = ChunkExecutor(robot, contract.action_joints, settings, lambda: 0)
        runner = PolicyRunner(executor, robot, contract, policy.spec, inference, settings)
        world = World(executor, runner, inference)
        world.run(0.05)
        return world

    return make


@pytest.fixture
def noise_policy() -> type[NoisePolicy]:
    return NoisePolicy


@pytest.fixture
def spec() -> PolicySpec:
    return SPEC
