# SPDX-License-Identifier: Apache-2.0
"""The node among others: whatever `rclpy` is installed carries the messages."""

import math
import os
import subprocess
import sys
import time
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from smooth_motion import Chunk, Knots, Plan, overlap, track
from smooth_motion.messages import Trajectory
from smoothness_monitor.core.detectors import DETECTORS
from smoothness_monitor.params import MonitorConfig
from vla_contract.robot import load_robot

rclpy = pytest.importorskip("rclpy")
pytest.importorskip("vla_msgs.msg")

from control_msgs.action import FollowJointTrajectory  # noqa: E402
from control_msgs.msg import JointTrajectoryControllerState  # noqa: E402
from controller_manager_msgs.msg import (  # noqa: E402
    ControllerManagerActivity,
    NamedLifecycleState,
)
from controller_manager_msgs.srv import SwitchController  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
from rclpy.action import ActionServer, GoalResponse  # noqa: E402
from rclpy.clock import Clock, ClockType  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from rosgraph_msgs.msg import Clock as ClockMsg  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402
from vla_msgs.msg import MonitorStatus, Smoothness  # noqa: E402

from node_kit import qos  # noqa: E402
from node_kit.messages import distinct, to_ns, to_time, trajectory_from, trajectory_to  # noqa: E402
from smoothness_monitor import subscribe  # noqa: E402
from smoothness_monitor.graph import Input, silences  # noqa: E402
from smoothness_monitor.node import SmoothnessMonitor  # noqa: E402
from smoothness_monitor.subscribe import Bounded  # noqa: E402
from verification.faults.garbage import Garbler  # noqa: E402

CONFIG = Path(__file__).resolve().parents[3] / "config"
FILES = {
    "robot_file": str(CONFIG / "robots" / "so101" / "robot.yaml"),
    "monitor_file": str(CONFIG / "robots" / "so101" / "monitor.yaml"),
}
# Its surroundings make the time, and wait for it.
START_NS = 1_000_000_000_000
PARAMETERS = [word for name, path in FILES.items() for word in ("-p", f"{name}:={path}")]
DOMAIN = 101 + os.getpid() % 100  # of its own, so that graphs of other tests stay away
MS = 1_000_000
RELIABLE = QoSProfile(depth=100)
BEST_EFFORT = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)


