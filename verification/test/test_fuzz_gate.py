# SPDX-License-Identifier: Apache-2.0
"""The fuzzing of the gate finds nothing where nothing is, and finds what is put there."""

import pytest

from smoothness_monitor.core import gate, gripper
from smoothness_monitor.core.controller_tracker import ControllerTracker
from verification.fuzz import runs as runs_file
from verification.fuzz.gate import FUZZER
from verification.fuzz.gate_attacks import ATTACKS
from verification.fuzz.gate_episode import GateEpisode


def episode(seed, number, count):
    return runs_file.attempt(GateEpisode, seed, number, count)


def test_a_few_hundred_trajectories_step_nothing():
    total = FUZZER.run(seed=0, count=400)
    assert total.failures == []
    assert total.counts["trajectories"] >= 400
    assert total.counts["forwarded"] > 20
    assert total.counts["forwarded to the gripper"] > 5
    assert 0.9 < total.worst["jerk"] <= runs_file.RATIO


def test_a_gate_that_lets_everything_through_is_noticed(monkeypatch):
    monkeypatch.setattr(gate, "check", lambda *args, **kwargs: [])
    assert episode(0, 0, 100).failures


def test_a_gripper_that_may_step_is_noticed(monkeypatch):
    monkeypatch.setattr(gripper, "fault_of", lambda *args, **kwargs: "")
    failures = [line for number in range(3) for line in episode(0, number, 200).failures]
    assert any("gripper is" in line for line in failures)


def test_an_exception_is_a_failure_that_names_the_episode(monkeypatch):
    def broken(self):
        raise ZeroDivisionError

    monkeypatch.setattr(ControllerTracker, "known", property(broken))
    (failure,) = episode(3, 7, 50).failures
    assert "--seed 3 --episode 7" in failure
    assert "ZeroDivisionError" in failure


def test_a_trip_of_what_watches_the_command_is_a_failure(monkeypatch):
    one = GateEpisode(0, 0)
    one.note_causes({"operator"})
    assert one.result.failures == []
    one.note_causes({"operator", "command_jerk"})
    assert "command_jerk" in one.result.failures[0]


@pytest.mark.parametrize("attack", dict.fromkeys(ATTACKS), ids=lambda a: a.__name__)
def test_every_attack_makes_a_trajectory(attack):
    one = GateEpisode(0, 2)
    one.run(10)
    made = [attack(one, one.fresh()) for _ in range(40)]
    assert any(made)


def test_runs_in_a_file_are_not_run_again_and_add_up(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(FUZZER, "a_run", 20)
    path = tmp_path / "runs.csv"

    def run(count):
        words = ["fuzz", "--trajectories", str(count), "--results", str(path)]
        monkeypatch.setattr("sys.argv", words)
        assert FUZZER.main("") == 0
        return capsys.readouterr()

    assert "seed 0" in run(20).err
    again = run(40)
    assert "seed 0" not in again.err
    assert "seed 1: 20 trajectories" in again.err
    assert "2 runs, seeds 0 to 1" in FUZZER.summary(runs_file.read(path, FUZZER.header))
    other = tmp_path / "other.csv"
    other.write_text("a,b\n")
    with pytest.raises(SystemExit, match="not a file of this fuzzer"):
        runs_file.read(other, FUZZER.header)
