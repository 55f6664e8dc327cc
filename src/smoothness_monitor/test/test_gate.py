# SPDX-License-Identifier: Apache-2.0
import math
from dataclasses import replace

import numpy as np
import pytest

from smooth_motion import Plan, Point, ViolationKind
from smoothness_monitor.core.gate import REACTIONS, Refusal
from smoothness_monitor.core.types import State, Trajectory

MS = 1_000_000


def with_point(trajectory, index, **changes):
    points = list(trajectory.points)
    points[index] = points[index]._replace(**changes)
    return replace(trajectory, points=tuple(points))


def scaled(trajectory, factor):
    """The same motion, played faster; it starts where the original does."""
    points = tuple(
        Point(
            round(point.time_from_start_ns / factor),
            point.positions,
            [v * factor for v in point.velocities],
            [a * factor**2 for a in point.accelerations],
        )
        for point in trajectory.points
    )
    return replace(trajectory, points=points)


@pytest.fixture
def ready(bench):
    bench.get_ready()
    bench.run(0.5)
    return bench


def test_a_sound_plan_is_forwarded_unchanged_and_at_once(ready):
    plan = ready.plan()
    before_ns = ready.now_ns
    ready.give(plan)
    assert ready.sent == [(before_ns, plan)]


def test_nothing_is_forwarded_before_all_inputs_are_there(bench):
    bench.run(0.05)
    assert bench.state is State.STARTUP
    bench.give(bench.plan())
    assert bench.sent == []
    assert bench.monitor.snapshot().last_rejection.startswith("not_ready")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["positions", "velocities", "accelerations"])
def test_a_non_finite_number_in_a_plan_is_not_forwarded_and_trips(ready, field, value):
    """H2."""
    plan = ready.plan()
    values = list(getattr(plan.points[3], field))
    values[1] = value
    ready.give(with_point(plan, 3, **{field: values}))
    assert ready.first_cause == "non_finite"
    assert "not_finite" in ready.monitor.snapshot().first_cause_detail
    assert ready.monitor.snapshot().plans_forwarded == 0


def test_a_plan_beyond_a_limit_is_not_forwarded_and_trips(ready):
    """H1."""
    ready.give(scaled(ready.plan(), 3.0))
    snapshot = ready.monitor.snapshot()
    assert snapshot.first_cause == "plan_rejected"
    assert snapshot.plans_forwarded == 0
    assert snapshot.state is State.STOPPING


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("step", lambda p: replace(p, points=p.points[4:5] + p.points[5:])),
        ("not_at_rest", lambda p: replace(p, points=p.points[:-4])),
        ("joints", lambda p: replace(p, joint_names=tuple(reversed(p.joint_names)))),
        ("shape", lambda p: replace(p, points=())),
        ("shape", lambda p: replace(p, points=tuple(q._replace(velocities=[]) for q in p.points))),
        ("shape", lambda p: with_point(p, 2, positions=[0.0])),
        ("times", lambda p: with_point(p, 2, time_from_start_ns=0)),
        ("jerk_not_constant", lambda p: with_point(p, 5, velocities=[0.1] * 5)),
    ],
)
def test_a_malformed_plan_trips_and_names_what_is_wrong(bench, name, spoil):
    """H1."""
    bench.get_moving()
    bench.policy_on = False
    forwarded = bench.monitor.snapshot().plans_forwarded
    plan = bench.plan()
    if name == "step":
        # Its first knots are gone: the rest begins at the stamp, away from where the arm is.
        first = plan.points[4].time_from_start_ns
        later = tuple(
            p._replace(time_from_start_ns=p.time_from_start_ns - first) for p in plan.points[4:]
        )
        spoiled = replace(plan, points=later)
    else:
        spoiled = spoil(plan)
    bench.give(spoiled)
    snapshot = bench.monitor.snapshot()
    assert snapshot.first_cause == "plan_rejected"
    assert name in snapshot.last_rejection
    assert snapshot.plans_forwarded == forwarded


def test_a_plan_that_comes_too_late_is_refused_without_a_trip(bench):
    """H3."""
    bench.get_moving()
    bench.policy_on = False
    plan = bench.plan()
    forwarded = bench.monitor.snapshot().plans_forwarded
    bench.run(0.15)
    bench.give(plan)
    snapshot = bench.monitor.snapshot()
    assert snapshot.plans_forwarded == forwarded
    assert snapshot.last_rejection.startswith(ViolationKind.SPLICE_TOO_EARLY.value)
    bench.run(3.0)
    assert bench.state is State.READY
    assert bench.peak_jerk_ratio() <= 1.000001
    assert bench.travel(bench.now_ns - 300 * MS) == 0.0


def test_a_plan_that_has_already_ended_is_refused_without_a_trip(ready):
    """H3."""
    plan = ready.plan()
    ready.run(5.0)
    ready.give(plan)
    assert ready.state is State.READY
    assert ready.sent == []


def test_a_plan_from_a_clock_that_is_ahead_is_refused_without_a_trip(ready):
    plan = ready.plan()
    ready.give(replace(plan, stamp_ns=ready.now_ns + 50 * MS))
    assert ready.state is State.READY
    assert ready.monitor.snapshot().last_rejection.startswith("starts_later")


