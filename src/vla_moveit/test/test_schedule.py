# SPDX-License-Identifier: Apache-2.0
"""From a path to rows: limits are kept, the path is kept to, and time is not wasted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from smooth_motion import limit_violations
from vla_moveit.core.planning import NoPathError
from vla_moveit.core.schedule import LONGEST_S, ROW_NS, schedule
from vla_moveit.core.timing import ACCELERATION_SHARE, timed

ROBOTS = ("so101", "panda", "fr3")


def within(limits, share, rng, count):
    middle = 0.5 * (limits.position_lower + limits.position_upper)
    half = 0.5 * share * (limits.position_upper - limits.position_lower)
    return rng.uniform(middle - half, middle + half, (count, len(limits.joint_names)))


@pytest.mark.parametrize("name", ROBOTS)
@pytest.mark.parametrize(("count", "speed"), [(2, 1.0), (4, 1.0), (7, 0.3)])
def test_any_path_becomes_a_motion_within_the_limits_that_ends_at_its_end(
    robots, name, count, speed
):
    limits = robots(name)[0].limits
    points = within(limits, 0.8, np.random.default_rng(count), count)
    found = schedule(points, limits, speed=speed, deviation_rad=0.05)
    assert limit_violations(found.motion, limits) == []
    assert found.motion.positions[0] == pytest.approx(points[0], abs=1e-12)
    assert found.motion.positions[-1] == pytest.approx(points[-1], abs=5e-3)
    assert found.deviation <= 0.05
    assert found.rows[0] == pytest.approx(points[0])
    assert found.rows[-1] == pytest.approx(points[-1])
    fastest = np.abs(np.diff(found.rows, axis=0)).max(axis=0) / (ROW_NS / 1e9)
    assert (fastest <= limits.velocity * speed * 1.000001).all()


def test_the_deviation_is_that_of_the_motion_from_the_lines(robots):
    """Held against a motion seen ten times as often, and against every line by itself."""
    limits = robots("panda")[0].limits
    points = within(limits, 0.6, np.random.default_rng(5), 4)
    found = schedule(points, limits, speed=1.0, deviation_rad=0.05)
    times = np.arange(0, found.motion.end_ns, 2_000_000)
    worst = 0.0
    for seen in found.motion.sample(times).position:
        best = np.inf
        for begin, end in itertools.pairwise(points):
            shares = np.linspace(0.0, 1.0, 400)[:, None]
            best = min(best, np.abs(begin + shares * (end - begin) - seen).max(axis=1).min())
        worst = max(worst, best)
    assert found.deviation == pytest.approx(worst, abs=0.01)
    assert found.deviation > 1e-3, "corners are cut"


def test_the_tighter_the_path_is_to_be_kept_to_the_more_time_it_takes(robots):
    limits = robots("so101")[0].limits
    points = np.array([[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 1, 0, 0, 0]], float)
    loose = schedule(points, limits, speed=1.0, deviation_rad=0.1)
    tight = schedule(points, limits, speed=1.0, deviation_rad=0.004)
    assert tight.deviation <= 0.004 < loose.deviation
    assert tight.motion.end_ns > loose.motion.end_ns


def test_a_long_straight_way_is_passed_at_the_velocity_limit(robots):
    limits = robots("so101")[0].limits
    points = np.array([[-1.9, 0, 0, 0, 0], [1.9, 0, 0, 0, 0]], float)
    times, positions = timed(points, limits, speed=1.0, ease=1.0)
    velocity = np.diff(positions[:, 0]) / np.diff(times)
    assert velocity.max() == pytest.approx(2.0, rel=1e-6)
    acceleration = np.abs(np.diff(velocity)) / (0.5 * (times[2:] - times[:-2]))
    assert acceleration.max() <= 10.0 * ACCELERATION_SHARE * 1.05
    # As long as a trapezium of velocity takes.
    assert times[-1] == pytest.approx(3.8 / 2.0 + 2.0 / (10.0 * ACCELERATION_SHARE), rel=0.02)


def test_points_that_are_one_and_paths_of_one_point_are_no_motion(robots):
    limits = robots("so101")[0].limits
    for points in (np.zeros((1, 5)), np.zeros((4, 5))):
        found = schedule(points, limits, speed=1.0, deviation_rad=0.01)
        assert np.ptp(found.motion.positions, axis=0).max() < 1e-9
        assert found.end_ns == 0
        assert found.deviation < 1e-9


def test_the_least_way_is_gone_too(robots):
    limits = robots("panda")[0].limits
    start = robots("panda")[0].home_position
    points = np.vstack([start, start + 1e-4])
    found = schedule(points, limits, speed=1.0, deviation_rad=0.01)
    assert limit_violations(found.motion, limits) == []
    assert found.rows[-1] == pytest.approx(points[-1])


def test_a_path_that_takes_too_long_is_refused(robots):
    limits = robots("so101")[0].limits
    far = np.zeros((60, 5))
    far[1::2, 0] = 1.9
    with pytest.raises(NoPathError, match=f"{LONGEST_S:g} s at most are taken"):
        schedule(far, limits, speed=0.2, deviation_rad=0.05)
    with pytest.raises(NoPathError, match="steps"):
        schedule(np.tile(far, (30, 1)), limits, speed=0.01, deviation_rad=0.05)


def test_a_bound_that_no_motion_keeps_is_said_with_what_is_possible(robots):
    limits = robots("so101")[0].limits
    points = np.array([[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0.1, 0, 0, 0]], float)
    with pytest.raises(NoPathError, match=r"a joint leaves it by 0.00.* rad, 1e-07 rad"):
        schedule(points, limits, speed=1.0, deviation_rad=1e-7)


def test_where_a_path_is_and_when_it_is_nearest_to_a_place(robots):
    limits = robots("so101")[0].limits
    points = np.array([[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], float)
    found = schedule(points, limits, speed=0.5, deviation_rad=0.05)
    turn_ns = int(np.argmax(found.rows[:, 0])) * ROW_NS
    place = np.array([0.5, 0.01, 0, 0, 0])
    out_ns, away = found.nearest(place, 0, found.end_ns, turn_ns // 2)
    back_ns, _ = found.nearest(place, 0, found.end_ns, (turn_ns + found.end_ns) // 2)
    assert out_ns < turn_ns < back_ns, "the same place twice: the time says which"
    assert away == pytest.approx(0.01, abs=2e-3)
    assert found.at(np.array([-1e9, 0.0, 1e15])) == pytest.approx(np.zeros((3, 5)), abs=1e-12)
