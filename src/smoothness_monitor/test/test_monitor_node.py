# SPDX-License-Identifier: Apache-2.0
"""The node among others: whatever `rclpy` is installed carries the messages."""

import math
import os
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest

from smooth_motion.messages import Trajectory
from smoothness_monitor.core.detectors import DETECTORS
from smoothness_monitor.params import MonitorConfig

pytest.importorskip("rclpy")
pytest.importorskip("vla_msgs.msg")

from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock as ClockMsg
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import MonitorStatus, Smoothness

from node_kit import qos
from node_kit.messages import distinct, to_ns, trajectory_from, trajectory_to
from verification.monitor_graph import DOMAIN, FILES, MS, MonitorGraph


def test_the_node_forwards_stops_latches_and_resets(graph):
    """H6."""
    around = graph.around
    plan = around.plan()
    around.send(plan)
    graph.until(lambda: around.received)
    assert trajectory_from(around.received[0]) == Trajectory.of(plan)

    graph.until(lambda: np.abs(around.running.sample(around.time_ns()).velocity).max() > 0.3)
    response = graph.call(around.stop)
    assert response.success
    graph.until(lambda: around.newest.state == MonitorStatus.STOPPED_LATCHED)
    assert around.newest.first_cause == "operator"
    assert not around.newest.permit
    assert around.newest.causes == ["operator"]

    received, rejected = len(around.received), around.newest.plans_rejected
    around.send(around.plan())
    graph.until(lambda: around.newest.plans_rejected == rejected + 1)
    assert len(around.received) == received

    # A plan starts a little in the past: by then the arm must have been at rest.
    graph.until(lambda: around.time_ns() > around.running.end_ns + 100 * MS)
    graph.until(lambda: not around.newest.waiting_for)
    response = graph.call(around.reset)
    assert response.success, response.message
    graph.until(lambda: around.newest.permit)
    # A plan starts a little in the past, and one from before the reset is refused.
    ready_ns = around.time_ns()
    graph.until(lambda: around.time_ns() > ready_ns + 100 * MS)
    around.send(around.plan())
    graph.until(lambda: around.newest.plans_forwarded == 2)
    assert around.newest.state == MonitorStatus.READY


def test_a_brake_that_the_topic_loses_arrives_as_an_action_goal(graph):
    """H12."""
    around = graph.around
    around.serve_the_ladder()
    graph.until(lambda: "active" in graph.monitor._monitor.detectors.controller_inactive.value)
    graph.move()
    around.deaf = True
    graph.call(around.stop)
    graph.until(lambda: around.newest.state == MonitorStatus.STOPPED_LATCHED)
    assert around.newest.rung == MonitorStatus.RUNG_BRAKE_AS_GOAL
    assert any("accepted" in line for line in around.newest.rung_log)
    graph.until(lambda: around.newest.locked_out)


def test_a_controller_that_obeys_nothing_is_deactivated_and_a_reset_activates_it(graph):
    """H12."""
    around = graph.around
    around.serve_the_ladder()
    graph.until(lambda: "active" in graph.monitor._monitor.detectors.controller_inactive.value)
    graph.move()
    around.deaf = around.refuses_goals = True
    graph.call(around.stop)
    graph.until(lambda: around.newest.state == MonitorStatus.STOPPED_LATCHED)
    assert around.newest.rung == MonitorStatus.RUNG_CONTROLLER_OFF
    assert around.newest.locked_out
    assert not around.active
    around.deaf = around.refuses_goals = False
    graph.until(lambda: not around.newest.waiting_for)
    stood = around.stands
    response = graph.call(around.reset)
    assert response.success, response.message
    assert around.active
    assert around.newest.state == MonitorStatus.READY
    assert (around.stands == stood).all()


def test_a_nan_in_a_plan_stops_the_arm_and_never_reaches_the_controller(graph):
    """H2."""
    around = graph.around
    msg = trajectory_to(Trajectory.of(around.plan()))
    msg.points[4].positions[2] = math.nan
    around.plans.publish(msg)
    graph.until(lambda: around.newest.state == MonitorStatus.STOPPED_LATCHED)
    assert around.newest.first_cause == "non_finite"
    for received in around.received:
        assert all(math.isfinite(p) for point in received.points for p in point.positions)


def test_a_second_publisher_on_the_controllers_topic_stops_the_arm(graph):
    """H7."""
    around = graph.around
    around.create_publisher(JointTrajectory, "arm_controller/joint_trajectory", qos.TRAJECTORY)
    graph.until(lambda: around.newest.first_cause == "foreign_publisher")
    assert "surroundings" in around.newest.first_cause_detail


