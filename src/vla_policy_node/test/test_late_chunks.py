# SPDX-License-Identifier: Apache-2.0
"""A policy that begins its chunks where it saw the arm, and answers late, moves it steadily."""

import numpy as np
import pytest

from vla_policies import Action

STATE = "observation.state"
SPEED = 0.30
JERK = np.array([100.0, 100.0, 60.0])


@pytest.fixture
def mover(noise_policy):
    """Return a policy that moves the first joint on from where it sees it, at a steady speed."""

    class Mover(noise_policy):
        def infer(self, observation):
            rows = np.tile(observation.state[STATE], (50, 1))
            rows[:, 0] = np.minimum(rows[:, 0] + SPEED * np.arange(50) / 30, 1.8)
            return Action(rows, 1 / 30, self.spec.joint_names)

    return Mover()


def speeds(world, seconds=5.0):
    world.running = world.running.hold(
        world.running.joint_names, [-1.0, 0.0, 0.0], world.now_ns - 10**9
    )
    world.run(0.2)
    world.runner.begin("move", 60.0, world.now_ns)
    begun = len(world.commands)
    world.run(seconds)
    del world.commands[:begun]
    return np.diff(np.array(world.commands)[:, 0]) / 0.01


@pytest.mark.parametrize("latency_ms", [0, 100, 200, 300, 500, 700])
@pytest.mark.parametrize("chunks", ["continue", "blend"])
def test_by_default_the_arm_does_not_go_back_and_forth(make_world, mover, latency_ms, chunks):
    world = make_world(policy=mover, latency_ms=latency_ms, chunks=chunks)
    speed = speeds(world)
    assert -speed[speed < 0].sum() * 0.01 <= 0.005
    assert speed[200:].mean() == pytest.approx(SPEED, rel=0.15)
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001


def test_replace_still_does_what_it_says(make_world, mover):
    speed = speeds(make_world(policy=mover, latency_ms=300, chunks="replace"))
    assert -speed[speed < 0].sum() * 0.01 > 0.05


def test_the_arm_arrives_where_the_policy_wants_it(make_world, noise_policy):
    """The difference that is blended in fades: it is no offset for ever."""

    class Goes(noise_policy):
        def infer(self, observation):
            return Action(np.tile([0.8, 0.2, -0.3, 1.0], (50, 1)), 1 / 30, self.spec.joint_names)

    for latency_ms in (0, 300, 1000):
        world = make_world(policy=Goes(), latency_ms=latency_ms)
        world.runner.begin("go", 60.0, world.now_ns)
        world.run(20.0)
        assert world.commands[-1] == pytest.approx([0.8, 0.2, -0.3], abs=0.01)


def test_the_gripper_is_not_blended(make_world, noise_policy):
    class Closes(noise_policy):
        def infer(self, observation):
            rows = np.tile(observation.state[STATE], (50, 1))
            rows[:, 3] = 0.0
            return Action(rows, 1 / 30, self.spec.joint_names)

    world = make_world(policy=Closes(), latency_ms=100)
    world.runner.begin("close", 60.0, world.now_ns)
    world.run(0.6)
    assert world.gripper_commands[-1] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("chunks", "said"),
    [("continue", True), ("blend", True), ("replace", False), ("ensemble", False)],
)
def test_the_status_says_that_chunks_are_blended(make_world, mover, chunks, said):
    remarks = make_world(policy=mover, chunks=chunks).runner.status(0).remarks
    assert any("chunks: blend; noise 1 cannot continue" in each for each in remarks) is said
