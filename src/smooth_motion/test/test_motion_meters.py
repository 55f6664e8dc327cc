# SPDX-License-Identifier: Apache-2.0
"""Meters say of a stream what the measures say of a recording."""

import numpy as np
import pytest

from smooth_motion import (
    BoundaryMeter,
    InterventionMeter,
    MotionError,
    MovementMeter,
    RecentJerk,
    Segmentation,
    boundary_jerk,
    jerk_statistics,
    ldlj,
    movements,
    sparc,
)

MS = 1_000_000
SECOND = 1000 * MS
EPOCH = 1_790_000_000 * SECOND


def reach(duration, rate=100.0, direction=(0.6, 0.8)):
    s = np.linspace(0.0, 1.0, round(duration * rate) + 1)
    speed = 30.0 / duration * s**2 * (1.0 - s) ** 2
    return speed[:, None] * np.array(direction)


def rest(duration, rate=100.0):
    return np.zeros((round(duration * rate), 2))


def stamps(velocities, rate=100.0):
    return EPOCH + (np.arange(len(velocities)) * 1e9 / rate).astype(np.int64)


def test_movements_are_found_whole_between_rests():
    velocities = np.vstack((rest(0.5), reach(1.0), rest(0.5), reach(2.0), rest(0.3)))
    first, second = movements(["a", "b"], stamps(velocities), velocities)
    assert (first.start_ns - EPOCH, first.end_ns - EPOCH) == (500 * MS, 1500 * MS)
    assert (first.duration_s, second.duration_s) == (pytest.approx(1.0), pytest.approx(2.0))
    for movement in (first, second):
        assert movement.ldlj == pytest.approx(-5.32, abs=0.01)
        assert movement.sparc == pytest.approx(-1.41, abs=0.01)
        assert movement.path == pytest.approx(1.0, rel=1e-3)
        assert movement.undefined == ""
    assert first.peak_speed == pytest.approx(1.875)


@pytest.mark.parametrize("rate", [30.0, 250.0, 1000.0])
def test_the_rate_of_the_samples_does_not_matter(rate):
    velocities = np.vstack((rest(0.5, rate), reach(1.5, rate), rest(0.5, rate)))
    (movement,) = movements(["a", "b"], stamps(velocities, rate), velocities)
    assert movement.ldlj == pytest.approx(-5.32, abs=0.05)
    assert movement.sparc == pytest.approx(-1.41, abs=0.02)


def test_uneven_stamps_are_evened_out():
    rng = np.random.default_rng(0)
    t = np.sort(np.concatenate(([0.0], rng.uniform(0.0, 2.0, 300), [2.0])))
    t = t[np.concatenate(([True], np.diff(t) > 0.004))]
    s = np.clip(t - 0.5, 0.0, 1.0)
    velocities = (30.0 * s**2 * (1.0 - s) ** 2)[:, None]
    (movement,) = movements(["a"], (t * 1e9).astype(np.int64), velocities)
    assert movement.sparc == pytest.approx(-1.41, abs=0.02)
    assert movement.ldlj == pytest.approx(-5.32, abs=0.3)


def test_a_movement_cut_by_the_data_or_by_a_gap_has_no_smoothness():
    whole = np.vstack((reach(1.0), rest(0.3)))
    begun = movements(["a", "b"], stamps(whole)[30:], whole[30:])
    ended = movements(["a", "b"], stamps(whole)[:60], np.vstack((rest(0.2), whole[:40])))
    gap = np.vstack((rest(0.5), reach(1.0), rest(0.5)))
    times = stamps(gap)
    times[100:] += SECOND
    broken = movements(["a", "b"], times, gap)
    for found, why in ((begun, "under way"), (ended, "end in it"), (broken, "missing")):
        assert found
        for movement in found:
            assert movement.ldlj is None
            assert movement.sparc is None
            assert why in movement.undefined
            assert movement.duration_s > 0.0


