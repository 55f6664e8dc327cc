# SPDX-License-Identifier: Apache-2.0
"""The fuzzing finds nothing where nothing is, and finds what is put there."""

import fuzz_planner
import numpy as np
import pytest

from smooth_motion import Plan


def test_a_few_hundred_ticks_break_nothing():
    total = fuzz_planner.Result()
    for result in fuzz_planner.run(seed=0, ticks=300, jobs=1):
        total += result
    assert total.failures == []
    assert total.counts["ticks"] == 300
    assert total.counts["chunks planned"] > 200
    assert 0.99 < total.worst["jerk"] <= fuzz_planner.RATIO


def test_a_gate_that_lets_everything_through_is_noticed(monkeypatch):
    monkeypatch.setattr(fuzz_planner, "check", lambda *args, **kwargs: [])
    result = fuzz_planner.episode(0, 0, 100)
    assert result.failures


def test_a_planner_that_forgets_the_running_plan_is_noticed(monkeypatch):
    monkeypatch.setattr(fuzz_planner, "check", lambda *args, **kwargs: [])
    monkeypatch.setattr(fuzz_planner, "altered", lambda rng, knots: knots)

    def forgetful(running, tail, *, cut_ns):
        del running
        shift = tail.positions[0] * 1e-6
        fields = (tail.times_ns, tail.positions + shift, tail.velocities, tail.accelerations)
        return Plan(tail.joint_names, cut_ns, *fields)

    monkeypatch.setattr(fuzz_planner, "overlap", forgetful)
    failures = fuzz_planner.episode(0, 1, 50).failures
    assert any("jerk is" in line for line in failures)


def test_an_exception_is_a_failure_that_names_the_episode(monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(fuzz_planner, "track", broken)
    (failure,) = fuzz_planner.episode(3, 7, 50).failures
    assert "--seed 3 --episode 7" in failure
    assert "ZeroDivisionError" in failure


def test_an_episode_can_be_run_again():
    """But for what the solver keeps of the problems before, some 1e-10 rad."""
    first, second = (fuzz_planner.episode(2, 5, 30) for _ in range(2))
    assert first.counts == second.counts
    assert first.worst == pytest.approx(second.worst, rel=1e-6)


@pytest.mark.parametrize("kind", sorted(set(fuzz_planner.CHUNKS)))
def test_every_kind_of_chunk_is_made(kind, monkeypatch):
    one = fuzz_planner.Episode(0, 0)
    rng = np.random.default_rng(0)
    monkeypatch.setattr(fuzz_planner, "CHUNKS", (kind,))
    made = fuzz_planner.chunks(rng, one.limits, one.plan, one.now)
    assert made[0] == kind
