# SPDX-License-Identifier: Apache-2.0
"""The rungs beyond the brake on the topic. A bench offers none of them unless a test says so."""

import numpy as np
import pytest

from smoothness_monitor.core.types import CallRequest, Rung, StopState

MS = 1_000_000
S = 1_000_000_000


def stop_a_deaf_controller(bench):
    """Stop the arm while the controller's topic is dead; return when."""
    bench.get_moving()
    bench.deliver_to_controller = lambda trajectory: False
    bench.policy_on = False
    bench.stop()
    return bench.now_ns


def settle(bench, within_s=3.0):
    assert bench.run_until(lambda: bench.state is not StopState.STOPPING, within_s)
    return bench.monitor.snapshot()


def lines(snapshot):
    return [line.partition(" s: ")[2] for line in snapshot.rung_log]


def test_an_obeyed_brake_climbs_no_rung(bench):
    """H12."""
    bench.get_moving()
    bench.stop()
    snapshot = settle(bench)
    assert snapshot.state is StopState.STOPPED_LATCHED
    assert snapshot.rung is Rung.BRAKE
    assert lines(snapshot) == ["1 brake on the topic: sent"]
    # Only the lock-out was asked for, and only at rest.
    assert bench.requests() == [CallRequest.DEACTIVATE]
    assert bench.calls[0][0] == bench.entered(StopState.STOPPED_LATCHED)


@pytest.mark.parametrize("seed", range(6))
def test_a_brake_that_the_topic_loses_arrives_as_an_action_goal_and_keeps_the_limits(
    make_bench, seed
):
    """H12."""
    bench = make_bench(seed=seed)
    bench.answers[CallRequest.BRAKE_AS_GOAL] = (True, 2 * MS)
    stopped_ns = stop_a_deaf_controller(bench)
    snapshot = settle(bench)
    at_ns, request = bench.calls[0]
    assert request is CallRequest.BRAKE_AS_GOAL
    # The monitor's own clock moves on in ticks of 10 ms.
    assert 70 * MS <= at_ns - stopped_ns <= 91 * MS
    assert snapshot.state is StopState.STOPPED_LATCHED
    assert snapshot.rung is Rung.BRAKE_AS_GOAL
    assert "2 brake as an action goal: done" in lines(snapshot)
    bench.run(0.5)
    assert bench.peak_jerk_ratio() <= 1.000001


def test_a_controller_that_refuses_the_goal_too_is_deactivated(bench):
    """H12."""
    bench.answers[CallRequest.DEACTIVATE] = (True, 10 * MS)
    stopped_ns = stop_a_deaf_controller(bench)
    brake = bench.sent[-1][1]
    end_ns = brake.stamp_ns + brake.points[-1].time_from_start_ns
    snapshot = settle(bench)
    assert bench.requests() == [CallRequest.BRAKE_AS_GOAL, CallRequest.DEACTIVATE]
    assert 0 <= bench.calls[1][0] - (end_ns + 200 * MS) <= 30 * MS
    assert snapshot.state is StopState.STOPPED_LATCHED
    assert snapshot.rung is Rung.CONTROLLER_OFF
    assert snapshot.locked_out
    assert bench.now_ns - stopped_ns < 1.2 * S
    assert snapshot.first_cause == "operator"


def test_where_no_controller_manager_is_the_driver_holds(bench):
    """H12."""
    bench.answers[CallRequest.DRIVER_HOLD] = (True, 10 * MS)
    stop_a_deaf_controller(bench)
    snapshot = settle(bench)
    expected = [CallRequest.BRAKE_AS_GOAL, CallRequest.DEACTIVATE, CallRequest.DRIVER_HOLD]
    assert bench.requests() == expected
    # Nothing was waited for: the manager's absence is known at once.
    assert bench.calls[2][0] == bench.calls[1][0]
    assert snapshot.state is StopState.STOPPED_LATCHED
    assert snapshot.rung is Rung.DRIVER_HOLD
    assert not snapshot.locked_out
    assert "3 deactivate the controller: not done: nobody serves it" in lines(snapshot)
    assert "4 the driver's hold: done" in lines(snapshot)


def test_a_controller_manager_that_never_answers_does_not_hold_the_ladder_up(bench):
    """H12."""
    bench.answers[CallRequest.DEACTIVATE] = None
    bench.answers[CallRequest.DRIVER_HOLD] = (True, 10 * MS)
    stop_a_deaf_controller(bench)
    snapshot = settle(bench)
    asked = [at_ns for at_ns, _ in bench.calls]
    assert 300 * MS <= asked[2] - asked[1] <= 330 * MS
    assert snapshot.state is StopState.STOPPED_LATCHED
    assert snapshot.rung is Rung.DRIVER_HOLD


