# SPDX-License-Identifier: Apache-2.0
"""An instruction that is published again and again is one instruction."""

import math

import numpy as np
import pytest

from vla_policy_node.core.permit import MonitorState
from vla_policy_node.core.session import RunState, Termination

MS = 1_000_000


def publish(world, text: str, seconds: float, period_ticks: int = 20) -> None:
    for tick in range(round(seconds * 100)):
        if tick % period_ticks == 0:
            world.runner.instruct(text, world.now_ns)
        world.tick()


def test_an_instruction_repeated_at_5_hz_moves_the_arm_though_answers_take_longer(make_world):
    world = make_world(latency_ms=600)
    publish(world, "pick up the cube", 8.0)
    statistics = world.runner.status(world.now_ns).statistics
    assert world.ended == []
    assert world.chunks >= 5
    assert statistics.plans >= 5
    assert np.ptp(np.array(world.commands), axis=0).max() > 0.05
    assert world.runner.status(world.now_ns).state is RunState.RUNNING


def test_blanks_around_it_make_no_other_instruction(make_world):
    world = make_world(latency_ms=600)
    world.runner.instruct("pick up the cube", world.now_ns)
    world.run(0.3)
    world.runner.instruct("  pick up the cube\n", world.now_ns)
    assert world.ended == []


def test_a_new_instruction_among_repeated_ones_takes_over(make_world):
    world = make_world(latency_ms=300)
    publish(world, "one", 2.0)
    publish(world, "two", 2.0)
    assert [ended.termination for ended in world.ended] == [Termination.PREEMPTED]
    assert world.runner.status(world.now_ns).instruction == "two"
    assert world.inference.asked[-1].task == "two"


def test_a_goal_given_again_goes_on_under_the_new_goal_and_the_old_client_is_told(make_world):
    world = make_world(latency_ms=600)
    runs = []
    for _ in range(30):
        runs.append(world.runner.begin("pick up the cube", 60.0, world.now_ns))
        world.run(0.2)
    assert len(set(runs)) == 30
    assert [ended.run_id for ended in world.ended] == runs[:-1]
    assert {ended.termination for ended in world.ended} == {Termination.PREEMPTED}
    assert "goes on" in world.ended[0].message
    assert len(world.plans) >= 5
    assert world.inference.generation == 1, "the policy is not reset"


def test_a_goal_with_a_time_limit_of_its_own_replaces_the_limit_of_the_one_before(make_world):
    world = make_world()
    world.runner.begin("x", math.inf, world.now_ns)
    world.run(1.0)
    world.runner.begin("x", 1.0, world.now_ns)
    world.run(1.1)
    assert world.ended[-1].termination is Termination.TIMED_OUT


def test_an_instruction_repeated_through_a_stop_does_not_move_the_arm_after_the_reset(make_world):
    world = make_world()
    publish(world, "pick up the cube", 2.0)
    world.monitor = MonitorState.STOPPED_LATCHED
    publish(world, "pick up the cube", 3.0)
    assert world.ended[0].termination is Termination.STOPPED
    world.monitor = MonitorState.READY
    sent = len(world.plans)
    publish(world, "pick up the cube", 3.0)
    assert len(world.plans) == sent, "a reset must not set the arm in motion"
    assert sum("since before the stop" in line for line in world.log) == 1
    world.run(1.5)
    publish(world, "pick up the cube", 2.0)
    assert len(world.plans) > sent, "after a pause it is a new instruction"


@pytest.mark.parametrize("text", ["", "another"])
def test_after_a_stop_an_empty_or_another_instruction_counts_at_once(make_world, text):
    world = make_world()
    publish(world, "pick up the cube", 2.0)
    world.monitor = MonitorState.STOPPED_LATCHED
    publish(world, "pick up the cube", 1.0)
    world.monitor = MonitorState.READY
    publish(world, "pick up the cube", 0.5)
    sent = len(world.plans)
    world.runner.instruct(text, world.now_ns)
    publish(world, "pick up the cube", 2.0)
    assert len(world.plans) > sent