class Surroundings(Node):
    """What is around the monitor: controllers that follow plans exactly, encoders, a policy.

    And the time: it goes on when the monitor has dealt with the cycle before, however busy the
    host is.
    """

    def __init__(self, states=RELIABLE) -> None:
        super().__init__("surroundings")
        self._cycle_ns = START_NS
        self.robot = load_robot(FILES["robot_file"])
        self.names = self.robot.limits.joint_names
        self.running = Plan.hold(self.names, self.robot.home_position, self.time_ns())
        self.deaf = False
        self.active = True
        self.refuses_goals = False
        self.rattle_rad = self._rattles_rad = 0.0
        self.states: list[MonitorStatus] = []
        self.diagnostics: list[DiagnosticArray] = []
        self.received: list[JointTrajectory] = []
        self._controller_state = self.create_publisher(
            JointTrajectoryControllerState, "arm_controller/controller_state", states
        )
        self._joint_states = self.create_publisher(JointState, "joint_states", states)
        self.plans = self.create_publisher(JointTrajectory, "arm/plan", qos.TRAJECTORY)
        self.create_subscription(
            JointTrajectory, "arm_controller/joint_trajectory", self._on_plan, qos.TRAJECTORY
        )
        self.create_subscription(
            MonitorStatus, "smoothness_monitor/state", self.states.append, qos.LATCHED
        )
        self.create_subscription(
            DiagnosticArray, "/diagnostics", self.diagnostics.append, qos.NEWEST
        )
        self.stop = self.create_client(Trigger, "smoothness_monitor/stop")
        self.reset = self.create_client(Trigger, "smoothness_monitor/reset")
        self._clock_publisher = self.create_publisher(ClockMsg, "/clock", 10)
        self.create_subscription(Header, "clock_acknowledgement", self._on_word, 10)
        # Told again and again: the monitor may come later, and its subscription is best effort.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(0.02, self._tell_the_time, clock=steady)
        # What the controllers answer when they are asked for their parameters.
        self.arm_parameters = {"joints": list(self.names), "allow_trajectory_replacement": False}
        self.gripper_parameters = {"joints": [self.robot.gripper.joint]}
        for name, values in (
            (self.robot.arm_controller, self.arm_parameters),
            (self.robot.gripper.controller, self.gripper_parameters),
        ):
            answer = partial(self._on_parameters, values)
            self.create_service(GetParameters, f"{name}/get_parameters", answer)
        self.asked: list[list[str]] = []

    def _on_parameters(self, values, request, response):
        """As rclcpp does: one name that is not declared, and nothing is answered."""
        self.asked.append(list(request.names))
        if all(name in values for name in request.names):
            response.values = [
                Parameter(name, value=values[name]).to_parameter_msg().value
                for name in request.names
            ]
        return response

    def time_ns(self) -> int:
        return self._cycle_ns

    def _tell_the_time(self) -> None:
        self.tell(self._cycle_ns)

    def tell(self, now_ns) -> None:
        self._clock_publisher.publish(ClockMsg(clock=to_time(now_ns)))

    def _on_word(self, msg: Header) -> None:
        if to_ns(msg.stamp) == self._cycle_ns:
            self._cycle()

    def serve_the_ladder(self) -> None:
        """Be the action server and the controller manager too."""
        self._activity = self.create_publisher(
            ControllerManagerActivity, "controller_manager/activity", qos.LATCHED
        )
        self.create_service(
            SwitchController, "controller_manager/switch_controller", self._on_switch
        )
        ActionServer(
            self,
            FollowJointTrajectory,
            "arm_controller/follow_joint_trajectory",
            execute_callback=self._execute,
            goal_callback=self._on_goal,
        )
        self._tell()

    def _tell(self) -> None:
        msg = ControllerManagerActivity()
        msg.controllers = [NamedLifecycleState(name="arm_controller")]
        msg.controllers[0].state.label = "active" if self.active else "inactive"
        self._activity.publish(msg)

    def _on_switch(self, request, response):
        response.ok = True
        if "arm_controller" in request.deactivate_controllers:
            self.active = False
        if "arm_controller" in request.activate_controllers:
            self.active = True
            self.running = Plan.hold(self.names, self.stands, self.time_ns())
        self._tell()
        return response

    def _on_goal(self, goal) -> GoalResponse:
        if self.refuses_goals:
            return GoalResponse.REJECT
        self._run(goal.trajectory)
        return GoalResponse.ACCEPT

    def _execute(self, handle) -> FollowJointTrajectory.Result:
        handle.succeed()
        return FollowJointTrajectory.Result()

    def _on_plan(self, msg: JointTrajectory) -> None:
        if not self.deaf:
            self.received.append(msg)
            self._run(msg)

    def _run(self, msg: JointTrajectory) -> None:
        trajectory = trajectory_from(msg)
        knots = Knots.from_points(trajectory.joint_names, trajectory.stamp_ns, trajectory.points)
        self.running = Plan(
            knots.joint_names,
            knots.start_ns,
            knots.times_ns,
            knots.positions,
            knots.velocities,
            knots.accelerations,
        )

    def _cycle(self) -> None:
        """Let time go on by one cycle, and run it."""
        self._cycle_ns += 10 * MS
        self._tell_the_time()
        if not self.active:
            self._publish_joints(self.stands)
            return
        position, velocity, acceleration, _ = self.running.sample(self._cycle_ns)
        state = JointTrajectoryControllerState(joint_names=list(self.names))
        state.header.stamp = to_time(self._cycle_ns)
        since = to_time(self._cycle_ns - self.running.start_ns)
        state.reference.time_from_start.sec = since.sec
        state.reference.time_from_start.nanosec = since.nanosec
        state.reference.positions = position.tolist()
        state.reference.velocities = velocity.tolist()
        state.reference.accelerations = acceleration.tolist()
        self._controller_state.publish(state)
        self.stands = position
        self._publish_joints(position)

    def _publish_joints(self, position: np.ndarray) -> None:
        joints = JointState(name=[*self.names, "gripper"])
        joints.header.stamp = to_time(self._cycle_ns)
        # A step would be more than a loose joint.
        self._rattles_rad += float(np.clip(self.rattle_rad - self._rattles_rad, -1e-4, 1e-4))
        loose = self._rattles_rad * math.sin(2.0 * math.pi * 6.0 * (self._cycle_ns * 1e-9 % 1.0))
        joints.position = [position[0] + loose, *position[1:].tolist(), 0.1]
        self._joint_states.publish(joints)

    def plan(self) -> Plan:
        """Return a plan to somewhere else, 2 s long."""
        now_ns = self.time_ns()
        splice = now_ns + 250 * MS
        state = self.running.state(splice)
        goal = state.position + np.array([0.8, 0.3, -0.3, -0.4, 0.5])
        rows = np.linspace(state.position, goal, 20)
        chunk = Chunk(self.names, splice, 100 * MS, rows)
        tail = track(chunk, state, self.robot.limits, start_ns=splice)
        return overlap(self.running, tail, cut_ns=now_ns - 20 * MS)

    def send(self, plan: Plan) -> None:
        self.plans.publish(trajectory_to(Trajectory.of(plan)))

    @property
    def newest(self) -> MonitorStatus:
        return self.states[-1] if self.states else MonitorStatus()


