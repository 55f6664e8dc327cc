# SPDX-License-Identifier: Apache-2.0
"""Control ticks stay on their grid whatever the host does."""

from itertools import pairwise

from vla_sim.core.grid import Divider, TickGrid

MS = 1_000_000


def grid(start_ns=1_003 * MS):
    return TickGrid(start_ns, period_ns=10 * MS, slip_ns=500 * MS)


def test_ticks_are_multiples_of_the_period():
    ticks = grid()
    assert list(ticks.due(1_009 * MS).ticks_ns) == []
    assert list(ticks.due(1_010 * MS).ticks_ns) == [1_010 * MS]
    assert list(ticks.due(1_010 * MS).ticks_ns) == []
    assert ticks.next_ns == 1_020 * MS


def test_a_start_on_the_grid_is_the_first_tick():
    assert list(grid(1_000 * MS).due(1_000 * MS).ticks_ns) == [1_000 * MS]


def test_after_a_stall_every_missed_tick_is_made_up_for():
    ticks = grid(1_000 * MS)
    due = ticks.due(1_499 * MS)
    assert list(due.ticks_ns) == list(range(1_000 * MS, 1_500 * MS, 10 * MS))
    assert due.slipped_ns == 0
    assert ticks.next_ns == 1_500 * MS


def test_after_half_a_second_the_missed_ticks_are_given_up():
    ticks = grid(1_000 * MS)
    due = ticks.due(1_505 * MS)
    assert list(due.ticks_ns) == [1_500 * MS]
    assert due.slipped_ns == 500 * MS


def test_a_clock_set_back_a_little_is_waited_for():
    ticks = grid(1_000 * MS)
    ticks.due(1_000 * MS)
    assert list(ticks.due(700 * MS).ticks_ns) == []
    assert list(ticks.due(1_010 * MS).ticks_ns) == [1_010 * MS]


def test_a_clock_set_back_far_is_followed():
    ticks = grid(10_000 * MS)
    due = ticks.due(1_000 * MS)
    assert list(due.ticks_ns) == [1_000 * MS]
    assert due.slipped_ns == -9_000 * MS


def test_thirty_of_a_hundred_ticks_are_picked_evenly():
    divider = Divider(30.0)
    start_ns = 1_800_000_000_000_000_000
    picked = [i for i in range(300) if divider.due(start_ns + i * 10 * MS)]
    assert len(picked) in (90, 91)
    gaps = {b - a for a, b in pairwise(picked)}
    assert gaps <= {3, 4}


def test_a_tick_is_picked_once():
    divider = Divider(10.0)
    assert divider.due(1_000 * MS)
    assert not divider.due(1_000 * MS)
    assert not divider.due(1_090 * MS)
    assert divider.due(1_100 * MS)
