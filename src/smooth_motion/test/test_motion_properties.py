# SPDX-License-Identifier: Apache-2.0
"""What must hold for any chunk and any state that a plan can be in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smooth_motion import (
    Chunk,
    CommandJerk,
    Plan,
    brake,
    check,
    limit_violations,
    overlap,
    splice_ns,
    track,
)

seeds = st.integers(0, 2**32 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
reasonable = st.floats(-12.0, 12.0)


def numeric_extremes(plan, limits):
    """Sample a plan densely: what a controller of any rate could see."""
    t = np.unique(
        np.concatenate(
            [plan.knots_ns, np.arange(plan.start_ns, plan.end_ns, 1_370_000, dtype=np.int64)]
        )
    )
    s = plan.sample(t)
    assert (s.position <= limits.position_upper + 1e-6).all()
    assert (s.position >= limits.position_lower - 1e-6).all()
    for values, limit in (
        (s.velocity, limits.velocity),
        (s.acceleration, limits.acceleration),
        (s.jerk, limits.jerk),
    ):
        assert (np.abs(values) <= limit * (1.0 + 1e-6)).all()


@pytest.mark.parametrize("arm", ["small", "large"])
@given(seed=seeds, wild=st.booleans(), on_knots=st.booleans(), data=st.data())
def test_any_finite_chunk_from_any_reached_state_gives_a_plan_within_the_limits(
    arms, arm, seed, wild, on_knots, data
):
    limits = getattr(arms, arm)
    running, now, _ = arms.reached(seed, limits, wild=wild, on_knots=on_knots)
    rows = data.draw(st.integers(1, 12))
    values = data.draw(st.sampled_from([finite, reasonable]))
    positions = data.draw(hnp.arrays(np.float64, (rows, len(limits.joint_names)), elements=values))
    shift = data.draw(st.integers(-2 * arms.second, 2 * arms.second))
    chunk = Chunk(limits.joint_names, now + shift, arms.row, positions)
    splice = now + 130_000_000
    if on_knots:
        splice = splice_ns(running, splice)
    state = running.state(splice)

    plan = track(chunk, state, limits, start_ns=splice)

    assert limit_violations(plan, limits, tolerance=1e-6) == []
    numeric_extremes(plan, limits)
    np.testing.assert_array_equal(plan.positions[0], state.position)
    np.testing.assert_array_equal(plan.velocities[0], state.velocity)
    np.testing.assert_array_equal(plan.accelerations[0], state.acceleration)
    assert not plan.velocities[-1].any()
    assert not plan.accelerations[-1].any()


@pytest.mark.parametrize("arm", ["small", "large"])
@given(seed=seeds, wild=st.booleans(), on_knots=st.booleans())
def test_check_accepts_every_tracked_and_every_braking_plan_that_overlaps(
    arms, arm, seed, wild, on_knots
):
    limits = getattr(arms, arm)
    running, now, rng = arms.reached(seed, limits, wild=wild, on_knots=on_knots)
    for stops in (0.0, 1.0):
        plan = arms.replaced(rng, limits, running, now, wild=wild, on_knots=on_knots, stops=stops)
        assert [str(v) for v in check(plan, running, limits, now_ns=now)] == []


@pytest.mark.parametrize("arm", ["small", "large"])
@given(seed=seeds, wild=st.booleans(), share=st.floats(0.0, 1.0))
def test_the_brake_obeys_the_limits_from_every_state_on_a_plan(arms, arm, seed, wild, share):
    limits = getattr(arms, arm)
    running, _, _ = arms.reached(seed, limits, wild=wild)
    at = running.start_ns + int(share * (running.end_ns - running.start_ns))
    stop = brake(running.state(at), limits, start_ns=at)
    assert [str(v) for v in limit_violations(stop, limits)] == []
    numeric_extremes(stop, limits)


@pytest.mark.parametrize("arm", ["small", "large"])
@given(seed=seeds, wild=st.booleans())
def test_a_splice_is_continuous_in_position_velocity_and_acceleration(arms, arm, seed, wild):
    limits = getattr(arms, arm)
    running, now, rng = arms.reached(seed, limits, wild=wild)
    plan = arms.replaced(rng, limits, running, now, wild=wild)
    splice = splice_ns(running, now + 120_000_000)
    index = int(np.searchsorted(plan.knots_ns, splice))
    assert plan.knots_ns[index] == splice
    expected = running.sample(splice)
    np.testing.assert_array_equal(plan.positions[index], expected.position)
    np.testing.assert_array_equal(plan.velocities[index], expected.velocity)
    np.testing.assert_array_equal(plan.accelerations[index], expected.acceleration)


@pytest.mark.parametrize("arm", ["small", "large"])
@pytest.mark.parametrize("wild", [False, True], ids=["jumping", "wild"])
def test_a_minute_of_replacements_never_breaks_a_limit(arms, arm, wild):
    limits = getattr(arms, arm)
    rng = np.random.default_rng(20)
    running = Plan.hold(limits.joint_names, arms.middle(limits), arms.epoch)
    now = arms.epoch + arms.second
    end = now + 60 * arms.second
    while now < end:
        plan = arms.replaced(rng, limits, running, now, wild=wild)
        assert [str(v) for v in check(plan, running, limits, now_ns=now)] == []
        running = plan
        now += int(rng.uniform(0.1, 0.4) * arms.second)


def quintic(plan, t_ns):
    """Evaluate as a joint_trajectory_controller does: the quintic through two points."""
    i = min(int(np.searchsorted(plan.knots_ns, t_ns, side="right")) - 1, len(plan.times_ns) - 2)
    if t_ns >= plan.end_ns or i < 0:
        return plan.positions[-1] if t_ns >= plan.end_ns else plan.positions[0]
    span = (plan.times_ns[i + 1] - plan.times_ns[i]) * 1e-9
    t = (t_ns - int(plan.knots_ns[i])) * 1e-9
    p0, v0, a0 = plan.positions[i], plan.velocities[i], plan.accelerations[i]
    p1, v1, a1 = plan.positions[i + 1], plan.velocities[i + 1], plan.accelerations[i + 1]
    # What the quintic must add to (p0, v0, a0) to arrive at (p1, v1, a1).
    dp = p1 - p0 - v0 * span - a0 * span * span / 2.0
    dv = (v1 - v0 - a0 * span) * span
    da = (a1 - a0) * span * span
    s = t / span
    c3 = 10.0 * dp - 4.0 * dv + da / 2.0
    c4 = -15.0 * dp + 7.0 * dv - da
    c5 = 6.0 * dp - 3.0 * dv + da / 2.0
    return p0 + v0 * t + a0 * t * t / 2.0 + s**3 * (c3 + s * (c4 + s * c5))


@pytest.mark.parametrize("arm", ["small", "large"])
@settings(max_examples=5)
@given(seed=seeds)
def test_a_controller_that_takes_a_plan_at_any_time_before_the_splice_keeps_the_jerk_limit(
    arms, arm, seed
):
    limits = getattr(arms, arm)
    rng = np.random.default_rng(seed)
    held = Plan.hold(limits.joint_names, arms.middle(limits), arms.epoch)
    sent, runs, arrives, now = held, held, arms.epoch, arms.epoch + arms.second
    jerk, peak = CommandJerk(limits.joint_names), 0.0
    replan = now
    for t in range(now, now + 3 * arms.second, 2_000_000):
        if t >= replan and runs is sent:
            sent = arms.replaced(rng, limits, sent, t)
            arrives = t + int(rng.uniform(0.0, 0.1) * arms.second)
            replan = arrives + int(rng.uniform(0.02, 0.2) * arms.second)
        if t >= arrives:
            runs = sent
        measured = jerk.update(t, quintic(runs, t))
        if measured is not None:
            peak = max(peak, float((np.abs(measured) / limits.jerk).max()))
    assert 0.05 < peak <= 1.0 + 2e-6


@pytest.mark.parametrize("arm", ["small", "large"])
@given(seed=seeds)
def test_repeated_cuts_of_one_plan_change_nothing(arms, arm, seed):
    limits = getattr(arms, arm)
    running, now, _ = arms.reached(seed, limits)
    original, until = running, splice_ns(running, now + 400_000_000)
    tail = brake(original.state(until), limits, start_ns=until)
    for cut in range(now, now + 200_000_000, 7_100_003):
        running = overlap(running, tail, cut_ns=cut)
    t = np.arange(running.start_ns, until, 1_000_003)
    ours, theirs = running.sample(t), original.sample(t)
    np.testing.assert_allclose(ours.position, theirs.position, rtol=0.0, atol=1e-14)
    np.testing.assert_allclose(ours.velocity, theirs.velocity, rtol=0.0, atol=1e-13)
    np.testing.assert_allclose(ours.acceleration, theirs.acceleration, rtol=0.0, atol=1e-12)
