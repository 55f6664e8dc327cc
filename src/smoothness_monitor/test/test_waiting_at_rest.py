# SPDX-License-Identifier: Apache-2.0
"""A host that does not keep up: while nothing moves, plans wait; in motion it stops the arm."""

import numpy as np
import pytest

from smoothness_monitor.core.types import Rung, StopState
from verification.faults.clock import MS, S
from vla_sim.faults.operations import Link


class Backlog(Link):
    """Messages that come faster than they are taken in: each is heard a little later."""

    def __init__(self):
        super().__init__()
        self.most_s = 0.0
        self._late_ns = 0

    def carry(self, message, now_ns):
        most_ns = round(self.most_s * S)
        self._late_ns = min(self._late_ns + 5 * MS, most_ns)
        return [(self._late_ns, message)]


@pytest.fixture
def make_busy(make_bench):
    def make(seed=0):
        bench = make_bench(seed=seed)
        for name in ("controller_state", "joint_states"):
            bench.links[name] = Backlog()
        return bench

    return make


@pytest.fixture
def busy(make_busy):
    return make_busy()


def hear_late(bench, late_s):
    for name in ("controller_state", "joint_states"):
        bench.links[name].most_s = late_s


def test_inputs_heard_late_at_rest_make_plans_wait_and_stop_nothing(busy):
    """H14."""
    busy.get_ready()
    hear_late(busy, 0.55)
    assert busy.run_until(lambda: not busy.monitor.permit, 2.0)
    busy.run(2.0)
    assert busy.state is StopState.READY, busy.log
    assert busy.monitor.snapshot().causes == ()
    (why,) = busy.monitor.waiting_for()
    assert why.startswith("clock_skew: ")
    assert "late; this host or the network does not keep up" in why
    hear_late(busy, 0.0)
    assert busy.run_until(lambda: busy.monitor.permit, 3.0), busy.monitor.waiting_for()
    assert busy.monitor.waiting_for() == ()
    busy.get_moving()
    busy.run(1.0)
    assert busy.state is StopState.READY, busy.log


def test_a_monitor_held_up_at_rest_makes_plans_wait_and_stops_nothing(bench):
    """H14."""
    bench.get_ready()
    bench.monitor_stalled_until_ns = bench.now_ns + 2 * S
    bench.run(2.1)
    assert bench.state is StopState.READY, bench.log
    assert not bench.monitor.permit
    assert "held up" in bench.monitor.waiting_for()[0]
    assert bench.run_until(lambda: bench.monitor.permit, 3.0), bench.log
    assert sum("plans wait" in line for line in bench.log) == 1


def test_a_plan_that_comes_while_plans_wait_is_refused_and_not_kept(busy):
    """H14."""
    busy.get_ready()
    hear_late(busy, 0.55)
    assert busy.run_until(lambda: not busy.monitor.permit, 2.0)
    busy.give(busy.plan())
    assert busy.sent == []
    told = busy.monitor.snapshot()
    assert told.plans_rejected == 1
    assert told.last_rejection.startswith("not_ready: the state is READY, but plans wait: ")
    assert "late; this host or the network does not keep up" in told.last_rejection
    hear_late(busy, 0.0)
    busy.run(4.0)
    assert busy.sent == []


def test_a_plan_under_way_is_motion_though_the_arm_still_rests(bench):
    """H14."""
    bench.get_ready()
    bench.give(bench.plan())
    assert len(bench.sent) == 1
    bench.monitor_stalled_until_ns = bench.now_ns + 2 * S
    bench.run(2.2)
    assert bench.first_cause == "overrun"


def test_what_begins_to_move_while_plans_wait_is_stopped(busy):
    """H14."""
    busy.get_ready()
    hear_late(busy, 0.55)
    assert busy.run_until(lambda: not busy.monitor.permit, 2.0)
    foreign = busy.plan()
    busy.plant.receive(foreign, busy.now_ns)
    assert busy.run_until(lambda: busy.first_cause != "", 2.0)
    assert busy.state is not StopState.READY


