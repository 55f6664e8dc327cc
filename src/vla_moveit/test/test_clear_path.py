# SPDX-License-Identifier: Apache-2.0
"""Whether a path is clear, held against looking at it very often."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vla_contract.clearance import ArmClearances
from vla_moveit.core.clear_path import ClearPath
from vla_moveit.core.planning import CheckPath, FindPath
from vla_moveit.core.straight import StraightPlanner


@pytest.mark.parametrize("name", ["so101", "panda"])
def test_it_says_what_looking_very_often_says(robots, name):
    robot, workspace = robots(name)
    limits, arm, judge = robot.limits, ArmClearances(workspace), ClearPath(workspace)
    rng = np.random.default_rng(3)
    seen = {True: 0, False: 0}
    for _ in range(60):
        ends = rng.uniform(limits.position_lower, limits.position_upper, (2, len(limits.velocity)))
        points = np.vstack([robot.home_position, robot.home_position + 0.6 * (ends - ends[0])[1]])
        points[1] = np.clip(points[1], limits.position_lower, limits.position_upper)
        shares = np.linspace(0.0, 1.0, 2000)[:, None]
        clear = arm.of(points[0] + shares * (points[1] - points[0]))
        lowest, allowed = clear.min(axis=0), np.minimum(workspace.margin, clear[0] - 0.001)
        found = judge.problem(points)
        if (lowest < allowed).any():
            assert found, "it is not clear"
            seen[False] += 1
        elif (lowest > allowed + 1e-4).all():
            assert not found, found
            seen[True] += 1
    assert min(seen.values()) >= 5, "of both kinds"


def test_what_a_wide_step_passes_by_is_seen(robots):
    """A thin post between two poses that are both clear."""
    workspace = robots("so101")[1]
    start = np.array([-0.6, 0.0, 0.0, 0.0, 0.0])
    end = np.array([0.6, 0.0, 0.0, 0.0, 0.0])
    post = np.array([[0.2, -0.001, 0.0], [0.25, 0.001, 0.4]])
    blocked = replace(workspace, obstacles=(("post", post),))
    judge = ClearPath(blocked)
    assert judge.problem(start[None]) == ""
    assert judge.problem(end[None]) == ""
    assert "to post" in judge.problem(np.vstack([start, end]))
    assert ClearPath(workspace).problem(np.vstack([start, end])) == ""


def test_an_arm_that_is_too_near_may_go_away_and_not_nearer(robots):
    robot, workspace = robots("so101")
    home = robot.home_position
    down = np.array([0.0, 0.9, -0.75, 1.0, 0.0])
    arm = ArmClearances(workspace)
    shares = np.linspace(0.0, 1.0, 2000)[:, None]
    way = home + shares * (down - home)
    near = way[int(np.argmax(arm.of(way).min(axis=1) < 0.0))]
    judge = ClearPath(workspace)
    assert arm.of(near[None]).min() < workspace.margin
    assert judge.problem(np.vstack([near, home])) == ""
    assert judge.problem(np.vstack([near, down]))


def test_an_arm_that_is_clear_keeps_the_whole_margin(robots):
    robot, workspace = robots("panda")
    arm, judge = ArmClearances(workspace), ClearPath(workspace)
    home = robot.home_position
    down = np.array([0.0, 0.9, 0.0, -2.0, 0.0, 1.57, 0.785])
    way = home + np.linspace(0.0, 1.0, 20_000)[:, None] * (down - home)
    clear = arm.of(way).min(axis=1)
    near = way[int(np.argmax(clear < workspace.margin + 5e-4))]
    beyond = way[int(np.argmax(clear < workspace.margin - 3e-4))]
    assert judge.problem(np.vstack([home, near])) == ""
    problem = judge.problem(np.vstack([near, beyond]))
    assert problem.endswith("to the table: 1.69 mm, 2 mm are kept")


def test_the_straight_planner_knows_joints_alone(robots):
    from vla_moveit.core.goal import ToolGoal

    robot, workspace = robots("so101")
    planner = StraightPlanner(workspace)
    assert planner.poll() is None
    planner.begin(FindPath(robot.home_position, ToolGoal((0.2, 0, 0.2), (0, 0, 0, 1))))
    assert "no inverse kinematics" in planner.poll().problem
    assert planner.poll() is None, "an answer is given once"
    planner.begin(CheckPath(robot.home_position[None]))
    assert planner.poll().problem == ""
    planner.close()
