# SPDX-License-Identifier: Apache-2.0
"""Smoothness measures have the values that their definitions give, or none."""

import numpy as np
import pytest

from smooth_motion import MotionError, boundary_jerk, jerk_statistics, ldlj, sparc


def minimum_jerk(duration=1.0, rate=100.0, amplitude=1.0):
    """Speed of a minimum-jerk movement, and its time step."""
    s = np.linspace(0.0, 1.0, round(duration * rate) + 1)
    return amplitude / duration * 30.0 * s**2 * (1.0 - s) ** 2, 1.0 / rate


TIMES = [(0.5, 100.0), (1.0, 50.0), (1.0, 1000.0), (7.0, 100.0)]


@pytest.mark.parametrize(("duration", "rate"), TIMES)
@pytest.mark.parametrize("amplitude", [1e-3, -2.0, 1e3])
def test_a_minimum_jerk_movement_has_the_published_values_at_any_scale(duration, rate, amplitude):
    speed, dt = minimum_jerk(duration, rate, amplitude)
    assert sparc(speed, dt) == pytest.approx(-1.41, abs=0.01)
    assert ldlj(speed, dt) == pytest.approx(-np.log(204.8), abs=4e-3)


def test_sparc_is_the_length_of_the_spectrums_curve():
    """Against the transform of the movement, taken directly, up to where it stays under 0.05."""
    speed, dt = minimum_jerk(rate=1000.0)
    f, t = np.linspace(0.0, 10.0, 5001), np.arange(speed.size) * dt
    spectrum = np.abs((speed * np.exp(-2j * np.pi * f[:, None] * t)).sum(axis=1)) * dt
    last = np.flatnonzero(spectrum >= 0.05)[-1]
    arc = np.hypot(np.diff(f[: last + 1]) / f[last], np.diff(spectrum[: last + 1])).sum()
    assert sparc(speed, dt, pad_level=9) == pytest.approx(-arc, abs=1e-3)


def test_two_submovements_are_less_smooth_than_one_and_a_shake_is_worse():
    one, dt = minimum_jerk(2.0)
    half, _ = minimum_jerk(1.0)
    two = np.concatenate((half, half[1:]))
    shaken = one + 0.1 * np.sin(2.0 * np.pi * 4.0 * np.arange(one.size) * dt) * (one > 0.0)
    assert sparc(one, dt) > sparc(two, dt)
    assert sparc(one, dt) > sparc(shaken, dt)
    assert ldlj(one, dt) > ldlj(two, dt) > ldlj(shaken, dt)


def test_joints_that_move_along_a_line_have_the_measure_of_its_speed():
    speed, dt = minimum_jerk()
    direction = np.array([0.6, -0.8, 0.0])
    assert ldlj(speed[:, None] * direction, dt) == pytest.approx(ldlj(speed, dt))


def test_encoder_rounding_ruins_ldlj_but_hardly_sparc():
    """Why LDLJ is for commands only."""
    s = np.linspace(0.0, 1.0, 101)
    position = s**3 * (10.0 - 15.0 * s + 6.0 * s**2)
    quantum = 2.0 * np.pi / 4096
    speed = np.gradient(np.round(position / quantum) * quantum, 0.01)
    assert ldlj(speed, 0.01) < -7.0
    assert sparc(np.abs(speed), 0.01) == pytest.approx(-1.41, abs=0.05)


@pytest.mark.parametrize("measure", [sparc, ldlj])
@pytest.mark.parametrize(
    "speed", [np.zeros(0), np.ones(7), np.zeros(100)], ids=["empty", "short", "still"]
)
def test_what_is_not_defined_is_none(measure, speed):
    assert measure(speed, 0.01) is None


def test_a_constant_velocity_has_no_log_jerk():
    assert ldlj(np.ones(100), 0.01) is None


@pytest.mark.parametrize("measure", [sparc, ldlj])
def test_a_speed_that_is_not_finite_is_refused_by_its_row(measure):
    speed, dt = minimum_jerk()
    speed[17] = np.nan
    with pytest.raises(MotionError, match="row 17"):
        measure(speed, dt)
    with pytest.raises(MotionError, match="dt_s must be positive"):
        measure(minimum_jerk()[0], 0.0)
    with pytest.raises(MotionError, match="shape"):
        measure(np.zeros((3, 3, 3)), dt)


def test_jerk_statistics_are_rms_and_peak_with_their_duration():
    result = jerk_statistics([[3.0, -1.0], [-4.0, 1.0]], 0.5)
    np.testing.assert_allclose(result.rms, [np.sqrt(12.5), 1.0])
    np.testing.assert_allclose(result.peak, [4.0, 1.0])
    assert (result.samples, result.duration_s) == (2, 0.5)


@pytest.mark.parametrize(
    ("jerk", "duration"), [([[np.inf]], 1.0), ([[1.0]], 0.0), (np.zeros((0, 2)), 1.0)]
)
def test_jerk_statistics_of_nothing_or_of_nan_are_refused(jerk, duration):
    with pytest.raises(MotionError):
        jerk_statistics(jerk, duration)


def test_jerk_at_boundaries_is_told_from_jerk_elsewhere():
    times = np.arange(1000) * 10_000_000
    jerk = np.ones((1000, 1))
    boundaries = [2_000_000_000, 5_000_000_000]
    for boundary in boundaries:
        jerk[np.abs(times - boundary) < 100_000_000] = 7.0
    result = boundary_jerk(times, jerk, boundaries)
    assert (result.boundaries, result.window_s) == (2, 0.1)
    np.testing.assert_allclose(
        [result.rms_near, result.rms_elsewhere, result.peak_near, result.ratio],
        [[7.0], [1.0], [7.0], [7.0]],
    )
    assert result.near_s + result.elsewhere_s == pytest.approx(9.99)
    assert result.near_s == pytest.approx(2 * 0.19)


def test_without_boundaries_there_is_nothing_to_compare():
    result = boundary_jerk(np.arange(5), np.ones((5, 1)), [])
    assert result.boundaries == 0
    assert np.isnan([result.rms_near, result.peak_near, result.ratio]).all()


def test_boundary_jerk_refuses_times_that_do_not_fit():
    with pytest.raises(MotionError, match="shape"):
        boundary_jerk(np.arange(4), np.ones((5, 1)), [])
    with pytest.raises(MotionError, match="increase"):
        boundary_jerk(np.zeros(5), np.ones((5, 1)), [])
