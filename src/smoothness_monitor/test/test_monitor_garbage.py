# SPDX-License-Identifier: Apache-2.0
"""No input of any kind ends the monitor, and what it cannot use stops the arm."""

import math
from dataclasses import replace

import numpy as np
import pytest

from smoothness_monitor.core.inputs import MAX_JOINTS, Order, Standstill
from smoothness_monitor.core.types import CallRequest, CallResult, ServoStatus, StopState
from verification.faults.garbage import Garbler

MS = 1_000_000
S = 1_000_000_000


def once(change, at=3):
    """Return a hook that changes one message."""
    count = [0]

    def hook(message):
        count[0] += 1
        return change(message) if count[0] == at else message

    return hook


@pytest.mark.parametrize(
    "change",
    [
        lambda m: replace(m, velocity=(2.68e154,) * 5, position=(1e308,) * 5),
        lambda m: replace(m, velocity=(2.68e154,) * 5),
        lambda m: replace(m, acceleration=(-1e200,) * 5),
        lambda m: replace(m, position=(1e7,) * 5),
        lambda m: replace(m, stamp_ns=-S),
        lambda m: replace(m, stamp_ns=-(2**31) * S),
        lambda m: replace(m, time_from_start_ns=-(2**31) * S),
        lambda m: replace(m, joint_names=m.joint_names[:4] + m.joint_names[:1]),
        lambda m: replace(m, joint_names=(*m.joint_names, m.joint_names[0])),
        lambda m: replace(m, joint_names=(), position=(), velocity=(), acceleration=()),
        lambda m: replace(m, velocity=m.velocity[:4]),
        lambda m: replace(m, joint_names=tuple(f"j{i}" for i in range(MAX_JOINTS + 1))),
    ],
)
def test_a_controller_state_that_no_controller_sends_trips_and_the_monitor_stays(bench, change):
    """H2."""
    bench.get_moving()
    bench.policy_on = False
    bench.on_controller_message = once(change)
    assert bench.run_until(lambda: bench.state is StopState.STOPPED_LATCHED, 3.0)
    assert bench.first_cause == "non_finite"
    assert bench.peak_jerk_ratio() <= 1.000001
    bench.run(0.3)
    assert bench.reset()[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda m: replace(m, position=(1e308,) * 6),
        lambda m: replace(m, position=(-2.68e154, *m.position[1:])),
        lambda m: replace(m, stamp_ns=-S),
        lambda m: replace(m, position=m.position[:3]),
        lambda m: replace(m, joint_names=(*m.joint_names[:5], m.joint_names[0])),
        lambda m: replace(m, joint_names=m.joint_names * 1000, position=m.position * 1000),
    ],
)
def test_joint_states_that_no_driver_sends_trip_and_the_monitor_stays(bench, change):
    """H2."""
    bench.get_moving()
    bench.policy_on = False
    bench.on_joints_message = once(change)
    assert bench.run_until(lambda: bench.state is StopState.STOPPED_LATCHED, 3.0)
    assert bench.first_cause == "non_finite"
    assert bench.peak_jerk_ratio() <= 1.000001


def test_a_message_of_a_million_joints_is_refused_by_its_length_alone():
    """H2."""

    class Counted(tuple):
        looks = 0

        def __iter__(self):
            type(self).looks += 1
            return super().__iter__()

        def __eq__(self, other):
            type(self).looks += 1
            return super().__eq__(other)

        __hash__ = tuple.__hash__

    names = Counted(f"joint_{i}" for i in range(1_000_000))
    Counted.looks = 0
    order = Order(("joint_1", "joint_2"))
    assert order.concerns(names)
    problem = order(names, ("positions",), (np.zeros(1_000_000),))[1]
    assert problem == f"has 1000000 joints; {MAX_JOINTS} at most are read"
    assert Counted.looks == 0


def test_stamps_that_hardly_move_on_do_not_fill_the_memory():
    standstill = Standstill(0.05, 0.1)
    for stamp_ns in range(20_000):
        standstill.update(stamp_ns, np.zeros(2))
    assert len(standstill._samples) < 10_000
    assert not standstill.stands


def test_a_flood_of_servos_that_are_not_well_is_not_kept(make_bench):
    bench = make_bench(servo_status="servo")
    well = (ServoStatus("servo0", 0, "well"),)
    bench.every(100 * MS, 0, lambda: bench.take(bench.monitor.on_servos(well, bench.now)))
    bench.get_ready()
    bad = tuple(ServoStatus(f"servo{i}", 2, "x" * 200) for i in range(10_000))
    bench.take(bench.monitor.on_servos(bad, bench.now))
    assert bench.first_cause == "servo_health"
    assert len(bench.monitor.snapshot().first_cause_detail) <= 500
    assert all(len(line) <= 500 for line in bench.monitor.waiting_for())


class Broken:
    """A part that raises, whatever is asked of it."""

    def __getattr__(self, name):
        raise ZeroDivisionError(name)


