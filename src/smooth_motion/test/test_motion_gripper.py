# SPDX-License-Identifier: Apache-2.0
"""The gripper follows its column at a bounded rate, and changes plans without a step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smooth_motion import GripperLimits, GripperPlan, MotionError, track_gripper

LIMITS = GripperLimits("gripper_controller", "jaw", -0.17, 1.74, 2.5)
ROW = 33_333_333
MS = 1_000_000


def tracked(targets, *, running=None, chunk_start=0, cut=0, splice=100 * MS):
    running = running or GripperPlan.hold("jaw", 0.1, 0)
    return track_gripper(targets, chunk_start, ROW, running, LIMITS, cut_ns=cut, splice_ns=splice)


@given(
    first=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20),
    second=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20),
    cut=st.integers(0, 900),
    begun=st.integers(-500, 500),
)
def test_any_chunk_is_followed_within_the_range_and_the_rate_up_to_its_last_target(
    first, second, cut, begun
):
    running = tracked(first)
    plan = tracked(
        second,
        running=running,
        chunk_start=(cut + begun) * MS,
        cut=cut * MS,
        splice=(cut + 120) * MS,
    )
    assert (plan.positions >= LIMITS.position_lower).all()
    assert (plan.positions <= LIMITS.position_upper).all()
    rates = np.abs(np.diff(plan.positions)) / (np.diff(plan.times_ns) * 1e-9)
    assert (rates <= LIMITS.velocity * (1.0 + 1e-6)).all()
    goal = min(max(second[-1], LIMITS.position_lower), LIMITS.position_upper)
    assert plan.positions[-1] == goal
    for t in range(cut * MS, (cut + 120) * MS, 7 * MS):
        assert plan.position(t) == pytest.approx(running.position(t), abs=1e-12)


def test_a_reachable_chunk_is_followed_row_by_row():
    targets = 0.1 + 0.02 * np.arange(30)
    plan = tracked(targets)
    for row in range(8, 30):
        assert plan.position(row * ROW) == pytest.approx(targets[row], abs=1e-9)


def test_a_gripper_chunk_that_is_not_finite_yields_no_plan():
    with pytest.raises(MotionError, match=r"chunk of jaw\[1\] is nan"):
        tracked([0.0, np.nan])


@pytest.mark.parametrize("targets", [[], [[0.0]], 0.0])
def test_a_gripper_chunk_of_the_wrong_shape_yields_no_plan(targets):
    with pytest.raises(MotionError, match="shape"):
        tracked(targets)


def test_a_splice_before_the_cut_is_refused():
    with pytest.raises(MotionError, match="after the splice"):
        tracked([0.0], cut=2, splice=1)


@pytest.mark.parametrize(
    ("lower", "upper", "velocity"), [(1.0, 1.0, 1.0), (0.0, 1.0, 0.0), (0.0, np.nan, 1.0)]
)
def test_gripper_limits_without_sense_are_refused(lower, upper, velocity):
    with pytest.raises(MotionError):
        GripperLimits("controller", "jaw", lower, upper, velocity)


def test_a_chunk_of_any_number_of_rows_makes_a_short_plan():
    """And so does one whose rows lie nanoseconds or hours apart."""
    many = 0.5 + 0.4 * np.sin(np.arange(100_000) * 1e-3)
    running = GripperPlan.hold("jaw", 0.1, 0)
    for dt_ns in (1, MS, ROW, 3600 * 1000 * MS):
        plan = track_gripper(many, 0, dt_ns, running, LIMITS, cut_ns=0, splice_ns=100 * MS)
        assert plan.times_ns.size <= 250
        assert plan.times_ns[-1] <= 10_000 * MS
        rates = np.abs(np.diff(plan.positions)) / (np.diff(plan.times_ns) * 1e-9)
        assert (rates <= LIMITS.velocity * (1.0 + 1e-6)).all()


def test_rows_that_are_passed_over_leave_the_motion_what_it_was():
    dt_ns = 5 * MS
    wave = 0.8 + 0.5 * np.sin(np.arange(1500) * 0.01)
    running = GripperPlan.hold("jaw", 0.8, 0)
    plan = track_gripper(wave, 0, dt_ns, running, LIMITS, cut_ns=0, splice_ns=100 * MS)
    assert plan.times_ns.size <= 250
    t = np.arange(500 * MS, 7400 * MS, 37 * MS)
    there = np.array([plan.position(int(each)) for each in t])
    assert there == pytest.approx(0.8 + 0.5 * np.sin(t / dt_ns * 0.01), abs=2e-3)
