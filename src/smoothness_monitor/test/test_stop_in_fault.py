# SPDX-License-Identifier: Apache-2.0
"""FAULT: what is still tried there, and the way back for a person."""

from dataclasses import replace

import pytest

from smoothness_monitor.core.types import CallRequest, StopState

MS = 1_000_000
S = 1_000_000_000


@pytest.fixture
def faulty(bench):
    """Return a bench in FAULT: the controller heard nothing of the stop; it rests by now."""
    bench.get_moving()
    bench.policy_on = False
    bench.deliver_to_controller = lambda trajectory: False
    bench.stop()
    assert bench.run_until(lambda: bench.state is StopState.FAULT, 5.0)
    bench.run(6.0)
    assert bench.state is StopState.FAULT
    return bench


def creep(bench):
    own, began_ns = bench.motion, bench.now_ns

    def at(t_ns):
        position, velocity, acceleration = own.at(t_ns)
        return position + 0.05 * (t_ns - began_ns) * 1e-9, velocity + 0.05, acceleration

    bench.motion = replace(own, start_ns=bench.now_ns, at=at)


def test_a_stop_in_fault_says_what_it_cannot_do_and_tries_everything(faulty):
    """H12."""
    calls, sent = len(faulty.calls), len(faulty.sent)
    creep(faulty)
    faulty.run(0.02)
    accepted, message, outputs = faulty.monitor.request_stop("~/stop", faulty.now)
    faulty.take(outputs)
    assert not accepted
    assert "Cut the power" in message
    faulty.run(5.0)
    assert len(faulty.sent) > sent
    tried = {request for _, request in faulty.calls[calls:]}
    assert tried == {CallRequest.BRAKE_AS_GOAL, CallRequest.DEACTIVATE, CallRequest.DRIVER_HOLD}
    assert faulty.state is StopState.FAULT


def test_a_foreign_motion_in_fault_is_braked(faulty):
    """H12."""
    faulty.deliver_to_controller = lambda trajectory: True
    creep(faulty)
    faulty.run(4.0)
    assert faulty.travel(faulty.now_ns - S) == 0.0
    assert faulty.state is StopState.FAULT


def test_a_person_leaves_fault_in_two_steps_once_the_arm_is_seen_at_rest(faulty):
    """H12."""
    faulty.deliver_to_controller = lambda trajectory: True
    accepted, message = faulty.reset()
    assert accepted
    assert message.startswith("STOPPED_LATCHED: out of FAULT")
    assert faulty.state is StopState.STOPPED_LATCHED
    assert not faulty.monitor.permit
    faulty.run(0.5)
    assert faulty.state is StopState.STOPPED_LATCHED
    assert faulty.reset() == (True, "READY")
    faulty.policy_on = True
    faulty.run(3.0)
    assert faulty.state is StopState.READY
    assert faulty.monitor.snapshot().plans_forwarded > 5


def test_fault_is_not_left_while_something_is_missing_or_moves(faulty):
    """H12."""
    faulty.on_joints_message = lambda message: None
    faulty.run(0.6)
    accepted, message = faulty.reset()
    assert not accepted
    assert message.startswith("FAULT: waiting for")
    assert "stale_joint_states" in message
    faulty.on_joints_message = lambda message: message
    faulty.run(0.5)
    creep(faulty)
    faulty.run(0.05)
    assert not faulty.reset()[0]
    assert faulty.state is StopState.FAULT
    assert any("moves" in line for line in faulty.monitor.waiting_for())


def test_the_log_of_the_rungs_stays_readable_however_long_it_goes_on(faulty):
    for _ in range(100):
        faulty.stop()
        faulty.run(0.5)
    assert len(faulty.monitor.snapshot().rung_log) <= 64
