# SPDX-License-Identifier: Apache-2.0
"""The tracker follows what it is given, smoothly and without delay."""

import numpy as np
import pytest

from smooth_motion import (
    Chunk,
    MotionError,
    NoPlanError,
    Plan,
    State,
    TrackerConfig,
    check,
    limit_violations,
    overlap,
    splice_ns,
    track,
)


def reaching(arms, limits, rows=60):
    """A smooth move of 0.5 rad in 1.5 s, as a chunk and as the truth it was sampled from."""
    start = arms.middle(limits)

    def truth(t_ns):
        s = np.clip((np.asarray(t_ns) - arms.epoch) / (1.5 * arms.second), 0.0, 1.0)[:, None]
        return start + 0.5 * s**3 * (10.0 - 15.0 * s + 6.0 * s**2)

    times = arms.epoch + arms.row * np.arange(rows)
    return Chunk(limits.joint_names, arms.epoch, arms.row, truth(times)), truth


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


@pytest.mark.parametrize("arm", ["small", "large"])
def test_a_smooth_chunk_is_followed_within_two_milliradians_and_without_lag(arms, arm):
    limits = getattr(arms, arm)
    chunk, truth = reaching(arms, limits)
    plan = track(chunk, arms.rest(limits), limits, start_ns=arms.epoch)
    t = np.arange(plan.start_ns, chunk.end_ns, 5_000_000)
    positions = plan.sample(t).position
    errors = {lag: rms(positions - truth(t - lag * 1_000_000)) for lag in range(-50, 51, 5)}
    assert np.abs(positions - truth(t)).max() < 2e-3
    assert min(errors, key=errors.__getitem__) == 0


@pytest.mark.parametrize("arm", ["small", "large"])
def test_noise_on_a_chunk_hardly_reaches_the_plan(arms, arm):
    limits = getattr(arms, arm)
    chunk, truth = reaching(arms, limits)
    noise = np.random.default_rng(1).normal(0.0, 0.005, chunk.positions.shape)
    noisy = Chunk(chunk.joint_names, chunk.start_ns, chunk.dt_ns, chunk.positions + noise)
    plan = track(noisy, arms.rest(limits), limits, start_ns=arms.epoch)
    t = np.arange(plan.start_ns, chunk.end_ns, 5_000_000)
    sample = plan.sample(t)
    assert rms(sample.position - truth(t)) < 0.6 * 0.005
    # Through the rows themselves the jerk would be some hundred rad/s^3.
    assert rms(sample.jerk) < 15.0


@pytest.mark.parametrize("cutoff", [1.0, 2.0, 3.0])
def test_half_of_an_oscillation_at_the_cutoff_remains(arms, cutoff):
    limits = arms.large
    t = arms.row * 1e-9 * np.arange(150)
    wave = 0.01 * np.sin(2.0 * np.pi * cutoff * t)
    rows = arms.middle(limits) + wave[:, None]
    chunk = Chunk(limits.joint_names, arms.epoch, arms.row, rows)
    config = TrackerConfig(cutoff_hz=cutoff)
    plan = track(chunk, arms.rest(limits), limits, start_ns=arms.epoch, config=config)
    inside = slice(50, 100)
    left = plan.positions[inside, 0] - arms.middle(limits)[0]
    assert np.ptp(left) / np.ptp(wave[inside]) == pytest.approx(0.5, abs=0.06)
    assert np.corrcoef(left, wave[inside])[0, 1] > 0.999


def test_a_lower_cutoff_means_less_jerk(arms):
    limits = arms.large
    chunk = Chunk(
        limits.joint_names, arms.epoch, arms.row, np.tile(arms.middle(limits) + 0.1, (40, 1))
    )
    jerks = [
        rms(
            track(
                chunk,
                arms.rest(limits),
                limits,
                start_ns=arms.epoch,
                config=TrackerConfig(cutoff_hz=cutoff),
            ).segment_jerk()
        )
        for cutoff in (1.0, 2.0, 4.0)
    ]
    assert jerks[0] < 0.5 * jerks[1] < 0.25 * jerks[2]


