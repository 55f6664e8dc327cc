# SPDX-License-Identifier: Apache-2.0
"""The stop trials' jerk is that of the trajectory that the controller follows."""

import numpy as np
import pytest

from smooth_motion import Chunk, Limits, Plan, command_jerk, overlap, track
from verification.stop_trials.timeline import trajectory_times

MS, T0 = 1_000_000, 1_000_000_000_000
NAMES = ("a", "b")


@pytest.fixture
def limits():
    most = np.array([3.0, 3.0]), np.array([2.0, 2.0]), np.array([10.0, 10.0])
    return Limits(NAMES, -most[0], *most, np.array([100.0, 100.0]))


def two_plans(limits, apart_ns):
    """A plan from rest, and one that leaves it and was stamped a little later."""
    hold = Plan.hold(NAMES, np.zeros(2), T0)
    first = track(
        Chunk(NAMES, T0, 100 * MS, np.linspace([0.0, 0.0], [1.0, -0.6], 15)),
        hold.state(T0),
        limits,
        start_ns=T0,
    )
    splice = T0 + 400 * MS
    rows = np.linspace(first.state(splice).position, [1.4, 0.2], 15)
    tail = track(
        Chunk(NAMES, splice, 100 * MS, rows), first.state(splice), limits, start_ns=splice
    )
    return first, overlap(first, tail, cut_ns=T0 + apart_ns)


@pytest.mark.parametrize("apart_ms", [2, 8, 15])
def test_of_two_trajectories_that_began_together_it_is_the_one_that_is_followed(limits, apart_ms):
    """Taken for one another, they showed a jerk that no controller commanded."""
    first, second = two_plans(limits, apart_ms * MS)
    rng = np.random.default_rng(3)
    true = np.arange(T0 + 100 * MS, second.end_ns, 10 * MS)
    start = np.where(true < T0 + 390 * MS, first.start_ns, second.start_ns)
    assert start[-1] - start[0] == apart_ms * MS
    plans = {first.start_ns: first, second.start_ns: second}
    rows = np.array([plans[s].sample(t).position for s, t in zip(start, true, strict=True)])
    wander = rng.integers(-4 * MS, 4 * MS, true.size)
    times = trajectory_times(NAMES, true + wander, true - start, rows, plans)
    moving = np.abs(np.diff(rows, axis=0)).max(axis=1) > 1e-6
    assert (times == true)[:-1][moving].all()
    _, jerk = command_jerk(times, rows)
    assert (np.abs(jerk) / limits.jerk).max() <= 1.001


def test_what_is_no_plan_is_followed_by_its_stamp(limits):
    first, _ = two_plans(limits, 8 * MS)
    since = np.arange(100 * MS, 600 * MS, 10 * MS)
    rows = np.array([first.sample(first.start_ns + s).position for s in since])
    commands = {T0 + 70 * 1000 * MS: None}
    times = trajectory_times(NAMES, first.start_ns + since + 3 * MS, since, rows, commands)
    assert (np.diff(times) == 10 * MS).all()
