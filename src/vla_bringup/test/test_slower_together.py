# SPDX-License-Identifier: Apache-2.0
"""The policy node's core and the monitor's around one controller, while the motion is slowed."""

import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from smooth_motion import Plan
from smooth_motion.messages import Trajectory
from smoothness_monitor.core.types import StopState
from smoothness_monitor.params import load_config
from verification.faults.bench import Bench
from verification.faults.clock import EPOCH_NS, MS, S
from verification.faults.plant import EmulatedPlant
from vla_contract.contract import load_contract
from vla_contract.robot import load_robot
from vla_policies import Action, FeatureKind, FeatureSpec, PolicySpec
from vla_policy_node.core.chunk_executor import ChunkExecutor
from vla_policy_node.core.controller_reports import ControllerReport
from vla_policy_node.core.inference import InferenceResult
from vla_policy_node.core.permit import MonitorReport, MonitorState
from vla_policy_node.core.policy_runner import PolicyRunner
from vla_policy_node.params import PolicyNodeParameters
from vla_sim.executors import LEAD_S
from vla_sim.faults import operations as op

CONFIG = Path(__file__).resolve().parents[3] / "config"
LATENCY_NS = 80 * MS
CONTRACT = """
policy: {{name: sweep, options: {{}}}}
observation:
  observation.state:
    topic: joint_states
    type: sensor_msgs/msg/JointState
    field: position
    joints: {joints}
    units: rad
    max_age_s: 0.2
action: {{joints: {joints}, units: rad}}
"""


class SweepPolicy:
    """Sweeps to and fro by where the arm is: what it asks for has no time in it."""

    def __init__(self, robot):
        joints = (*robot.limits.joint_names, robot.gripper.joint)
        self.home = np.append(robot.home_position, 0.2)
        feature = FeatureSpec("observation.state", FeatureKind.STATE, (len(joints),), "rad")
        self.spec = PolicySpec("sweep 1", (feature,), joints, "rad", 1 / 30, 50)
        self.sign = 1.0

    def reset(self):
        pass

    def close(self):
        pass

    def infer(self, observation):
        state = np.array(observation.state["observation.state"])
        if self.sign * (state[0] - self.home[0]) > 0.8:
            self.sign = -self.sign
        ramp = self.sign * 0.9 * np.arange(1, 51)[:, None] / 30.0
        weights = np.array([1.0, 0.2, -0.3, 0.2, 0.5, 0.0])
        rows = self.home + weights * (state[0] - self.home[0] + ramp).clip(-1.0, 1.0)
        return Action(rows, 1 / 30, self.spec.joint_names)


class Asked:
    """The policy in simulated time: an answer comes after `LATENCY_NS`."""

    overdue = False
    continues = False

    def __init__(self, policy):
        self.policy, self.asked = policy, None

    @property
    def busy(self):
        return self.asked is not None

    def warming_up(self, steady_ns: int) -> str:
        return ""

    def begin(self):
        self.asked = None

    def submit(self, observation, steady_ns, committed=None):
        self.asked = observation, steady_ns

    def poll(self, steady_ns):
        if self.asked is None or steady_ns - self.asked[1] < LATENCY_NS:
            return None
        (observation, submitted_ns), self.asked = self.asked, None
        action = self.policy.infer(observation)
        return InferenceResult(observation.stamp_ns, submitted_ns, steady_ns, action, "", False)


class Loop(Bench):
    """The bench with the policy node's core for a policy.

    Attributes:
        obeys: The node hears `speed_scaling`.
        listens: It hears what goes to the controller.
    """

    def __init__(self, robot, config, folder, seed):
        super().__init__(robot, config, EmulatedPlant(robot, EPOCH_NS), seed=seed)
        joints = [*self.names, robot.gripper.joint]
        path = folder / "contract.yaml"
        path.write_text(CONTRACT.format(joints=joints))
        contract = load_contract(path, self.names, robot.gripper.joint)
        policy = SweepPolicy(robot)
        # Blended chunks would hide how fast each of them is.
        settings = PolicyNodeParameters(
            robot_file="r", contract_file="c", overlap_s=0.2, chunks="replace"
        )
        asked = Asked(policy)
        self.obeys = self.listens = True
        joints = contract.action_joints
        self.executor = ChunkExecutor(robot, joints, settings, lambda: 0)
        self.runner = PolicyRunner(self.executor, robot, contract, policy.spec, asked, settings)
        self.node_log = []
        self.ended = []
        self.speeds = []
        self.every(10 * MS, 5 * MS, self._node_step)
        self.every(20 * MS, 8 * MS, self._tell)

    def _policy_observes(self, message):
        columns = (np.array(c) for c in (message.position, message.velocity, message.acceleration))
        report = ControllerReport(message.stamp_ns, message.time_from_start_ns, *columns)
        self.executor.arm(report, self.now_ns, self.now_ns)
        held = ControllerReport(message.stamp_ns, S, np.array([0.2]), np.zeros(1), np.zeros(1))
        self.executor.gripper(held, self.now_ns)
        state = np.append(self.measured(self.now_ns), 0.2)
        joints = (*self.names, self.robot.gripper.joint)
        observations, now = self.runner.observations, self.now_ns
        observations.state("observation.state", joints, state, now, now)
        self.speeds.append((self.now_ns, float(np.abs(message.velocity).max())))

    def _tell(self):
        seen = self.monitor.snapshot()
        scaling = seen.speed_scaling if self.obeys else 1.0
        report = MonitorReport(
            self.now_ns,
            MonitorState(int(seen.state)),
            seen.permit,
            seen.first_cause,
            seen.plans_rejected,
            seen.last_rejection,
            scaling,
        )
        self.after(2 * MS, lambda: self.executor.monitor(report, self.now_ns))

    def _node_step(self):
        outputs = self.runner.step(self.now_ns, self.now_ns)
        self.node_log += [line.text for line in outputs.log]
        self.ended += outputs.ended
        if isinstance(outputs.arm, Plan):
            each = Trajectory.of(outputs.arm)
            self.after(5 * MS, lambda: self.take(self.monitor.on_plan(each, self.now)))

    def take(self, outputs):
        super().take(outputs)
        for each in outputs.arm if self.listens else ():
            plan = each.plan()
            self.after(3 * MS, lambda plan=plan: self.executor.heard(plan, self.now_ns))

    def fastest(self, since_ns, until_ns):
        return max(speed for t, speed in self.speeds if since_ns <= t <= until_ns)


