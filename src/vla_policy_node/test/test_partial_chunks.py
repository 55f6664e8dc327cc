# SPDX-License-Identifier: Apache-2.0
"""Of a chunk only the rows that are still to come count: they are judged, the rest is cut."""

import numpy as np
import pytest

from vla_policies import Action
from vla_policy_node.core.session import Termination

JERK = np.array([100.0, 100.0, 60.0])


@pytest.fixture
def spoiled(noise_policy):
    """Make a policy whose rows are spoiled in one place."""

    def make(where, value=np.nan, size=0.6):
        class Spoiled(noise_policy):
            def infer(self, observation):
                good = super().infer(observation)
                good.positions[where] = value
                return Action(good.positions, good.dt_s, good.joint_names)

        return Spoiled(size=size)

    return make


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "where",
    [
        pytest.param((slice(0, 2), 1), id="rows that are over when the answer arrives"),
        pytest.param((slice(40, None), slice(None)), id="rows at the end"),
        pytest.param((25, 3), id="the gripper in one row"),
    ],
)
def test_rows_that_are_not_needed_may_be_anything(make_world, spoiled, where, value):
    world = make_world(policy=spoiled(where, value), latency_ms=100)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(4.0)
    status = world.runner.status(world.now_ns)
    assert status.statistics.plans_refused == 0
    assert status.statistics.plans > 10
    ratio = np.abs(world.jerk()) / JERK
    assert 0.1 < ratio.max() <= 1.000001
    said = [line for line in world.log if "cut" in line]
    assert len(said) == 1, "once, not at every chunk"
    assert str(value) in said[0]
    assert any("cut" in remark for remark in status.remarks)


def test_nothing_after_a_row_that_is_not_finite_is_followed(make_world, noise_policy):
    class Tail(noise_policy):
        def infer(self, observation):
            rows = np.tile(observation.state["observation.state"], (50, 1))
            rows[20] = np.nan
            rows[21:] = 1.5
            return Action(rows, 1 / 30, self.spec.joint_names)

    world = make_world(policy=Tail(), replan_period_s=5.0, latency_ms=50)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(4.0)
    assert len(world.plans) >= 1
    assert np.ptp(np.array(world.commands), axis=0).max() < 1e-6


def test_a_chunk_whose_next_row_is_not_finite_yields_no_plan(make_world, spoiled):
    # 100 ms to the answer and 260 ms to the splice: the arm would follow it from row 10 or 11 on.
    world = make_world(policy=spoiled((slice(9, 13), 2)), latency_ms=100, max_failures=3)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(2.0)
    assert world.plans == []
    assert world.ended[0].termination is Termination.POLICY_FAILED
    assert "nan" in world.ended[0].message
    assert "elbow" in world.ended[0].message