def test_a_deactivation_that_does_not_stop_the_joints_leads_to_the_drivers_hold(bench):
    """H12."""
    bench.answers[CallRequest.DEACTIVATE] = (True, 10 * MS)
    bench.answers[CallRequest.DRIVER_HOLD] = (True, 10 * MS)
    stop_a_deaf_controller(bench)
    at_ns = bench.now_ns
    bench.measured_offset = lambda t, p: (
        p + (0.0 if bench.plant.held_at is not None else 0.3 * max(0, t - at_ns) * 1e-9)
    )
    snapshot = settle(bench)
    assert snapshot.state is StopState.STOPPED_LATCHED
    assert snapshot.rung is Rung.DRIVER_HOLD


def test_when_no_rung_helps_a_person_is_called_for_and_nothing_is_switched_off(bench):
    """H12."""
    stop_a_deaf_controller(bench)
    snapshot = settle(bench)
    assert snapshot.state is StopState.FAULT
    assert snapshot.rung is Rung.POWER_CUT
    assert any("Cut the power" in line for line in bench.log)
    # While the reference moves it goes on trying; at rest nothing is asked for any more.
    bench.run(5.0)
    calls = bench.requests()
    assert bench.travel(bench.now_ns - S) == 0.0
    bench.run(5.0)
    assert bench.requests() == calls
    assert bench.state is StopState.FAULT
    assert set(calls) == {
        CallRequest.BRAKE_AS_GOAL,
        CallRequest.DEACTIVATE,
        CallRequest.DRIVER_HOLD,
    }


def test_a_controller_that_is_driven_off_every_brake_is_deactivated_at_once(bench):
    """H7."""
    bench.answers[CallRequest.DEACTIVATE] = (True, 5 * MS)
    bench.get_moving()
    bench.policy_on = False

    def intrude():
        start_ns, position = bench.now_ns, bench.plant.stood_at

        def drift(t_ns):
            return position + 0.3 * (t_ns - start_ns) * 1e-9, np.full(5, 0.3), np.zeros(5)

        bench.motion = type(bench.motion)(start_ns, drift)
        if bench.plant.active:
            bench.after(40 * MS, intrude)

    began_ns = bench.now_ns
    intrude()
    assert bench.run_until(lambda: bench.state is StopState.STOPPED_LATCHED, 2.0)
    assert bench.now_ns - began_ns < 0.6 * S
    snapshot = bench.monitor.snapshot()
    assert snapshot.rung is Rung.CONTROLLER_OFF
    assert snapshot.locked_out
    assert len([line for line in lines(snapshot) if line.startswith("1 ")]) == 3

    # What it was last seen to do says nothing about what it does once it is activated.
    assert {"foreign_plan", "command_acceleration"} <= set(snapshot.causes)
    bench.run(2.0)
    bench.answers[CallRequest.ACTIVATE] = (True, 10 * MS)
    assert bench.reset()[0] is None
    bench.run(0.5)
    assert [verdict.accepted for verdict in bench.reset_verdicts] == [True]
    assert bench.state is StopState.READY


def test_a_stall_of_the_monitor_climbs_no_rung(bench):
    """H14."""
    bench.get_moving()
    bench.stop()
    bench.monitor_stalled_until_ns = bench.now_ns + 900 * MS
    snapshot = settle(bench)
    assert snapshot.state is StopState.STOPPED_LATCHED
    assert snapshot.rung is Rung.BRAKE


@pytest.fixture
def locked(bench):
    bench.answers[CallRequest.DEACTIVATE] = bench.answers[CallRequest.ACTIVATE] = (True, 10 * MS)
    bench.get_moving()
    bench.policy_on = False
    bench.stop()
    assert bench.run_until(lambda: bench.monitor.snapshot().locked_out, 2.0)
    return bench


def test_a_controller_that_is_locked_out_may_be_silent(locked):
    """H6."""
    locked.run(5.0)
    snapshot = locked.monitor.snapshot()
    assert snapshot.state is StopState.STOPPED_LATCHED
    assert snapshot.causes == ("operator",)
    assert snapshot.waiting_for == ()


