# SPDX-License-Identifier: Apache-2.0
"""A controller's state tells which plan it runs."""

import numpy as np
import pytest

from smooth_motion import Acknowledged, MotionError, Plan, RunningPlan, distinct_start

MS = 1_000_000


@pytest.fixture
def names(arms):
    return arms.small.joint_names


def plan_at(names, start_ns, position=0.0):
    return Plan.hold(names, [position] * len(names), start_ns)


def seen(running, plan_start_ns, now_ns, *, position=0.0, velocity=0.0, skew_ns=0):
    """Feed a state that the controller would publish while it runs a plan with this start."""
    joints = len(running.plan.joint_names)
    return running.observe(
        now_ns,
        now_ns - plan_start_ns + skew_ns,
        np.full(joints, position),
        np.full(joints, velocity),
        now_ns,
    )


def test_before_any_plan_it_is_a_hold_at_the_controllers_reference(names, arms):
    running = RunningPlan(plan_at(names, arms.epoch))
    verdict = seen(running, arms.epoch - 5_000 * MS, arms.epoch, position=0.25)
    assert verdict.kind is Acknowledged.HOLDING
    np.testing.assert_array_equal(running.plan.positions, [[0.25] * 5])
    np.testing.assert_array_equal(verdict.deviation, np.zeros(5))


def test_a_plan_runs_once_its_start_is_seen(names, arms):
    running = RunningPlan(plan_at(names, arms.epoch))
    plan = plan_at(names, arms.epoch + 80 * MS)
    running.sent(plan, arms.epoch + 100 * MS)
    hold = arms.epoch - 7_000 * MS
    assert seen(running, hold, arms.epoch + 105 * MS).kind is Acknowledged.PENDING
    assert running.plan is not plan
    for skew in (0, 200_000, -999_999):
        verdict = seen(running, plan.start_ns, arms.epoch + 115 * MS, skew_ns=skew)
        assert verdict.kind is Acknowledged.RUNNING
        assert running.plan is plan
        assert verdict.start_ns == plan.start_ns - skew


def test_the_old_plan_runs_until_the_new_one_is_seen_and_lost_is_said_in_time(names, arms):
    running = RunningPlan(plan_at(names, arms.epoch), timeout_ns=300 * MS)
    first = plan_at(names, arms.epoch + 80 * MS)
    second = plan_at(names, arms.epoch + 280 * MS)
    running.sent(first, arms.epoch + 100 * MS)
    seen(running, first.start_ns, arms.epoch + 120 * MS)
    running.sent(second, arms.epoch + 300 * MS)
    assert seen(running, first.start_ns, arms.epoch + 600 * MS).kind is Acknowledged.PENDING
    assert running.plan is first
    assert seen(running, first.start_ns, arms.epoch + 601 * MS).kind is Acknowledged.LOST
    assert running.plan is first
    assert running.newest is second
    assert seen(running, second.start_ns, arms.epoch + 700 * MS).kind is Acknowledged.RUNNING


def test_a_plan_lost_while_the_controller_still_holds_is_said_too(names, arms):
    running = RunningPlan(plan_at(names, arms.epoch), timeout_ns=300 * MS)
    running.sent(plan_at(names, arms.epoch + 80 * MS), arms.epoch + 100 * MS)
    hold = arms.epoch - 7_000 * MS
    assert seen(running, hold, arms.epoch + 400 * MS).kind is Acknowledged.PENDING
    assert seen(running, hold, arms.epoch + 401 * MS).kind is Acknowledged.LOST


def test_an_older_plan_after_a_newer_one_had_run_is_a_loss_at_once(names, arms):
    running = RunningPlan(plan_at(names, arms.epoch))
    plans = [plan_at(names, arms.epoch + k * 100 * MS) for k in (1, 2)]
    for plan in plans:
        running.sent(plan, plan.start_ns + 20 * MS)
    assert seen(running, plans[1].start_ns, arms.epoch + 230 * MS).kind is Acknowledged.RUNNING
    assert seen(running, plans[0].start_ns, arms.epoch + 240 * MS).kind is Acknowledged.LOST
    assert running.plan is plans[0]


def test_a_start_that_was_never_sent_is_foreign_and_changes_nothing(names, arms):
    running = RunningPlan(plan_at(names, arms.epoch))
    plan = plan_at(names, arms.epoch + 80 * MS)
    running.sent(plan, arms.epoch + 100 * MS)
    seen(running, plan.start_ns, arms.epoch + 120 * MS)
    for skew in (1_000_001, -1_000_001):
        verdict = seen(running, plan.start_ns, arms.epoch + 130 * MS, position=0.1, skew_ns=skew)
        assert verdict.kind is Acknowledged.FOREIGN
        assert running.plan is plan
        np.testing.assert_allclose(verdict.deviation, 0.1)


def test_motion_before_any_plan_is_foreign(names, arms):
    running = RunningPlan(plan_at(names, arms.epoch))
    hold = arms.epoch - 7_000 * MS
    assert seen(running, hold, arms.epoch, velocity=1e-3).kind is Acknowledged.FOREIGN