def test_a_pause_shorter_than_rest_does_not_split_a_movement():
    velocities = np.vstack((rest(0.3), reach(1.0), rest(0.01), reach(1.0), rest(0.3)))
    (movement,) = movements(["a", "b"], stamps(velocities), velocities)
    assert movement.path == pytest.approx(2.0, rel=1e-3)
    assert movement.sparc < -1.6


def test_a_twitch_is_no_movement_and_an_endless_one_is_cut():
    velocities = np.vstack((rest(0.3), np.full((4, 2), 0.2), rest(0.3)))
    assert movements(["a", "b"], stamps(velocities), velocities) == []
    config = Segmentation(longest_s=2.0)
    on_and_on = np.vstack((rest(0.1), np.full((500, 2), 0.2)))
    found = movements(["a", "b"], stamps(on_and_on), on_and_on, config)
    assert len(found) == 3
    assert all("longer than 2 s" in movement.undefined for movement in found[:2])


def test_a_meter_keeps_no_more_than_it_needs_at_rest():
    meter = MovementMeter(["a", "b"])
    for k in range(10_000):
        assert meter.update(EPOCH + k * 10 * MS, np.zeros(2)) is None
    assert len(meter._times) < 100


def test_a_velocity_that_is_not_finite_is_refused_and_ends_nothing():
    meter = MovementMeter(["a", "b"])
    velocities = np.vstack((rest(0.3), reach(1.0)))
    times = stamps(velocities)
    for t, v in zip(times[:80], velocities[:80], strict=True):
        meter.update(int(t), v)
    with pytest.raises(MotionError, match="finite"):
        meter.update(int(times[80]), np.array([0.0, np.nan]))
    assert meter.finish() is None


@pytest.mark.parametrize(
    "wrong", [{"rest_s": 0.0}, {"start_speed": np.nan}, {"rest_speed": 0.1, "start_speed": 0.05}]
)
def test_a_segmentation_that_cannot_be_is_refused(wrong):
    with pytest.raises(MotionError):
        Segmentation(**wrong)


def test_recent_jerk_is_that_of_the_window():
    rng = np.random.default_rng(0)
    jerk = rng.normal(size=(500, 2))
    meter = RecentJerk(["a", "b"], window_s=1.0)
    assert meter.statistics() is None
    for k, row in enumerate(jerk):
        meter.update(EPOCH + k * 10 * MS, row)
    result, expected = meter.statistics(), jerk_statistics(jerk[-101:], 1.0)
    np.testing.assert_allclose([result.rms, result.peak], [expected.rms, expected.peak])
    assert result.duration_s == pytest.approx(1.0)
    meter.update(EPOCH, jerk[0])
    assert meter.statistics() is None
    with pytest.raises(MotionError):
        meter.update(EPOCH + 1, np.array([np.nan, 0.0]))


def test_boundaries_in_a_stream_are_those_of_the_recording():
    rng = np.random.default_rng(1)
    times = EPOCH + np.arange(400) * 10 * MS
    jerk = rng.normal(size=(400, 2))
    boundaries = [int(times[50]) + 3 * MS, int(times[200]), int(times[205])]
    meter = BoundaryMeter(["a", "b"])
    for boundary in boundaries:
        meter.boundary(boundary)
    for t, row in zip(times, jerk, strict=True):
        meter.update(int(t), row)
    streamed, recorded = meter.result(), boundary_jerk(times, jerk, boundaries)
    for field in ("rms_near", "rms_elsewhere", "peak_near", "near_s", "elsewhere_s", "boundaries"):
        np.testing.assert_allclose(getattr(streamed, field), getattr(recorded, field))
    with pytest.raises(MotionError, match="increase"):
        meter.update(int(times[-1]), jerk[0])
    assert np.isnan(BoundaryMeter(["a"]).result().ratio).all()


