# SPDX-License-Identifier: Apache-2.0
"""What anybody may publish on /clock."""

import os
import time

import pytest

rclpy = pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402

from node_kit.clock import MotionClock, spare_from_impossible_times  # noqa: E402

DEADLINE_S = 60.0


@pytest.fixture
def executor(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + os.getpid() % 100))
    rclpy.init(args=[])
    yield SingleThreadedExecutor()
    rclpy.try_shutdown()


@pytest.mark.parametrize("namespace", ["", "left"])
def test_a_negative_time_on_clock_is_named_and_ends_no_node(executor, namespace):
    """Where each simulation has a namespace, it has a clock of its own there."""
    node = rclpy.create_node(
        "follower",
        parameter_overrides=[Parameter("use_sim_time", value=True)],
        namespace=namespace,
        cli_args=["--ros-args", "-r", "/clock:=clock"],
    )
    spare_from_impossible_times(node)
    doubts = []
    clock = MotionClock(node, doubts.append)
    publisher = node.create_publisher(Clock, "/clock", 1)
    executor.add_node(node)

    def tell_until(ready, second):
        deadline = time.monotonic() + DEADLINE_S
        while not ready():
            assert time.monotonic() < deadline
            publisher.publish(Clock(clock=Time(sec=second)))
            executor.spin_once(timeout_sec=0.05)

    tell_until(lambda: clock.now().ros_ns == 1000 * 10**9, 1000)
    tell_until(lambda: len(doubts) > 5, -5)
    assert all("is no time" in doubt for doubt in doubts)
    assert clock.now().ros_ns == 1000 * 10**9
    tell_until(lambda: clock.now().ros_ns == 1001 * 10**9, 1001)
    node.destroy_node()
