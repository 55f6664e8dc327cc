# SPDX-License-Identifier: Apache-2.0
"""What reaches the node: too large, too many, no message at all, by the wrong QoS, or nothing."""

import subprocess
import sys
import time

import pytest

from smooth_motion.messages import Trajectory

rclpy = pytest.importorskip("rclpy")
pytest.importorskip("vla_msgs.msg")

from control_msgs.msg import JointTrajectoryControllerState  # noqa: E402
from controller_manager_msgs.msg import (  # noqa: E402
    ControllerManagerActivity,
    NamedLifecycleState,
)
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402
from vla_msgs.msg import MonitorStatus  # noqa: E402

from node_kit import qos  # noqa: E402
from node_kit.messages import to_time, trajectory_to  # noqa: E402
from smoothness_monitor import subscribe  # noqa: E402
from smoothness_monitor.graph import Input, silences  # noqa: E402
from smoothness_monitor.node import SmoothnessMonitor  # noqa: E402
from smoothness_monitor.subscribe import Bounded  # noqa: E402
from verification.faults.garbage import Garbler  # noqa: E402
from verification.monitor_graph import (  # noqa: E402
    BEST_EFFORT,
    DOMAIN,
    PARAMETERS,
    RELIABLE,
    MonitorGraph,
)


def test_a_message_that_is_too_large_is_not_even_read_and_trips(graph):
    """H1."""
    around = graph.around
    plan = Trajectory.of(around.plan())
    msg = trajectory_to(plan)
    msg.points = list(msg.points) + [msg.points[-1]] * 5000
    around.plans.publish(msg)
    graph.until(lambda: around.newest.first_cause == "plan_rejected")
    assert "bytes" in around.newest.first_cause_detail
    assert around.newest.plans_forwarded == 0


def test_a_flood_of_huge_trajectories_leaves_the_stop_its_time(graph):
    """H19. The flood comes from another process, as fast as it can."""
    around = graph.around
    flood = (
        "import rclpy\n"
        "from rclpy.qos import QoSProfile\n"
        "from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint\n"
        f"rclpy.init(domain_id={DOMAIN})\n"
        "node = rclpy.create_node('flood')\n"
        "point = JointTrajectoryPoint(positions=[0.0] * 5, velocities=[0.0] * 5)\n"
        "msg = JointTrajectory(joint_names=['a'] * 5, points=[point] * 60000)\n"
        "names = ('arm/plan', 'gripper/plan')\n"
        "out = [node.create_publisher(JointTrajectory, n, 1)"
        " for n in names]\n"
        "while True:\n"
        "    for each in out:\n"
        "        each.publish(msg)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", flood])
    try:
        graph.until(lambda: around.newest.first_cause == "plan_rejected", 240.0)
        assert graph.call(around.stop).success
        graph.until(lambda: "operator" in around.newest.causes)
        assert around.newest.plans_forwarded == 0
    finally:
        process.kill()
        process.wait()


def test_bytes_that_are_no_message_are_passed_over(graph):
    """H1. They are dropped with a word in the log; the node goes on."""
    said = []
    node = graph.monitor
    bounded = Bounded(node, node._guard)
    bounded.subscribe(JointState, "odd", said.append, qos.ALL_SENSED, most_bytes=1 << 16)
    refused = []
    (subscription,) = [s for s in node.subscriptions if s.topic_name.endswith("/odd")]
    subscription.callback(b"\x00\x01\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff")
    subscription.callback(b"")
    assert said == refused == []
    assert graph.around.newest.permit


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def queue_of(graph, count, said):
    """Let messages wait for a subscription of the monitor's kind; return it and what it takes."""
    node = graph.monitor
    bounded = Bounded(node, node._guard)
    bounded.subscribe(
        Header, "queue", said.append, qos.ALL_SENSED, most_bytes=1 << 16, at_once=True
    )
    # Made later, so that what it has got has reached the other one too.
    other = rclpy.create_node("witness")
    witness = other.create_subscription(Header, "queue", lambda msg: None, qos.ALL_SENSED)
    publisher = graph.around.create_publisher(Header, "queue", 200)
    wait_for(lambda: publisher.get_subscription_count() == 2)
    for number in range(count):
        publisher.publish(Header(frame_id=str(number)))
    came = []

    def arrived():
        with witness.handle:
            taken = witness.handle.take_message(Header, False)
        came.extend([taken[0].frame_id] if taken else [])
        return len(came) == count

    wait_for(arrived)
    other.destroy_node()
    return bounded


def test_messages_that_wait_are_taken_all_at_once_in_order_without_an_executor(graph, monkeypatch):
    """H5. On a busy host a second of them waited, and looked fresh."""
    monkeypatch.setattr(subscribe, "AT_ONCE_S", 60.0)
    said = []
    queue_of(graph, 80, said).take_waiting()
    assert [msg.frame_id for msg in said] == [str(number) for number in range(80)]


