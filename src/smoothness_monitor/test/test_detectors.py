# SPDX-License-Identifier: Apache-2.0
import math
from dataclasses import replace

import numpy as np
import pytest

from smoothness_monitor.core.detectors import DETECTORS
from smoothness_monitor.core.detectors.base import Measurement
from smoothness_monitor.core.detectors.measured import FrozenJointStates
from smoothness_monitor.core.types import ServoStatus, StopState

MS = 1_000_000
S = 1_000_000_000


def replaced(values, index, value):
    values = list(values)
    values[index] = value
    return tuple(values)


def expect(bench, cause, within_s):
    """Run until the monitor trips; the cause must be the first, and the arm must come to rest."""
    bench.policy_on = False
    start_ns = bench.now_ns
    assert bench.run_until(lambda: bench.first_cause != "", within_s), "nothing tripped"
    assert bench.first_cause == cause, bench.monitor.snapshot().first_cause_detail
    return (bench.now_ns - start_ns) / S


def move(bench, motion):
    """Make the controller follow something of its own, under the stamp that it has."""
    own = bench.motion
    bench.motion = replace(own, at=lambda t_ns: motion(t_ns, *own.at(t_ns)))


@pytest.mark.parametrize("field", ["position", "velocity", "acceleration"])
def test_a_nan_in_the_controllers_reference_trips(bench, field):
    """H2."""
    bench.get_moving()
    bench.on_controller_message = lambda m: replace(
        m, **{field: replaced(getattr(m, field), 2, math.nan)}
    )
    assert expect(bench, "non_finite", 1.0) < 0.2


def test_a_nan_in_the_measured_positions_trips(bench):
    """H2."""
    bench.get_moving()
    bench.on_joints_message = lambda m: replace(m, position=replaced(m.position, 1, math.nan))
    assert expect(bench, "non_finite", 1.0) < 0.2


def test_a_joint_missing_from_the_measurement_trips(bench):
    bench.get_moving()
    bench.on_joints_message = lambda m: replace(
        m, joint_names=m.joint_names[1:], position=m.position[1:]
    )
    expect(bench, "non_finite", 1.0)
    assert bench.names[0] in bench.monitor.snapshot().first_cause_detail


def test_messages_of_other_joints_are_neither_judged_nor_taken_for_fresh(bench):
    bench.get_ready()
    bench.on_joints_message = lambda m: replace(m, joint_names=("wheel",), position=(math.nan,))
    bench.run(0.1)
    assert bench.state is StopState.READY
    bench.run(0.4)
    assert not bench.monitor.permit
    assert bench.monitor.waiting_for()[0].startswith("stale_joint_states: ")


@pytest.mark.parametrize(
    ("cause", "step"),
    [
        ("command_velocity", lambda limits, dt: limits.velocity * 1.05 * dt),
        ("command_acceleration", lambda limits, dt: 0.5 * limits.acceleration * 1.5 * dt**2),
        ("command_jerk", lambda limits, dt: limits.jerk * 1.2 * dt**3 / 6.0),
    ],
)
def test_a_reference_beyond_a_limit_trips(bench, cause, step):
    """H10."""
    bench.get_ready()
    bench.run(0.5)
    start_ns, limits = bench.now_ns, bench.robot.limits

    def motion(t_ns, position, velocity, acceleration):
        dt = max(0, t_ns - start_ns) * 1e-9
        offset = np.zeros(5)
        offset[3] = step(limits, dt)[3]
        return position + offset, velocity, acceleration

    move(bench, motion)
    # The stop begins with the first sign of it; let the fault go on all the same.
    bench.deliver_to_controller = lambda trajectory: False
    assert bench.run_until(lambda: cause in bench.monitor.snapshot().causes, 0.5)


@pytest.mark.parametrize(
    ("cause", "field"),
    [("command_velocity", "velocity"), ("command_acceleration", "acceleration")],
)
def test_a_reference_that_claims_to_break_a_limit_trips(bench, cause, field):
    """H10."""
    bench.get_moving()
    bench.on_controller_message = lambda m: replace(
        m, **{field: replaced(getattr(m, field), 4, -20.0)}
    )
    assert expect(bench, cause, 1.0) < 0.2


