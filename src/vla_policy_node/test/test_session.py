# SPDX-License-Identifier: Apache-2.0
"""A run begins once, ends once, and says why."""

import math

import pytest

from vla_policy_node.core.permit import MonitorReport, MonitorState, Permit
from vla_policy_node.core.session import RunState, Session, Termination, goal_problem, percentile

SECOND = 1_000_000_000


@pytest.fixture
def session():
    return Session(input_timeout_s=2.0)


def test_an_empty_instruction_or_a_duration_that_is_not_positive_is_refused(session):
    for instruction, duration in (
        ("", 1.0),
        ("  ", 1.0),
        ("x", 0.0),
        ("x", -1.0),
        ("x", math.nan),
    ):
        assert goal_problem(instruction, duration)
        with pytest.raises(ValueError, match=r"must be above 0|is empty"):
            session.begin(instruction, duration, 0)
    assert not session.active


def test_the_state_follows_the_inputs_and_the_permit(session):
    assert session.state is RunState.IDLE
    session.begin("x", math.inf, 0)
    assert session.update("silent", False, [], 1) is None
    assert (session.state, session.waiting_for) == (RunState.NO_PERMIT, ("silent",))
    session.update("", False, ["front: stale"], 2)
    assert (session.state, session.waiting_for) == (RunState.WAITING, ("front: stale",))
    session.update("", False, [], 3)
    assert session.state is RunState.RUNNING


def test_a_lost_permit_ends_the_run(session):
    run_id = session.begin("x", math.inf, 0)
    session.update("", False, [], 1)
    ended = session.update("silent", False, [], SECOND)
    assert (ended.run_id, ended.termination, ended.message) == (
        run_id,
        Termination.STOPPED,
        "silent",
    )
    assert ended.duration_s == 1.0
    assert session.state is RunState.IDLE
    assert session.update("silent", False, [], 2 * SECOND) is None


def test_waiting_for_a_permit_does_not_count_as_lost_input(session):
    session.begin("x", math.inf, 0)
    assert session.update("silent", False, ["front: stale"], 10 * SECOND) is None
    assert session.update("", False, ["front: stale"], 11 * SECOND) is None
    ended = session.update("", False, ["front: stale"], 13 * SECOND)
    assert ended.termination is Termination.INPUT_LOST
    assert "front: stale" in ended.message


def test_an_input_that_returns_in_time_is_forgiven(session):
    session.begin("x", math.inf, 0)
    for second in range(1, 20):
        problems = ["front: stale"] if second % 2 else []
        assert session.update("", False, problems, second * SECOND) is None


def test_a_second_run_starts_its_figures_anew(session):
    session.begin("x", math.inf, 0)
    session.statistics.received(0.1)
    session.statistics.planned(0.005)
    session.phase = "reach"
    session.end(Termination.CANCELED, "", 1)
    assert session.statistics.chunks == 1
    session.begin("y", math.inf, 2)
    assert (session.statistics.chunks, session.statistics.plans, session.phase) == (0, 0, "")
    with pytest.raises(RuntimeError, match="end the run"):
        session.begin("z", math.inf, 3)


def test_percentiles_are_of_the_values_given():
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile(list(range(1, 101)), 0.99) == 99
    assert percentile([5.0], 0.99) == 5.0
    assert math.isnan(percentile([], 0.5))


def report(stamp_ns, state=MonitorState.READY, permit=True):
    return MonitorReport(stamp_ns, state, permit, "command_jerk")


def test_a_permit_lapses_by_either_clock():
    permit = Permit(200_000_000)
    assert "no message yet" in permit.problem(0, 0)
    permit.report(report(SECOND), 50)
    assert permit.problem(SECOND + 100_000_000, 50) == ""
    assert "clock" in permit.problem(SECOND + 201_000_000, 50)
    assert "stale" in permit.problem(SECOND, 50 + 201_000_000)
    assert "stale" in permit.problem(SECOND - 201_000_000, 50)


@pytest.mark.parametrize(
    "state", [state for state in MonitorState if state is not MonitorState.READY]
)
def test_only_a_monitor_that_is_ready_permits(state):
    permit = Permit(200_000_000)
    permit.report(report(0, state, permit=True), 0)
    assert (
        permit.problem(0, 0) == f"smoothness_monitor/state: no permit, {state.name}: command_jerk"
    )
    permit.report(report(0, permit=False), 0)
    assert "no permit, READY" in permit.problem(0, 0)


def test_a_policy_that_stays_away_ends_the_run_after_a_time_of_its_own():
    session = Session(input_timeout_s=2.0, policy_timeout_s=20.0)
    session.begin("x", math.inf, 0)
    assert session.update("", False, [], SECOND, "no server") is None
    assert (session.state, session.waiting_for) == (RunState.WAITING, ("no server",))
    assert session.update("", False, [], 19 * SECOND, "no server") is None
    assert session.update("", False, [], 20 * SECOND) is None
    assert session.state is RunState.RUNNING
    assert session.update("", False, [], 40 * SECOND, "no server") is None
    ended = session.update("", False, [], 41 * SECOND, "no server")
    assert ended.termination is Termination.INPUT_LOST
    assert ended.message == "for 21.0 s: no server"


def test_a_policy_that_warms_up_is_waited_for_without_another_time_limit():
    session = Session(input_timeout_s=2.0, policy_timeout_s=20.0)
    session.begin("x", math.inf, 0)
    for second in range(1, 120):
        assert session.update("", False, [], second * SECOND, "", "warms up") is None
        assert (session.state, session.waiting_for) == (RunState.WAITING, ("warms up",))
    assert session.update("", False, [], 121 * SECOND) is None
    assert session.state is RunState.RUNNING
