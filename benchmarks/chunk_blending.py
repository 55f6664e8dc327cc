# SPDX-License-Identifier: Apache-2.0
"""How chunks of a policy that cannot continue one another follow each other, under latency.

    .venv/bin/python benchmarks/chunk_blending.py

The policy node's own loop, in simulated time, around a controller that follows exactly. The policy
begins each chunk where it saw the arm and moves on from there at a steady speed towards a goal, as
learned policies do, with some noise in its speed. Answers take a latency, which varies by a fifth.
Every way of following is run with the same seeds: the noise and the latencies are the same.

- backwards: how far the arm moves away from the goal on its way, rad;
- slowest, fastest: between the first second of motion and the goal, rad/s (the policy wants 0.30);
- covered: the share of the way at that speed that the arm makes in the time;
- turned: how long after the goal has changed sides the arm moves towards it, s;
- arrived: how long the arm takes to a goal 0.6 rad away, to stay within 0.01 rad of it, s.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from smooth_motion import Plan
from vla_contract.contract import Contract, load_contract
from vla_contract.robot import Robot, load_robot
from vla_policies import STATE, Action, FeatureKind, FeatureSpec, Observation, PolicySpec
from vla_policies.rtc import Committed
from vla_policy_node.core.chunk_executor import ChunkExecutor
from vla_policy_node.core.controller_reports import ControllerReport
from vla_policy_node.core.inference import InferenceResult
from vla_policy_node.core.permit import MonitorReport, MonitorState
from vla_policy_node.core.policy_runner import PolicyRunner
from vla_policy_node.params import PolicyNodeParameters

ROOT = Path(__file__).parent.parent
MS = 1_000_000
SPEED = 0.30
ROWS, DT_S = 50, 1 / 30
BEGIN_NS = 10**12
CONTRACT = """
policy: {{name: x, options: {{}}}}
observation:
  observation.state: {{topic: joint_states, type: sensor_msgs/msg/JointState, field: position,
                      joints: [{joints}], units: rad, max_age_s: 0.2}}