@pytest.fixture
def loop(tmp_path):
    robot = load_robot(CONFIG / "robots" / "so101" / "robot.yaml")
    config = load_config(CONFIG / "robots" / "so101" / "monitor.yaml")
    loop = Loop(robot, config, tmp_path, seed=5)
    loop.get_ready()
    loop.runner.begin("sweep", math.inf, loop.now_ns)
    loop.run(3.0)
    assert loop.fastest(0, loop.now_ns) > 0.7, "the arm sweeps"
    return loop


def rattled(loop, seconds=6.0):
    """Let a joint rattle for a while, and return when that began."""
    began_ns = loop.now_ns
    operation = op.Rattle("shoulder_pan", 0.006, 6.0, seconds)
    operation.start(began_ns, loop.random)
    loop.links["joint_states"].operations.append(operation)
    return began_ns


def until_slow(loop, settle_s=1.2):
    """Run until the motion is slowed down, and a little longer."""
    assert loop.run_until(lambda: loop.monitor.snapshot().speed_scaling == 0.5, 4.0)
    loop.run(settle_s)


def test_a_policy_node_that_is_told_goes_on_smoothly_and_slowly_and_then_at_full_speed(loop):
    before = loop.fastest(loop.now_ns - 2 * S, loop.now_ns)
    began_ns = rattled(loop)
    until_slow(loop)
    forwarded = loop.monitor.snapshot().plans_forwarded
    rejected = loop.monitor.snapshot().plans_rejected
    slow_from = loop.now_ns
    loop.run(2.4)
    slow = loop.fastest(slow_from, loop.now_ns)
    assert slow < 0.56 * before
    assert slow > 0.4 * before, "it goes on"
    assert loop.monitor.snapshot().plans_rejected <= rejected + 1
    assert loop.monitor.snapshot().plans_forwarded > forwarded + 8
    loop.run(8.0)
    assert loop.monitor.snapshot().speed_scaling == 1.0
    assert loop.fastest(loop.now_ns - 3 * S, loop.now_ns) > 0.9 * before
    assert loop.state is StopState.READY
    assert loop.peak_jerk_ratio(began_ns) <= 1.001
    assert loop.ended == []
    assert not any("not sent from here" in line for line in loop.node_log)


@pytest.mark.parametrize("listens", [True, False], ids=["listens", "deaf"])
def test_a_node_that_is_not_told_is_slowed_down_all_the_same_and_nothing_trips(loop, listens):
    """One that listens to what goes to the controller goes on; a deaf one waits for its rest."""
    before = loop.fastest(loop.now_ns - 2 * S, loop.now_ns)
    loop.obeys, loop.listens = False, listens
    began_ns = rattled(loop)
    until_slow(loop)
    slow_from = loop.now_ns
    loop.run(2.4)
    slow = loop.fastest(slow_from, loop.now_ns)
    assert slow < 0.65 * before
    assert not listens or slow > 0.2 * before
    loop.run(9.0)
    assert not listens or loop.fastest(loop.now_ns - 3 * S, loop.now_ns) > 0.9 * before
    assert loop.state is StopState.READY
    assert loop.monitor.snapshot().causes == ()
    assert loop.peak_jerk_ratio(began_ns) <= 1.001


@pytest.mark.parametrize("after_s", [0.1, 0.3, 0.6, 0.9, 1.4])
def test_a_stop_at_any_time_of_a_slowdown_keeps_the_limits(loop, after_s):
    rattled(loop)
    until_slow(loop, settle_s=after_s)
    stopped_ns = loop.now_ns
    loop.stop()
    assert loop.run_until(lambda: loop.state is StopState.STOPPED_LATCHED, 3.0)
    assert loop.peak_jerk_ratio(stopped_ns - 100 * MS) <= 1.001
    loop.run(5.0)
    assert loop.reset()[0]
    assert loop.monitor.snapshot().speed_scaling == 1.0
    loop.run(0.5)
    loop.runner.begin("sweep", math.inf, loop.now_ns)
    loop.run(3.0)
    assert loop.fastest(loop.now_ns - S, loop.now_ns) > 0.7
    assert loop.state is StopState.READY
    assert loop.peak_jerk_ratio(stopped_ns) <= 1.001


def test_an_episode_without_ros_follows_chunks_as_late_as_the_policy_node_does():
    """What is taught and measured there is what the nodes then do."""
    defaults = {spec.name: spec.default for spec in fields(PolicyNodeParameters)}
    assert defaults["overlap_s"] + defaults["planning_margin_s"] == pytest.approx(LEAD_S)
