# SPDX-License-Identifier: Apache-2.0
"""vla-eval --live on the launched graph, with the simulation as the judge."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vla_bringup.demo import contract_for

pytestmark = pytest.mark.timeout(900)
TASK = "put the red cube in the bin"

# This folder is no package: its conftest is found by its path.
_SPEC = importlib.util.spec_from_file_location(
    "launched_graph", Path(__file__).with_name("conftest.py")
)
_CONFTEST = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_CONFTEST)


@pytest.fixture(params=["color_pick"])
def two_policies(request, share, domain, tmp_path):
    """The simulated arm with a policy and a second one."""
    robots = share / "config" / "robots"
    contract = contract_for(request.param, "so101", share, robots / "so101")
    launched = _CONFTEST.LaunchedGraph(
        share / "launch" / "so101_sim.launch.py",
        tmp_path / "launch.log",
        seed="3",
        real_time_factor="0.0",
        second_contract_file=str(contract),
    )
    yield launched
    launched.stop()


def words(folder: Path, *more: str) -> list[str]:
    command = [sys.executable, "-m", "vla_training.evaluation.command", str(folder), "--live"]
    return [*command, "--judge", "simulation", "--instructions", TASK, "--pairs", "1", *more]


def lines(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_both_policies_act_in_the_same_scene_and_the_outcome_is_reported(two_policies, tmp_path):
    folder = tmp_path / "compared"
    done = subprocess.run(words(folder), capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr + two_policies.log.read_text()
    first, second = lines(folder)
    assert {first["policy"], second["policy"]} == {"A", "B"}
    assert first["outcome"] == second["outcome"] == "success"
    assert float(first["duration_s"]) > 2.0
    # Of the controllers' limit, which the reference keeps whoever acts.
    assert 1.0 < float(first["joint_jerk_peak"]) <= 100.0 * 1.001
    assert float(second["scene_difference"]) < 0.05
    assert "Of 1 pairs both succeeded in 1" in done.stdout
    assert (folder / "report.html").stat().st_size > 10_000
    nodes = [json.loads((folder / "run.json").read_text())[f"policy {s}"]["node"] for s in "AB"]
    assert nodes == ["vla_policy_node", "vla_policy_node_b"]


def test_a_policy_node_that_is_lost_in_mid_trial_makes_an_interruption_and_one_line(
    two_policies, tmp_path
):
    folder = tmp_path / "compared"
    asked = words(folder, "--a", "vla_policy_node_b", "--camera", "none")
    process = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while f"[vla_policy_node_b]: instruction: {TASK}" not in two_policies.log.read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    for pid in _CONFTEST.descendants(two_policies.process.pid):
        if any("__node:=vla_policy_node_b" in word for word in _CONFTEST.command_line(pid)):
            os.kill(pid, signal.SIGKILL)
    _, error = process.communicate(timeout=400)
    assert process.returncode == 2
    assert error == "vla-eval: the policy node is gone; start it again, then go on\n"
    (line,) = lines(folder)
    assert (line["outcome"], line["ended"]) == ("interrupted", "LOST")


def test_a_policy_node_that_is_not_there_is_named_with_what_to_do(two_policies, tmp_path):
    asked = words(tmp_path / "none", "--b", "vla_policy_node_c")
    done = subprocess.run(asked, capture_output=True, text=True, timeout=800)
    assert done.returncode == 2
    assert "there is no policy node /vla_policy_node_c; launch the arm" in done.stderr
    assert done.stderr.count("\n") == 1


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    yield from process.stdout
    raise AssertionError("it ended")


@pytest.mark.parametrize("two_policies", ["adversary"], indirect=True)
def test_a_run_outlasts_its_command_only_where_that_is_killed_and_then_no_trial_begins(
    two_policies, tmp_path
):
    """The adversary never says that it is done: its run lasts as long as it may."""
    both = "--a", "vla_policy_node_b", "--b", "vla_policy_node_b", "--camera", "none"
    asked = [
        *[sys.executable, "-u", "-m", "vla_training.evaluation.command", str(tmp_path / "of_two")],
        *["--live", "--instructions", "go", "--limit", "3600", *both],
    ]
    begun, ended = "[vla_policy_node_b]: instruction: go", "the instruction ended, CANCELED"

    def begin() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            asked,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # These tests may have been begun by nohup, which has it ignored.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        # A busy host may not have found every node at the first ones.
        process.stdin.write("\n" * 100)
        process.stdin.flush()
        return process

    def wait_for(words: str, count: int) -> None:
        while two_policies.log.read_text().count(words) < count:
            assert two_policies.process.poll() is None
            time.sleep(0.05)

    process = begin()
    wait_for(begun, 1)
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 130
    wait_for(ended, 1)
    assert [line["outcome"] for line in lines(tmp_path / "of_two")] == ["interrupted"]

    process = begin()
    wait_for(begun, 2)
    process.kill()
    process.wait()
    process = begin()
    assert any("a policy still carries out an instruction" in line for line in lines_of(process))
    process.kill()
    process.communicate()
    assert two_policies.log.read_text().count(begun) == 2
