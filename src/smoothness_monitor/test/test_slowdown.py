# SPDX-License-Identifier: Apache-2.0
"""Slower along the same path, before it stops."""

import math

import numpy as np
import pytest

from smooth_motion import Plan, within_from_ns
from smooth_motion.messages import Trajectory
from smoothness_monitor.core.slowdown import Roughness
from smoothness_monitor.core.types import StopState

MS = 1_000_000
S = 1_000_000_000


def rattle(bench, by_rad=0.009, for_s=3.0):
    """Let the first joint vibrate, more and more within 0.3 s."""
    began_ns = bench.now_ns

    def offset(t_ns, position):
        t = (t_ns - began_ns) * 1e-9
        if not (0.0 <= t <= for_s):
            return position
        by = by_rad * min(1.0, t / 0.3) * math.sin(2.0 * math.pi * 6.0 * t)
        return position + np.array([by, 0.0, 0.0, 0.0, 0.0])

    bench.measured_offset = offset
    return began_ns


def scaling(bench):
    return bench.monitor.snapshot().speed_scaling


def until_slow(bench):
    assert bench.run_until(lambda: scaling(bench) < 1.0, 4.0), "it was not slowed down"


def long_plan(bench, target=1.0, seconds=3.0):
    """Return a plan out of rest to one target, that takes its time."""
    from smooth_motion import Chunk, overlap, track

    running = bench.policy_running.plan
    splice = bench.now_ns + 250 * MS
    state = running.state(splice)
    goal = state.position + target * np.array([1.0, 0.3, -0.3, 0.2, 0.5])
    x = np.linspace(0.0, 1.0, 60)[:, None]
    rows = state.position + (goal - state.position) * (x**3 * (10 - 15 * x + 6 * x * x))
    chunk = Chunk(bench.names, splice, round(seconds * S / 60), rows)
    tail = track(chunk, state, bench.robot.limits, start_ns=splice)
    return overlap(running, tail, cut_ns=bench.now_ns - 20 * MS)


@pytest.fixture
def sweeping(bench):
    """A bench that carries out one long plan of a policy that then says no more."""
    bench.get_ready()
    bench.run(0.3)
    plan = long_plan(bench)
    bench.give(Trajectory.of(plan), plan)
    bench.run(0.6)
    return bench, plan


def test_a_rough_joint_slows_the_motion_down_along_its_path_and_a_smooth_one_lets_it_go(sweeping):
    """H23."""
    bench, plan = sweeping
    began_ns = rattle(bench, for_s=1.6)
    until_slow(bench)
    snapshot = bench.monitor.snapshot()
    assert snapshot.state is StopState.READY
    assert snapshot.speed_scaling == bench.config.slow_scale
    assert snapshot.slow_reason.startswith("measured_jerk: shoulder_pan")
    bench.run(9.0)
    assert bench.monitor.snapshot().causes == ()
    assert scaling(bench) == 1.0
    assert bench.monitor.snapshot().slow_reason == ""
    assert bench.peak_jerk_ratio(began_ns) <= 1.001
    # Where it was at every moment is a place on the path, and it came to the path's end, later.
    times = np.arange(plan.start_ns, plan.end_ns, MS)
    path = plan.sample(times).position
    off = [
        np.abs(path - position).max(axis=1).min()
        for t, position in bench.references
        if t > began_ns
    ]
    assert max(off) < 0.004
    assert (bench.references[-1][1] == plan.positions[-1]).all()
    at_end = next(t for t, p in bench.references if (p == plan.positions[-1]).all())
    assert at_end > plan.end_ns + 200 * MS
    assert any("slowed down to 0.5 of the speed: measured_jerk" in line for line in bench.log)
    assert any("at full speed again; the path was left by" in line for line in bench.log)


def test_a_joint_that_lags_behind_slows_the_motion_down_and_one_that_is_held_stops_it(sweeping):
    """H23."""
    bench, _ = sweeping
    began_ns = bench.now_ns

    def sag(t_ns, position):
        x = min(1.0, max(0.0, (t_ns - began_ns) * 1e-9))
        return position + np.array([0.0, 0.0, 0.25 * x * x * (3.0 - 2.0 * x), 0.0, 0.0])

    bench.measured_offset = sag
    until_slow(bench)
    assert bench.monitor.snapshot().slow_reason.startswith("tracking_error: elbow_flex: 0.2")
    bench.run(0.9)
    assert scaling(bench) < 1.0
    assert bench.state is StopState.READY
    # It does not come closer, so it is held by something.
    bench.run(0.4)
    assert bench.first_cause == "tracking_error"
    assert "although the motion is slowed down" in bench.monitor.snapshot().first_cause_detail