@pytest.mark.parametrize("late_s", [0.4, 0.55, 0.8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_inputs_heard_late_in_motion_stop_the_arm_by_a_brake_for_now(make_busy, late_s, seed):
    """H14."""
    bench = make_busy(seed)
    bench.get_moving()
    hear_late(bench, late_s)
    assert bench.run_until(lambda: bench.first_cause != "", 2.0)
    seen = bench.monitor.snapshot()
    assert seen.first_cause in ("clock_skew", "stale_controller_state", "stale_joint_states")
    brake = bench.sent[-1][1]
    assert brake.stamp_ns + brake.points[-1].time_from_start_ns > bench.now_ns + 50 * MS
    assert bench.run_until(lambda: bench.state is StopState.STOPPED_LATCHED, 5.0), bench.log
    assert bench.monitor.snapshot().rung <= Rung.BRAKE_AS_GOAL, bench.monitor.snapshot().rung_log
    assert bench.peak_jerk_ratio() <= 1.001


def test_a_plan_refused_for_its_time_names_the_host_that_does_not_keep_up(busy):
    """H14."""
    busy.get_ready()
    hear_late(busy, 0.2)
    busy.run(1.0)
    plan = busy.plan(-80 * MS)
    busy.give(plan)
    told = busy.monitor.snapshot()
    assert told.plans_rejected == 1, told
    assert "late: this host or network does not keep up" in told.last_rejection


def test_joint_states_that_stop_at_rest_make_plans_wait_and_stop_nothing(bench):
    """H8. A busy host holds them back too, and nothing moves: a person has nothing to look at."""
    bench.get_ready()
    bench.on_joints_message = lambda message: None
    assert bench.run_until(lambda: bench.monitor.waiting_for() != (), 2.0)
    bench.run(3.0)
    assert bench.state is StopState.READY, bench.log
    assert bench.monitor.snapshot().causes == ()
    assert not bench.monitor.permit
    (why,) = bench.monitor.waiting_for()
    assert why.startswith("stale_joint_states: ")
    bench.give(bench.plan())
    assert bench.sent == []
    bench.on_joints_message = lambda message: message
    assert bench.run_until(lambda: bench.monitor.permit, 3.0), bench.monitor.waiting_for()
    bench.get_moving()
    bench.run(1.0)
    assert bench.state is StopState.READY, bench.log


def test_joint_states_that_stop_in_motion_stop_the_arm(bench):
    """H8."""
    bench.get_moving()
    bench.on_joints_message = lambda message: None
    assert bench.run_until(lambda: bench.first_cause != "", 2.0)
    assert bench.first_cause == "stale_joint_states"


def test_what_begins_to_move_while_joint_states_are_silent_is_stopped(bench):
    """H8."""
    bench.get_ready()
    bench.on_joints_message = lambda message: None
    assert bench.run_until(lambda: bench.monitor.waiting_for() != (), 2.0)
    bench.plant.receive(bench.plan(), bench.now_ns)
    assert bench.run_until(lambda: bench.first_cause != "", 2.0)


def test_a_controller_that_falls_silent_at_rest_makes_plans_wait_and_stops_nothing(bench):
    """H9. A busy host holds it back too: a latch would send a person to an arm that stands."""
    bench.get_ready()
    bench.on_controller_message = lambda message: None
    assert bench.run_until(lambda: bench.monitor.waiting_for() != (), 2.0)
    bench.run(3.0)
    assert bench.state is StopState.READY, bench.log
    assert bench.monitor.snapshot().causes == ()
    assert not bench.monitor.permit
    assert any(why.startswith("stale_controller_state: ") for why in bench.monitor.waiting_for())
    bench.give(bench.plan())
    assert bench.sent == []
    bench.on_controller_message = lambda message: message
    assert bench.run_until(lambda: bench.monitor.permit, 3.0), bench.monitor.waiting_for()
    bench.get_moving()
    bench.run(1.0)
    assert bench.state is StopState.READY, bench.log


def test_a_robot_that_falls_silent_altogether_at_rest_makes_plans_wait(bench):
    """H9. As when its process is held up."""
    bench.get_ready()
    bench.on_controller_message = bench.on_joints_message = lambda message: None
    assert bench.run_until(lambda: bench.monitor.waiting_for() != (), 2.0)
    bench.run(3.0)
    assert bench.state is StopState.READY, bench.log
    assert not bench.monitor.permit
    bench.on_controller_message = bench.on_joints_message = lambda message: message
    assert bench.run_until(lambda: bench.monitor.permit, 3.0), bench.monitor.waiting_for()


def test_joints_that_move_while_the_controller_is_silent_are_stopped(bench):
    """H9. They are all that is seen of the arm then."""
    bench.get_ready()
    bench.on_controller_message = lambda message: None
    assert bench.run_until(lambda: bench.monitor.waiting_for() != (), 2.0)
    bench.run(0.5)
    at_ns = bench.now_ns
    bench.measured_offset = lambda t, p: p + np.array([0.15, 0, 0, 0, 0]) * (t - at_ns) * 1e-9
    assert bench.run_until(lambda: bench.first_cause != "", 2.0)
    assert bench.first_cause == "stale_controller_state", bench.log


def test_a_controller_that_falls_silent_with_a_plan_under_way_stops_the_arm(bench):
    """H9. What was forwarded may run: it cannot be heard to have ended."""
    bench.get_ready()
    bench.give(bench.plan())
    assert len(bench.sent) == 1
    bench.on_controller_message = lambda message: None
    assert bench.run_until(lambda: bench.first_cause != "", 2.0)
    assert bench.first_cause == "stale_controller_state", bench.log
