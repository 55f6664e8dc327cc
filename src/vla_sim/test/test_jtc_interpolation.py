# SPDX-License-Identifier: Apache-2.0
"""The trajectory controller's interpolation: degree by given fields, start, end, replacement."""

import numpy as np
import pytest

from vla_sim.core.trajectory import JointTrajectory, RunningTrajectory, TrajectoryPoint

S = 1_000_000_000
MS = 1_000_000


def points(times_s, positions, velocities=None, accelerations=None):
    none = [[]] * len(times_s)
    return tuple(
        TrajectoryPoint(round(t * S), np.array(p, float), np.array(v, float), np.array(a, float))
        for t, p, v, a in zip(
            times_s, positions, velocities or none, accelerations or none, strict=True
        )
    )


def running(stamp_ns, given, state=None, at_ns=None):
    trajectory = RunningTrajectory(JointTrajectory(stamp_ns, ("a",), given))
    state = state or TrajectoryPoint(0, np.zeros(1), np.zeros(1))
    trajectory.start(stamp_ns if at_ns is None else at_ns, state)
    return trajectory


def test_positions_only_are_joined_by_straight_lines():
    trajectory = running(S, points([0.0, 2.0], [[1.0], [2.0]]))
    sample = trajectory.sample(S + 500 * MS)
    assert sample.position == pytest.approx([1.25])
    assert sample.velocity == pytest.approx([0.5])
    assert sample.acceleration == pytest.approx([0.0])


def test_velocities_make_a_cubic():
    # q = t^3 from 1 to 2: a cubic must be met exactly.
    trajectory = running(S, points([0.0, 1.0], [[1.0], [8.0]], [[3.0], [12.0]]))
    for t in (0.0, 0.3, 0.77):
        sample = trajectory.sample(S + round(t * S))
        assert sample.position == pytest.approx([(1 + t) ** 3], rel=1e-12)
        assert sample.velocity == pytest.approx([3 * (1 + t) ** 2], rel=1e-12)
        assert sample.acceleration == pytest.approx([6 * (1 + t)], rel=1e-12)


def test_accelerations_make_a_quintic():
    # q = t^5 from 1 to 2.
    trajectory = running(
        S, points([0.0, 1.0], [[1.0], [32.0]], [[5.0], [80.0]], [[20.0], [160.0]])
    )
    for t in (0.0, 0.3, 0.77):
        sample = trajectory.sample(S + round(t * S))
        assert sample.position == pytest.approx([(1 + t) ** 5], rel=1e-12)
        assert sample.velocity == pytest.approx([5 * (1 + t) ** 4], rel=1e-12)
        assert sample.acceleration == pytest.approx([20 * (1 + t) ** 3], rel=1e-12)


def test_a_segment_of_constant_jerk_is_met_exactly_by_the_quintic():
    h, jerk = 0.033, 80.0
    p, v, a = 0.4, -0.7, 3.0
    end = [p + v * h + a * h**2 / 2 + jerk * h**3 / 6, v + a * h + jerk * h**2 / 2, a + jerk * h]
    trajectory = running(S, points([0.0, h], [[p], [end[0]]], [[v], [end[1]]], [[a], [end[2]]]))
    for t in np.linspace(0.0, h * 0.99, 7):
        sample = trajectory.sample(S + round(t * S))
        t = round(t * S) / S
        exact = p + v * t + a * t**2 / 2 + jerk * t**3 / 6
        assert sample.position == pytest.approx([exact], abs=1e-12)


def test_a_segment_has_the_degree_that_both_its_ends_can_give():
    given = (
        TrajectoryPoint(0, np.zeros(1), np.ones(1)),
        TrajectoryPoint(S, np.ones(1)),
    )
    sample = running(S, given).sample(S + 250 * MS)
    assert sample.position == pytest.approx([0.25])
    assert sample.velocity == pytest.approx([1.0])


def test_accelerations_without_velocities_command_zero():
    given = points([0.0, 1.0], [[1.0], [1.0]], None, [[0.0], [0.0]])
    sample = running(S, given).sample(S + 500 * MS)
    assert sample.position == pytest.approx([0.0])


def test_a_first_point_in_the_future_is_approached_from_the_given_state_at_once():
    state = TrajectoryPoint(0, np.array([1.0]), np.array([0.0]))
    trajectory = running(3 * S, points([0.0], [[2.0]]), state, at_ns=1 * S)
    assert trajectory.sample(2 * S).position == pytest.approx([1.5])


def test_a_missing_start_velocity_counts_as_zero_when_the_first_point_has_one():
    state = TrajectoryPoint(0, np.array([0.0]))
    trajectory = running(2 * S, points([0.0], [[1.0]], [[0.0]], [[0.0]]), state, at_ns=1 * S)
    start, middle = trajectory.sample(1 * S), trajectory.sample(1500 * MS)
    assert start.velocity == pytest.approx([0.0])
    assert middle.position == pytest.approx([0.5])
    assert middle.velocity == pytest.approx([1.875])  # a minimum-jerk move, not a line


def test_a_measured_start_velocity_is_ignored_when_the_first_point_has_positions_only():
    state = TrajectoryPoint(0, np.array([0.0]), np.array([5.0]))
    trajectory = running(2 * S, points([0.0], [[1.0]]), state, at_ns=1 * S)
    assert trajectory.sample(1500 * MS).velocity == pytest.approx([1.0])


def test_a_trajectory_whose_first_points_are_past_is_entered_in_its_middle():
    state = TrajectoryPoint(0, np.array([0.0]), np.array([0.0]))
    trajectory = running(S, points([0.0, 1.0], [[10.0], [20.0]]), state, at_ns=1500 * MS)
    assert trajectory.sample(1500 * MS).position == pytest.approx([15.0])


def test_the_last_point_is_repeated_as_it_was_sent():
    trajectory = running(S, points([0.0, 1.0], [[0.0], [1.0]], [[0.0], [1e-8]], [[0.0], [3.0]]))
    sample = trajectory.sample(10 * S)
    assert sample.at_end
    assert (sample.position, sample.velocity, sample.acceleration) == ([1.0], [1e-8], [3.0])


def test_what_the_last_point_lacks_is_zero():
    sample = running(S, points([0.0], [[1.0]])).sample(2 * S)
    assert (sample.velocity, sample.acceleration) == ([0.0], [0.0])


def test_a_stamp_of_zero_starts_with_the_first_sample():
    trajectory = running(0, points([1.0], [[1.0]]), at_ns=7 * S)
    assert trajectory.sample(7 * S).position == pytest.approx([0.0])
    assert trajectory.start_ns == 7 * S
    assert trajectory.sample(7500 * MS).position == pytest.approx([0.5])


def test_a_time_before_the_start_state_yields_nothing():
    trajectory = running(3 * S, points([0.0], [[1.0]]), at_ns=2 * S)
    assert trajectory.sample(2 * S - 1) is None


def test_looking_ahead_does_not_move_the_search():
    trajectory = running(S, points([0.0, 1.0, 2.0], [[0.0], [1.0], [3.0]]))
    assert trajectory.sample(2500 * MS, advance=False).segment == 1
    assert trajectory.sample(1500 * MS).segment == 0


def test_segments_that_were_left_are_not_searched_again():
    trajectory = running(S, points([0.0, 1.0, 2.0], [[0.0], [1.0], [3.0]]))
    trajectory.sample(2500 * MS)
    assert trajectory.sample(1500 * MS).position == pytest.approx([3.0])
