# SPDX-License-Identifier: Apache-2.0
import math
from dataclasses import replace

import numpy as np
import pytest

from smooth_motion import Plan, Point, ViolationKind
from smooth_motion.messages import ControllerState, Trajectory
from smoothness_monitor.core.gate import REACTIONS, Refusal
from smoothness_monitor.core.monitor import Monitor
from smoothness_monitor.core.types import StopState

MS = 1_000_000
S = 1_000_000_000


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
    assert bench.state is StopState.STARTUP
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
    assert snapshot.state is StopState.STOPPING


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
    assert bench.state is StopState.READY
    assert bench.peak_jerk_ratio() <= 1.000001
    assert bench.travel(bench.now_ns - 300 * MS) == 0.0


def test_a_plan_that_has_already_ended_is_refused_without_a_trip(ready):
    """H3."""
    plan = ready.plan()
    ready.run(5.0)
    ready.give(plan)
    assert ready.state is StopState.READY
    assert ready.sent == []


def test_a_plan_from_a_clock_that_is_ahead_is_refused_without_a_trip(ready):
    plan = ready.plan()
    ready.give(replace(plan, stamp_ns=ready.now_ns + 50 * MS))
    assert ready.state is StopState.READY
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
    assert bench.state is StopState.READY


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
    assert bench.state is StopState.READY
    bench.on_controller_message = lambda message: message
    bench.run(0.03)
    assert bench.monitor.snapshot().plans_forwarded == forwarded + 1
    bench.run(4.0)
    assert bench.state is StopState.READY
    assert bench.peak_jerk_ratio() <= 1.000001


def test_two_plans_of_nearly_one_stamp_are_not_both_forwarded(ready):
    plan = ready.plan()
    ready.give(plan)
    ready.run(0.05)
    again = ready.plan()
    ready.give(replace(plan, stamp_ns=plan.stamp_ns))
    assert ready.monitor.snapshot().plans_forwarded == 1
    assert ready.monitor.snapshot().last_rejection.startswith("not_distinct")
    assert ready.state is StopState.READY
    assert again.stamp_ns != plan.stamp_ns


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("stamp_ns", [0, -1, -5 * 10**18])
def test_a_plan_without_a_stamp_is_not_forwarded_and_trips(ready, stamp_ns, absolute):
    """H1. A joint_trajectory_controller begins it on arrival, wherever the arm is by then."""
    plan = ready.plan()
    points = plan.points
    if absolute:
        # Its knots lie where they should, counted from that stamp.
        shift = plan.stamp_ns - stamp_ns
        later = (p._replace(time_from_start_ns=p.time_from_start_ns + shift) for p in points[1:])
        points = (points[0], *later)
    ready.give(Trajectory(stamp_ns, plan.joint_names, points))
    assert ready.first_cause == "plan_rejected"
    assert ready.monitor.snapshot().last_rejection.startswith("stamp")
    assert ready.monitor.snapshot().plans_forwarded == 0


def test_a_plan_that_begins_where_the_controller_was_not_heard_to_be_waits_for_it(make_bench):
    """H1. A controller that lags would approach its first knot from the measured joints."""
    bench = make_bench(jitter=False)
    bench.get_ready()
    bench.run(0.5)
    bench.on_controller_message = lambda message: None
    bench.run(0.1)
    bench.give(bench.plan())
    assert bench.monitor.snapshot().plans_forwarded == 0
    assert bench.state is StopState.READY
    bench.on_controller_message = lambda message: message
    bench.run(0.02)
    assert bench.monitor.snapshot().plans_forwarded == 1


@pytest.mark.parametrize("count", [1001, 10_000, 60_000])
def test_a_plan_of_too_many_knots_is_refused_before_it_is_looked_at(ready, count):
    """H1."""
    plan = ready.plan()
    last = plan.points[-1]
    more = tuple(
        last._replace(time_from_start_ns=last.time_from_start_ns + (i + 1) * MS)
        for i in range(count - len(plan.points))
    )
    ready.give(replace(plan, points=plan.points + more))
    assert ready.first_cause == "plan_rejected"
    assert f"size: it has {count} knots" in ready.monitor.snapshot().last_rejection


def test_a_plan_with_fields_of_any_length_is_refused_before_it_is_looked_at(ready):
    """H1."""
    plan = ready.plan()
    ready.give(with_point(plan, 2, velocities=[0.0] * 1_000_000))
    assert "1000000 values" in ready.monitor.snapshot().last_rejection
    assert ready.first_cause == "plan_rejected"