def test_a_reference_step_of_a_hundredth_of_a_degree_trips(bench):
    """H10."""
    bench.get_moving()
    at_ns = bench.now_ns

    def motion(t_ns, position, velocity, acceleration):
        return position + np.radians(0.01) * (t_ns > at_ns + 5 * MS), velocity, acceleration

    move(bench, motion)
    bench.policy_on = False
    assert bench.run_until(lambda: "command_jerk" in bench.monitor.snapshot().causes, 0.2)


def test_a_step_is_seen_across_a_gap_in_the_messages(bench):
    """H10."""
    bench.get_ready()
    bench.run(0.5)
    at_ns = bench.now_ns
    move(
        bench,
        lambda t_ns, p, v, a: (p + 0.2 * (t_ns > at_ns + 50 * MS), v, a),
    )
    bench.on_controller_message = lambda m: None if m.stamp_ns < at_ns + 150 * MS else m
    # Nothing else is to notice it.
    bench.measured_offset = lambda t, p: bench.robot.home_position
    assert bench.run_until(lambda: "command_jerk" in bench.monitor.snapshot().causes, 0.5)


def test_a_reference_outside_of_the_position_limits_trips(bench):
    """H10."""
    bench.get_ready()
    outside = bench.robot.limits.position_upper[0] + 0.01
    bench.on_controller_message = lambda m: replace(
        m, position=replaced(m.position, 0, outside), velocity=(1e-3, 0.0, 0.0, 0.0, 0.0)
    )
    bench.run(0.1)
    assert "command_position" in bench.monitor.snapshot().causes


def test_a_trajectory_that_was_never_forwarded_trips(bench):
    """H7."""
    bench.get_moving()
    bench.policy_on = False
    foreign = replace(bench.motion, start_ns=bench.motion.start_ns + 7 * MS)
    bench.motion = foreign
    assert expect(bench, "foreign_plan", 1.0) < 0.2
    assert str(foreign.start_ns)[:12] in bench.monitor.snapshot().first_cause_detail


def test_a_reference_that_departs_from_its_plan_trips(make_bench):
    """H7."""
    bench = make_bench(jitter=False)
    bench.get_moving()
    at_ns = bench.now_ns

    def slowed(t_ns, position, velocity, acceleration):
        # Well within the limits of velocity, acceleration and jerk.
        dt = max(0, t_ns - at_ns) * 1e-9
        return position + 2.0 * dt**3, velocity, acceleration

    bench.policy_on = False
    bench.run(2.5)
    at_ns = bench.now_ns
    move(bench, slowed)
    expect(bench, "foreign_plan", 1.0)
    assert "departs" in bench.monitor.snapshot().first_cause_detail