def test_thresholds_can_be_read_and_not_be_set(graph):
    """H15."""
    monitor = graph.monitor
    for item in fields(MonitorConfig):
        value = monitor.get_parameter(item.name).value
        result = monitor.set_parameters([Parameter(item.name, value=value)])[0]
        assert not result.successful


def test_a_loose_joint_slows_the_arm_down_and_a_firm_one_lets_it_go(graph):
    """H23."""
    around = graph.around
    told = []
    around.create_subscription(
        Smoothness, "smoothness_monitor/smoothness", told.append, qos.NEWEST
    )
    assert around.newest.speed_scaling == 1.0
    around.rattle_rad = 0.0095
    graph.until(lambda: around.newest.speed_scaling == 0.5)
    assert around.newest.slow_reason.startswith("measured_jerk: shoulder_pan")
    plan = around.plan()
    around.send(plan)
    graph.until(lambda: around.received)
    slow = trajectory_from(around.received[-1]).plan()
    assert slow.start_ns == plan.start_ns
    assert (slow.positions[-1] == plan.positions[-1]).all()
    assert slow.end_ns - around.time_ns() > 1.7 * (plan.end_ns - around.time_ns())
    around.rattle_rad = 0.0
    graph.until(lambda: around.newest.speed_scaling == 1.0)
    assert around.newest.slow_reason == ""
    assert around.newest.permit
    graph.until(lambda: told[-1].speed_scaling == 1.0)
    assert dict(zip(told[-1].intervention_reasons, told[-1].intervention_counts, strict=True)) == {
        "slowed: measured_jerk": 1
    }
    assert told[-1].intervention_longest >= 2.0
    assert told[-1].interventions_per_minute > 0.0


def test_the_smoothness_of_the_motion_is_published(graph):
    around = graph.around
    told = []
    around.create_subscription(
        Smoothness, "smoothness_monitor/smoothness", told.append, qos.NEWEST
    )
    graph.until(lambda: told)
    first = told[-1]
    joints = len(around.names)
    assert list(first.joint_names) == list(around.names)
    assert first.speed_scaling == 1.0
    assert math.isnan(first.movement_ldlj)
    for field in ("command_jerk_rms", "measured_jerk_peak", "boundary_jerk_rms", "jerk_limit"):
        assert len(getattr(first, field)) == joints
    around.send(around.plan())
    graph.until(lambda: told[-1].movements == 1)
    newest = told[-1]
    assert newest.movement_path > 0.1
    assert -12.0 < newest.movement_ldlj < -5.0
    assert -3.0 < newest.movement_sparc < -1.3
    assert newest.boundaries == 1
    assert newest.interventions_per_minute == 0.0


def test_the_diagnostics_have_a_line_for_every_detector(graph):
    graph.until(lambda: graph.around.diagnostics)
    names = [status.name for status in graph.around.diagnostics[-1].status]
    assert names == [
        "smoothness_monitor: stop",
        *(f"smoothness_monitor: {detector.name}" for detector in DETECTORS),
        "smoothness_monitor: smoothness",
    ]
    robot = graph.around.robot.name
    assert {status.hardware_id for status in graph.around.diagnostics[-1].status} == {robot}


def test_two_arms_do_not_collide_in_the_diagnostics():
    """That topic has no namespace, so the names on it have."""
    assert distinct("/", "smoothness_monitor") == "smoothness_monitor"
    assert distinct("/cell/left", "so101") == "cell/left/so101"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ([], "parameter robot_file: is not set"),
        (["-p", f"robot_file:={FILES['robot_file']}", "-p", "monitor_file:=/no.yaml"], "/no.yaml"),
        (
            ["-p", "robot_file:=/no.yaml", "-p", f"monitor_file:={FILES['monitor_file']}"],
            "/no.yam",
        ),
        (["-p", "robot_file:=1"], "robot_file"),
    ],
)
def test_a_wrong_configuration_ends_in_one_line_and_exit_code_2(parameters, words):
    """H15."""
    done = subprocess.run(
        [sys.executable, "-m", "smoothness_monitor.node", "--ros-args", *parameters],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "ROS_DOMAIN_ID": str(DOMAIN)},
    )
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("smoothness_monitor: ")]
    assert len(lines) == 1
    assert words in lines[0]
    assert "Traceback" not in done.stderr


def test_a_wrong_parameter_of_the_controller_holds_every_plan_back_and_is_named(graph):
    """H30. It is read again and again: somebody may set it while the monitor runs."""
    around = graph.around
    # One name at a time, because not all are declared.
    assert ["allow_trajectory_replacement"] in around.asked
    around.arm_parameters["allow_trajectory_replacement"] = True
    graph.until(lambda: not around.newest.permit)
    graph.until(
        lambda: any("allow_trajectory_replacement" in w for w in around.newest.waiting_for)
    )
    around.send(around.plan())
    graph.until(lambda: around.newest.plans_rejected == 1)
    assert around.newest.state == MonitorStatus.READY
    around.arm_parameters["allow_trajectory_replacement"] = False
    graph.until(lambda: around.newest.permit)
    assert not around.newest.waiting_for
    around.gripper_parameters["positions_upsampling.enable"] = True
    graph.until(lambda: not around.newest.permit)
    assert any("positions_upsampling" in reason for reason in around.newest.waiting_for)
    assert around.received == []