def test_interventions_are_counted_with_the_time_they_last():
    meter = InterventionMeter(EPOCH)
    assert meter.summary(EPOCH).per_minute is None
    assert meter.summary(EPOCH).share is None
    meter.begin(EPOCH + 10 * SECOND, "slowed")
    meter.end(EPOCH + 13 * SECOND, path_deviation=0.02)
    meter.begin(EPOCH + 20 * SECOND, "slowed")
    meter.begin(EPOCH + 21 * SECOND, "stopped")
    assert meter.active
    result = meter.summary(EPOCH + 30 * SECOND)
    assert result.by_reason == {"slowed": 2, "stopped": 1}
    assert (result.count, result.per_minute) == (3, pytest.approx(6.0))
    assert (result.active_s, result.longest_s, result.share) == (
        13.0,
        10.0,
        pytest.approx(13 / 30),
    )
    assert result.path_deviation == 0.02
    meter.end(EPOCH + 30 * SECOND)
    with pytest.raises(MotionError, match="begin"):
        meter.end(EPOCH + 31 * SECOND)


def test_a_stream_and_its_measures_agree():
    """The meter's figures are those of the plain functions on the same samples."""
    rng = np.random.default_rng(2)
    velocities = np.vstack((rest(0.5), reach(2.0), rest(0.5)))
    velocities[50:251] += 0.01 * rng.normal(size=(201, 2)) * (velocities[50:251] > 0.1)
    (movement,) = movements(["a", "b"], stamps(velocities), velocities)
    first = (movement.start_ns - EPOCH) // (10 * MS)
    last = (movement.end_ns - EPOCH) // (10 * MS)
    part = velocities[first : last + 1]
    assert movement.ldlj == pytest.approx(ldlj(part, 0.01), rel=1e-6)
    assert movement.sparc == pytest.approx(sparc(np.linalg.norm(part, axis=1), 0.01), rel=1e-6)


def test_many_samples_at_once_measure_what_they_measure_one_by_one():
    random = np.random.default_rng(2)
    times = [EPOCH + 10 * MS * k for k in range(900)]
    swing = np.maximum(0.0, np.sin(np.arange(900) / 60.0))[:, None] * np.array([1.0, 0.4])
    jerks = random.standard_normal((900, 2))
    pairs = [(RecentJerk(["a", "b"]), BoundaryMeter(["a", "b"])) for _ in range(2)]
    found = [MovementMeter(["a", "b"]) for _ in range(2)]
    for _, boundaries in pairs:
        for k in (100, 333, 340, 800):
            boundaries.boundary(times[k])
    singly = []
    for t, velocity, jerk in zip(times, swing, jerks, strict=True):
        singly += [item for item in [found[0].update(t, velocity)] if item is not None]
        for meter in pairs[0]:
            meter.update(t, jerk)
    together, at = [], 0
    for size in (0, 1, 7, 0, 300, 92, 500):
        part = slice(at, at + size)
        together += found[1].extend(times[part], swing[part])
        for meter in pairs[1]:
            meter.extend(times[part], jerks[part])
        at += size
    assert at == 900
    assert len(singly) >= 2
    assert together == singly
    recent = [pair[0].statistics() for pair in pairs]
    np.testing.assert_array_equal(recent[0].rms, recent[1].rms)
    assert recent[0].samples == recent[1].samples == 101
    near = [pair[1].result() for pair in pairs]
    np.testing.assert_allclose(near[0].rms_near, near[1].rms_near)
    np.testing.assert_allclose(near[0].rms_elsewhere, near[1].rms_elsewhere)
    np.testing.assert_array_equal(near[0].peak_near, near[1].peak_near)
    assert near[0].near_s == pytest.approx(near[1].near_s)


def test_a_time_that_goes_back_within_many_samples_starts_the_window_anew():
    meter = RecentJerk(["a"])
    meter.extend([EPOCH, EPOCH + 1, EPOCH + 2], np.full((3, 1), 9.0))
    meter.extend([EPOCH + 3, EPOCH - 5, EPOCH - 4], [[9.0], [1.0], [2.0]])
    assert meter.statistics().samples == 2
    assert meter.statistics().peak == [2.0]