def test_a_reset_activates_the_controller_and_moves_nothing(locked):
    """H6."""
    locked.run(2.0)
    since_ns, sent = locked.now_ns, len(locked.sent)
    accepted, message = locked.reset()
    assert accepted is None
    assert "activated" in message
    assert locked.state is StopState.STOPPED_LATCHED
    assert locked.reset()[0] is False
    locked.run(0.5)
    assert [verdict.accepted for verdict in locked.reset_verdicts] == [True]
    assert locked.state is StopState.READY
    assert locked.monitor.snapshot().causes == ()
    assert not locked.monitor.snapshot().locked_out
    assert len(locked.sent) == sent
    assert locked.travel(since_ns) == 0.0
    locked.policy_on = True
    locked.run(3.0)
    assert locked.state is StopState.READY
    assert locked.monitor.snapshot().plans_forwarded > 10
    assert locked.peak_jerk_ratio() <= 1.000001


def test_nothing_but_a_reset_activates_the_controller(locked):
    """H6."""
    locked.policy_on = True
    for _ in range(10):
        locked.give(locked.plan())
        locked.run(0.2)
    locked.stop()
    locked.run(2.0)
    assert CallRequest.ACTIVATE not in locked.requests()
    assert locked.state is StopState.STOPPED_LATCHED


@pytest.mark.parametrize("reply", [(False, 10 * MS), None])
def test_a_reset_whose_activation_fails_says_so_and_locks_again(locked, reply):
    """H6."""
    locked.answers[CallRequest.ACTIVATE] = reply
    locked.reset()
    locked.run(4.0)
    verdict = locked.reset_verdicts[-1]
    assert not verdict.accepted
    assert "activated" in verdict.message or "answer" in verdict.message
    assert locked.state is StopState.STOPPED_LATCHED
    assert locked.monitor.snapshot().locked_out
    locked.answers[CallRequest.ACTIVATE] = (True, 10 * MS)
    locked.reset()
    locked.run(1.0)
    assert locked.state is StopState.READY


def test_a_reset_after_which_the_controller_stays_silent_fails_and_locks_again(locked):
    """H6."""
    locked.on_controller_message = lambda message: None
    locked.reset()
    locked.run(4.0)
    verdict = locked.reset_verdicts[-1]
    assert not verdict.accepted
    assert "controller_state" in verdict.message
    assert locked.state is StopState.STOPPED_LATCHED
    assert locked.requests()[-2:] == [CallRequest.ACTIVATE, CallRequest.DEACTIVATE]


def test_a_controller_that_somebody_else_activates_is_locked_out_again(locked):
    """H6."""
    locked.run(1.0)
    locked.plant.activate(locked.now_ns)
    locked.take(locked.monitor.on_activity("active", locked.now))
    locked.run(0.5)
    assert not locked.plant.active
    assert locked.monitor.snapshot().locked_out
    assert locked.state is StopState.STOPPED_LATCHED


def opening(bench):
    """Begin a reset, whose answer by the controller manager is still to come."""
    bench.run(2.0)
    bench.answers[CallRequest.ACTIVATE] = (True, 300 * MS)
    assert bench.reset()[0] is None
    bench.run(0.1)


def given_up(bench):
    """Return how the reset ended, long after the controller was activated."""
    bench.run(4.0)
    assert bench.state is StopState.STOPPED_LATCHED
    assert not bench.monitor.permit
    assert bench.monitor.snapshot().locked_out
    assert not bench.plant.active
    verdicts = [(verdict.accepted, verdict.message) for verdict in bench.reset_verdicts]
    assert len(verdicts) == 1
    assert not verdicts[0][0]
    return verdicts[0][1]


def test_a_call_to_stop_ends_a_reset_that_is_under_way(locked):
    """H19."""
    opening(locked)
    locked.stop()
    assert "operator" in given_up(locked)
    # The next reset is one.
    locked.answers[CallRequest.ACTIVATE] = (True, 10 * MS)
    assert locked.reset()[0] is None
    locked.run(0.5)
    assert locked.state is StopState.READY


def test_a_call_to_stop_ends_a_reset_whose_controller_is_active_already(locked):
    """H19."""
    locked.run(2.0)
    silent = locked.on_controller_message
    locked.on_controller_message = lambda message: None
    locked.reset()
    locked.run(0.1)
    assert locked.plant.active
    locked.stop()
    locked.on_controller_message = silent
    assert "operator" in given_up(locked)


def test_an_exception_ends_a_reset_that_is_under_way(locked):
    """H26."""
    opening(locked)
    locked.take(locked.monitor.on_internal_error("a callback: KeyError", locked.now))
    assert "internal_error" in given_up(locked)


def test_a_time_that_jumps_ends_a_reset_that_is_under_way(locked):
    """H13."""
    opening(locked)
    locked.take(locked.monitor.on_doubtful_clock("the time went back", locked.now))
    assert "clock_step" in given_up(locked)
