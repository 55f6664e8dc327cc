# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from smoothness_monitor.core.types import StopState

MS = 1_000_000
S = 1_000_000_000


@pytest.fixture
def latched(bench):
    bench.get_moving()
    bench.stop()
    assert bench.run_until(lambda: bench.state is StopState.STOPPED_LATCHED, 2.0)
    bench.policy_on = False
    bench.run(0.3)
    return bench


def test_a_reset_at_rest_gives_the_permit_back_and_does_not_move_the_arm(latched):
    """H6."""
    before_ns, sent = latched.now_ns, len(latched.sent)
    assert latched.reset() == (True, "READY")
    assert latched.state is StopState.READY
    assert latched.monitor.permit
    latched.run(2.0)
    assert len(latched.sent) == sent
    assert latched.travel(before_ns) == 0.0
    snapshot = latched.monitor.snapshot()
    assert snapshot.causes == ()
    assert snapshot.first_cause == ""
    assert snapshot.trip_ns == 0
    assert not snapshot.command_jerk_peak.any()


def test_after_a_reset_the_policy_plans_on_and_the_limits_hold(latched):
    latched.reset()
    latched.policy_on = True
    latched.run(5.0)
    assert latched.state is StopState.READY
    assert latched.monitor.snapshot().plans_forwarded > 20
    assert latched.peak_jerk_ratio() <= 1.000001


def test_a_plan_from_before_the_stop_is_refused_after_a_reset(bench):
    """H6."""
    bench.get_moving()
    bench.policy_on = False
    old = bench.plan()
    bench.stop()
    assert bench.run_until(lambda: bench.state is StopState.STOPPED_LATCHED, 2.0)
    bench.run(0.2)
    assert bench.reset()[0]
    sent = len(bench.sent)
    bench.give(old)
    assert len(bench.sent) == sent


def test_a_reset_is_refused_while_the_arm_still_brakes(bench):
    """H6."""
    bench.get_moving()
    bench.stop()
    bench.run(0.02)
    accepted, message = bench.reset()
    assert not accepted
    assert "STOPPING" in message


def test_a_reset_is_refused_while_an_input_is_missing(latched):
    """H6."""
    latched.on_joints_message = lambda message: None
    latched.run(0.5)
    accepted, message = latched.reset()
    assert not accepted
    assert "stale_joint_states" in message
    latched.on_joints_message = lambda message: message
    latched.run(0.5)
    assert latched.reset()[0]


def test_a_reset_is_refused_while_its_cause_persists(latched):
    """H6."""
    others = ("/teleop publishes on /arm_controller/joint_trajectory",)
    latched.take(latched.monitor.on_publishers(others, latched.now))
    accepted, message = latched.reset()
    assert not accepted
    assert "teleop" in message
    latched.take(latched.monitor.on_publishers((), latched.now))
    assert latched.reset()[0]


def test_a_reset_is_refused_while_the_joints_move(latched):
    """H6."""
    at_ns = latched.now_ns
    latched.measured_offset = lambda t, p: p + np.array([0.15, 0, 0, 0, 0]) * (t - at_ns) * 1e-9
    latched.run(0.3)
    accepted, message = latched.reset()
    assert not accepted
    assert "joints move" in message


def test_a_reset_is_refused_when_there_is_nothing_to_reset(bench):
    assert not bench.reset()[0]
    bench.get_ready()
    assert not bench.reset()[0]
    assert bench.state is StopState.READY


def test_a_latch_from_before_startup_needs_all_inputs_to_be_reset(make_bench):
    """H6."""
    bench = make_bench()
    bench.stop()
    accepted, message = bench.reset()
    assert not accepted
    assert "stale_controller_state" in message
    bench.run(1.0)
    assert bench.state is StopState.STOPPED_LATCHED
    assert bench.reset()[0]


def test_an_arm_that_woke_up_outside_its_range_may_return_and_go_no_further_out(make_bench):
    """H18."""
    bench = make_bench()
    outside = bench.robot.home_position.copy()
    outside[1] = bench.robot.limits.position_lower[1] - 0.05
    rest = type(bench.motion)(bench.motion.start_ns, lambda t: (outside, 0 * outside, 0 * outside))
    bench.motion = rest
    bench.get_ready()
    bench.policy_on = True
    bench.run(4.0)
    assert bench.state is StopState.READY
    assert bench.monitor.snapshot().plans_forwarded > 10
    lowest = min(position[1] for _, position in bench.references)
    assert lowest >= outside[1] - 1e-6


def test_startup_waits_for_a_controller_that_moves_and_names_it(make_bench):
    bench = make_bench()
    own = bench.motion
    bench.motion = type(own)(own.start_ns, lambda t: (own.at(t)[0], np.full(5, 0.01), np.zeros(5)))
    bench.run(1.0)
    assert bench.state is StopState.STARTUP
    assert any("reference moves" in line for line in bench.monitor.waiting_for())
    bench.motion = own
    bench.get_ready()


def test_startup_waits_for_a_controller_of_another_clock_and_says_so(make_bench):
    """H13."""
    bench = make_bench()
    from dataclasses import replace

    bench.on_controller_message = lambda m: replace(m, stamp_ns=m.stamp_ns - 3600 * S)
    bench.run(1.0)
    assert bench.state is StopState.STARTUP
    assert any("use_sim_time" in line for line in bench.monitor.waiting_for())


def test_startup_names_everything_that_is_missing(make_bench):
    bench = make_bench()
    assert len(bench.monitor.waiting_for()) == 2
    assert all("nothing received" in line for line in bench.monitor.waiting_for())