def test_a_plan_that_names_any_number_of_joints_is_refused_before_it_is_looked_at(ready):
    """H1."""
    names = tuple(f"joint{i}" for i in range(100_000))
    ready.give(replace(ready.plan(), joint_names=names))
    assert "names 100000 joints" in ready.monitor.snapshot().last_rejection
    assert ready.first_cause == "plan_rejected"


def test_a_plan_that_lasts_for_hours_is_refused(ready):
    """H1."""
    plan = ready.plan()
    last = plan.points[-1]
    hour = last._replace(time_from_start_ns=3600 * 1000 * MS)
    ready.give(replace(plan, points=(*plan.points, hour)))
    assert "it lasts 3600 s" in ready.monitor.snapshot().last_rejection


def test_a_crowd_of_knots_is_refused(ready):
    """H1. Each may be off by a rounding; hundreds within a control period add up."""
    plan = ready.plan()
    last = plan.points[-1]
    more = tuple(
        last._replace(time_from_start_ns=last.time_from_start_ns + (i + 1) * 1000)
        for i in range(200)
    )
    ready.give(replace(plan, points=plan.points + more))
    assert "times: knots" in ready.monitor.snapshot().last_rejection


def test_a_plan_with_the_start_of_an_older_one_is_not_forwarded(bench):
    """H1. One plan between the two, and yet the controller's report could mean either."""
    bench.get_moving()
    bench.policy_on = False
    bench.run(0.1)
    first = bench.plan()
    bench.give(first)
    bench.run(0.05)
    bench.give(bench.plan())
    bench.run(0.05)
    forwarded = bench.monitor.snapshot().plans_forwarded
    tracker = bench.monitor.tracker
    again = tracker.running.plan
    shift = again.start_ns - first.stamp_ns
    assert shift > 0
    # What runs, under the older stamp: it begins as that did and goes on as what runs does.
    third = bench.plan()
    before = tuple(p for p in first.points if p.time_from_start_ns < shift)
    rest = tuple(
        p._replace(time_from_start_ns=p.time_from_start_ns + third.stamp_ns - first.stamp_ns)
        for p in third.points[1:]
    )
    older = replace(first, points=before + rest)
    for off_ns in (0, 1_500_000, -1_500_000):
        bench.give(replace(older, stamp_ns=first.stamp_ns + off_ns))
    assert bench.monitor.snapshot().plans_forwarded == forwarded
    bench.stop()
    bench.run(1.5)
    assert bench.peak_jerk_ratio() <= 1.000001


def test_a_motion_under_a_plans_stamp_is_not_taken_for_that_plan(make_bench):
    """H7. Whoever sends it stamps it as the plan that runs, and is within a hundredth of a rad."""
    bench = make_bench(jitter=False)
    bench.get_moving()
    bench.policy_on = False
    bench.run(3.0)
    plan = bench.monitor.tracker.running.plan
    target = plan.positions[-1] + 0.005
    begins_ns = bench.now_ns

    def at(t_ns):
        share = min(max((t_ns - begins_ns) * 1e-9, 0.0), 1.0)
        return plan.positions[-1] + 0.005 * share**3, 0.0 * target + 0.01, 0.0 * target

    bench.motion = type(bench.motion)(plan.start_ns, at)
    assert bench.run_until(lambda: bench.first_cause != "", 1.0)
    assert bench.first_cause == "foreign_plan"


def test_a_plan_must_continue_every_plan_that_may_run(make_bench):
    """H1. Three are on their way at once, and the newest but one may be lost."""
    bench = make_bench(jitter=False)
    bench.get_moving()
    bench.policy_on = False
    bench.run(0.05)
    # The controller takes nothing for a while, and is heard to go on.
    bench.deliver_to_controller = lambda trajectory: False
    bench.give(bench.plan(spare_ns=20 * MS))
    second = bench.policy_sends
    bench.run(0.04)
    bench.give(bench.plan(spare_ns=60 * MS))
    bench.run(0.02)
    assert [plan.start_ns for plan in bench.monitor.tracker.may_run][1:] == [
        second.start_ns,
        bench.policy_sends.start_ns,
    ]
    assert bench.state is StopState.READY


