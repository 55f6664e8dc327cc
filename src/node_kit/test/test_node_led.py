# SPDX-License-Identifier: Apache-2.0
"""Where a controller leads its joints, by what it and its planner said last."""

import os
import time

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from builtin_interfaces.msg import Duration  # noqa: E402
from control_msgs.msg import JointTrajectoryControllerState  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint  # noqa: E402

from node_kit import qos  # noqa: E402
from node_kit.clock import MotionClock  # noqa: E402
from node_kit.led import LedJoints  # noqa: E402
from node_kit.messages import to_time  # noqa: E402

DEADLINE_S = 300.0
START_S = 1000.0
# From rest to rest, by constant jerk: 0.25 rad within 2 s.
STEP_S, JERK = 0.5, 1.0


class Controller:
    """Publishes what a controller and its planner say, and the time, and hears itself."""

    def __init__(self, node):
        self.clock = node.create_publisher(Clock, "/clock", 1)
        self.state = node.create_publisher(
            JointTrajectoryControllerState, "arm/controller_state", qos.EACH
        )
        self.path = node.create_publisher(JointTrajectory, "arm/joint_trajectory", qos.EACH)
        self.motion = MotionClock(node)
        self.led = LedJoints(node, "arm", ("a", "b"), self.motion)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(node)

    def at(self, time_s):
        return self.led.at(round(time_s * 1e9))

    def until(self, ready, publish):
        deadline = time.monotonic() + DEADLINE_S
        while not ready():
            assert time.monotonic() < deadline
            publish()
            self.executor.spin_once(timeout_sec=0.02)

    def pass_to(self, time_s):
        msg = Clock(clock=to_time(round(time_s * 1e9)))
        there = lambda: self.motion.now().ros_ns == round(time_s * 1e9)  # noqa: E731
        self.until(there, lambda: self.clock.publish(msg))

    def lead(self, time_s, positions, names=("b", "x", "a")):
        """Say where the joints are led at a time."""
        msg = JointTrajectoryControllerState(joint_names=list(names))
        msg.header.stamp = to_time(round(time_s * 1e9))
        msg.reference.positions = list(map(float, positions))
        sent = serialize_message(msg)
        self.until(lambda: self.led._state == sent, lambda: self.state.publish(msg))

    def plan(self, start_s):
        """Plan joint b from 0 to 0.25 rad; a rests at 0.5."""
        knots, p = [(0.0, 0.0, 0.0)], STEP_S
        for jerk in (JERK, -JERK, -JERK, JERK):
            x, v, a = knots[-1]
            knots.append(
                (
                    x + v * p + a * p**2 / 2 + jerk * p**3 / 6,
                    v + a * p + jerk * p**2 / 2,
                    a + jerk * p,
                )
            )
        msg = JointTrajectory(joint_names=["b", "a"])
        msg.header.stamp = to_time(round(start_s * 1e9))
        for place, (x, v, a) in enumerate(knots):
            msg.points.append(
                JointTrajectoryPoint(
                    positions=[x, 0.5],
                    velocities=[v, 0.0],
                    accelerations=[a, 0.0],
                    time_from_start=to_time_span(place * STEP_S),
                )
            )
        self.publish_path(msg)

    def publish_path(self, msg):
        sent = serialize_message(msg)
        self.until(lambda: self.led._path == sent, lambda: self.path.publish(msg))


def to_time_span(seconds):
    return Duration(sec=int(seconds), nanosec=round(seconds % 1.0 * 1e9))


@pytest.fixture
def arm(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + os.getpid() % 100))
    rclpy.init(args=[])
    node = rclpy.create_node(
        "led", parameter_overrides=[Parameter("use_sim_time", value=True)], cli_args=[]
    )
    arm = Controller(node)
    arm.pass_to(START_S)
    yield arm
    node.destroy_node()
    rclpy.try_shutdown()


def test_a_controller_that_follows_a_plan_leads_along_it(arm):
    assert arm.at(START_S) is None, "nothing was heard"
    arm.lead(START_S, [0.0, 9.0, 0.5])
    assert arm.at(START_S + 1.0).tolist() == [0.5, 0.0]
    arm.plan(START_S)
    assert np.allclose(arm.at(START_S + 1.0), [0.5, 0.125])
    assert np.allclose(arm.at(START_S + 5.0), [0.5, 0.25])


def test_a_plan_that_is_over_says_nothing_of_an_arm_that_was_brought_elsewhere(arm):
    arm.plan(START_S)
    arm.pass_to(START_S + 3.0)
    arm.lead(START_S + 3.0, [0.25, 0.0, 0.5])
    assert np.allclose(arm.at(START_S + 3.3), [0.5, 0.25])
    arm.lead(START_S + 3.0, [-0.4, 0.0, 0.9])
    assert np.allclose(arm.at(START_S + 3.3), [0.9, -0.4])


def test_a_controller_that_fell_silent_leads_nowhere_that_is_known(arm):
    arm.lead(START_S, [0.0, 9.0, 0.5])
    arm.pass_to(START_S + 0.4)
    assert arm.at(START_S + 0.4) is not None
    arm.pass_to(START_S + 0.6)
    assert arm.at(START_S + 0.6) is None


@pytest.mark.parametrize(
    ("positions", "names"),
    [
        ([0.0, 0.5], ("b", "x", "a")),
        ([0.0, 1.0, float("nan")], ("b", "x", "a")),
        ([0.0, 1.0, 2.0], ("b", "x", "y")),
        ([], ()),
    ],
)
def test_what_a_controller_says_of_other_joints_or_in_no_numbers_is_not_where_it_leads(
    arm, positions, names
):
    arm.lead(START_S, positions, names)
    assert arm.at(START_S) is None


def test_a_path_that_is_no_plan_of_ours_is_passed_over(arm):
    arm.lead(START_S, [0.1, 9.0, 0.5])
    point = JointTrajectoryPoint(positions=[7.0, 7.0])
    arm.publish_path(JointTrajectory(joint_names=["b", "a"], points=[point]))
    assert arm.at(START_S + 1.0).tolist() == [0.5, 0.1]


@pytest.mark.parametrize("data", [b"", b"\x00\x01\x00\x00" + b"\xff" * 8])
def test_of_bytes_that_are_no_message_nothing_is_known(arm, data):
    arm.lead(START_S, [0.0, 9.0, 0.5])
    arm.plan(START_S)
    led = arm.at(START_S + 0.5).tolist()
    arm.led._hear(JointTrajectory, data)
    assert arm.at(START_S + 0.5).tolist() != led, "by the controller's word alone"
    arm.led._hear(JointTrajectoryControllerState, data)
    assert arm.at(START_S + 0.5) is None
