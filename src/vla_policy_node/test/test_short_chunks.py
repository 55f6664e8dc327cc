# SPDX-License-Identifier: Apache-2.0
"""Chunks that are over before the arm could follow them: an explicit mode, never silence."""

from dataclasses import replace

import numpy as np
import pytest

from vla_contract.contract import ContractError
from vla_policies import Action
from vla_policy_node.core.loading import check_length
from vla_policy_node.core.session import Termination
from vla_policy_node.params import PolicyNodeParameters

JERK = np.array([100.0, 100.0, 60.0])
STATE = "observation.state"


@pytest.fixture
def walker(noise_policy):
    """Make a policy whose chunks of some rows move each joint on at 0.3 rad/s."""

    def make(rows):
        class Walker(noise_policy):
            spec = replace(noise_policy.spec, chunk_size=rows)

            def infer(self, observation):
                ramp = 0.3 / 30 * np.arange(1, rows + 1)[:, None] * np.array([1, 1, -1, 1])
                return Action(observation.state[STATE] + ramp, 1 / 30, self.spec.joint_names)

        return Walker()

    return make


@pytest.mark.parametrize("rows", [1, 2, 8, 15])
@pytest.mark.parametrize("latency_ms", [0, 300, 1500])
def test_stop_and_go_carries_out_every_row_of_a_short_chunk(
    make_world, contract, walker, rows, latency_ms
):
    told = replace(contract, execution="stop_and_go")
    world = make_world(
        policy=walker(rows), contract=told, latency_ms=latency_ms, overlap_s=0.2,
        planning_margin_s=0.1,
    )  # fmt: skip
    world.runner.begin("anything", 600.0, world.now_ns)
    world.run(12.0)
    statistics = world.runner.status(world.now_ns).statistics
    assert statistics.plans_refused == 0
    assert statistics.plans >= 4
    moved = world.commands[-1] - world.commands[0]
    # What was asked for, by each plan that has been carried out.
    carried = statistics.plans_acknowledged * rows * 0.01
    assert moved[0] == pytest.approx(carried, abs=1.1 * rows * 0.01)
    assert moved[2] == pytest.approx(-carried, abs=1.1 * rows * 0.01)
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001


def test_stop_and_go_asks_only_while_arm_and_gripper_rest(make_world, contract, walker):
    world = make_world(
        policy=walker(8), contract=replace(contract, execution="stop_and_go"), latency_ms=200
    )
    world.runner.begin("anything", 600.0, world.now_ns)
    asked = 0
    for _ in range(1000):
        world.tick()
        if len(world.inference.asked) > asked:
            asked = len(world.inference.asked)
            assert not world.running.sample(world.now_ns).velocity.any()
            assert world.gripper_commands[-1] == world.gripper_commands[-2]
    assert asked > 5


def test_stop_and_go_is_said_in_the_status(make_world, contract, walker):
    world = make_world(policy=walker(8), contract=replace(contract, execution="stop_and_go"))
    assert any("stop_and_go" in each for each in world.runner.status(0).remarks)


@pytest.mark.parametrize(("rows", "refused"), [(1, True), (8, True), (10, True), (11, False)])
def test_chunks_that_could_never_be_followed_are_refused_at_the_start_with_the_key(
    contract, spec, rows, refused
):
    settings = PolicyNodeParameters(
        robot_file="r", contract_file="c", overlap_s=0.2, planning_margin_s=0.1
    )
    short = replace(spec, chunk_size=rows)
    check_length(replace(contract, execution="stop_and_go"), short, settings)
    if not refused:
        check_length(contract, short, settings)
        return
    with pytest.raises(ContractError) as caught:
        check_length(contract, short, settings)
    line = str(caught.value)
    assert line.startswith(f"{contract.path}: policy.execution: a chunk of noise 1 lasts ")
    assert f"({rows} rows" in line
    assert "execution: stop_and_go under policy" in line


def test_a_policy_that_is_too_slow_for_its_chunks_ends_with_the_key_to_set(make_world, walker):
    world = make_world(policy=walker(15), latency_ms=600, max_failures=3)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(4.0)
    assert world.ended[0].termination is Termination.POLICY_FAILED
    assert "execution: stop_and_go under policy in the contract" in world.ended[0].message


def test_a_contract_may_say_stop_and_go(write_contract):
    from vla_contract.contract import load_contract

    joints = ("pan", "lift", "elbow")
    assert load_contract(write_contract(), joints, "gripper").execution == "continuous"
    path = write_contract("  options: {}", "  options: {}\n  execution: stop_and_go")
    assert load_contract(path, joints, "gripper").execution == "stop_and_go"
    path = write_contract("  options: {}", "  options: {}\n  execution: jump")
    with pytest.raises(ContractError, match=r"policy\.execution: 'jump' is unknown; write one of"):
        load_contract(path, joints, "gripper")