def test_nothing_is_forwarded_while_a_controllers_parameters_are_wrong(bench):
    """H30."""
    arm = bench.robot.arm_controller
    wrong = "allow_trajectory_replacement is true"
    bench.take(bench.monitor.on_controller_parameters(arm, wrong))
    bench.run(3.0)
    assert bench.state is StopState.STARTUP
    assert f"{arm}: {wrong}" in bench.monitor.snapshot().waiting_for
    bench.take(bench.monitor.on_controller_parameters(arm, ""))
    bench.get_ready()
    bench.get_moving()
    # Somebody sets it while the arm moves: what runs goes on to its rest.
    bench.take(bench.monitor.on_controller_parameters(arm, wrong))
    sent = len(bench.sent)
    assert not bench.monitor.snapshot().permit
    assert f"{arm}: {wrong}" in bench.monitor.snapshot().waiting_for
    bench.run(4.0)
    assert len(bench.sent) == sent
    assert bench.state is StopState.READY
    assert bench.peak_jerk_ratio() <= 1.000001
    bench.take(bench.monitor.on_controller_parameters(arm, ""))
    assert bench.monitor.snapshot().permit


def test_parameters_that_nobody_read_count_as_unknown(robot, config):
    """H30."""
    monitor = Monitor(robot, config)
    assert f"{robot.arm_controller}: its parameters were not read yet" in monitor.waiting_for()


def test_every_kind_of_violation_has_a_reaction():
    assert set(REACTIONS) == {*ViolationKind, *Refusal}


def gripper(bench, *positions, step_ns=500 * MS, **changes):
    """The first position is kept until after the overlap, as by whoever plans for a gripper."""
    times = [i * step_ns + (200 * MS if i else 0) for i in range(len(positions))]
    rows = list(zip(times, positions, strict=True))
    if rows:
        rows.insert(1, (200 * MS, positions[0]))
    points = tuple(Point(t, [p], [], []) for t, p in rows)
    joint = bench.robot.gripper.joint
    return replace(Trajectory(bench.now_ns - 20 * MS, (joint,), points), **changes)


def give_gripper(bench, trajectory):
    bench.take(bench.monitor.on_gripper(trajectory, bench.now))


def gripper_rate(bench, seconds):
    """Run on; return the fastest that the gripper's command moved from cycle to cycle, rad/s."""
    positions = []
    for _ in range(round(seconds * 100)):
        bench.run(0.01)
        positions.append(bench.gripper_running.position(bench.now_ns))
    return float(np.abs(np.diff(positions)).max()) / 0.01


def test_a_sound_gripper_trajectory_is_forwarded_unchanged(ready):
    trajectory = gripper(ready, 0.1, 0.8, 1.2)
    give_gripper(ready, trajectory)
    assert [sent for _, sent in ready.gripper_sent] == [trajectory]
    assert gripper_rate(ready, 1.5) <= 1.4 * 1.001


