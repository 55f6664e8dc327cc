# SPDX-License-Identifier: Apache-2.0
"""What is picked from the control ticks at a lower rate."""

from itertools import pairwise

from vla_sim.core.grid import Divider

MS = 1_000_000


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
