# SPDX-License-Identifier: Apache-2.0
"""Clocks that are set, apart or standing still; a monitor that was held up: what is said of it."""

from dataclasses import replace

import numpy as np
import pytest

from smooth_motion.clocks import Now
from smoothness_monitor.core.types import Rung, StopState
from verification.faults.bench import Bench
from verification.faults.clock import EPOCH_NS, MS, S
from verification.faults.plant import EmulatedPlant


class Host(Bench):
    """The bench on one host, whose clock can be set: every stamp and the controller go by it."""

    def __init__(self, robot, config, **arguments):
        super().__init__(robot, config, EmulatedPlant(robot, EPOCH_NS), **arguments)
        self.set_ns = 0
        plant, inner = self.plant, self.plant.__class__

        def shifted(name):
            method = getattr(inner, name)
            return lambda *given: method(plant, *given[:-1], given[-1] + self.set_ns)

        for name in ("receive", "goal", "activate"):
            setattr(plant, name, shifted(name))
        plant.update = self._update
        self._cycle_ns = EPOCH_NS
        self.later_ns = 0

    def _update(self, now_ns):
        """Run a cycle; its period is what the clock says has passed, as in ros2_control."""
        now_ns += self.set_ns
        self.plant.speed = max(now_ns - self._cycle_ns, 1) / (10 * MS)
        self._cycle_ns = now_ns
        return EmulatedPlant.update(self.plant, now_ns)

    @property
    def now(self):
        ros_ns, elapsed_ns = super().now
        return Now(ros_ns + self.set_ns, elapsed_ns)

    def _encoders(self):
        sent = self.links["joint_states"].carry
        off_ns = self.set_ns
        self.links["joint_states"].carry = lambda message, now_ns: sent(
            replace(message, stamp_ns=message.stamp_ns + off_ns), now_ns
        )
        super()._encoders()
        self.links["joint_states"].carry = sent

    def _arrival_ns(self, way, later_ns):
        """After a stall the messages that wait are taken in one after the other, not at once."""
        arrival_ns = super()._arrival_ns(way, later_ns)
        if way[0] == "commands":
            return arrival_ns
        if self.now_ns >= self.monitor_stalled_until_ns:
            return max(arrival_ns, self.later_ns)
        self.later_ns = max(self.later_ns, arrival_ns) + MS // 2
        return self.later_ns


@pytest.fixture
def make_host(robot, config):
    def make(seed=0, **changes):
        return Host(robot, replace(config, **changes), seed=seed)

    return make


def trip(bench, within_s):
    began_ns = bench.now_ns
    assert bench.run_until(lambda: bench.first_cause != "", within_s), bench.log
    return bench.first_cause, (bench.now_ns - began_ns) * 1e-9


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("seconds", [0.05, 0.5, 2.0, 3600.0, -0.05, -0.5, -2.0, -3600.0])
def test_the_whole_hosts_clock_is_set_in_motion_and_the_step_is_named(make_host, seconds, seed):
    """H13."""
    host = make_host(seed=seed)
    host.get_moving()
    host.policy_on = False
    host.set_ns = round(seconds * S)
    cause, after_s = trip(host, 1.0)
    assert cause == "clock_step", host.log
    assert after_s <= 0.1
    assert host.run_until(lambda: host.state is not StopState.STOPPING, 4.0)
    assert host.state is StopState.STOPPED_LATCHED, host.log
    host.run(1.0)
    assert host.travel(host.now_ns - S) == 0.0


@pytest.mark.parametrize("seconds", [0.05, -0.05])
def test_after_a_small_step_of_the_whole_hosts_clock_the_brake_keeps_limits(make_host, seconds):
    """H13."""
    host = make_host(seed=1)
    host.get_moving()
    host.policy_on = False
    host.set_ns = round(seconds * S)
    stepped_ns = host.now_ns
    trip(host, 1.0)
    assert host.run_until(lambda: host.state is StopState.STOPPED_LATCHED, 4.0)
    assert host.monitor.snapshot().rung is Rung.BRAKE, host.log
    # The controller stepped by itself in the first cycle; four cycles later no difference sees it.
    assert host.peak_jerk_ratio(stepped_ns + 50 * MS) <= 1.001


def test_a_clock_that_is_slewed_trips_nothing(make_host):
    """H13."""
    host = make_host()
    host.get_moving()

    def slew():
        host.set_ns += 100_000
        host.after(10 * MS, slew)

    slew()
    host.run(2.0)
    assert host.state is StopState.READY, host.log


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_monitor_that_was_held_up_for_two_seconds_says_so_and_brakes_for_now(make_host, seed):
    """H14."""
    host = make_host(seed=seed)
    host.get_moving()
    host.monitor_stalled_until_ns = host.now_ns + 2 * S
    host.policy_on = False
    cause, _ = trip(host, 3.0)
    assert cause == "overrun"
    seen = host.monitor.snapshot()
    assert "held up" in seen.first_cause_detail
    brake = host.sent[-1][1]
    ends_ns = brake.stamp_ns + brake.points[-1].time_from_start_ns
    assert ends_ns > host.now_ns, "a trajectory of the past"
    assert host.run_until(lambda: host.state is StopState.STOPPED_LATCHED, 3.0), host.log
    seen = host.monitor.snapshot()
    assert seen.rung is Rung.BRAKE, seen.rung_log
    assert seen.causes == ("overrun",)
    assert host.peak_jerk_ratio() <= 1.001


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("stall_ms", [200, 500, 900])
def test_a_stop_after_a_short_stall_climbs_no_rung_for_messages_that_wait(
    make_host, stall_ms, seed
):
    """H14."""
    host = make_host(seed=seed)
    host.get_moving()
    host.monitor_stalled_until_ns = host.now_ns + stall_ms * MS
    host.run(stall_ms * 1e-3)
    host.run_until(lambda: host.monitor.view.clock.catching_up, 0.1)
    host.stop()
    assert host.run_until(lambda: host.state is StopState.STOPPED_LATCHED, 3.0), host.log
    assert host.monitor.snapshot().rung is Rung.BRAKE, host.monitor.snapshot().rung_log
    assert host.peak_jerk_ratio() <= 1.001