@pytest.mark.parametrize("arm", ["small", "large"])
@pytest.mark.parametrize("wild", [False, True], ids=["jumping", "wild"])
def test_a_splice_on_a_knot_never_makes_the_arm_stop_first(arms, arm, wild):
    """The remainder of the plan before is a solution, so the uniform grid goes on."""
    limits = getattr(arms, arm)
    rng = np.random.default_rng(5)
    running = Plan.hold(limits.joint_names, arms.middle(limits), arms.epoch)
    now = arms.epoch + arms.second
    for _ in range(150):
        splice = splice_ns(running, now + 120_000_000)
        state = running.state(splice)
        chunk = arms.random_chunk(rng, limits, now, state.position, wild)
        tail = track(chunk, state, limits, start_ns=splice)
        assert set(np.diff(tail.times_ns)) == {33_333_333}
        running = overlap(running, tail, cut_ns=now - 20_000_000)
        now += int(rng.uniform(0.05, 0.4) * arms.second)


def test_rows_before_the_start_are_skipped(arms):
    limits = arms.small
    home = arms.middle(limits)
    rows = np.tile(home, (60, 1))
    rows[:30] += 0.4
    chunk = Chunk(limits.joint_names, arms.epoch, arms.row, rows)
    start = arms.epoch + 30 * arms.row
    plan = track(chunk, arms.rest(limits), limits, start_ns=start)
    assert np.abs(plan.positions - home).max() < 1e-6
    assert plan.start_ns == start


def test_a_chunk_that_is_over_is_approached_at_its_last_row(arms):
    limits = arms.small
    goal = arms.middle(limits) + 0.05
    chunk = Chunk(limits.joint_names, arms.epoch, arms.row, [goal])
    plan = track(chunk, arms.rest(limits), limits, start_ns=arms.epoch + arms.second)
    np.testing.assert_allclose(plan.positions[-1], goal, atol=5e-3)


def test_targets_outside_the_position_limits_are_clipped_to_them(arms):
    limits = arms.small
    chunk = Chunk(limits.joint_names, arms.epoch, arms.row, np.full((100, 5), 1e300))
    plan = track(chunk, arms.rest(limits), limits, start_ns=arms.epoch)
    np.testing.assert_allclose(plan.positions[-1], limits.position_upper, atol=1e-3)
    assert limit_violations(plan, limits) == []


def test_a_joint_at_its_velocity_limit_cruises_there(arms):
    limits = arms.small
    far = limits.position_upper
    chunk = Chunk(limits.joint_names, arms.epoch, arms.row, np.tile(far, (60, 1)))
    start = State.at_rest(limits.position_lower)
    plan = track(chunk, start, limits, start_ns=arms.epoch)
    peak = np.abs(plan.velocities).max(axis=0)
    np.testing.assert_allclose(peak, limits.velocity, rtol=1e-4)


def test_an_arm_outside_its_range_is_led_back(arms):
    limits = arms.small
    outside = limits.position_upper + 0.05
    home = np.tile(arms.middle(limits), (60, 1))
    chunk = Chunk(limits.joint_names, arms.epoch, arms.row, home)
    plan = track(chunk, State.at_rest(outside), limits, start_ns=arms.epoch)
    assert (plan.positions <= outside + 1e-9).all()
    assert (plan.positions[-1] < limits.position_upper).all()


def test_a_state_off_the_grid_at_the_edge_of_the_limits_stops_first_then_follows(arms):
    limits = arms.large
    reserve = limits.acceleration**2 / (2.0 * limits.jerk)
    velocity = limits.velocity - reserve * 1.01
    state = State(arms.middle(limits), velocity, limits.acceleration)
    # One interval of full acceleration more would be far too fast.
    assert (velocity + limits.acceleration * 0.0166 > limits.velocity).all()
    goal = arms.middle(limits) + 0.3
    chunk = Chunk(limits.joint_names, arms.epoch, arms.row, np.tile(goal, (90, 1)))
    plan = track(chunk, state, limits, start_ns=arms.epoch)
    assert limit_violations(plan, limits) == []
    assert np.diff(plan.times_ns).min() < 33_333_333
    np.testing.assert_allclose(plan.positions[-1], goal, atol=5e-3)