class Graph:
    def __init__(self, latch_folder, states=RELIABLE) -> None:
        latch = ["-p", f"latch_folder:={latch_folder}"]
        simulated = ["-p", "use_sim_time:=true"]
        rclpy.init(args=["--ros-args", *PARAMETERS, *latch, *simulated], domain_id=DOMAIN)
        self.executor = SingleThreadedExecutor()
        self.monitor, self.around = SmoothnessMonitor(), Surroundings(states)
        self.executor.add_node(self.monitor)
        self.executor.add_node(self.around)

    def until(self, condition, seconds=120.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            newest = self.around.newest
            told = (newest.state, newest.causes, newest.waiting_for, newest.last_rejection)
            assert time.monotonic() < end, told
            self.executor.spin_once(timeout_sec=0.05)

    def call(self, client):
        self.until(client.service_is_ready)
        future = client.call_async(Trigger.Request())
        self.until(future.done)
        return future.result()

    def close(self) -> None:
        self.executor.shutdown()
        self.monitor.destroy_node()
        self.around.destroy_node()
        rclpy.shutdown()


@pytest.fixture
def graph(tmp_path):
    graph = Graph(tmp_path)
    try:
        graph.until(lambda: graph.around.newest.permit)
        yield graph
    finally:
        graph.close()


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


def move(graph):
    graph.around.send(graph.around.plan())
    graph.until(lambda: graph.around.received)
    own = graph.around
    graph.until(lambda: np.abs(own.running.sample(own.time_ns()).velocity).max() > 0.3)


def test_a_brake_that_the_topic_loses_arrives_as_an_action_goal(graph):
    """H12."""
    around = graph.around
    around.serve_the_ladder()
    graph.until(lambda: "active" in graph.monitor._monitor.detectors.controller_inactive.value)
    move(graph)
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
    move(graph)
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
    received = trajectory_from(around.received[-1])
    slow = Plan.from_points(received.joint_names, received.stamp_ns, received.points)
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
    move(graph)

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


# -- what neither ends nor outlives the stop ------------------------------------------------------


def test_best_effort_publishers_are_heard(tmp_path):
    graph = Graph(tmp_path, BEST_EFFORT)
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


def test_a_monitor_that_died_comes_up_latched_and_a_person_resets_it(tmp_path):
    """H27."""
    graph = Graph(tmp_path)
    try:
        graph.until(lambda: graph.around.newest.permit)
        (file,) = tmp_path.glob("*.json")
        # What a process leaves that is killed now.
        left = file.read_bytes()
    finally:
        graph.close()
    file.write_bytes(left)
    graph = Graph(tmp_path)
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
    graph = Graph(tmp_path)
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
