# SPDX-License-Identifier: Apache-2.0
"""Jogging as chunks: what is pressed counts for a moment, and is not taken back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vla_operator.core.jog import HELD_S, LEAD_S, ROW_S, Jog

LOWER, UPPER = np.array([-1.0, -0.2]), np.array([1.0, 0.2])


@pytest.fixture
def jog():
    jog = Jog(LOWER, UPPER, np.array([0.5, 0.5]))
    jog.begin(np.array([0.1, 0.0]), 100.0)
    return jog


def test_an_arm_that_nobody_presses_is_asked_to_stay_where_it_is_led(jog):
    assert (jog.rows(100.0) == [0.1, 0.0]).all()
    assert (jog.rows(150.0) == [0.1, 0.0]).all()


def test_a_press_counts_from_where_a_plan_can_follow_and_ends_by_itself(jog):
    """H34: a page that is lost has let go."""
    assert jog.press([1.0, 0.0], 100.0)
    rows = jog.rows(100.0)
    assert (rows[: int(LEAD_S / ROW_S)] == [0.1, 0.0]).all()
    assert rows[-1] == pytest.approx([0.1 + 0.5 * HELD_S, 0.0])
    assert (rows[-5:] == rows[-1]).all(), "at rest at its end"
    assert (jog.rows(130.0) == rows[-1]).all(), "nothing comes after it"


def test_presses_that_go_on_are_one_motion_at_one_speed(jog):
    for step in range(10):
        now_s = 100.0 + 0.1 * step
        assert jog.press([-1.0, 0.0], now_s)
        rows = jog.rows(now_s)
        assert (np.diff(rows[:, 0]) <= 1e-12).all()
        assert np.abs(np.diff(rows[:, 0])).max() <= 0.5 * ROW_S + 1e-12
    assert jog.rows(110.0)[-1][0] == pytest.approx(0.1 - 0.5 * (0.9 + HELD_S))


def test_what_was_said_of_the_near_future_is_not_taken_back(jog):
    """A plan that takes over later has the arm there already: it would go back."""
    jog.press([1.0, 0.0], 100.0)
    jog.press([1.0, 0.0], 100.2)
    before = jog.rows(100.4)
    jog.press([0.0, 0.0], 100.4)
    after = jog.rows(100.4)
    kept = int(LEAD_S / ROW_S)
    assert after[:kept] == pytest.approx(before[:kept])
    assert (np.diff(after[:, 0]) >= -1e-12).all()
    assert (after[kept + 1 :] == after[-1]).all()


def test_joints_stop_at_the_ends_of_their_ranges(jog):
    for step in range(100):
        jog.press([1.0, -1.0], 100.0 + 0.1 * step)
    assert jog.rows(120.0)[-1] == pytest.approx([1.0, -0.2])
    # Back from there at once: what would have lain beyond is not made up for.
    jog.press([-1.0, 1.0], 120.0)
    assert jog.rows(120.0)[-1][0] < 1.0


def test_an_arm_outside_of_its_range_may_stay_and_come_back_and_go_no_further(jog):
    jog.begin(np.array([1.2, 0.0]), 200.0)
    jog.press([1.0, 0.0], 200.0)
    assert jog.rows(200.0)[-1][0] == pytest.approx(1.2)
    jog.begin(np.array([1.2, 0.0]), 300.0)
    jog.press([-1.0, 0.0], 300.0)
    assert jog.rows(300.0)[-1][0] == pytest.approx(1.2 - 0.5 * HELD_S)


@pytest.mark.parametrize(
    "rates", [[1.0], [1.0, 0.0, 0.0], [1.1, 0.0], [math.nan, 0.0], [math.inf, 0.0], []]
)
def test_presses_that_mean_nothing_move_nothing(jog, rates):
    assert not jog.press(rates, 100.0)
    assert (jog.rows(100.0) == [0.1, 0.0]).all()


def test_time_that_is_set_back_begins_anew_where_the_joints_were(jog):
    jog.press([1.0, 0.0], 100.0)
    jog.press([1.0, 0.0], 50.0)
    assert jog.rows(60.0)[-1] == pytest.approx([0.1 + 0.5 * HELD_S, 0.0], abs=0.5 * HELD_S)
