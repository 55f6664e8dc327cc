# SPDX-License-Identifier: Apache-2.0
"""The fuzzing finds nothing where nothing is, and finds what is put there."""

import numpy as np
import pytest

from smooth_motion import Plan, splice_ns
from verification.fuzz import planner_chunks, planner_episode
from verification.fuzz import runs as runs_file
from verification.fuzz.planner import FUZZER
from verification.fuzz.planner_episode import PlannerEpisode


def episode(seed, number, ticks):
    return runs_file.attempt(PlannerEpisode, seed, number, ticks)


def test_a_few_hundred_ticks_break_nothing():
    total = FUZZER.run(seed=0, count=300)
    assert total.failures == []
    assert total.counts["ticks"] == 300
    assert total.counts["chunks planned"] > 200
    assert 0.99 < total.worst["jerk"] <= runs_file.RATIO


def test_a_gate_that_lets_everything_through_is_noticed(monkeypatch):
    monkeypatch.setattr(planner_episode, "check", lambda *args, **kwargs: [])
    result = episode(0, 0, 100)
    assert result.failures


def test_a_planner_that_forgets_the_running_plan_is_noticed(monkeypatch):
    monkeypatch.setattr(planner_episode, "check", lambda *args, **kwargs: [])
    monkeypatch.setattr(planner_episode, "altered", lambda rng, knots: knots)

    def forgetful(running, tail, *, cut_ns):
        del running
        shift = tail.positions[0] * 1e-6
        fields = (tail.times_ns, tail.positions + shift, tail.velocities, tail.accelerations)
        return Plan(tail.joint_names, cut_ns, *fields)

    monkeypatch.setattr(planner_episode, "overlap", forgetful)
    failures = episode(0, 1, 50).failures
    assert any("jerk is" in line for line in failures)


def test_an_exception_is_a_failure_that_names_the_episode(monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(planner_episode, "track", broken)
    (failure,) = episode(3, 7, 50).failures
    assert "--seed 3 --episode 7" in failure
    assert "ZeroDivisionError" in failure


def test_an_episode_can_be_run_again():
    """But for what the solver keeps of the problems before, some 1e-10 rad."""
    first, second = (episode(2, 5, 30) for _ in range(2))
    assert first.counts == second.counts
    assert first.worst == pytest.approx(second.worst, rel=1e-6)


@pytest.mark.parametrize("kind", sorted(set(planner_chunks.CHUNKS)))
def test_every_kind_of_chunk_is_made(kind, monkeypatch):
    one = PlannerEpisode(0, 0)
    rng = np.random.default_rng(0)
    monkeypatch.setattr(planner_chunks, "CHUNKS", (kind,))
    made = planner_chunks.chunks(rng, one.limits, one.plan, one.now)
    assert made[0] == kind


def test_a_controller_that_is_not_the_emulation_is_noticed(monkeypatch):
    def coarse(self, cycles_ns):
        table = honest(self, cycles_ns)
        return table + 1e-12

    honest = planner_episode.SampledController.references
    monkeypatch.setattr(planner_episode.SampledController, "references", coarse)
    failures = episode(0, 0, 20).failures
    assert any("the emulation's reference differs" in line for line in failures)


def test_a_first_knot_ahead_is_approached_as_the_emulation_does():
    """By the quintic from the state last commanded, or from the resting joints."""
    for from_desired in (False, True):
        one = PlannerEpisode(1, 0)
        home, period = np.zeros(1), 1_000_000
        config = planner_episode.ControllerConfig(
            ("joint",), period, interpolate_from_desired_state=from_desired
        )
        one.emulated = planner_episode.TrajectoryController(config, home, np.zeros(1))
        one.controller = planner_episode.SampledController(
            home, period, interpolate_from_desired_state=from_desired
        )
        one.period_ns, one.position, one.references = period, home, np.empty((0, 1))
        one.allowed = planner_episode.Limits(("joint",), [-9.0], [9.0], [1e9], [1e9], [1e12])
        one.cycles(one.cycle_ns + 5 * period)
        ahead = Plan.hold(("joint",), [0.1], one.cycle_ns + 3 * period + 400_000)
        at = one.cycle_ns
        assert one.controller.receive(ahead, at) == ""
        assert one.emulated.receive(planner_episode.message(ahead), at) is None
        one.cycles(one.cycle_ns + 2 * period)
        assert 0.0 < one.position[0] < 0.1
        one.cycles(one.cycle_ns + 9 * period)
        assert one.position[0] == 0.1
        assert one.result.counts["cycles compared"] > 15
        assert one.result.failures == []


def test_a_change_of_rate_that_leaves_the_plan_too_early_is_noticed(monkeypatch):
    """The rate changes often and gently, so that every tick finds a plan to slow down."""
    monkeypatch.setattr(planner_episode, "altered", lambda rng, knots: knots)
    one = PlannerEpisode(0, 1)
    for _ in range(30):
        one.tick()
        one.change_rate(one.running, splice_ns(one.plan, one.now + 130_000_000), None)
    assert one.result.failures == []
    assert one.result.counts["changes of rate"] >= 30
    assert one.slowed is not None
    honest = planner_episode.retime

    def hasty(*args, splice_ns, **kwargs):
        return honest(*args, splice_ns=splice_ns - 90_000_000, **kwargs)

    monkeypatch.setattr(planner_episode, "retime", hasty)
    for _ in range(30):
        one.tick()
        one.slowed = None
        one.change_rate(one.running, splice_ns(one.plan, one.now + 130_000_000), None)
    assert any("splice_too_early" in line for line in one.result.failures)


def test_runs_in_a_file_are_not_run_again_and_add_up(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(FUZZER, "a_run", 20)
    path = tmp_path / "runs.csv"

    def run(ticks):
        monkeypatch.setattr("sys.argv", ["fuzz", "--ticks", str(ticks), "--results", str(path)])
        assert FUZZER.main("") == 0
        return capsys.readouterr()

    assert "seed 0" in run(20).err
    again = run(60)
    assert "seed 0" not in again.err
    assert "seed 2: 20 ticks" in again.err
    assert again.out.startswith("ticks: 60\n")
    lines = path.read_text().splitlines()
    assert len(lines) == 4
    runs = runs_file.read(path, FUZZER.header)
    assert "seeds 0 to 2" in FUZZER.summary(runs)
    runs[0]["code"] = "another"
    assert "40 of the ticks were run with the present code" in FUZZER.summary(runs)
    other = tmp_path / "other.csv"
    other.write_text("a,b\n")
    with pytest.raises(SystemExit, match="not a file of this fuzzer"):
        runs_file.read(other, FUZZER.header)
