# SPDX-License-Identifier: Apache-2.0
"""MoveIt's process from outside: answers, silence, nonsense, death, and its end.

What stands in for MoveIt here speaks the same lines; MoveIt itself is asked where it is installed.
"""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import time

import numpy as np
import pytest

from vla_moveit.core.clear_path import ClearPath
from vla_moveit.core.goal import ToolGoal
from vla_moveit.core.planning import CheckPath, FindPath
from vla_moveit.moveit_planner import MoveItPlanner, PlannerError, find_moveit
from vla_moveit.moveit_worker import serve

# Answers as `moveit_worker` does, or as the setup says that it fails.
PROCESS = """
import json, os, sys, time
setup = json.loads(sys.stdin.readline())
how = setup["how"]
def say(**words):
    print(json.dumps(words), flush=True)
if how == "fails":
    say(failed="no kinematics")
    sys.exit(0)
say(ready=True)
for line in sys.stdin:
    asked = json.loads(line)
    number = asked["number"]
    if how == "dies":
        os._exit(11)
    if how == "hangs":
        time.sleep(1000)
    if how == "nonsense":
        print("RRTConnect: Starting planning", flush=True)
        continue
    if how == "shape":
        say(number=number, points=[[0.0]], problem="")
    elif how == "no path":
        say(number=number, points=[], problem="MoveIt found no path (error code -2)")
    elif asked["kind"] == "check":
        say(number=number, points=[], problem="")
    elif "goal" in asked:
        say(number=number - 1, points=[asked["goal"]], problem="")
        say(number=number, points=[asked["start"], asked["goal"]], problem="")
    else:
        say(number=number, points=[asked["start"], asked["position"] + [0.0, 0.0]], problem="")
"""
PATIENT_S = 60.0


@pytest.fixture
def planner(robots):
    made = []

    def make(how="answers"):
        command = [sys.executable, "-c", PROCESS]
        made.append(
            MoveItPlanner(
                {"how": how}, ClearPath(robots("so101")[1]), varies=True, command=command
            )
        )
        return made[-1]

    yield make
    for each in made:
        each.close()


def answer(planner):
    ends = time.monotonic() + PATIENT_S
    while time.monotonic() < ends:
        found = planner.poll()
        if found is not None:
            return found
        time.sleep(0.02)
    raise AssertionError("no answer")


HOME = np.array([0.0, -1.2, 1.0, 1.25, 0.0])
AWAY = np.array([0.6, -0.9, 0.8, 1.0, 0.3])


def test_questions_and_answers_keep_their_order_and_their_shapes(planner):
    asked = planner()
    assert asked.poll() is None
    for _ in range(3):
        asked.begin(FindPath(HOME, AWAY))
        found = answer(asked)
        assert found.problem == ""
        assert found.points == pytest.approx(np.vstack([HOME, AWAY]))
        assert asked.poll() is None, "an answer is given once"
    asked.begin(FindPath(HOME, ToolGoal((0.1, 0.2, 0.3), (0.0, 0.0, 0.0, 1.0))))
    assert answer(asked).points[1] == pytest.approx([0.1, 0.2, 0.3, 0.0, 0.0])


def test_an_answer_to_what_was_asked_before_is_thrown_away(planner):
    asked = planner()
    asked.begin(FindPath(HOME, AWAY))
    asked.begin(FindPath(AWAY, HOME))
    assert answer(asked).points[0] == pytest.approx(AWAY)


def test_a_motion_that_moveit_calls_clear_is_looked_at_by_the_gate_s_capsules_too(planner):
    asked = planner()
    asked.begin(CheckPath(np.vstack([HOME, AWAY])))
    assert answer(asked).problem == ""
    asked.begin(CheckPath(np.vstack([HOME, [0.0, 1.2, -1.0, 1.2, 0.0]])))
    assert "to the table" in answer(asked).problem


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("fails", "MoveIt could not be loaded: no kinematics"),
        ("dies", "MoveIt's process ended (exit code 11); it is started anew"),
        ("nonsense", "says what is no answer"),
        ("shape", "MoveIt's path has shape (1, 1)"),
        ("no path", "MoveIt found no path (error code -2)"),
    ],
)
def test_each_way_to_fail_is_one_line(planner, how, told):
    asked = planner(how)
    for _ in range(2):
        # And the next question is one to a process that is there.
        asked.begin(FindPath(HOME, AWAY))
        found = answer(asked)
        assert told in found.problem
        assert "\n" not in found.problem
        assert found.points.shape == (0, 5)


def test_a_process_that_hangs_is_not_waited_for_and_ends_with_the_node(planner):
    asked = planner("hangs")
    asked.begin(FindPath(HOME, AWAY))
    assert asked.poll() is None
    process = asked._process
    asked.close()
    assert process.poll() is not None


def test_a_process_ends_when_its_questions_do(planner):
    asked = planner()
    asked.begin(FindPath(HOME, AWAY))
    answer(asked)
    process = asked._process
    asked.close()
    assert process.poll() == 0


def test_without_moveit_the_planner_says_how_to_install_it():
    if importlib.util.find_spec("moveit") is not None:
        pytest.skip("MoveIt is installed here")
    with pytest.raises(PlannerError, match=r"apt install ros-.*-moveit-py.*planner:=straight"):
        find_moveit()


def test_without_moveit_its_process_says_so_in_a_line():
    if importlib.util.find_spec("moveit") is not None:
        pytest.skip("MoveIt is installed here")
    said = io.StringIO()
    serve(io.StringIO("{}\n"), said)
    assert json.loads(said.getvalue())["failed"].startswith("ModuleNotFoundError")
