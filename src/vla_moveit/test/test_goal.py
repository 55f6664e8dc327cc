# SPDX-License-Identifier: Apache-2.0
"""What a goal may say, and what each wrong one is told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vla_moveit.core.goal import GoalError, MoveRequest, NamedPoses, ToolGoal, resolve

HERE = np.array([0.1, -1.0, 0.5, 0.5, 0.2])
UP = (0.0, 0.0, 0.0, 1.0)


@pytest.fixture
def robot(robots):
    return robots("so101")[0]


def resolved(robot, **words):
    return resolve(MoveRequest(**words), robot, NamedPoses({"home": robot.home_position}), HERE)


def test_home_is_the_robot_file_s(robot):
    assert resolved(robot, named="home") == pytest.approx(robot.home_position)


def test_joints_without_a_goal_stay_where_they_are(robot):
    goal = resolved(robot, joints=("wrist_roll", "shoulder_pan"), positions=(1.0, -0.5))
    assert goal == pytest.approx([-0.5, -1.0, 0.5, 0.5, 1.0])


def test_a_place_of_the_tool_is_one_in_the_base_frame_with_or_without_a_prefix(robot):
    tool = ToolGoal((0.2, 0.0, 0.1), (0.0, 0.0, 0.0, 1.004))
    for frame in ("base_link", "left/base_link", "/left/base_link"):
        goal = resolved(robot, tool=(frame, tool))
        assert goal.position == (0.2, 0.0, 0.1)
        assert goal.orientation == pytest.approx(UP)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({}, "0 goals are given; give one"),
        ({"named": "home", "joints": ("wrist_roll",), "positions": (0.0,)}, "2 goals are given"),
        ({"named": "rest"}, "named is 'rest'; there is home"),
        ({"named": "x" * 1000}, "there is home"),
        ({"joints": ("wrist_roll",)}, "has 1 joints and 0 positions"),
        ({"positions": (0.0,)}, "has 0 joints and 1 positions"),
        ({"joints": ("gripper",), "positions": (0.0,)}, "write joints of the arm, each once"),
        ({"joints": ("wrist_roll",) * 2, "positions": (0.0, 0.0)}, "each once"),
        ({"joints": ("wrist_roll",), "positions": (90.0,)}, "write -2.74385 to 2.84121 rad"),
        ({"joints": ("wrist_roll",), "positions": (math.nan,)}, "is nan"),
        ({"named": "home", "speed": 1.5}, "speed is 1.5"),
        ({"named": "home", "speed": -0.1}, "speed is -0.1"),
        ({"named": "home", "speed": math.nan}, "speed is nan"),
        ({"tool": ("world", ToolGoal((0.0, 0.0, 0.0), UP))}, "in the base frame, base_link"),
        ({"tool": ("base_link", ToolGoal((0.0, 0.0, 300.0), UP))}, "write metres"),
        ({"tool": ("base_link", ToolGoal((math.nan, 0.0, 0.0), UP))}, "write metres"),
        ({"tool": ("base_link", ToolGoal((0.0, 0.0, 0.0), (0.0,) * 4))}, "has length 0"),
        ({"tool": ("base_link", ToolGoal((0.0, 0.0, 0.0), (math.nan,) * 4))}, "has length nan"),
    ],
)
def test_a_goal_that_is_none_is_told_what_to_write(robot, words, told):
    with pytest.raises(GoalError) as refused:
        resolved(robot, **words)
    assert told in str(refused.value)
    assert len(str(refused.value)) < 250


def poses(robot, tmp_path, text):
    (tmp_path / "poses.yaml").write_text(text, encoding="utf-8")
    return NamedPoses.of(robot, tmp_path / "robot.yaml").positions


FOLDED = "{shoulder_pan: 0, shoulder_lift: -1.5, elbow_flex: 1.5, wrist_flex: 0.75, wrist_roll: 0}"


def test_a_file_of_poses_adds_to_home(robot, tmp_path):
    assert list(NamedPoses.of(robot, tmp_path / "robot.yaml").positions) == ["home"]
    known = poses(robot, tmp_path, f"folded: {FOLDED}")
    assert list(known) == ["home", "folded"]
    assert known["folded"] == pytest.approx([0.0, -1.5, 1.5, 0.75, 0.0])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"home: {FOLDED}", "home is the robot file's"),
        ("folded: {shoulder_pan: 0}", "for each of shoulder_pan, shoulder_lift"),
        (f"folded: {FOLDED.replace('-1.5', '-90')}", "shoulder_lift: is -90; write"),
        (f"folded: {FOLDED.replace('-1.5', 'yes')}", "shoulder_lift: is"),
        (f"folded: {FOLDED.replace('-1.5', '.nan')}", "shoulder_lift"),
        ("[1, 2]", "write a mapping"),
        (f"folded: {FOLDED}\nfolded: {FOLDED}", "folded"),
    ],
)
def test_a_pose_that_is_none_is_named_with_its_file(robot, tmp_path, text, told):
    with pytest.raises(GoalError) as refused:
        poses(robot, tmp_path, text)
    assert str(refused.value).startswith(str(tmp_path / "poses.yaml"))
    assert told in str(refused.value)