@pytest.mark.parametrize("seconds", [100, -100])
def test_a_false_message_on_clock_stops_the_arm_by_a_brake_for_now_and_is_named(graph, seconds):
    """H32. Every node that follows /clock jumps to that time, for one cycle."""
    around, again_ns = graph.around, 0
    graph.move()

    def tripped():
        # One may be overtaken by the true time, which is as good a message.
        nonlocal again_ns
        if around.time_ns() >= again_ns:
            again_ns = around.time_ns() + 50 * MS
            false_ns = around.time_ns() + seconds * 1000 * MS
            around.tell(false_ns)
        return around.newest.first_cause

    graph.until(tripped)
    assert around.newest.first_cause == "clock_step"
    assert "a message on /clock is " in around.newest.first_cause_detail
    graph.until(lambda: len(around.received) > 1)
    brake_ns = to_ns(around.received[1].header.stamp)
    assert abs(brake_ns - around.time_ns()) < 1000 * MS
    graph.until(lambda: around.newest.state == MonitorStatus.STOPPED_LATCHED)
    assert around.newest.causes == ["clock_step"]


def test_two_sources_of_simulated_time_stop_the_arm_and_are_named(graph):
    """H32."""
    around = graph.around
    second = around.create_publisher(ClockMsg, "/clock", 10)
    graph.until(lambda: around.newest.first_cause == "foreign_publisher")
    said = around.newest.first_cause_detail
    assert "2 publish on /clock: /surroundings, /surroundings" in said
    around.destroy_publisher(second)
    graph.until(lambda: around.newest.state == MonitorStatus.STOPPED_LATCHED)
    graph.until(lambda: not around.newest.waiting_for)
    assert graph.call(around.reset).success


def test_a_monitor_that_died_comes_up_latched_and_a_person_resets_it(tmp_path):
    """H27."""
    graph = MonitorGraph(tmp_path)
    try:
        graph.until(lambda: graph.around.newest.permit)
        (file,) = tmp_path.glob("*.json")
        # What a process leaves that is killed now.
        left = file.read_bytes()
    finally:
        graph.close()
    file.write_bytes(left)
    graph = MonitorGraph(tmp_path)
    around = graph.around
    try:
        graph.until(lambda: around.newest.waiting_for[:1])
        ours = "a person: the process before ended without a word"
        graph.until(lambda: around.newest.waiting_for[0].startswith(ours))
        assert around.newest.state == MonitorStatus.STOPPED_LATCHED
        assert around.newest.first_cause == "restarted"
        around.send(around.plan())
        graph.until(lambda: around.newest.plans_rejected)
        assert around.received == []
        assert graph.call(around.reset).success
        graph.until(lambda: around.newest.permit)
    finally:
        graph.close()
    graph = MonitorGraph(tmp_path)
    try:
        graph.until(lambda: graph.around.newest.permit)
    finally:
        graph.close()


class Wrong:
    """Stands for a part with a defect: whatever is asked of it raises."""

    def __call__(self, *args):
        raise LookupError("a defect")


def test_a_defect_in_a_callback_latches_and_the_node_goes_on(graph):
    """H26."""
    around = graph.around
    graph.monitor._monitor.on_plan = Wrong()
    around.send(around.plan())
    graph.until(lambda: around.newest.first_cause == "internal_error")
    assert "LookupError: a defect" in around.newest.first_cause_detail
    graph.until(lambda: around.newest.state == MonitorStatus.STOPPED_LATCHED)
    graph.until(lambda: not around.newest.waiting_for)
    assert graph.call(around.reset).success


def test_a_service_is_answered_whatever_happens_within(graph):
    """H26."""
    around = graph.around
    graph.monitor._monitor.request_stop = Wrong()
    answer = graph.call(around.stop)
    assert not answer.success
    assert "LookupError" in answer.message
    graph.until(lambda: around.newest.state == MonitorStatus.STOPPED_LATCHED)


def test_a_defect_in_what_only_tells_stops_nothing(graph):
    """H26."""
    around, core = graph.around, graph.monitor._monitor
    core.smoothness = core.reports = Wrong()
    states = len(around.states)
    graph.until(lambda: graph.monitor._guard._count >= 3)
    graph.until(lambda: len(around.states) > states + 10)
    assert around.newest.permit
    assert graph.call(around.stop).success