def test_a_state_from_which_no_plan_keeps_the_limits_gives_none(arms):
    limits = arms.small
    home = arms.middle(limits)
    chunk = Chunk(limits.joint_names, arms.epoch, arms.row, [home])
    near_the_end = limits.position_upper - 0.01
    for state, what in (
        (State(near_the_end, limits.velocity, np.zeros(5)), "position of pan"),
        (State(home, limits.velocity, limits.acceleration), "velocity of pan"),
        (State(home, 2.0 * limits.velocity, np.zeros(5)), "velocity of pan"),
        (State(home, np.zeros(5), 1.1 * limits.acceleration), "acceleration of pan"),
    ):
        with pytest.raises(NoPlanError, match=what):
            track(chunk, state, limits, start_ns=arms.epoch)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_chunk_that_is_not_finite_yields_no_plan(arms, value):
    rows = np.zeros((10, 5))
    rows[7, 3] = value
    with pytest.raises(MotionError, match=r"chunk\.positions\[7, 3\] is"):
        Chunk(arms.small.joint_names, arms.epoch, arms.row, rows)


@pytest.mark.parametrize(
    "positions", [np.zeros((0, 5)), np.zeros(5), np.zeros((3, 4)), np.zeros((2, 3, 5)), "here"]
)
def test_a_chunk_of_the_wrong_shape_yields_no_plan(arms, positions):
    with pytest.raises(MotionError, match="shape"):
        Chunk(arms.small.joint_names, arms.epoch, arms.row, positions)


def test_a_chunk_of_other_joints_yields_no_plan(arms):
    limits = arms.small
    chunk = Chunk(limits.joint_names[::-1], arms.epoch, arms.row, np.zeros((10, 5)))
    with pytest.raises(MotionError, match="the chunk moves"):
        track(chunk, arms.rest(limits), limits, start_ns=arms.epoch)


def test_a_state_of_another_arm_yields_no_plan(arms):
    limits = arms.small
    chunk = Chunk(limits.joint_names, arms.epoch, arms.row, np.zeros((10, 5)))
    with pytest.raises(MotionError, match="7 joints"):
        track(chunk, arms.rest(arms.large), limits, start_ns=arms.epoch)


def test_the_same_problem_gives_the_same_plan(arms):
    """Solvers are kept between calls; nothing of an earlier problem may remain in them."""
    limits = arms.small
    rng = np.random.default_rng(9)
    chunks = [
        arms.random_chunk(rng, limits, arms.epoch, arms.middle(limits), wild=True)
        for _ in range(10)
    ]
    first, second = (
        [track(c, arms.rest(limits), limits, start_ns=arms.epoch) for c in order]
        for order in (chunks, chunks[::-1])
    )
    for one, other in zip(first, second[::-1], strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)


def test_other_knot_intervals_work_too(arms):
    limits = arms.small
    chunk, truth = reaching(arms, limits)
    for dt in (10_000_000, 20_000_000, 50_000_000):
        config = TrackerConfig(knot_dt_ns=dt)
        plan = track(chunk, arms.rest(limits), limits, start_ns=arms.epoch, config=config)
        t = np.arange(plan.start_ns, chunk.end_ns, 5_000_000)
        assert np.abs(plan.sample(t).position - truth(t)).max() < 3e-3
        held = Plan.hold(limits.joint_names, arms.middle(limits), arms.epoch - arms.second)
        full = overlap(held, plan, cut_ns=arms.epoch - 150_000_000)
        assert check(full, held, limits, now_ns=arms.epoch - 120_000_000) == []


@pytest.mark.parametrize("field", ["knot_dt_ns", "cutoff_hz", "max_knots"])
def test_a_setting_that_is_not_positive_is_refused(field):
    with pytest.raises(MotionError, match=f"{field} must be positive"):
        TrackerConfig(**{field: 0})