action: {{joints: [{joints}], units: rad}}
"""


class Mover:
    """Begins each chunk at the state that it sees and moves the first joint towards a goal."""

    def __init__(self, joints: tuple[str, ...], noise: float, seed: int) -> None:
        state = FeatureSpec(STATE, FeatureKind.STATE, (len(joints),), "rad")
        self.spec = PolicySpec("mover", (state,), joints, "rad", DT_S, ROWS)
        self.goal, self._noise = np.inf, noise
        self._random = np.random.default_rng(seed)

    def infer(self, observation: Observation) -> Action:
        speed = SPEED * (1.0 + self._noise * self._random.standard_normal())
        rows = np.tile(observation.state[STATE], (ROWS, 1))
        way = self.goal - rows[0, 0]
        step = np.minimum(speed * DT_S * np.arange(ROWS), abs(way))
        rows[:, 0] += np.sign(way) * step
        return Action(rows, DT_S, self.spec.joint_names)


class Late:
    """Answers after a latency of simulated time."""

    continues = False
    overdue = False

    def __init__(self, policy: Mover, latency_s: float, seed: int) -> None:
        self._policy, self._latency_s = policy, latency_s
        self._random = np.random.default_rng(seed)
        self._due: tuple[int, int, Observation, Action] | None = None

    @property
    def busy(self) -> bool:
        return self._due is not None

    def warming_up(self, steady_ns: int) -> str:
        return ""

    def begin(self) -> None:
        self._due = None

    def submit(
        self, observation: Observation, steady_ns: int, committed: Committed | None = None
    ) -> None:
        latency_s = self._latency_s * (1.0 + self._random.uniform(-0.2, 0.2))
        action = self._policy.infer(observation)
        self._due = (steady_ns, steady_ns + round(latency_s * 1e9), observation, action)

    def poll(self, steady_ns: int) -> InferenceResult | None:
        if self._due is None or steady_ns < self._due[1]:
            return None
        submitted_ns, _, observation, action = self._due
        self._due = None
        return InferenceResult(observation.stamp_ns, submitted_ns, steady_ns, action, "")


class IdealWorld:
    """A controller that follows exactly and a monitor that permits, at 100 Hz."""

    def __init__(
        self,
        robot: Robot,
        contract: Contract,
        policy: Mover,
        late: Late,
        settings: PolicyNodeParameters,
    ) -> None:
        self.robot, self.policy = robot, policy
        joints = contract.action_joints
        self.executor = ChunkExecutor(robot, joints, settings, lambda: 0)
        self.runner = PolicyRunner(self.executor, robot, contract, policy.spec, late, settings)
        self.now_ns = BEGIN_NS
        names = robot.limits.joint_names
        home = np.zeros(len(names))
        self.running = Plan.hold(names, home, BEGIN_NS - 10**9)
        self.due: list[tuple[int, Plan]] = []
        self.led: list[float] = []

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 100)):
            self.tick()

    def tick(self) -> None:
        self.now_ns += 10 * MS
        now = self.now_ns
        for due_ns, plan in [each for each in self.due if each[0] <= now]:
            self.due.remove((due_ns, plan))
            self.running = plan
        sample = self.running.sample(now)
        self.led.append(float(sample.position[0]))
        executor, zero = self.executor, np.zeros(1)
        executor.arm(ControllerReport(now, now - self.running.start_ns, *sample[:3]), now, now)
        held = ControllerReport(now, now - BEGIN_NS, np.array([0.2]), zero, zero)
        executor.gripper(held, now)
        state = np.append(sample.position, 0.2)
        self.runner.observations.state(STATE, self.policy.spec.joint_names, state, now, now)
        executor.monitor(MonitorReport(now, MonitorState.READY, True, ""), now)
        outputs = self.runner.step(now, now)
        if isinstance(outputs.arm, Plan):
            self.due.append((now + 5 * MS, outputs.arm))


@dataclass(frozen=True)
class BlendingFigures:
    """What one run showed."""

    backwards: float
    slowest: float
    fastest: float
    covered: float
    turned: float
    arrived: float


def measure(
    robot: Robot, contract: Contract, chunks: str, latency_s: float, noise: float, seed: int
) -> BlendingFigures:
    """Run one way with one latency and one seed."""
    joints = (*robot.limits.joint_names, robot.gripper.joint)
    policy = Mover(joints, noise, seed)
    late = Late(policy, latency_s, seed + 1)
    settings = PolicyNodeParameters(robot_file="r", contract_file="c", chunks=chunks)
    world = IdealWorld(robot, contract, policy, late, settings)
    world.run(0.1)
    policy.goal = 1.8
    world.runner.begin("move", np.inf, world.now_ns)
    world.run(latency_s + 0.3)
    begun = len(world.led)
    world.run(5.0)
    led = np.array(world.led[begun:])
    speed = np.diff(led) / 0.01
    steady = speed[100:]
    policy.goal = -1.8
    turn = len(world.led)
    world.run(4.0)
    after = np.diff(np.array(world.led[turn:])) / 0.01
    towards = np.flatnonzero(after < -0.1)
    return BlendingFigures(
        backwards=float(-np.minimum(speed, 0.0).sum() * 0.01),
        slowest=float(steady.min()),
        fastest=float(steady.max()),
        covered=float((led[-1] - led[0]) / (SPEED * 5.0)),
        turned=float(towards[0] * 0.01) if len(towards) else float("inf"),
        arrived=arrival(robot, contract, settings, latency_s, noise, seed),
    )


def arrival(
    robot: Robot,
    contract: Contract,
    settings: PolicyNodeParameters,
    latency_s: float,
    noise: float,
    seed: int,
) -> float:
    """Return after how long the arm stays within 0.01 rad of a goal 0.6 rad away, s."""
    joints = (*robot.limits.joint_names, robot.gripper.joint)
    policy = Mover(joints, noise, seed)
    world = IdealWorld(robot, contract, policy, Late(policy, latency_s, seed + 1), settings)
    world.run(0.1)
    policy.goal = 0.6
    begun = len(world.led)
    world.runner.begin("move", np.inf, world.now_ns)
    world.run(12.0)
    away = np.flatnonzero(np.abs(np.array(world.led[begun:]) - 0.6) > 0.01)
    return float(away[-1] * 0.01)


def main() -> int:
    ways = next(f for f in fields(PolicyNodeParameters) if f.name == "chunks").metadata["choices"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--latencies-ms", type=int, nargs="+", default=[0, 100, 200, 300, 500, 700, 1000]
    )
    # A policy that cannot continue a chunk is blended under `continue`.
    ways = tuple(way for way in ways if way != "continue")
    parser.add_argument("--ways", nargs="+", choices=ways, default=ways)
    parser.add_argument("--noise", type=float, default=0.1, help="of the speed, a share")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    robot = load_robot(ROOT / "config/robots/so101/robot.yaml")
    joints = (*robot.limits.joint_names, robot.gripper.joint)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "contract.yaml"
        path.write_text(CONTRACT.format(joints=", ".join(joints)))
        contract = load_contract(path, robot.limits.joint_names, robot.gripper.joint)
    print("| latency | chunks | backwards | slowest | fastest | covered | turned | arrived |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for latency_ms in given.latencies_ms:
        for way in given.ways:
            runs = [
                measure(robot, contract, way, latency_ms / 1e3, given.noise, seed)
                for seed in range(given.seeds)
            ]
            print(
                f"| {latency_ms} ms | {way} | {max(r.backwards for r in runs):.3f} "
                f"| {min(r.slowest for r in runs):+.2f} | {max(r.fastest for r in runs):.2f} "
                f"| {100 * np.mean([r.covered for r in runs]):.0f} % "
                f"| {np.mean([r.turned for r in runs]):.2f} "
                f"| {np.mean([r.arrived for r in runs]):.1f} |"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
