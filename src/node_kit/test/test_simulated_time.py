# SPDX-License-Identifier: Apache-2.0
"""Which of the times that are told on /clock a node goes by."""

import pytest

from node_kit.simulated_time import SimulatedTime

MS = 1_000_000
S = 1_000_000_000


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