def test_an_exception_in_a_callback_stops_the_arm_and_the_monitor_goes_on(bench):
    """H26."""
    bench.get_moving()
    bench.policy_on = False
    outputs = bench.monitor.on_internal_error("_on_plan: ValueError: x", bench.now)
    assert outputs.arm
    bench.take(outputs)
    assert bench.run_until(lambda: bench.state is StopState.STOPPED_LATCHED, 3.0)
    assert bench.first_cause == "internal_error"
    assert "ValueError: x" in bench.monitor.snapshot().first_cause_detail
    assert bench.peak_jerk_ratio() <= 1.000001
    bench.run(0.3)
    assert bench.reset()[0]


def test_a_monitor_that_cannot_compute_a_brake_asks_for_what_needs_none(bench):
    """H26."""
    bench.get_moving()
    bench.monitor.stop._sender._tracker = Broken()
    bench.stop()
    assert bench.state is StopState.FAULT
    assert CallRequest.DEACTIVATE in bench.requests()
    assert CallRequest.DRIVER_HOLD in bench.requests()
    assert not bench.monitor.permit


def test_a_monitor_that_is_wrong_everywhere_gives_up_its_permit(bench):
    """H26."""
    bench.get_moving()
    monitor = bench.monitor
    stop = monitor.stop
    stop._tracker = stop._sender._tracker = monitor.view.joints = Broken()
    outputs = monitor.on_internal_error("tick: ZeroDivisionError", bench.now)
    assert [call.request for call in outputs.calls] == [
        CallRequest.DEACTIVATE,
        CallRequest.DRIVER_HOLD,
    ]
    assert monitor.state is StopState.FAULT
    assert not monitor.permit


def test_exceptions_that_go_on_while_the_arm_is_stopped_end_in_what_needs_no_plan(bench):
    """H26."""
    bench.get_moving()
    for _ in range(20):
        bench.take(bench.monitor.on_internal_error("tick: IndexError", bench.now))
    assert bench.state is StopState.FAULT
    assert CallRequest.DEACTIVATE in bench.requests()


def test_meters_that_raise_take_nothing_down_with_them(bench):
    """H26."""
    bench.get_moving()
    meter = bench.monitor._meter
    meter._movements = meter._boundaries = Broken()
    bench.run(5.0)
    assert bench.state is StopState.READY
    assert "ZeroDivisionError" in meter.problem
    meter._command = Broken()
    assert bench.monitor.smoothness().command is None
    assert bench.monitor.smoothness().joint_names == bench.names


@pytest.mark.parametrize("seed", range(12))
def test_garbage_in_every_input_ends_nothing(make_bench, seed):
    """H2. The long run is verification.fuzz.monitor_inputs."""
    hurt(make_bench(seed=seed), seed, 3.0)


def hurt(bench, seed, seconds):
    """Garble messages of every input: nothing raises, and only what is sound goes out."""
    garbler = Garbler(seed, longest=200)
    random = garbler.random
    share = random.choice([0.002, 0.02, 0.3])

    def hook(message):
        return garbler.garble(message) if random.random() < share else message

    if seed % 3:
        bench.get_moving()
    bench.on_controller_message = bench.on_joints_message = bench.mutate_plan = hook

    def others():
        monitor, now = bench.monitor, bench.now
        kind = random.integers(7)
        if kind == 0:
            statuses = (garbler.garble(ServoStatus("servo", 0, "well")),)
            bench.take(monitor.on_servos(statuses, now))
        elif kind == 1:
            label = garbler.garble("active") if random.random() < 0.2 else "active"
            bench.take(monitor.on_activity(label, now))
        elif kind == 2:
            answer = CallResult(
                random.choice(list(CallRequest)), bool(random.random() < 0.5), "\0"
            )
            bench.take(monitor.on_answer(answer, now))
        elif kind == 3:
            bench.take(monitor.request_stop("\ud800" * 1000, now)[2])
        elif kind == 4:
            bench.take(monitor.request_reset(now)[2])
        elif kind == 5:
            states = garbler.garble(bench.plan() if bench.policy_running else None)
            if states is not None:
                bench.take(monitor.on_gripper(states, now))
        else:
            bench.take(monitor.on_publishers(("",) if random.random() < 0.1 else (), now))
        snapshot = monitor.snapshot()
        assert len(snapshot.first_cause_detail) <= 500
        monitor.smoothness()
        monitor.reports()
        monitor.latch  # noqa: B018

    bench.every(50 * MS, 5 * MS, others)
    bench.run(seconds)
    for _, trajectory in bench.sent:
        assert 0 <= trajectory.stamp_ns < 2**31 * S
        for point in trajectory.points:
            values = (*point.positions, *point.velocities, *point.accelerations)
            assert all(math.isfinite(value) for value in values)
            assert 0 <= point.time_from_start_ns < 2**31 * S