@pytest.mark.parametrize("ahead_s", [0.12, 0.2, 0.28, -3.0])
def test_joint_states_that_cannot_be_compared_give_no_permit_and_it_says_why(bench, ahead_s):
    """H13."""
    bench.on_joints_message = lambda m: replace(m, stamp_ns=m.stamp_ns + round(ahead_s * S))
    bench.run(3.0)
    assert bench.state is StopState.STARTUP
    waiting = "; ".join(bench.monitor.waiting_for())
    assert "joint_states" in waiting
    assert "clock" in waiting or "cannot be compared" in waiting


@pytest.mark.parametrize("ahead_s", [0.11, 0.2, 0.5, 0.99])
def test_joint_states_that_get_ahead_in_motion_are_not_blind_for_long(bench, ahead_s):
    """H13."""
    bench.get_moving()
    bench.on_joints_message = lambda m: replace(m, stamp_ns=m.stamp_ns + round(ahead_s * S))
    assert bench.run_until(lambda: bench.first_cause != "", 1.0)
    assert bench.first_cause in ("clock_skew", "tracking_error")


@pytest.mark.parametrize("late_s", [0.05, 0.15])
def test_joint_states_that_are_stamped_late_are_compared_with_the_plan_of_then(bench, late_s):
    """H13."""
    delay_ns = round(late_s * S)
    # What was measured then is told now, with the stamp of then.
    held = []

    def through(message):
        held.append(message)
        due = [each for each in held if each.stamp_ns <= bench.now_ns - delay_ns]
        if not due:
            return None
        held[:] = held[len(due) :]
        return due[-1]

    bench.on_joints_message = through
    bench.get_moving()
    bench.run(5.0)
    assert bench.state is StopState.READY, bench.log
    # And an error shows all the same.
    bench.measured_offset = lambda t_ns, position: position + np.array([0.5, 0, 0, 0, 0])
    bench.run(1.0)
    assert "tracking_error" in bench.monitor.snapshot().causes


@pytest.mark.parametrize("seconds", [0.5, -0.5])
def test_a_robot_whose_clock_is_half_a_second_off_gets_no_permit_and_the_clock_is_named(
    bench, seconds
):
    """H13."""
    off_ns = round(seconds * S)
    bench.on_joints_message = lambda m: replace(m, stamp_ns=m.stamp_ns + off_ns)
    bench.on_controller_message = lambda m: replace(m, stamp_ns=m.stamp_ns + off_ns)
    bench.run(3.0)
    assert bench.state is StopState.STARTUP
    assert any("clock" in line for line in bench.monitor.waiting_for())


@pytest.mark.parametrize(("seconds", "way"), [(0.5, "ahead of"), (-0.5, "behind")])
def test_a_plan_refused_for_its_time_names_the_clock_of_its_sender(bench, seconds, way):
    """H13."""
    bench.get_ready()
    off_ns = round(seconds * S)
    bench.monitor.on_policy(bench.now.ros_ns + off_ns, bench.now)
    plan = bench.plan()
    bench.give(replace(plan, stamp_ns=plan.stamp_ns + off_ns))
    told = bench.monitor.snapshot()
    assert told.plans_rejected == 1
    assert f"vla_policy_node/status is stamped 0.50 s {way} this node's clock" in (
        told.last_rejection
    )


def test_time_that_stands_makes_nothing_old_and_trips_nothing(bench):
    """A simulation that is paused: every clock stands, and so does everything else."""
    bench.get_moving()
    stood = bench.now
    for _ in range(1000):
        bench.take(bench.monitor.tick(stood))
    assert bench.state is StopState.READY
    assert bench.monitor.permit
    bench.run(1.0)
    assert bench.state is StopState.READY, bench.log
    assert bench.peak_jerk_ratio() <= 1.001


def test_a_simulation_that_died_is_named_and_trips_nothing(bench):
    bench.get_ready()
    bench.take(bench.monitor.on_silent_clock(5.0))
    assert bench.monitor.waiting_for() == ()
    bench.take(bench.monitor.on_silent_clock(7.0))
    assert bench.monitor.waiting_for()[0].startswith("stale_clock: nothing on /clock for 7 s")
    assert any("nothing on /clock" in line for line in bench.log)
    assert bench.state is StopState.READY
    bench.take(bench.monitor.on_silent_clock(0.1))
    assert bench.monitor.waiting_for() == ()
