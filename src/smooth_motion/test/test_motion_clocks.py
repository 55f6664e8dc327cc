# SPDX-License-Identifier: Apache-2.0
"""A clock that is set is told from one that is slewed, and from a process that was held up."""

import pytest

from smooth_motion.clocks import ClockWatch, set_by

MS = 1_000_000
S = 1_000_000_000


@pytest.fixture
def watch():
    watch = ClockWatch(10 * MS)
    for tick in range(5):
        assert watch.look(1000 * S + tick * 10 * MS, tick * 10 * MS) == 0
    return watch


@pytest.mark.parametrize("step_ms", [50, -50, 10, -10, 3_600_000, -3_600_000])
def test_a_step_is_told_once_by_its_size_when_two_looks_agree(watch, step_ms):
    ros_ns = 1000 * S + step_ms * MS
    assert watch.look(ros_ns + 50 * MS, 50 * MS) == 0
    assert watch.suspected
    assert watch.look(ros_ns + 60 * MS, 60 * MS) == step_ms * MS
    assert watch.look(ros_ns + 70 * MS, 70 * MS) == 0
    assert not watch.suspected


def test_a_process_that_was_held_up_between_two_readings_is_no_step(watch):
    assert watch.look(1000 * S + 350 * MS, 50 * MS) == 0
    assert watch.look(1000 * S + 360 * MS, 360 * MS) == 0
    assert not watch.suspected


def test_a_stall_of_both_clocks_readers_is_no_step(watch):
    assert watch.look(1003 * S, 3 * S) == 0
    assert watch.look(1003 * S + 10 * MS, 3 * S + 10 * MS) == 0


def test_slewing_is_no_step_however_long_it_goes_on(watch):
    # 8 %, the most that chrony slews by.
    for tick in range(5, 1000):
        steady_ns = tick * 10 * MS
        assert watch.look(1000 * S + steady_ns + steady_ns * 8 // 100, steady_ns) == 0


def test_simulated_time_that_goes_back_is_told_at_once_and_a_jump_forward_is_none():
    watch = ClockWatch(10 * MS)
    assert watch.look(0, 0) == 0
    assert watch.look(1000 * S, 1000 * S) == 0
    assert watch.look(1090 * S, 1090 * S) == 0
    assert watch.look(1000 * S, 1000 * S) == -90 * S
    assert watch.look(1000 * S + 10 * MS, 1000 * S + 10 * MS) == 0


def test_words_say_which_way():
    assert set_by(50 * MS) == "ROS time was set forward by 0.050 s"
    assert set_by(-2 * S) == "ROS time was set back by 2.000 s"
