# SPDX-License-Identifier: Apache-2.0
"""A plan carried out more slowly along its own path, and at its own speed again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smooth_motion import (
    CommandJerk,
    MotionError,
    Plan,
    brake,
    check,
    limit_violations,
    overlap,
    retime,
    splice_ns,
    stretch,
    track,
    within_from_ns,
)

MS = 1_000_000
seeds = st.integers(0, 2**32 - 1)
scales = st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.7, 0.9])
CHANGE = {"change_ns": 500 * MS, "deviation": 2e-3}


def slowed(arms, limits, seed, scale, *, wild=True):
    """Return what was running, when, and the slow plan after it."""
    running, now, _ = arms.reached(seed, limits, wild=wild)
    splice = splice_ns(running, now + 150 * MS)
    found = retime(running, scale, limits, splice_ns=splice, cut_ns=now - 20 * MS, **CHANGE)
    return running, now, found


@pytest.mark.parametrize("arm", ["small", "large"])
@given(seed=seeds, scale=scales, wild=st.booleans())
def test_a_slowed_plan_passes_every_check_and_stays_on_the_path(arms, arm, seed, scale, wild):
    limits = getattr(arms, arm)
    running, now, found = slowed(arms, limits, seed, scale, wild=wild)
    assert limit_violations(found.plan, limits) == []
    if running.end_ns > now + 150 * MS:
        assert [str(v) for v in check(found.plan, running, limits, now_ns=now)] == []
    assert found.deviation < 0.02
    t = np.arange(found.splice_ns, found.plan.end_ns, 3_370_001)
    away = found.plan.sample(t).position - running.sample(found.path_time_ns(t)).position
    # Seen on another grid than the one of `deviation`.
    assert np.abs(away).max() <= found.deviation * 1.01 + 1e-7


@pytest.mark.parametrize("arm", ["small", "large"])
@given(seed=seeds, scale=scales)
def test_once_the_rate_has_settled_the_motion_is_the_path_to_rounding(arms, arm, seed, scale):
    limits = getattr(arms, arm)
    running, _, found = slowed(arms, limits, seed, scale)
    t = np.arange(found.settled_ns, found.plan.end_ns + 50 * MS, 7 * MS)
    ours, path = found.plan.sample(t), running.sample(found.path_time_ns(t))
    # Path times are rounded to nanoseconds.
    np.testing.assert_allclose(ours.position, path.position, rtol=0.0, atol=1e-7)
    np.testing.assert_allclose(ours.velocity, scale * path.velocity, rtol=0.0, atol=1e-6)
    assert (found.plan.positions[-1] == running.positions[-1]).all()
    slow = limits.slowed(scale)
    assert within_from_ns(found.plan, slow) <= found.settled_ns


@pytest.mark.parametrize("arm", ["small", "large"])
@given(seed=seeds, scale=scales)
def test_path_time_never_passes_faster_than_time(arms, arm, seed, scale):
    _, _, found = slowed(arms, getattr(arms, arm), seed, scale)
    t = np.arange(found.splice_ns, found.settled_ns + 200 * MS, 1 * MS)
    path = found.path_time_ns(t)
    assert path[0] == found.splice_ns
    steps = np.diff(path)
    assert (steps >= round(scale * MS) - 1).all()
    assert (steps <= MS + 1).all()
    assert (np.diff(steps) <= 1).all()


@pytest.mark.parametrize("arm", ["small", "large"])
@given(seed=seeds, scale=scales)
def test_speeding_up_leads_back_to_the_original_and_no_further(arms, arm, seed, scale):
    limits = getattr(arms, arm)
    running, _, slow = slowed(arms, limits, seed, scale)
    now = slow.settled_ns + 20 * MS
    splice = splice_ns(slow.plan, now + 150 * MS)
    if splice >= slow.plan.end_ns:
        return
    cut = now - 20 * MS
    fast = retime(slow, 1.0, limits, splice_ns=splice, cut_ns=cut, **CHANGE)
    assert [str(v) for v in check(fast.plan, slow.plan, limits, now_ns=now)] == []
    assert fast.origin is running
    t = np.arange(splice, fast.plan.end_ns + 5 * MS, 1 * MS)
    path = fast.path_time_ns(t)
    assert (np.diff(path) <= MS + 1).all()
    assert (path <= t).all()
    after = t >= fast.settled_ns
    ours, theirs = fast.plan.sample(t[after]), running.sample(path[after])
    np.testing.assert_allclose(ours.velocity, theirs.velocity, rtol=0.0, atol=1e-6)
    assert (fast.plan.positions[-1] == running.positions[-1]).all()


@pytest.mark.parametrize("arm", ["small", "large"])
@given(seed=seeds, scale=scales, share=st.floats(0.0, 1.0))
def test_a_stop_out_of_a_slowed_motion_keeps_the_limits(arms, arm, seed, scale, share):
    limits = getattr(arms, arm)
    _, _, found = slowed(arms, limits, seed, scale)
    at = found.splice_ns + int(share * (found.plan.end_ns - found.splice_ns))
    tail = brake(found.plan.state(at), limits, start_ns=at)
    stop = overlap(found.plan, tail, cut_ns=at - 100 * MS)
    assert limit_violations(stop, limits) == []


@settings(max_examples=8)
@given(seed=seeds, scale=scales)
def test_the_jerk_of_the_command_keeps_its_limit_across_slowing_and_speeding_up(arms, seed, scale):
    limits = arms.small
    running, now, slow = slowed(arms, limits, seed, scale)
    splice = splice_ns(slow.plan, slow.settled_ns + 20 * MS)
    cut = max(splice - 170 * MS, slow.splice_ns - 100 * MS)
    fast = retime(slow, 1.0, limits, splice_ns=splice, cut_ns=cut, **CHANGE)
    meter, peak = CommandJerk(limits.joint_names), 0.0
    for t in range(now, fast.plan.end_ns + 50 * MS, 4 * MS):
        plan = running if t < slow.splice_ns - 50 * MS else slow.plan if t < cut else fast.plan
        jerk = meter.update(t, plan.sample(t).position)
        if jerk is not None:
            peak = max(peak, float((np.abs(jerk) / limits.jerk).max()))
    assert peak <= 1.0 + 2e-6


@pytest.mark.parametrize("arm", ["small", "large"])
@given(seed=seeds, scale=scales)
def test_a_plan_out_of_rest_is_stretched_exactly(arms, arm, seed, scale):
    limits = getattr(arms, arm)
    rng = np.random.default_rng(seed)
    hold = Plan.hold(limits.joint_names, arms.middle(limits), arms.epoch)
    now = arms.epoch + arms.second
    splice = now + 170 * MS
    chunk = arms.random_chunk(rng, limits, now, arms.middle(limits), wild=True)
    tail = track(chunk, hold.state(splice), limits, start_ns=splice)
    plan = overlap(hold, tail, cut_ns=now - 20 * MS)
    found = stretch(plan, scale, limits, from_ns=splice)
    assert found.plan.start_ns == plan.start_ns
    assert [str(v) for v in check(found.plan, hold, limits, now_ns=now)] == []
    t = np.arange(splice, found.plan.end_ns + 20 * MS, 7 * MS)
    ours, theirs = found.plan.sample(t), plan.sample(found.path_time_ns(t))
    np.testing.assert_allclose(ours.position, theirs.position, rtol=0.0, atol=1e-7)
    assert within_from_ns(found.plan, limits.slowed(scale)) <= splice
    assert (found.plan.positions[-1] == plan.positions[-1]).all()
    with pytest.raises(MotionError, match="from rest only"):
        stretch(plan, scale, limits, from_ns=splice + 100 * MS)


def test_a_plan_that_ends_meanwhile_ends_where_it_did(arms):
    """The rate still changes when the path is over."""
    limits = arms.small
    running, _, _ = arms.reached(3, limits)
    splice = running.end_ns - 60 * MS
    found = retime(running, 0.5, limits, splice_ns=splice, cut_ns=splice - 150 * MS, **CHANGE)
    assert found.plan.end_ns >= running.end_ns
    assert (found.plan.positions[-1] == running.positions[-1]).all()


def test_what_cannot_be_asked_for_is_refused(arms):
    limits = arms.small
    running, now, slow = slowed(arms, limits, 5, 0.5)
    at = {"splice_ns": slow.splice_ns, "cut_ns": now}
    for scale in (0.0, 1.1, -1.0, float("nan")):
        with pytest.raises(MotionError, match="above 0 and at most 1"):
            retime(running, scale, limits, **at, **CHANGE)
        with pytest.raises(MotionError, match="above 0 and at most 1"):
            limits.slowed(scale)
    with pytest.raises(MotionError, match="earlier change of rate"):
        retime(slow, 1.0, limits, splice_ns=slow.settled_ns - 1, cut_ns=now, **CHANGE)
    with pytest.raises(MotionError, match="must be"):
        retime(running, 0.5, limits, **at, change_ns=0, deviation=1e-3)
    with pytest.raises(MotionError, match="other joints"):
        retime(running, 0.5, arms.large, **at, **CHANGE)


def test_from_where_a_plan_keeps_limits(arms):
    limits = arms.small
    running, _, _ = arms.reached(4, limits)
    assert within_from_ns(running, limits) == running.start_ns
    assert within_from_ns(running, limits.slowed(0.1)) == running.end_ns
    hold = Plan.hold(limits.joint_names, arms.middle(limits), arms.epoch)
    assert within_from_ns(hold, limits.slowed(0.1)) == arms.epoch


@pytest.mark.parametrize("rest_s", [3600, 86_400])
def test_a_plan_that_rests_for_hours_is_slowed_down_as_quickly_as_one_that_does_not(arms, rest_s):
    """Not by the clock, which is the host's: by what is looked at."""
    limits = arms.small
    running, now, found = slowed(arms, limits, 3, 0.5)
    last = running.positions[-1:]
    rests = Plan(
        running.joint_names,
        running.start_ns,
        np.append(running.times_ns, running.times_ns[-1] + rest_s * 1000 * MS),
        np.vstack((running.positions, last)),
        np.vstack((running.velocities, 0 * last)),
        np.vstack((running.accelerations, 0 * last)),
    )
    looked_at = []
    sample = Plan.sample

    def counted(self, t_ns):
        looked_at.append(np.size(t_ns))
        return sample(self, t_ns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "sample", counted)
        splice = splice_ns(rests, now + 150 * MS)
        again = retime(rests, 0.5, limits, splice_ns=splice, cut_ns=now - 20 * MS, **CHANGE)
    assert max(looked_at) < 10_000
    assert again.deviation == pytest.approx(found.deviation, rel=1e-3, abs=1e-9)
    assert again.plan.end_ns > running.end_ns + rest_s * 1000 * MS
    assert limit_violations(again.plan, limits) == []
