# SPDX-License-Identifier: Apache-2.0
"""The bench of the fault campaign, with a controller that is ideal and hooks for tests."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from smooth_motion import Plan
from smooth_motion.messages import ControllerState, Trajectory
from smoothness_monitor.params import load_config
from verification.faults.bench import Bench
from verification.faults.clock import EPOCH_NS, S
from vla_contract.robot import load_robot
from vla_sim.faults.operations import Link

CONFIG = Path(__file__).resolve().parents[3] / "config"


@dataclass(frozen=True)
class Motion:
    """Something that moves the reference: `at(t_ns)` gives (position, velocity, acceleration)."""

    start_ns: int
    at: Callable[[int], tuple[np.ndarray, np.ndarray, np.ndarray]]


def motion_of(trajectory: Trajectory) -> Motion:
    plan = trajectory.plan()
    return Motion(plan.start_ns, lambda t: plan.sample(t)[:3])


class IdealPlant:
    """A controller that does exactly what a trajectory says, and joints without any lag."""

    def __init__(self, names, rest) -> None:
        self.names = names
        hold = Plan.hold(names, rest, EPOCH_NS - 3 * S + 123_456)
        self.motion = Motion(hold.start_ns, lambda t: hold.sample(t)[:3])
        self.mailbox: Motion | None = None
        self.active = True
        self.held_at: np.ndarray | None = None
        self.stood_at = rest

    def receive(self, trajectory, now_ns):
        self.mailbox = motion_of(trajectory)

    def goal(self, trajectory, now_ns):
        self.receive(trajectory, now_ns)
        return True

    def update(self, now_ns):
        if not self.active:
            self.mailbox = None
            return None
        if self.mailbox is not None:
            self.motion, self.mailbox = self.mailbox, None
        position, velocity, acceleration = self.motion.at(now_ns)
        self.stood_at = position
        columns = (tuple(c.tolist()) for c in (position, velocity, acceleration))
        return ControllerState(now_ns, now_ns - self.motion.start_ns, self.names, *columns)

    def reference(self, now_ns):
        return self.stood_at

    def measured(self, t_ns):
        if self.held_at is not None:
            return self.held_at
        return self.motion.at(t_ns)[0] if self.active else self.stood_at

    def deactivate(self):
        self.active = False

    def activate(self, now_ns):
        at = self.stood_at
        self.active = True
        self.motion = Motion(now_ns, lambda t: (at, 0.0 * at, 0.0 * at))

    def hold(self):
        self.held_at = self.stood_at


class Hooked(Link):
    """A link through a function of a test: a message in, a message or None out."""

    def __init__(self, hook) -> None:
        super().__init__()
        self.hook = hook

    def carry(self, message, now_ns):
        changed = self.hook()(message)
        return [] if changed is None else [(0, changed)]


class IdealBench(Bench):
    """The bench with hooks: faults are injected by replacing them."""

    def __init__(self, robot, config, *, seed=0, jitter=True) -> None:
        plant = IdealPlant(robot.limits.joint_names, robot.home_position)
        super().__init__(robot, config, plant, seed=seed, jitter=jitter)
        self.policy_sends: Plan | None = None
        self.on_controller_message = lambda message: message
        self.on_joints_message = lambda message: message
        self.mutate_plan = lambda trajectory: trajectory
        self.deliver_to_controller = lambda trajectory: True
        self.measured_offset = lambda t_ns, position: position
        self.links["controller_state"] = Hooked(lambda: self.on_controller_message)
        self.links["joint_states"] = Hooked(lambda: self.on_joints_message)
        self.links["plans"] = Hooked(lambda: self.mutate_plan)
        self.links["commands"] = Hooked(
            lambda: lambda each: each if self.deliver_to_controller(each) else None
        )

    def measured(self, t_ns):
        own = self.plant.measured
        self.plant.measured = lambda t: self.measured_offset(t, own(t))
        try:
            return super().measured(t_ns)
        finally:
            self.plant.measured = own

    @property
    def motion(self) -> Motion:
        return self.plant.motion

    @motion.setter
    def motion(self, motion: Motion) -> None:
        self.plant.motion = motion

    def plan(self, spare_ns: int | None = None) -> Trajectory:
        """Return the policy's next plan; it counts as sent once it is given and forwarded."""
        if spare_ns is not None:
            self.policy_spare_ns = spare_ns
        self.policy_sends = self.next_plan()
        return Trajectory.of(self.policy_sends)

    def give(self, trajectory, plan=None):
        super().give(trajectory, plan or self.policy_sends)


@pytest.fixture(scope="session")
def robot():
    return load_robot(CONFIG / "robots" / "so101" / "robot.yaml")


@pytest.fixture(scope="session")
def config():
    return load_config(CONFIG / "robots" / "so101" / "monitor.yaml")


@pytest.fixture
def make_bench(robot, config):
    def make(*, seed: int = 0, jitter: bool = True, **changes) -> IdealBench:
        return IdealBench(robot, replace(config, **changes), seed=seed, jitter=jitter)

    return make


@pytest.fixture
def bench(make_bench):
    return make_bench()


@pytest.fixture
def graph(tmp_path):
    """Return the running node among the others, once it permits motion."""
    from verification.monitor_graph import MonitorGraph

    graph = MonitorGraph(tmp_path)
    try:
        graph.until(lambda: graph.around.newest.permit)
        yield graph
    finally:
        graph.close()