def test_after_a_rebase_earlier_plans_are_foreign_and_a_hold_is_a_hold(names, arms):
    running = RunningPlan(plan_at(names, arms.epoch))
    plan = plan_at(names, arms.epoch + 80 * MS)
    running.sent(plan, arms.epoch + 100 * MS)
    seen(running, plan.start_ns, arms.epoch + 120 * MS)
    running.rebase(plan_at(names, arms.epoch + 200 * MS, 0.5))
    moving = seen(running, plan.start_ns, arms.epoch + 210 * MS, velocity=0.1)
    assert moving.kind is Acknowledged.FOREIGN
    resting = seen(running, arms.epoch + 190 * MS, arms.epoch + 220 * MS, position=0.5)
    assert resting.kind is Acknowledged.HOLDING


def test_a_reference_that_is_not_finite_is_refused(names, arms):
    running = RunningPlan(plan_at(names, arms.epoch))
    with pytest.raises(MotionError, match=r"reference\.positions"):
        seen(running, arms.epoch, arms.epoch, position=np.nan)
    with pytest.raises(MotionError, match=r"reference\.velocities"):
        seen(running, arms.epoch, arms.epoch, velocity=np.inf)


def test_two_plans_that_could_not_be_told_apart_are_refused(names, arms):
    running = RunningPlan(plan_at(names, arms.epoch))
    running.sent(plan_at(names, arms.epoch + 80 * MS), arms.epoch + 100 * MS)
    with pytest.raises(MotionError, match="told apart"):
        running.sent(plan_at(names, arms.epoch + 82 * MS), arms.epoch + 102 * MS)
    with pytest.raises(MotionError, match="the controller moves"):
        running.sent(plan_at(arms.large.joint_names, arms.epoch + 90 * MS), arms.epoch)


def test_a_start_too_near_to_that_of_a_plan_sent_is_moved_just_far_enough(names, arms):
    running = RunningPlan(plan_at(names, arms.epoch))
    running.sent(plan_at(names, arms.epoch + 80 * MS), arms.epoch + 100 * MS)
    assert running.distinct_start(arms.epoch + 90 * MS) == arms.epoch + 90 * MS
    moved = running.distinct_start(arms.epoch + 79 * MS)
    assert moved > arms.epoch + 80 * MS
    running.sent(plan_at(names, moved), arms.epoch + 101 * MS)


def test_a_plan_that_is_heard_takes_the_place_of_the_one_with_its_start(arms):
    limits = arms.small
    hold = Plan.hold(limits.joint_names, arms.middle(limits), arms.epoch)
    running = RunningPlan(hold)
    before = Plan.hold(limits.joint_names, arms.middle(limits), arms.epoch + 100 * MS)
    changed = Plan.hold(limits.joint_names, arms.middle(limits) + 0.1, arms.epoch + 100 * MS)
    other = Plan.hold(limits.joint_names, arms.middle(limits), arms.epoch + 200 * MS)
    running.sent(before, 0)
    running.heard(changed, 1)
    assert running.newest is changed
    zero = np.zeros(5)

    def seen(plan):
        return running.observe(plan.start_ns + 10 * MS, 10 * MS, plan.positions[0], zero, 2)

    found = seen(changed)
    assert found.kind is Acknowledged.RUNNING
    assert not found.deviation.any()
    assert running.plan is changed
    # While it runs, too; and one that was never sent from here is known from then on.
    running.heard(before, 3)
    assert running.plan is before
    running.heard(other, 4)
    assert seen(other).kind is Acknowledged.RUNNING
    with pytest.raises(MotionError, match="cannot be told apart"):
        running.heard(Plan.hold(limits.joint_names, zero, other.start_ns + 1_500_000), 5)


def test_two_plans_with_one_start_are_told_apart_however_many_lie_between(arms):
    names = arms.small.joint_names
    running = RunningPlan(plan_at(names, arms.epoch))
    for i in range(5):
        running.sent(plan_at(names, arms.epoch + (80 + 10 * i) * MS), arms.epoch + 100 * MS)
    with pytest.raises(MotionError, match="told apart"):
        running.sent(plan_at(names, arms.epoch + 90 * MS), arms.epoch + 200 * MS)


def test_a_start_is_moved_earlier_where_later_is_too_late(arms):
    names = arms.small.joint_names
    plans = [plan_at(names, arms.epoch + i * 2 * MS) for i in range(5)]
    wanted = arms.epoch + 4 * MS
    bounds = {"earliest_ns": arms.epoch - 20 * MS, "latest_ns": arms.epoch + 9 * MS}
    found = distinct_start(wanted, plans, **bounds)
    assert bounds["earliest_ns"] <= found < arms.epoch
    assert all(abs(found - plan.start_ns) > 2 * MS for plan in plans)
    # Where neither will do, being told apart comes first.
    late = distinct_start(wanted, plans, earliest_ns=wanted, latest_ns=wanted)
    assert late > arms.epoch + 10 * MS
