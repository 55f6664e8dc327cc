# SPDX-License-Identifier: Apache-2.0
"""A clock that is set is told from one that is slewed, and from a process that was held up."""

import pytest

from smooth_motion.clocks import ClockWatch, SimulatedTime, set_by

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


@pytest.fixture
def simulation():
    """Ticks of 10 ms, as fast as the host's time."""
    simulation = SimulatedTime()
    assert simulation.look(0, 0) == 0
    for tick in range(5):
        now_ns = 1000 * S + tick * 10 * MS
        assert simulation.hear(now_ns, tick * 10 * MS) == ""
        assert simulation.look(now_ns, tick * 10 * MS) == now_ns
    return simulation


@pytest.mark.parametrize(("step_s", "way"), [(100, "ahead of"), (-100, "behind"), (2, "ahead of")])
def test_one_message_of_another_simulated_time_is_named_and_not_believed(simulation, step_s, way):
    now_ns = 1000 * S + 40 * MS
    said = simulation.hear(now_ns + step_s * S, 45 * MS)
    assert f"{abs(step_s)}.000 s {way} the one before" in said
    assert simulation.look(now_ns + step_s * S, 46 * MS) == now_ns
    assert simulation.hear(now_ns + 10 * MS, 50 * MS) == ""
    assert simulation.look(now_ns + 10 * MS, 50 * MS) == now_ns + 10 * MS


def test_a_simulation_that_was_begun_anew_is_believed_after_three_messages(simulation):
    for tick in range(3):
        assert simulation.look(tick * 10 * MS, 50 * MS + tick * 10 * MS) == 1000 * S + 40 * MS
        assert simulation.hear(tick * 10 * MS, 50 * MS + tick * 10 * MS) != ""
    assert simulation.look(20 * MS, 80 * MS) == 20 * MS
    assert simulation.hear(30 * MS, 80 * MS) == ""


def test_of_two_simulations_in_turns_the_first_is_believed(simulation):
    for tick in range(5, 50):
        now_ns, host_ns = 1000 * S + tick * 10 * MS, tick * 10 * MS
        assert simulation.hear(now_ns, host_ns) == ""
        assert simulation.hear(500 * S + tick * 10 * MS, host_ns) != ""
        assert simulation.look(500 * S + tick * 10 * MS, host_ns) == now_ns


@pytest.mark.parametrize(("simulated_ms", "host_ms"), [(1000, 1), (5000, 60), (90_000, 90_000)])
def test_a_fast_simulation_or_one_that_was_not_heard_for_a_while_is_believed(
    simulation, simulated_ms, host_ms
):
    now_ns = 1000 * S + (40 + simulated_ms) * MS
    assert simulation.look(now_ns, (40 + host_ms) * MS) == now_ns
    assert simulation.hear(now_ns, (40 + host_ms) * MS) == ""


def test_a_negative_simulated_time_is_never_believed_however_often_it_is_told(simulation):
    now_ns = 1000 * S + 40 * MS
    for count in range(10):
        assert "is no time" in simulation.hear(-5 * S + count * 10 * MS, 50 * MS)
        assert simulation.look(now_ns, 50 * MS) == now_ns