def test_time_scaling_by_the_controller_trips(bench):
    """H7."""
    bench.get_moving()
    own, at_ns = bench.motion, bench.now_ns
    bench.motion = replace(own, at=lambda t: own.at(at_ns + (t - at_ns) // 2))
    bench.on_controller_message = lambda m: replace(
        m, time_from_start_ns=m.time_from_start_ns - (m.stamp_ns - at_ns) // 2
    )
    bench.policy_on = False
    bench.run(0.3)
    assert "foreign_plan" in bench.monitor.snapshot().causes


@pytest.mark.parametrize("estimator", ["savitzky_golay", "kalman"])
def test_a_collision_trips_on_the_measured_jerk(make_bench, estimator):
    """H11."""
    bench = make_bench(tracking_error_rad=3.0, measured_jerk_estimator=estimator)
    bench.get_moving(speed=1.1)
    stuck, velocity, _ = bench.motion.at(bench.now_ns)
    at_ns, fastest = bench.now_ns, int(np.argmax(np.abs(velocity)))
    hit = np.arange(5) == fastest
    bench.measured_offset = lambda t, p: np.where((t > at_ns) & hit, stuck, p)
    assert expect(bench, "measured_jerk", 1.0) < 0.25


def test_a_joint_that_stays_behind_trips(bench):
    """H11."""
    bench.get_ready()
    bench.run(0.5)
    at_ns = bench.now_ns
    # So slowly that its jerk is nothing special.
    bench.measured_offset = lambda t, p: p - np.array([0, 0, 0.3 * max(0, t - at_ns) * 1e-9, 0, 0])
    expect(bench, "tracking_error", 3.0)
    assert bench.names[2] in bench.monitor.snapshot().first_cause_detail


def test_one_wrong_measurement_does_not_trip(bench):
    bench.get_ready()
    bench.run(0.5)
    at_ns = bench.now_ns
    bench.measured_offset = lambda t, p: p + (0.5 if at_ns <= t < at_ns + 10 * MS else 0.0)
    bench.run(0.05)
    assert "tracking_error" not in bench.monitor.snapshot().causes


def test_joint_states_that_repeat_while_the_arm_moves_trip(bench):
    """H8."""
    bench.get_ready()
    frozen = []

    def freeze(message):
        frozen.append(message.position)
        return replace(message, position=frozen[0])

    bench.run(0.5)
    bench.on_joints_message = freeze
    bench.policy_on = True
    assert bench.run_until(lambda: bench.first_cause != "", 3.0)
    assert bench.first_cause == "frozen_joint_states"


def test_joint_states_of_an_arm_that_presses_may_stay_while_it_is_led_back():
    frozen, here = FrozenJointStates(0.1), np.array([0.5, 0.0])

    def judged(pan):
        led = np.array([pan, 0.0])
        return frozen.on_measurement(Measurement(0, here, tuple(here), led, here - led))

    assert [judged(pan) for pan in (0.7, 0.6, 0.5, 0.401, 0.7, 0.799)] == [""] * 6
    assert judged(0.399).startswith("reference travelled 0.101 rad")
    assert judged(0.801).startswith("reference travelled 0.101 rad")


def test_joint_states_that_repeat_at_rest_do_not_trip(bench):
    bench.get_ready()
    first = bench.robot.home_position.tolist()
    bench.on_joints_message = lambda m: replace(m, position=(*first, 0.1))
    bench.run(3.0)
    assert bench.state is StopState.READY


@pytest.mark.parametrize("jitter", [False, True])
def test_silent_joint_states_trip(make_bench, jitter):
    """H8."""
    bench = make_bench(jitter=jitter, joint_states_stale_s=0.05, controller_state_stale_s=1.0)
    bench.monitor_stalled_until_ns = 0
    bench.get_ready()
    bench.policy_on = True
    bench.run(0.3)
    if bench.state is StopState.READY:
        bench.on_joints_message = lambda message: None
        assert expect(bench, "stale_joint_states", 1.0) <= 0.07 + 0.02
    else:
        # With a threshold this tight a late burst trips before the silence does.
        assert bench.first_cause == "stale_joint_states"


def test_joint_states_that_keep_one_stamp_trip(bench):
    """H8."""
    bench.get_moving()
    stamp_ns = bench.now_ns
    bench.on_joints_message = lambda m: replace(m, stamp_ns=max(stamp_ns, 0))
    bench.policy_on = False
    expect(bench, "stale_joint_states", 1.0)


def test_a_silent_controller_trips_and_the_brake_is_sent_all_the_same(bench):
    """H9."""
    bench.get_moving()
    bench.policy_on = False
    bench.run(0.02)
    sent = len(bench.sent)
    at_ns = bench.now_ns
    bench.on_controller_message = lambda message: None
    expect(bench, "stale_controller_state", 1.0)
    assert len(bench.sent) == sent + 1
    bench.run(2.0)
    assert bench.state is StopState.FAULT
    assert bench.peak_jerk_ratio(at_ns - S) <= 1.000001
    assert bench.travel(bench.now_ns - 500 * MS) == 0.0


@pytest.mark.parametrize("stream", ["on_controller_message", "on_joints_message"])
def test_a_stamp_that_goes_back_trips(bench, stream):
    """H13."""
    bench.get_moving()
    setattr(bench, stream, lambda m: replace(m, stamp_ns=m.stamp_ns - S))
    assert expect(bench, "backwards_stamp", 1.0) < 0.2


@pytest.mark.parametrize("seconds", [-3600, -2, 2, 3600])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_clock_that_is_set_trips_and_the_stop_keeps_the_limits(make_bench, seconds, seed):
    """H13."""
    bench = make_bench(seed=seed)
    bench.get_moving()
    bench.clock_off_ns = seconds * S
    assert expect(bench, "clock_step", 1.0) <= 0.08
    assert bench.run_until(lambda: bench.state is not StopState.STOPPING, 2.0)
    assert bench.state is StopState.STOPPED_LATCHED
    bench.run(2.0)
    assert bench.peak_jerk_ratio() <= 1.000001
    assert bench.travel(bench.now_ns - 2 * S) == 0.0
    assert "clock" in bench.reset()[1]


def test_joint_states_from_the_future_trip(bench):
    """H13."""
    bench.get_moving()
    bench.on_joints_message = lambda m: replace(m, stamp_ns=m.stamp_ns + 2 * S)
    assert expect(bench, "clock_skew", 1.0) <= 0.08


def test_a_second_publisher_on_a_controllers_topic_trips(bench):
    """H7."""
    bench.get_moving()
    others = ("/teleop publishes on /arm_controller/joint_trajectory",)
    bench.take(bench.monitor.on_publishers(others, bench.now))
    assert bench.first_cause == "foreign_publisher"
    assert "teleop" in bench.monitor.snapshot().first_cause_detail


def test_a_call_to_stop_trips(bench):
    """H19."""
    bench.get_moving()
    bench.stop()
    assert bench.first_cause == "operator"
    assert bench.state is StopState.STOPPING


def test_a_stall_of_the_monitor_does_not_make_its_inputs_look_old(bench):
    """H14."""
    bench.get_moving()
    bench.policy_on = False
    bench.monitor_stalled_until_ns = bench.now_ns + 800 * MS
    bench.run(3.0)
    assert bench.state is StopState.READY


@pytest.fixture
def driven(make_bench):
    """A bench whose driver has a topic of its own and tells the servos' health."""
    bench = make_bench(driver_states_topic="driver/joint_states", servo_status="servo bus")
    bench.health = ((0, "38 degC"),)
    bench.driver_message = lambda message: message

    def read(message):
        answer = bench.driver_message(message)
        if answer is not None:
            bench.take(bench.monitor.on_driver_states(answer, bench.now))
        if bench.health and message.stamp_ns // (500 * MS) != bench.told:
            bench.told = message.stamp_ns // (500 * MS)
            servos = [ServoStatus(f"servo bus: {i}", *one) for i, one in enumerate(bench.health)]
            others = ServoStatus("camera: front", 2, "no pictures")
            bench.take(bench.monitor.on_servos((*servos, others), bench.now))
        return message

    bench.told = None
    bench.on_joints_message = read
    return bench


def test_startup_waits_for_the_driver_and_the_servos_where_they_are_configured(make_bench):
    bench = make_bench(driver_states_topic="driver/joint_states", servo_status="servo bus")
    bench.run(1.0)
    waiting = " ".join(bench.monitor.waiting_for())
    assert "stale_driver_states: nothing received yet" in waiting
    assert "stale_servo_status: nothing received yet" in waiting


def test_a_sound_driver_and_healthy_servos_trip_nothing(driven):
    """H14."""
    driven.get_moving()
    driven.run(5.0)
    assert driven.state is StopState.READY


def test_a_silent_driver_trips_though_joint_states_go_on(driven):
    """H8."""
    driven.get_moving()
    driven.driver_message = lambda message: None
    assert expect(driven, "stale_driver_states", 1.0) <= 0.45
    driven.run(1.0)
    assert driven.state is StopState.STOPPED_LATCHED


def test_a_driver_that_repeats_itself_trips_though_joint_states_move(driven):
    """H8."""
    driven.get_moving()
    kept = []

    def freeze(message):
        kept.append(message.position)
        return replace(message, position=kept[0])

    driven.driver_message = freeze
    expect(driven, "frozen_driver_states", 2.0)


def test_a_nan_of_the_driver_trips(driven):
    """H2."""
    driven.get_moving()
    driven.driver_message = lambda m: replace(m, position=replaced(m.position, 0, math.nan))
    assert expect(driven, "non_finite", 1.0) < 0.1
    assert "driver_states" in driven.monitor.snapshot().first_cause_detail


@pytest.mark.parametrize("level", [2, 3])
def test_a_servo_that_is_not_well_trips_and_blocks_a_reset(driven, level):
    """H11."""
    driven.get_moving()
    driven.run(0.6)
    driven.health = ((0, "38 degC"), (level, "overheated: 74 degC"))
    assert expect(driven, "servo_health", 1.0) <= 0.6
    assert "servo bus: 1: overheated: 74 degC" in driven.monitor.snapshot().first_cause_detail
    driven.run(2.0)
    assert "overheated" in driven.reset()[1]
    driven.health = ((0, "38 degC"), (1, "warm: 60 degC"))
    driven.run(1.0)
    assert driven.reset() == (True, "READY")


def test_servos_that_nobody_reports_on_any_more_trip(driven):
    """H11."""
    driven.get_moving()
    driven.policy_on = False
    driven.health = ()
    assert expect(driven, "stale_servo_status", 5.0) <= 3.6


@pytest.mark.parametrize("label", ["inactive", "unconfigured", None])
def test_a_controller_that_becomes_inactive_trips_at_once(bench, label):
    """H9."""
    bench.get_moving()
    bench.take(bench.monitor.on_activity(label, bench.now))
    assert bench.first_cause == "controller_inactive"
    assert bench.robot.arm_controller in bench.monitor.snapshot().first_cause_detail


def test_startup_waits_for_an_inactive_controller_and_names_it(make_bench):
    """H9."""
    bench = make_bench()
    bench.take(bench.monitor.on_activity("inactive", bench.now))
    bench.run(1.0)
    assert bench.state is StopState.STARTUP
    assert any("arm_controller is inactive" in line for line in bench.monitor.waiting_for())
    bench.take(bench.monitor.on_activity("active", bench.now))
    bench.get_ready()


def test_a_lost_policy_is_reported_and_trips_nothing(bench):
    """H4."""
    bench.get_moving()
    bench.monitor.on_policy(bench.now.ros_ns, bench.now)
    bench.run(2.0)
    assert bench.state is StopState.READY
    report = next(item for item in bench.monitor.reports() if item.name == "lost_policy")
    assert "old" in report.present
    assert not report.tripped
    bench.monitor.on_policy(bench.now.ros_ns, bench.now)
    bench.run(0.1)
    report = next(item for item in bench.monitor.reports() if item.name == "lost_policy")
    assert report.present == ""


def test_a_host_that_stalls_again_and_again_trips(make_bench):
    """H20."""
    bench = make_bench()
    bench.get_moving()
    for _ in range(11):
        bench.monitor_stalled_until_ns = bench.now_ns + 150 * MS
        bench.run(0.16)
    assert "overrun" in bench.monitor.snapshot().causes
    bench.monitor_stalled_until_ns = 0
    bench.policy_on = False
    bench.run(3.0)
    assert bench.state is StopState.STOPPED_LATCHED
    assert bench.reset()[0]


def test_detectors_have_distinct_names_and_say_what_they_do():
    assert len({detector.name for detector in DETECTORS}) == len(DETECTORS)
    for detector in DETECTORS:
        assert all((detector.watches, detector.trips_when, detector.latency, detector.doc))


def test_the_monitor_runs_every_detector_of_the_table(bench):
    assert list(bench.monitor.detectors.by_name) == [detector.name for detector in DETECTORS]
