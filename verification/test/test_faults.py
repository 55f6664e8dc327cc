# SPDX-License-Identifier: Apache-2.0
"""Fault files, the operations on messages, and a campaign small enough for every day."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from smooth_motion import Point
from smooth_motion.messages import ControllerState, JointStates, Trajectory
from smoothness_monitor.core.types import Rung, StopState
from verification.faults import __main__ as command
from verification.faults import page
from verification.faults.__main__ import main
from verification.faults.campaign import Hours, run_fault, run_nominal
from verification.faults.kinds import KINDS
from vla_sim.faults import operations as op
from vla_sim.faults.processes import siblings
from vla_sim.faults.schedule import (
    Intrusion,
    ProcessFault,
    StreamFault,
    load_schedule,
)

MS = 1_000_000
ROOT = Path(__file__).resolve().parents[2]
NAMES = {kind.name: kind for kind in KINDS}
JOINTS = ("a", "b", "c")
STATES = JointStates(1000, JOINTS, (1.0, 2.0, 3.0))
CYCLE = ControllerState(1000, 10, JOINTS, (1.0, 2.0, 3.0), (0.1, 0.2, 0.3), (0.0, 0.0, 0.0))
PLAN = Trajectory(
    1000,
    JOINTS,
    tuple(Point(i * 100 * MS, [float(i), 0.0, 0.0], [1.0] * 3, [2.0] * 3) for i in range(4)),
)


def passed(operation, *messages, now_ns=0, step_ns=10 * MS):
    operation.start(now_ns, np.random.default_rng(0))
    return [operation.apply(m, now_ns + i * step_ns) for i, m in enumerate(messages)]


def only(result):
    ((delay_ns, message),) = result[0]
    assert delay_ns == 0
    return message


# -- operations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [STATES, CYCLE, PLAN], ids=["joints", "cycle", "plan"])
def test_every_operation_leaves_the_message_that_it_was_given_as_it_was(message):
    values = {"joint": "b", "value": math.nan, "copies": 2, "every": 2, "points": 1}
    for operation in op.OPERATIONS.values():
        if operation in (op.JointStuck, op.Lag) and message is PLAN:
            continue
        if operation in (op.Truncate, op.PositionsOnly, op.TimeScale) and message is not PLAN:
            continue
        fields = {item.name: values.get(item.name, 0.5) for item in op.parameters(operation)}
        before = repr(message)
        passed(operation(**fields), message, message, message)
        assert repr(message) == before, operation.name


def test_what_is_dropped_delayed_held_and_doubled():
    assert passed(op.Drop(1.0), STATES, STATES) == [[], []]
    assert passed(op.Delay(0.1, 0.0), STATES) == [[(100 * MS, STATES)]]
    held = passed(op.Hold(0.05), STATES, STATES, STATES)
    assert [out[0][0] for out in held] == [50 * MS, 40 * MS, 30 * MS]
    assert passed(op.Duplicate(2, 0.1), STATES) == [[(0, STATES), (100 * MS, STATES)]]
    later = JointStates(2000, JOINTS, (0.0, 0.0, 0.0))
    assert passed(op.Swap(), STATES, later) == [[], [(0, later), (0, STATES)]]


def test_what_stays_the_same_and_what_does_not():
    later = JointStates(2000, JOINTS, (5.0, 6.0, 7.0))
    late = passed(op.Lag("b", 0.1, 9.0), *[STATES] * 3, later, step_ns=1000 * MS)
    assert late[3][0][1].position[1] == pytest.approx(6.0 - 0.1 * 4.0)
    loose = passed(op.Rattle("b", 0.5, 0.25, 1.5), *[STATES] * 3, step_ns=1000 * MS)
    assert [out[0][1].position[1] for out in loose] == [2.0, 2.5, 2.0]
    assert passed(op.Stuck(), STATES, later)[1] == [(0, STATES)]
    frozen = passed(op.Freeze(), STATES, later)[1][0][1]
    assert (frozen.stamp_ns, frozen.position) == (2000, STATES.position)
    stuck = passed(op.JointStuck("b"), STATES, later)[1][0][1]
    assert stuck.position == (5.0, 2.0, 7.0)
    assert only(passed(op.StampShift(-1.0), STATES)).stamp_ns == 1000 - 1000 * MS


def test_values_are_spoilt_where_they_are_meant_to_be():
    assert math.isnan(only(passed(op.NotANumber("b", math.nan), CYCLE)).position[1])
    assert only(passed(op.Offset("c", 0.5), STATES)).position == (1.0, 2.0, 3.5)
    assert only(passed(op.Scale(2.0), PLAN)).points[3].positions == [6.0, 0.0, 0.0]
    assert only(passed(op.SwapJoints(), STATES)).position == (2.0, 1.0, 3.0)
    without = only(passed(op.OmitJoint("b"), CYCLE))
    assert without.joint_names == ("a", "c")
    assert without.velocity == (0.1, 0.3)
    assert len(only(passed(op.Shorten(), STATES)).position) == 2
    drift = passed(op.Drift("a", 1.0), STATES, STATES, step_ns=500 * MS)
    assert drift[1][0][1].position[0] == pytest.approx(1.5)
    spikes = passed(op.Spike("a", 9.0, 2), STATES, STATES, STATES)
    assert [out[0][1].position[0] for out in spikes] == [10.0, 1.0, 10.0]
    with pytest.raises(op.FaultError, match="there are a, b, c"):
        passed(op.Offset("d", 0.5), STATES)


def test_trajectories_are_cut_bared_and_hurried():
    assert len(only(passed(op.Truncate(2), PLAN)).points) == 2
    assert only(passed(op.PositionsOnly(), PLAN)).points[1].velocities == []
    fast = only(passed(op.TimeScale(0.5), PLAN)).points[1]
    assert fast.time_from_start_ns == 50 * MS
    assert (fast.velocities[0], fast.accelerations[0]) == (2.0, 8.0)


def test_operations_on_one_link_follow_each_other():
    link = op.Link()
    link.operations = [op.Duplicate(2, 0.1), op.Delay(0.05, 0.0)]
    for operation in link.operations:
        operation.start(0, np.random.default_rng(0))
    assert [delay for delay, _ in link.carry(STATES, 0)] == [50 * MS, 150 * MS]


# -- fault files ---------------------------------------------------------------------------------


def schedule(tmp_path, text):
    path = tmp_path / "faults.yaml"
    path.write_text(text, encoding="utf-8")
    return load_schedule(path)


def test_a_fault_file_is_read(tmp_path):
    first, second, third = schedule(
        tmp_path,
        "- {at_s: 4, for_s: 2.0, stream: joint_states, do: offset, joint: b, by_rad: 0.1}\n"
        "- {at_s: 9.0, for_s: 1.0, intrude_every_s: 0.03}\n"
        "- {at_s: 20.0, process: vla_policy_node, signal: KILL}\n",
    )
    assert first == StreamFault(4.0, 2.0, "joint_states", op.Offset("b", 0.1))
    assert second == Intrusion(9.0, 1.0, 0.03)
    assert third == ProcessFault(20.0, "vla_policy_node", signal.SIGKILL)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be a list"),
        ("a: 1", "must be a list"),
        ("- 3", "entry 1: must be a mapping"),
        ("- {for_s: 1.0, stream: plans, do: stuck}", "entry 1: at_s: is missing"),
        ("- {at_s: 1.0, for_s: 1.0, stream: cameras, do: stuck}", "stream: 'cameras'"),
        ("- {at_s: 1.0, for_s: 1.0, stream: plans, do: dance}", "do: 'dance' is unknown"),
        ("- {at_s: 1.0, for_s: 1.0, stream: plans, do: drop}", "probability: is missing"),
        ("- {at_s: 1.0, for_s: -1.0, stream: plans, do: stuck}", "for_s: -1.0"),
        ("- {at_s: 1.0, for_s: 1.0, stream: plans, do: stuck, x: 1}", "x: is not a key"),
        ("- {at_s: 1.0, process: p, signal: USR1}", "signal: 'USR1'"),
        ("- {at_s: a, process: p, signal: KILL}", "at_s: 'a' is not a number"),
        ("[", "not YAML"),
        ("- {at_s: 1.0, at_s: 2.0, process: a, signal: KILL}", "written twice"),
    ],
)
def test_a_wrong_fault_file_is_an_error_of_one_line_that_names_the_place(tmp_path, text, words):
    with pytest.raises(op.FaultError) as caught:
        schedule(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert words in str(caught.value)


def test_only_processes_of_the_same_launch_are_found():
    command = [sys.executable, "-c", "import time; time.sleep(600)", "-r"]
    child = subprocess.Popen([*command, "__node:=somebody"])
    try:
        code = "from vla_sim.faults.processes import siblings; print(siblings('somebody'))"
        sibling = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=300,
            env=dict(os.environ),
            check=True,
        )
        assert sibling.stdout.strip() == f"[{child.pid}]"
        # Its parent is this process, whose own parent is another.
        assert siblings("somebody") == []
    finally:
        child.kill()
        child.wait()


# -- campaign ------------------------------------------------------------------------------------


def test_the_catalogue_is_large_and_its_names_are_distinct():
    assert len(NAMES) == len(KINDS) >= 40
    for kind in KINDS:
        assert kind.doc
        assert kind.benign or kind.within_s > 0.0


@pytest.mark.parametrize(
    "name",
    [
        "joint_states_silent",
        "joint_states_collision",
        "joint_states_late",
        "joint_states_rattle",
        "joint_states_weak",
        "controller_state_nan",
        "commands_lost",
        "commands_goals_and_manager_lost",
        "foreign_stream",
        "plan_too_fast",
        "plan_silent",
        "driver_silent",
        "clock_set_back",
        "monitor_stalls",
    ],
)
def test_a_fault_ends_as_the_catalogue_says(robot, config, name):
    """H21."""
    outcome = run_fault(robot, config, NAMES[name], seed=7)
    assert outcome.problems == ()


def test_a_stop_that_is_not_as_it_must_be_is_a_problem(robot, config):
    from dataclasses import replace

    strict = replace(NAMES["plan_nan"], found_by=("operator",), within_s=0.001)
    outcome = run_fault(robot, config, strict, seed=1)
    assert len(outcome.problems) == 2
    assert "found by non_finite, not by operator" in outcome.problems[0]
    lenient = replace(NAMES["plan_nan"], found_by=())
    assert "tripped: non_finite" in run_fault(robot, config, lenient, seed=1).problems[0]


def test_a_minute_without_faults_is_counted(robot, config):
    minutes = list(run_nominal(robot, config, seed=3, seconds=70.0))
    assert [item.simulated_s for item in minutes] == [60.0, 70.0]
    assert minutes[-1].trips == ()
    assert minutes[-1].plans > 300
    assert minutes[-1].jerk_ratio <= 1.000001


def test_the_command_writes_page_and_runs(tmp_path, capsys):
    target = tmp_path / "faults.md"
    blocks = ("campaign", "stopping", "slowing", "bearable", "nominal", "operations")
    target.write_text("".join(f"<!-- begin {b} -->\n<!-- end {b} -->\n" for b in blocks))
    files = ["--robot", str(ROOT / "config/robots/so101/robot.yaml")]
    files += ["--monitor", str(ROOT / "config/robots/so101/monitor.yaml")]
    kinds = ["--kinds", "operator", "plan_repeated", "--seeds", "2", "--hours", "0.002"]
    outputs = ["--page", str(target), "--runs", str(tmp_path / "runs.csv")]
    assert main([*files, *kinds, *outputs]) == 0
    text = target.read_text()
    assert "2 of 2 faults that must stop the arm were detected" in text
    assert "| `operator` | a person calls ~/stop | `operator` (2) |" in text
    assert "**0 trips**" in text
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 5
    assert "PROBLEM" not in capsys.readouterr().out
    assert main(["--robot", "/no.yaml"]) == 2


def test_nothing_overtakes_a_message_that_is_late_also_not_when_the_fault_is_over():
    link = op.Link()
    hold = op.Hold(every_s=0.25)
    hold.start(0, np.random.default_rng(0))
    link.operations.append(hold)
    # The first is a little late on its way through, so its end of the period is past the second's.
    first = link.due(link.carry("a", 10 * MS), 11 * MS)
    second = link.due(link.carry("b", 20 * MS), 20 * MS)
    assert first == [(251 * MS, "a")]
    assert second == [(251 * MS, "b")]
    link.operations.clear()
    assert link.due(link.carry("c", 30 * MS), 30 * MS) == [(251 * MS, "c")]
    assert link.due(link.carry("d", 300 * MS), 300 * MS) == [(300 * MS, "d")]
    twice = op.Duplicate(copies=2, apart_s=0.1)
    link.operations.append(twice)
    assert link.due(link.carry("e", 310 * MS), 310 * MS) == [(310 * MS, "e"), (410 * MS, "e")]
    assert link.due(link.carry("f", 320 * MS), 320 * MS) == [(320 * MS, "f"), (420 * MS, "f")]
    assert link.due([], 330 * MS) == []


def test_half_hours_in_a_file_are_not_run_again(tmp_path, monkeypatch, capsys):
    ran = []

    def run(robot, config, *, seed, seconds):
        ran.append((seed, seconds))
        trips = ("60 s: overrun: late",) if seed == 1001 else ()
        yield Hours(60.0 if trips else seconds, 300, trips, 0.5)

    monkeypatch.setattr(command, "run_nominal", run)
    monkeypatch.setattr(command, "ProcessPoolExecutor", Here)
    path = tmp_path / "nominal.csv"
    files = ["--robot", str(ROOT / "config/robots/so101/robot.yaml")]
    files += ["--monitor", str(ROOT / "config/robots/so101/monitor.yaml")]
    again = [*files, "--seeds", "0", "--nominal", str(path), "--hours"]
    assert main([*again, "0.5"]) == 0
    assert main([*again, "1.25"]) == 1
    assert "0.77 simulated hours, 900 plans forwarded, **1 trips**" in capsys.readouterr().out
    assert main([*again, "1.25"]) == 1
    assert ran == [(1000, 1800.0), (1001, 1800.0), (1002, 900.0)]
    path.write_text("fault,seed\n")
    assert main([*again, "0.5"]) == 2
    assert "name another one" in capsys.readouterr().err


class Here:
    """A pool of this process."""

    def __init__(self, jobs):
        assert jobs == 1

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def map(self, function, jobs, chunksize=1):
        return map(function, jobs)


def test_a_page_without_a_block_is_an_error(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("nothing")
    with pytest.raises(ValueError, match="begin campaign"):
        page.fill(path, {"campaign": "x"})


def test_the_published_runs_hold_no_problem():
    lines = (ROOT / "docs/measurements/faults.csv").read_text().splitlines()
    kinds = {line.split(",")[0] for line in lines[1:]}
    assert kinds == set(NAMES)
    assert len(lines) - 1 >= 10 * len(NAMES)
    assert all(line.endswith(",") for line in lines[1:]), "the last column tells of problems"
    assert {Rung.BRAKE.value, Rung.POWER_CUT.value} == {1, 5}
    assert StopState.STOPPED_LATCHED.name in lines[1] or StopState.FAULT.name in lines[1]
