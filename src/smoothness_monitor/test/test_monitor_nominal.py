# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from smoothness_monitor.core.types import CallRequest, StopState


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_minute_of_random_plans_trips_nothing(make_bench, seed):
    """H14. Encoders of 4096 ticks, jitter, bursts that come 0.1 s late."""
    bench = make_bench(seed=seed)
    bench.amplitude = 1.2
    bench.get_ready()
    bench.policy_on = True
    bench.run(60.0)
    snapshot = bench.monitor.snapshot()
    assert snapshot.state is StopState.READY
    assert snapshot.causes == ()
    assert snapshot.plans_forwarded >= 280
    assert bench.peak_jerk_ratio() <= 1.000001
    assert (snapshot.command_jerk_peak <= 100.0001).all()
    # The arm did move, near its limits.
    assert (snapshot.command_jerk_peak >= 90.0).all()


def test_the_kalman_estimator_trips_nothing_either(make_bench):
    """H14."""
    bench = make_bench(seed=4, measured_jerk_estimator="kalman")
    bench.amplitude = 1.2
    bench.get_ready()
    bench.policy_on = True
    bench.run(20.0)
    assert bench.monitor.snapshot().causes == ()
    assert bench.monitor.snapshot().plans_forwarded >= 90


@pytest.mark.parametrize("stall_ms", [30, 100, 300, 900])
def test_stalls_of_the_monitor_trip_nothing(make_bench, stall_ms):
    """H14."""
    bench = make_bench(seed=stall_ms)
    bench.get_ready()
    bench.policy_on = True
    for _ in range(8):
        bench.run(1.0)
        bench.monitor_stalled_until_ns = bench.now_ns + stall_ms * 1_000_000
    bench.run(2.0)
    assert bench.state is StopState.READY
    assert bench.monitor.snapshot().causes == ()
    assert bench.peak_jerk_ratio() <= 1.000001


def test_lost_messages_trip_nothing(make_bench):
    """H14."""
    bench = make_bench(seed=9)
    bench.get_ready()
    keep = lambda message: message if bench.random.random() < 0.9 else None  # noqa: E731
    bench.on_controller_message = bench.on_joints_message = keep
    bench.policy_on = True
    bench.run(20.0)
    assert bench.state is StopState.READY
    assert bench.monitor.snapshot().plans_forwarded > 50


def test_lost_plans_trip_nothing_and_keep_the_limits(make_bench):
    """H14."""
    bench = make_bench(seed=10)
    bench.get_ready()
    sent = itertools.count(1)
    bench.deliver_to_controller = lambda trajectory: next(sent) % 4 != 0
    bench.policy_on = True
    bench.run(30.0)
    assert bench.state is StopState.READY
    assert bench.peak_jerk_ratio() <= 1.000001
    assert any("does not run the plan" in line for line in bench.log)


def test_plans_that_are_held_back_on_their_way_stop_the_arm(make_bench):
    """H31. What waits somewhere would step the arm on its arrival."""
    bench = make_bench(seed=10)
    bench.answers = {
        CallRequest.BRAKE_AS_GOAL: (True, 5_000_000),
        CallRequest.DEACTIVATE: (True, 5_000_000),
    }
    bench.get_moving()
    bench.run(1.0)
    held = []
    bench.deliver_to_controller = lambda trajectory: held.append(trajectory)
    assert bench.run_until(lambda: bench.first_cause != "", 2.0)
    assert bench.first_cause == "plan_not_adopted"
    bench.run(2.0)
    assert bench.state is StopState.STOPPED_LATCHED
    # When they are let go, nobody listens any more.
    assert len(held) >= 2
    for trajectory in held:
        if bench.plant.active:
            bench.plant.receive(trajectory, bench.now_ns)
        bench.run(0.02)
    bench.run(1.0)
    assert bench.peak_jerk_ratio() <= 1.000001
    assert bench.travel(bench.now_ns - 1_000_000_000) == 0.0


def test_a_hundred_late_plans_trip_nothing_and_keep_the_limits(make_bench):
    """H3."""
    bench = make_bench(seed=11)
    bench.get_ready()
    bench.policy_latency_ns = 110_000_000
    bench.policy_on = True
    bench.run(30.0)
    snapshot = bench.monitor.snapshot()
    assert snapshot.state is StopState.READY
    assert snapshot.plans_rejected > 50
    assert bench.peak_jerk_ratio() <= 1.000001