def test_a_joint_that_comes_closer_when_it_is_slower_is_waited_for(config):
    judge = Roughness(("a",), np.array([100.0]), config)
    for i in range(600):
        late = 1.2 if i % 50 else 0.9
        error = np.array([late * config.slow_tracking_error_rad])
        judge.update(np.zeros(1), error, i * 10 * MS)
        assert judge.held == ""
    assert judge.why


def test_single_rough_measurements_do_not_slow_the_motion_down(config):
    judge = Roughness(("a", "b"), np.array([100.0, 100.0]), config)
    zero = np.zeros(2)
    for i in range(200):
        rough = i % (config.slow_of // (config.slow_count - 1)) == 0
        judge.update(np.array([0.0, 150.0 * rough]), zero, i * 10 * MS)
        assert judge.why == ""
    for i in range(config.slow_count):
        judge.update(np.array([0.0, -150.0]), zero, 3 * S + i)
    assert judge.why == "measured_jerk: b: 150 rad/s^3, level 100 rad/s^3"


def test_the_speed_comes_back_only_after_a_while_below_the_release_level(config):
    judge = Roughness(("a",), np.array([100.0]), config)
    zero, clear_ns = np.zeros(1), round(config.slow_clear_s * S)
    for i in range(config.slow_count):
        judge.update(np.array([120.0]), zero, i)
    # Between the two levels, and unknown, it stays slow.
    for i, jerk in enumerate((95.0, math.nan, 95.0)):
        judge.update(np.array([jerk]), zero, (i + 1) * 2 * clear_ns)
        assert judge.why
    since_ns = 6 * clear_ns
    judge.update(np.array([10.0]), zero, since_ns + clear_ns - 1)
    assert judge.why
    judge.update(np.array([10.0]), zero, since_ns + clear_ns)
    assert judge.why == ""


def test_a_policy_that_knows_nothing_is_slowed_down_too_and_trips_nothing(bench):
    """H23. The bench's policy sends plans at full speed and knows its own alone."""
    bench.get_moving()
    began_ns = rattle(bench, by_rad=0.005, for_s=6.0)
    until_slow(bench)
    bench.run(1.5)
    slow_ns = bench.now_ns
    bench.run(5.0)
    times = np.array([t for t, _ in bench.references if t >= slow_ns]) * 1e-9
    table = np.stack([p for t, p in bench.references if t >= slow_ns])
    speed = np.abs(np.diff(table, axis=0) / np.diff(times)[:, None])
    assert 0.05 < speed.max() <= bench.config.slow_scale * bench.robot.limits.velocity[0] * 1.001
    assert bench.monitor.snapshot().plans_rejected > 3
    bench.run(8.0)
    assert bench.state is StopState.READY
    assert bench.monitor.snapshot().causes == ()
    assert scaling(bench) == 1.0
    assert bench.peak_jerk_ratio(began_ns) <= 1.001
    fast = bench.references[-300:]
    steps = np.abs(np.diff([p for _, p in fast], axis=0)).max() / 0.01
    assert steps > 1.2, "it is at full speed again"


def test_a_faster_plan_is_forwarded_more_slowly_under_its_own_stamp(bench):
    """H23."""
    bench.get_ready()
    rattle(bench, for_s=60.0)
    until_slow(bench)
    plan = long_plan(bench, seconds=1.2)
    forwarded = bench.monitor.snapshot().plans_forwarded
    bench.give(Trajectory.of(plan), plan)
    assert bench.monitor.snapshot().plans_forwarded == forwarded + 1
    sent = bench.sent[-1][1]
    slow = sent.plan()
    assert slow.start_ns == plan.start_ns
    assert slow.end_ns > plan.end_ns + S
    assert (slow.positions[-1] == plan.positions[-1]).all()
    limits = bench.robot.limits.slowed(bench.config.slow_scale)
    assert within_from_ns(slow, limits) <= bench.now_ns + 250 * MS
    # A node that believes in its own plan is refused, not stopped, as often as it tries.
    for _ in range(12):
        bench.run(0.1)
        if bench.monitor.tracker.running.plan.end_ns - bench.now_ns < S:
            break
        bench.take(bench.monitor.on_plan(Trajectory.of(bench.next_plan()), bench.now))
    assert bench.monitor.snapshot().last_rejection.startswith("slowed")
    assert bench.monitor.snapshot().causes == ()


def test_a_plan_that_is_slow_by_itself_is_forwarded_as_it_is(bench):
    bench.get_ready()
    rattle(bench, for_s=60.0)
    until_slow(bench)
    plan = long_plan(bench, target=0.3, seconds=4.0)
    assert within_from_ns(plan, bench.robot.limits.slowed(0.5)) < bench.now_ns
    bench.give(Trajectory.of(plan), plan)
    assert bench.sent[-1][1] == Trajectory.of(plan)


def test_garbage_trips_while_the_motion_is_slowed_down_as_ever(sweeping):
    """H23."""
    bench, _ = sweeping
    rattle(bench, for_s=60.0)
    until_slow(bench)
    plan = bench.next_plan()
    off = Plan(
        plan.joint_names,
        plan.start_ns,
        plan.times_ns,
        plan.positions + 0.01,
        plan.velocities,
        plan.accelerations,
    )
    bench.give(Trajectory.of(off), None)
    assert bench.first_cause == "plan_rejected"


@pytest.mark.parametrize("after_ms", [10, 60, 150, 300, 500, 800, 1200])
def test_a_stop_in_the_middle_of_a_slowdown_keeps_the_limits(sweeping, after_ms):
    """H23."""
    bench, _ = sweeping
    rattle(bench, for_s=60.0)
    until_slow(bench)
    bench.run(after_ms * 1e-3)
    began_ns = bench.now_ns
    bench.stop()
    assert bench.run_until(lambda: bench.state is StopState.STOPPED_LATCHED, 2.0)
    assert bench.peak_jerk_ratio(began_ns - 50 * MS) <= 1.001
    assert bench.monitor.snapshot().rung == 1


def test_no_slower_plan_is_sent_to_a_controller_whose_parameters_are_wrong(sweeping):
    """H30. Its start would step."""
    bench, _ = sweeping
    sent = len(bench.sent)
    arm = bench.robot.arm_controller
    bench.monitor.on_controller_parameters(arm, "allow_trajectory_replacement is true")
    rattle(bench, by_rad=0.006)
    until_slow(bench)
    bench.run(1.0)
    assert len(bench.sent) == sent


def test_a_reset_begins_at_full_speed(sweeping):
    bench, _ = sweeping
    rattle(bench, for_s=1.5)
    until_slow(bench)
    bench.stop()
    bench.run(1.5)
    assert bench.reset()[0]
    assert scaling(bench) == 1.0
    counted = bench.monitor.smoothness().interventions
    assert counted.by_reason == {"slowed: measured_jerk": 1, "stopped: operator": 1}


def test_a_slowed_plan_that_the_topic_loses_is_sent_again(sweeping):
    """H23."""
    bench, _ = sweeping
    rattle(bench, for_s=1.0)
    lost = []

    def lose_first(trajectory):
        lost.append(trajectory)
        return len(lost) > 1

    bench.deliver_to_controller = lose_first
    until_slow(bench)
    bench.run(1.2)
    assert len(lost) >= 2
    assert bench.monitor.tracker.running.plan.start_ns == lost[-1].stamp_ns
    assert bench.monitor.snapshot().causes == ()
    assert bench.peak_jerk_ratio() <= 1.001


def test_with_a_scale_of_one_nothing_is_ever_slowed_down(make_bench):
    bench = make_bench(slow_scale=1.0)
    bench.get_moving()
    rattle(bench, by_rad=0.005, for_s=2.0)
    bench.run(4.0)
    assert not bench.slowed
    assert bench.monitor.snapshot().causes == ()


def test_a_minute_of_random_plans_is_never_slowed_down(make_bench):
    """H23. What a sound arm does is not rough."""
    bench = make_bench(seed=21)
    bench.amplitude = 1.2
    bench.get_ready()
    bench.policy_on = True
    bench.run(60.0)
    assert bench.slowed == []
    assert bench.monitor.smoothness().interventions.count == 0
