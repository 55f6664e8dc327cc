# SPDX-License-Identifier: Apache-2.0
"""A leader arm's chunks: what the leader did, a little later, from where the follower is."""

import numpy as np
import pytest

from so100_driver.core.leader import LeaderArm, LeaderSettings, as_far_open

SETTINGS = LeaderSettings()
LOWER, UPPER = np.array([-1.5, -1.0]), np.array([1.5, 1.0])


def hand(time_s):
    return np.array([0.5 * np.sin(2.0 * time_s), 0.2 * time_s])


def leader(until_s):
    arm = LeaderArm(LOWER, UPPER, SETTINGS)
    for tick in range(round(until_s * 100) + 1):
        arm.hear(hand(tick / 100), tick / 100)
    return arm


def test_a_chunk_repeats_what_the_leader_did_and_ends_where_it_is():
    rows = leader(2.0).rows(2.0)
    times_s = 2.0 + SETTINGS.row_s * np.arange(len(rows))
    known = times_s <= 2.0 + SETTINGS.delay_s
    did = np.array([hand(time_s - SETTINGS.delay_s) for time_s in times_s[known]])
    assert rows[known] == pytest.approx(did, abs=1e-4)
    assert rows[~known] == pytest.approx(np.tile(hand(2.0), (sum(~known), 1)), abs=1e-9)
    # What comes next agrees with it wherever both knew.
    later = leader(2.1).rows(2.1)
    assert later[: sum(known) - 5] == pytest.approx(rows[5 : sum(known)], abs=1e-4)


def test_at_a_take_over_the_follower_stays_where_it_is_led_and_catches_up_slowly():
    arm = leader(2.0)
    led = np.array([-1.2, 0.9])
    arm.take_over(led, 2.0)
    rows = arm.rows(2.0)
    at = round(SETTINGS.lead_s / SETTINGS.row_s)
    assert rows[at] == pytest.approx(led, abs=0.02)
    for tick in range(1, 600):
        now_s = 2.0 + tick / 100
        arm.hear(hand(2.0), now_s)
        newest = arm.rows(now_s)
        most = SETTINGS.catch_up_rad_s * SETTINGS.row_s + 2.0 * SETTINGS.row_s
        assert np.abs(np.diff(newest, axis=0)).max() <= most
    assert newest == pytest.approx(np.tile(hand(2.0), (len(newest), 1)), abs=1e-9)


def test_no_row_is_out_of_the_follower_s_range():
    arm = LeaderArm(LOWER, UPPER, SETTINGS)
    for tick in range(100):
        arm.hear(np.array([3.0, -3.0]), tick / 100)
    assert np.all((arm.rows(1.0) >= LOWER) & (arm.rows(1.0) <= UPPER))


@pytest.mark.parametrize("now_s", [0.5, 1.2, float("nan")])
def test_a_leader_without_a_new_reading_is_silent(now_s):
    arm = LeaderArm(LOWER, UPPER, SETTINGS)
    assert arm.silent(0.0)
    arm.hear(hand(1.0), 1.0)
    assert not arm.silent(1.05)
    assert arm.silent(now_s)


def test_a_clock_that_was_set_back_begins_anew():
    arm = leader(2.0)
    arm.hear(np.zeros(2), 1.0)
    assert arm.rows(1.0) == pytest.approx(np.zeros_like(arm.rows(1.0)))


@pytest.mark.parametrize(
    ("angle_rad", "expected"),
    [(0.1, -0.17), (0.6, 0.79), (1.1, 1.75), (0.0, -0.17), (2.0, 1.75)],
)
def test_a_handle_with_a_smaller_range_opens_and_closes_the_jaws_wholly(angle_rad, expected):
    found = as_far_open(angle_rad, (0.1, 1.1), (-0.17, 1.75))
    assert found == pytest.approx(expected)
