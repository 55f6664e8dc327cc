# SPDX-License-Identifier: Apache-2.0
"""Jerk estimates are exact where they can be, and say how wrong they can be where not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smooth_motion import (
    CommandJerk,
    KalmanJerk,
    MotionError,
    SavitzkyGolayJerk,
    command_jerk,
)

MS = 1_000_000


def fed(estimator, times_ns, position):
    return [estimator.update(int(t), np.array([position(t * 1e-9)])) for t in times_ns]


def cubic(t):
    return 1.5 + 0.4 * t - 2.0 * t**2 + 7.0 * t**3 / 6.0


def test_the_jerk_of_a_cubic_is_exact_at_any_spacing():
    estimator = CommandJerk(["joint"])
    times = np.cumsum([0, 10, 3, 40, 11, 1, 25]) * MS
    results = fed(estimator, times, cubic)
    assert results[:3] == [None] * 3
    np.testing.assert_allclose(np.hstack(results[3:]), 7.0, rtol=1e-6)


def test_the_lower_differences_of_a_cubic_are_its_means_over_their_samples():
    estimator = CommandJerk(["joint"])
    assert estimator.velocity is estimator.acceleration is estimator.jerk is None
    positions = [cubic(i * 0.001) for i in range(8)]
    for i, position in enumerate(positions):
        jerk = estimator.update(i * MS, np.array([position]))
        if i >= 1:
            mean = (position - positions[i - 1]) / 1e-3
            np.testing.assert_allclose(estimator.velocity, mean, rtol=1e-9)
        if i >= 2:
            mean = (position - 2.0 * positions[i - 1] + positions[i - 2]) / 1e-6
            np.testing.assert_allclose(estimator.acceleration, mean, rtol=1e-6)
        assert estimator.jerk is jerk
    estimator.update(7 * MS, np.array([0.0]))
    assert estimator.velocity is estimator.acceleration is estimator.jerk is None


@given(
    jerks=st.lists(st.floats(-100.0, 100.0), min_size=6, max_size=20),
    steps=st.lists(st.integers(1 * MS, 60 * MS), min_size=20, max_size=60),
)
def test_no_sound_command_seems_to_pass_its_jerk_limit(jerks, steps):
    """Jerk bounded by 100, kinks anywhere, samples anywhere: the estimate stays within 100."""
    knots = np.arange(len(jerks)) * 0.05
    p = v = a = 0.0
    states = []
    for jerk in jerks:
        states.append((p, v, a))
        p, v, a = (
            p + v * 0.05 + a * 0.05**2 / 2 + jerk * 0.05**3 / 6,
            (v + a * 0.05 + jerk * 0.05**2 / 2),
            a + jerk * 0.05,
        )

    def position(t):
        k = int(np.searchsorted(knots, t, side="right")) - 1
        s = t - knots[k]
        p, v, a = states[k]
        return p + v * s + a * s**2 / 2 + jerks[k] * s**3 / 6

    results = fed(CommandJerk(["joint"]), np.cumsum(steps), position)
    for jerk in results[3:]:
        assert abs(jerk[0]) <= 100.0 * (1.0 + 1e-6)


@pytest.mark.parametrize("kind", ["command", "measured"])
@pytest.mark.parametrize("step", [0, -10 * MS, 1_000 * MS], ids=["repeated", "backwards", "gap"])
def test_a_repeated_or_backward_stamp_or_a_gap_restarts_the_estimate(kind, step):
    if kind == "command":
        estimator, size = CommandJerk(["joint"]), 4
    else:
        estimator, size = SavitzkyGolayJerk(["joint"], 7, 0.01, 4096), 7
    times = list(np.arange(size) * 10 * MS)
    assert fed(estimator, times, cubic)[-1] is not None
    again = times[-1] + step + np.arange(size) * 10 * MS
    results = fed(estimator, again, cubic)
    assert results[:-1] == [None] * (size - 1)
    np.testing.assert_allclose(results[-1], 7.0, rtol=1e-5)


@pytest.mark.parametrize("kind", ["command", "measured"])
def test_a_position_that_is_not_finite_is_refused_and_restarts_the_estimate(kind):
    estimator = (
        CommandJerk(["joint"])
        if kind == "command"
        else SavitzkyGolayJerk(["joint"], 5, 0.01, 4096)
    )
    fed(estimator, np.arange(6) * 10 * MS, cubic)
    assert estimator.filled
    with pytest.raises(MotionError, match="finite"):
        estimator.update(60 * MS, np.array([np.nan]))
    assert not estimator.filled
    assert estimator.update(70 * MS, np.array([0.0])) is None


# Published figures for 4096 ticks a turn: (rate, window, sigma, bound), rad/s^3.
FIGURES = [
    (50, 7, 22.6, 95.9),
    (50, 9, 8.8, 41.6),
    (50, 15, 1.4, 8.0),
    (100, 11, 34.0, 170.0),
    (100, 21, 3.4, 23.0),
    (100, 31, 0.85, 7.0),
]


@pytest.mark.parametrize(("rate", "window", "sigma", "bound"), FIGURES)
def test_noise_floor_bound_and_delay_are_those_of_the_filter(rate, window, sigma, bound):
    estimator = SavitzkyGolayJerk(["joint"], window, 1.0 / rate, 4096)
    assert estimator.noise_floor == pytest.approx(sigma, rel=0.015)
    assert estimator.quantisation_bound == pytest.approx(bound, rel=0.01)
    assert estimator.delay_s == pytest.approx((window - 1) / 2.0 / rate)


def rounded(position, quantum):
    return lambda t: np.round(position(t) / quantum) * quantum


def test_rounding_alone_stays_within_the_bound_and_near_the_noise_floor():
    estimator = SavitzkyGolayJerk(["joint"], 15, 0.01, 4096)
    quantum = 2.0 * np.pi / 4096
    times = np.arange(4_000) * 10 * MS
    moving = rounded(lambda t: 0.7137 * t + 0.1 * np.sin(0.3 * t), quantum)
    errors = np.hstack(fed(estimator, times, moving)[14:])
    assert np.abs(errors).max() <= estimator.quantisation_bound + 0.1
    assert np.std(errors) == pytest.approx(estimator.noise_floor, rel=0.5)


def test_the_estimate_is_that_of_half_a_window_ago():
    estimator = SavitzkyGolayJerk(["joint"], 21, 0.01, 4096)
    w = 2.0
    times = np.arange(500) * 10 * MS
    results = np.hstack(fed(estimator, times, lambda t: np.sin(w * t))[20:])
    t = times[20:] * 1e-9 - estimator.delay_s
    np.testing.assert_allclose(results, -(w**3) * np.cos(w * t), atol=0.15)


@pytest.mark.parametrize(
    ("window", "dt", "ticks"),
    [(4, 0.01, 1), (3, 0.01, 1), (7, 0.0, 1), (7, 0.01, 0), (7, np.nan, 1)],
)
def test_a_filter_that_cannot_be_is_refused(window, dt, ticks):
    with pytest.raises(MotionError):
        SavitzkyGolayJerk(["joint"], window, dt, ticks)


# 4096 ticks a turn, 100 Hz: (snap density, sigma published for it), rad/s^3.
KALMAN_FIGURES = [(100, 9.1), (300, 23.7), (1000, 67.0), (3000, 174.0)]


@pytest.mark.parametrize(("density", "sigma"), KALMAN_FIGURES)
def test_the_kalman_filters_noise_floor_is_the_published_one(density, sigma):
    assert KalmanJerk(["joint"], density, 0.01, 4096).noise_floor == pytest.approx(sigma, rel=0.01)


@pytest.mark.parametrize("density", [30.0, 300.0])
def test_at_a_high_rate_the_kalman_filter_meets_the_closed_forms(density):
    """Butterworth of order 4: w = (q / sqrt(R dt))^(1/4)."""
    dt, quantum = 1e-4, 2.0 * np.pi / 4096
    estimator = KalmanJerk(["joint"], density, dt, 4096)
    r = quantum**2 / 12.0 * dt
    w = (density / np.sqrt(r)) ** 0.25
    assert estimator.delay_s == pytest.approx(2.6131 / w, rel=0.01)
    sigma = np.sqrt(r * w**7 / (8.0 * np.sin(np.pi / 8.0)))
    assert estimator.noise_floor == pytest.approx(sigma, rel=0.01)


def test_the_kalman_filter_is_exact_on_a_cubic_and_lags_a_ramp_by_its_delay():
    times = np.arange(300) * 10 * MS
    results = fed(KalmanJerk(["joint"], 300.0, 0.01, 4096), times, cubic)
    assert results[3] is None
    np.testing.assert_allclose(np.hstack([r for r in results if r is not None]), 7.0, rtol=1e-6)
    estimator = KalmanJerk(["joint"], 300.0, 0.01, 4096)
    ramp = fed(estimator, times, lambda t: t**4 / 24.0)
    assert times[-1] * 1e-9 - ramp[-1][0] == pytest.approx(estimator.delay_s, rel=1e-6)


@pytest.mark.parametrize("density", [30.0, 300.0, 3000.0])
def test_rounding_alone_stays_within_the_kalman_filters_bound_from_its_first_estimate(density):
    quantum = 2.0 * np.pi / 4096
    times = np.arange(2_000) * 10 * MS
    moving = rounded(lambda t: 0.7137 * t + 0.1 * np.sin(0.3 * t), quantum)
    estimator = KalmanJerk(["joint"], density, 0.01, 4096)
    results = [r for r in fed(estimator, times, moving) if r is not None]
    errors = np.hstack(results)
    assert np.abs(errors).max() <= estimator.quantisation_bound + 0.1
    assert np.std(errors) == pytest.approx(estimator.noise_floor, rel=0.5)


@pytest.mark.parametrize("density", [30.0, 300.0, 3000.0])
def test_the_kalman_filters_bound_is_what_the_worst_rounding_causes(density):
    """Its sign follows the response to one sample, which each joint here shows for another one."""
    samples = 300
    probe = KalmanJerk([f"sample {i}" for i in range(samples)], density, 0.01, 4096)
    results = [probe.update(k * 10 * MS, row) for k, row in enumerate(np.eye(samples))]
    half = np.pi / 4096
    worst = [half * np.abs(response).sum() for response in results if response is not None]
    assert max(worst) <= probe.quantisation_bound * (1.0 + 1e-6)
    assert worst[-1] == pytest.approx(probe.quantisation_bound, rel=0.02)


@pytest.mark.parametrize("step", [0, -10 * MS, 1_000 * MS], ids=["repeated", "backwards", "gap"])
def test_the_kalman_filter_restarts_where_the_others_do(step):
    estimator = KalmanJerk(["joint"], 1000.0, 0.01, 4096)
    times = np.arange(100) * 10 * MS
    before = fed(estimator, times, cubic)
    assert estimator.filled
    again = fed(estimator, times + times[-1] + step, cubic)
    assert [r is None for r in again] == [r is None for r in before]
    np.testing.assert_allclose(again[-1], 7.0, rtol=1e-5)
    with pytest.raises(MotionError, match="finite"):
        estimator.update(10_000 * MS, np.array([np.nan]))
    assert not estimator.filled


@pytest.mark.parametrize(
    ("density", "dt", "ticks"),
    [(0.0, 0.01, 4096), (np.nan, 0.01, 4096), (300.0, 0.0, 4096), (300.0, 0.01, 0)],
)
def test_a_kalman_filter_that_cannot_be_is_refused(density, dt, ticks):
    with pytest.raises(MotionError, match="positive"):
        KalmanJerk(["joint"], density, dt, ticks)


def test_a_kalman_filter_that_would_take_minutes_to_settle_is_refused():
    with pytest.raises(MotionError, match="raise snap_density"):
        KalmanJerk(["joint"], 1e-9, 0.001, 4096)


def test_the_jerk_of_a_recording_is_that_of_its_stream():
    rng = np.random.default_rng(0)
    steps = rng.choice(
        [10 * MS, 11 * MS, 400 * MS, 100, -5 * MS], 300, p=[0.5, 0.3, 0.1, 0.05, 0.05]
    )
    times = np.cumsum(steps)
    positions = rng.normal(size=(300, 2))
    estimator = CommandJerk(["a", "b"])
    streamed = [estimator.update(int(t), p) for t, p in zip(times, positions, strict=True)]
    index, jerk = command_jerk(times, positions)
    assert index.tolist() == [i for i, value in enumerate(streamed) if value is not None]
    np.testing.assert_allclose(jerk, [streamed[i] for i in index], rtol=1e-9)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_recording_of_less_than_four_samples_has_no_jerk(count):
    index, jerk = command_jerk(np.arange(count), np.zeros((count, 2)))
    assert index.size == 0
    assert jerk.shape == (0, 2)


def test_an_estimate_never_exceeds_the_jerk_times_the_gain():
    """Each joint's jerk jumps to 1 a millisecond earlier than the one's before."""
    onsets = np.arange(1000) * 0.001
    names = [f"{i} ms" for i in range(onsets.size)]
    kalman = KalmanJerk(names, 300.0, 0.01, 4096)
    golay = SavitzkyGolayJerk(names, 11, 0.01, 4096)
    for estimator, gain in ((kalman, 1.3), (golay, 1.0)):
        for k in range(200):
            ramp = np.maximum(k * 0.01 - 1.99 + onsets, 0.0) ** 3 / 6.0
            last = estimator.update(k * 10 * MS, ramp)
        # The jerk that changes its sign with the response gets all of its variation.
        assert np.abs(np.diff(last)).sum() == pytest.approx(estimator.jerk_gain, rel=0.01)
        assert estimator.jerk_gain == pytest.approx(gain, abs=0.01)


def test_the_filter_over_a_recording_is_that_over_its_stream():
    rng = np.random.default_rng(0)
    positions = 100.0 + np.cumsum(rng.normal(size=(60, 2)), axis=0)
    estimator = SavitzkyGolayJerk(["a", "b"], 9, 0.01, 4096)
    streamed = [estimator.update(k * 10 * MS, row) for k, row in enumerate(positions)]
    np.testing.assert_allclose(estimator.over(positions), np.array(streamed[8:]), rtol=1e-8)
    assert estimator.over(positions[:8]).shape == (0, 2)