def test_a_plan_that_continues_the_plan_before_the_running_one_is_refused_without_a_trip(bench):
    """H3."""
    bench.get_moving()
    bench.policy_on = False
    stale = bench.plan(spare_ns=330 * MS)
    bench.give(bench.plan())
    bench.run(0.2)
    forwarded = bench.monitor.snapshot().plans_forwarded
    bench.give(stale)
    assert bench.monitor.snapshot().plans_forwarded == forwarded
    assert bench.state is State.READY


def test_a_plan_that_continues_a_plan_not_yet_acknowledged_waits_for_the_controller(make_bench):
    bench = make_bench(jitter=False)
    bench.get_moving()
    bench.policy_on = False
    bench.run(0.05)
    bench.on_controller_message = lambda message: None
    bench.give(bench.plan(spare_ns=30 * MS))
    forwarded = bench.monitor.snapshot().plans_forwarded
    bench.run(0.1)
    # The policy has heard, before the monitor does, that the controller runs it.
    bench.policy_running.plan = bench.policy_sends
    bench.give(bench.plan(spare_ns=180 * MS))
    assert bench.monitor.snapshot().plans_forwarded == forwarded
    assert bench.state is State.READY
    bench.on_controller_message = lambda message: message
    bench.run(0.03)
    assert bench.monitor.snapshot().plans_forwarded == forwarded + 1
    bench.run(4.0)
    assert bench.state is State.READY
    assert bench.peak_jerk_ratio() <= 1.000001


def test_two_plans_of_nearly_one_stamp_are_not_both_forwarded(ready):
    plan = ready.plan()
    ready.give(plan)
    ready.run(0.05)
    again = ready.plan()
    ready.give(replace(plan, stamp_ns=plan.stamp_ns))
    assert ready.monitor.snapshot().plans_forwarded == 1
    assert ready.monitor.snapshot().last_rejection.startswith("not_distinct")
    assert ready.state is State.READY
    assert again.stamp_ns != plan.stamp_ns


def test_every_kind_of_violation_has_a_reaction():
    assert set(REACTIONS) == {*ViolationKind, *Refusal}


def gripper(bench, *positions, step_ns=500 * MS, **changes):
    points = tuple(Point(i * step_ns, [p], [], []) for i, p in enumerate(positions))
    joint = bench.robot.gripper.joint
    return replace(Trajectory(bench.now_ns - 20 * MS, (joint,), points), **changes)


def give_gripper(bench, trajectory):
    bench.take(bench.monitor.on_gripper(trajectory, bench.now))


def test_a_sound_gripper_trajectory_is_forwarded_unchanged(ready):
    trajectory = gripper(ready, 0.1, 0.8, 1.2)
    give_gripper(ready, trajectory)
    assert [sent for _, sent in ready.gripper_sent] == [trajectory]


@pytest.mark.parametrize(
    ("positions", "step_ns", "word"),
    [
        ((0.1, 2.0), 1000 * MS, "limits"),
        ((0.1, 1.5), 100 * MS, "limit is"),
        ((0.1,), 500 * MS, "ended"),
        ((), 500 * MS, "times"),
    ],
)
def test_a_gripper_trajectory_beyond_range_or_rate_is_refused_without_a_trip(
    ready, positions, step_ns, word
):
    """H17."""
    give_gripper(ready, gripper(ready, *positions, step_ns=step_ns))
    assert ready.gripper_sent == []
    assert word in ready.monitor.snapshot().last_rejection
    assert ready.state is State.READY


def test_a_gripper_trajectory_that_would_step_is_refused(ready):
    """H17."""
    give_gripper(ready, gripper(ready, 0.1, 0.2))
    ready.run(1.0)
    give_gripper(ready, gripper(ready, 1.2, 1.3))
    assert len(ready.gripper_sent) == 1


def test_a_gripper_trajectory_with_velocities_is_refused(ready):
    trajectory = gripper(ready, 0.1, 0.2)
    points = tuple(p._replace(velocities=[0.0]) for p in trajectory.points)
    give_gripper(ready, replace(trajectory, points=points))
    assert ready.gripper_sent == []


def test_a_non_finite_gripper_trajectory_trips(ready):
    """H2."""
    give_gripper(ready, gripper(ready, 0.1, math.nan))
    assert ready.gripper_sent == []
    assert ready.first_cause == "non_finite"


def test_an_absurdly_large_finite_plan_is_refused_without_a_warning(ready):
    """H1."""
    names = ready.names
    points = tuple(
        Point(i * 100 * MS, [1e308 * (-1) ** i] * 5, [1e308] * 5, [-1e308] * 5) for i in range(5)
    )
    ready.give(Trajectory(ready.now_ns - 20 * MS, names, points))
    assert ready.first_cause == "plan_rejected"


def test_a_plan_in_the_wrong_joint_order_never_reaches_the_controller(ready):
    """H1."""
    hold = Plan.hold(tuple(reversed(ready.names)), np.zeros(5), ready.now_ns)
    ready.give(Trajectory.of(hold))
    assert ready.first_cause == "plan_rejected"
    assert ready.monitor.snapshot().plans_forwarded == 0
