# SPDX-License-Identifier: Apache-2.0
"""A goal that follows commands: at once where they come in time, else within bounds."""

import math
import random
from itertools import pairwise

import pytest

from so100_driver.core.pursuit import Pursuit

FASTEST, HARDEST = 2.5, 20.0


def followed(target, cycles_s):
    """Return goals and targets in cycles of these lengths; commands come every 10 ms."""
    pursuit, goal, now_s, rows = Pursuit(), target(0.0), 0.0, []
    for dt_s in cycles_s:
        now_s += dt_s
        at = target(math.floor(now_s / 0.01) * 0.01)
        goal, _ = pursuit.step(goal, at, dt_s, FASTEST, HARDEST)
        rows.append((now_s, goal, at))
    return rows


def swinging(amplitude, rate):
    return lambda s: amplitude * math.sin(rate * s) * min(s, 1.0)


@pytest.mark.parametrize(("amplitude", "rate"), [(0.4, 4.5), (0.19, 7.2), (1.0, 1.9)])
@pytest.mark.parametrize("spread_s", [(0.01, 0.01), (0.008, 0.012), (0.001, 0.03)])
def test_uneven_cycles_leave_a_goal_a_command_or_two_behind_and_never_beyond(
    amplitude, rate, spread_s
):
    generator = random.Random(1)
    cycles = [generator.uniform(*spread_s) for _ in range(2000)]
    rows = followed(swinging(amplitude, rate), cycles)
    assert max(abs(goal - at) for _, goal, at in rows) <= 0.02
    assert max(abs(goal) for _, goal, _ in rows) <= amplitude + 1e-9


@pytest.mark.parametrize("step", [0.05, -0.3, 0.49])
def test_a_step_from_rest_is_reached_within_bounds_of_speed_and_acceleration_and_not_passed(step):
    rows = followed(lambda s: step if s >= 0.1 else 0.0, [0.01] * 120)
    goals = [goal for _, goal, _ in rows]
    speeds = [(b - a) / 0.01 for a, b in pairwise(goals)]
    assert max(map(abs, speeds)) <= FASTEST + 1e-9
    changes = [abs(b - a) / 0.01 for a, b in pairwise(speeds)]
    assert max(changes) <= HARDEST + 1e-6
    assert max(abs(goal) for goal in goals) <= abs(step) + 1e-12
    assert goals[-1] == step


@pytest.mark.parametrize("seed", range(20))
def test_commands_that_run_ahead_and_step_back_lead_no_goal_to_where_they_never_were(seed):
    generator, pursuit, goal, target = random.Random(seed), Pursuit(), 0.0, 0.0
    least = most = 0.0
    for _ in range(120):
        target = min(0.5, target + generator.choice([0.02, 0.02, 0.02, -0.1]))
        least, most = min(least, target), max(most, target)
        goal, _ = pursuit.step(goal, target, 0.01, FASTEST, HARDEST)
        assert least - 1e-12 <= goal <= most + 1e-12


@pytest.mark.parametrize("step", [0.07, -0.05, -0.09, -0.14])
def test_a_step_of_commands_that_move_changes_the_speed_no_harder_than_their_own_begin(step):
    pursuit, goals = Pursuit(), [0.0]
    for cycle in range(1, 60):
        target = 0.01 * cycle + (step if cycle >= 25 else 0.0)
        goals.append(pursuit.step(goals[-1], target, 0.01, FASTEST, HARDEST)[0])
    assert goals[-1] == pytest.approx(0.59 + step)
    # They begin with 1 rad/s at once, and their goal stops at once where they step back from.
    speeds = [(b - a) / 0.01 for a, b in pairwise(goals)]
    assert max(abs(b - a) for a, b in pairwise(speeds)) <= 1.0 + 1e-6


def test_a_joint_without_a_bound_of_acceleration_is_bounded_in_speed_alone():
    pursuit, goal = Pursuit(), 0.0
    for _ in range(3):
        goal, there = pursuit.step(goal, 0.06, 0.01, FASTEST, math.inf)
    assert there
    assert goal == pytest.approx(0.06)