def test_one_callback_takes_all_that_waits_behind_it(graph, monkeypatch):
    """H5."""
    monkeypatch.setattr(subscribe, "AT_ONCE_S", 60.0)
    said = []
    queue_of(graph, 80, said)
    while not said:
        graph.executor.spin_once(timeout_sec=0.05)
    assert [msg.frame_id for msg in said] == [str(number) for number in range(80)]


def test_a_topic_with_more_than_can_be_read_leaves_the_rest_for_later(graph, monkeypatch):
    """H5. The stop is answered in between."""
    monkeypatch.setattr(subscribe, "AT_ONCE_S", 0.0)
    said = []
    bounded = queue_of(graph, 20, said)
    bounded.take_waiting()
    assert [msg.frame_id for msg in said] == ["0"]
    graph.until(lambda: len(said) == 20)
    assert [msg.frame_id for msg in said] == [str(number) for number in range(20)]


def test_best_effort_publishers_are_heard(tmp_path):
    graph = MonitorGraph(tmp_path, BEST_EFFORT)
    try:
        graph.until(lambda: graph.around.newest.permit)
    finally:
        graph.close()


def test_a_silent_input_is_explained_by_who_publishes_and_how(tmp_path):
    rclpy.init(
        args=["--ros-args", *PARAMETERS, "-p", f"latch_folder:={tmp_path}"], domain_id=DOMAIN
    )
    executor = SingleThreadedExecutor()
    monitor, other = SmoothnessMonitor(), Node("other")
    executor.add_node(monitor)
    executor.add_node(other)

    def until(words):
        end = time.monotonic() + 60.0
        while words not in "; ".join(monitor._monitor.waiting_for()):
            assert time.monotonic() < end, monitor._monitor.waiting_for()
            executor.spin_once(timeout_sec=0.05)

    try:
        until("stale_joint_states: nothing received yet: nobody publishes on /joint_states")
        until("nobody publishes on /arm_controller/controller_state")
        wrong = other.create_publisher(JointTrajectory, "joint_states", 1)
        until("/other publishes on /joint_states another type, trajectory_msgs/msg/JointTraj")
        other.destroy_publisher(wrong)
        other.create_publisher(JointState, "joint_states", BEST_EFFORT)
        until("/other publishes on /joint_states and has sent nothing")
    finally:
        executor.shutdown()
        monitor.destroy_node()
        other.destroy_node()
        rclpy.shutdown()


def test_a_publisher_that_cannot_match_is_named_with_its_quality_of_service():
    wanted = Input("/status", "std_msgs/msg/String", qos.LATCHED)

    class Offered:
        node_namespace, node_name = "/left", "policy"
        topic_type = "std_msgs/msg/String"
        qos_profile = BEST_EFFORT

    class Graphs:
        def get_publishers_info_by_topic(self, topic):
            return [Offered]

    said = silences(Graphs(), {"policy": wanted})["policy"]
    assert said.startswith("/left/policy publishes on /status with an incompatible QoS: best eff")
    Offered.qos_profile = RELIABLE
    assert "volatile, where transient local is asked" in silences(Graphs(), {"p": wanted})["p"]


def test_messages_that_nobody_sends_end_nothing(graph):
    """H26."""
    monitor, around = graph.monitor, graph.around
    garbler = Garbler(7, longest=100)
    sound = {
        monitor._on_plan: trajectory_to(Trajectory.of(around.plan())),
        monitor._on_gripper: trajectory_to(Trajectory.of(around.plan())),
        monitor._on_diagnostic: DiagnosticArray(status=[DiagnosticStatus(name="servo")]),
        monitor._on_activity: ControllerManagerActivity(controllers=[NamedLifecycleState()]),
    }
    for take, message in sound.items():
        for _ in range(200):
            take(garbler.garble(message))
    for _ in range(400):
        graph.executor.spin_once(timeout_sec=0.0)
        for take, message in (
            (monitor._on_joint_states, JointState(name=list(around.names), position=[0.0] * 5)),
            (
                monitor._on_controller_state,
                JointTrajectoryControllerState(joint_names=list(around.names)),
            ),
            (monitor._on_gripper_state, JointTrajectoryControllerState(joint_names=["gripper"])),
        ):
            message.header.stamp = to_time(around.time_ns())
            take(garbler.garble(message))
    monitor._on_smoothness()
    monitor._on_diagnostics()
    monitor._tell_state()
    assert monitor._guard._count == 0
    graph.until(lambda: around.newest.state != MonitorStatus.READY)