@pytest.mark.parametrize(
    ("positions", "step_ns", "word"),
    [
        ((0.1, 2.0), 1000 * MS, "limits"),
        ((0.1, 1.5), 100 * MS, "limit is"),
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
    assert ready.state is StopState.READY


def test_a_gripper_trajectory_that_has_ended_is_refused(ready):
    """H17."""
    given = gripper(ready, 0.1, 0.1)
    ready.run(3.0)
    give_gripper(ready, given)
    assert ready.gripper_sent == []
    assert "ended" in ready.monitor.snapshot().last_rejection


def test_a_gripper_trajectory_that_would_step_is_refused(ready):
    """H17."""
    give_gripper(ready, gripper(ready, 0.1, 0.2))
    ready.run(1.0)
    give_gripper(ready, gripper(ready, 1.2, 1.3))
    assert len(ready.gripper_sent) == 1


def test_the_first_gripper_trajectory_must_start_where_the_gripper_is(ready):
    """H17. Nothing was sent before it, and its controller says where it is all the same."""
    give_gripper(ready, gripper(ready, 1.5, 1.6))
    assert ready.gripper_sent == []
    assert "would step" in ready.monitor.snapshot().last_rejection
    assert ready.state is StopState.READY


def test_a_gripper_trajectory_that_leaves_what_runs_at_once_is_refused(ready):
    """H17. By when it arrives it would be somewhere else."""
    points = (Point(0, [0.1], [], []), Point(500 * MS, [1.1], [], []))
    give_gripper(ready, replace(gripper(ready, 0.1), points=points))
    assert ready.gripper_sent == []


@pytest.mark.parametrize("stamp_ns", [0, -5])
def test_a_gripper_trajectory_without_a_stamp_is_refused(ready, stamp_ns):
    """H17. Its controller would begin it on arrival, wherever the gripper is then."""
    give_gripper(ready, gripper(ready, 0.1, 0.2, stamp_ns=stamp_ns))
    assert ready.gripper_sent == []
    assert "stamp" in ready.monitor.snapshot().last_rejection


def test_a_gripper_trajectory_continues_every_one_that_may_run(ready):
    """H17. The second was sent and may not have arrived; a third must fit both."""
    first = gripper(ready, 0.1, 0.8)
    give_gripper(ready, first)
    ready.run(0.3)
    # From where the first is now, at another rate from now on: no overlap.
    at = ready.gripper_running.position(ready.now_ns)
    points = (Point(0, [at], [], []), Point(500 * MS, [at], [], []))
    give_gripper(ready, replace(first, stamp_ns=ready.now_ns - 5 * MS, points=points))
    assert len(ready.gripper_sent) == 1
    assert gripper_rate(ready, 1.0) <= 1.4 * 1.001


def test_without_word_of_the_grippers_controller_its_trajectories_are_refused(make_bench):
    """H17."""
    bench = make_bench()
    bench.monitor.gripper.observe = lambda message, now_ns: None
    bench.get_ready()
    give_gripper(bench, gripper(bench, 0.1, 0.2))
    assert bench.gripper_sent == []
    assert "gripper_controller/controller_state" in bench.monitor.snapshot().last_rejection


def false_gripper_state(bench, position, *, ahead_ns=MS, velocity=0.0):
    """One message that somebody else published, as if the gripper held there."""
    stamp_ns = bench.now_ns + ahead_ns
    joint = bench.robot.gripper.joint
    state = ControllerState(stamp_ns, 10 * S, (joint,), (position,), (velocity,), (0.0,))
    bench.monitor.on_gripper_state(state)


def test_one_false_message_is_no_base_for_a_gripper_trajectory(ready):
    """H17. A trajectory that begins where the message says would step the gripper."""
    false_gripper_state(ready, 1.5)
    give_gripper(ready, gripper(ready, 1.5, 1.6))
    assert ready.gripper_sent == []
    ready.run(0.1)
    give_gripper(ready, gripper(ready, 0.1, 0.2))
    assert len(ready.gripper_sent) == 1
    assert gripper_rate(ready, 1.0) <= 1.4 * 1.001


@pytest.mark.parametrize("velocity", [0.0, 1.0])
def test_a_stop_after_one_false_message_holds_the_gripper_where_it_is(ready, velocity):
    """H17. It continues what was sent, not what the message says."""
    give_gripper(ready, gripper(ready, 0.1, 0.8))
    ready.run(0.4)
    false_gripper_state(ready, 1.5, velocity=velocity)
    ready.stop()
    assert len(ready.gripper_sent) == 2
    assert gripper_rate(ready, 1.0) <= 1.4 * 1.001
    assert ready.gripper_running.positions[-1] < 0.75


@pytest.mark.parametrize("ahead_s", [-100, 100])
def test_one_message_of_another_time_does_not_deafen_the_grippers_account(ready, ahead_s):
    """H17. Every later message would count as older than that one, or as too new."""
    false_gripper_state(ready, 0.1, ahead_ns=ahead_s * S)
    ready.run(0.5)
    give_gripper(ready, gripper(ready, 0.1, 0.2))
    assert len(ready.gripper_sent) == 1, ready.monitor.snapshot().last_rejection


def test_a_gripper_that_somebody_else_moved_is_believed_to_be_there(ready):
    """H17."""
    ready.run_gripper(gripper(ready, 0.1, 0.9))
    ready.run(2.0)
    assert ready.monitor.gripper.rests
    give_gripper(ready, gripper(ready, 0.9, 1.0))
    assert len(ready.gripper_sent) == 1


def test_a_gripper_trajectory_of_too_many_points_is_refused(ready):
    """H17."""
    points = tuple(Point(i * MS, [0.1], [], []) for i in range(60_000))
    give_gripper(ready, replace(gripper(ready, 0.1), points=points))
    assert ready.gripper_sent == []
    assert "60000 points" in ready.monitor.snapshot().last_rejection


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
