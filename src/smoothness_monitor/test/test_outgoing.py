# SPDX-License-Identifier: Apache-2.0
"""What goes out keeps its order, whatever happens on the way."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from smooth_motion import Plan
from smooth_motion.clocks import Now
from smoothness_monitor.core.types import MonitorOutputs
from vla_contract.robot import load_robot

rclpy = pytest.importorskip("rclpy")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

from smooth_motion.messages import Trajectory  # noqa: E402
from smoothness_monitor.guard import Guard  # noqa: E402
from smoothness_monitor.outgoing import Outgoing  # noqa: E402

ROBOT = load_robot(Path(__file__).resolve().parents[3] / "config/robots/so101/robot.yaml")
DOMAIN = 101 + os.getpid() % 100
S = 1_000_000_000


def outputs(start_s: int) -> MonitorOutputs:
    names = ROBOT.limits.joint_names
    hold = Plan.hold(names, np.zeros(len(names)), start_s * S)
    return MonitorOutputs(arm=(Trajectory.of(hold),), made_ns=start_s * S)


def test_a_plan_whose_last_look_fails_does_not_follow_the_brake_that_is_sent_for_it():
    rclpy.init(args=[], domain_id=DOMAIN)
    node = rclpy.create_node("outgoing_test")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    seen: list[int] = []
    node.create_subscription(
        JointTrajectory,
        f"{ROBOT.arm_controller}/joint_trajectory",
        lambda msg: seen.append(msg.header.stamp.sec),
        10,
    )

    def look(what: MonitorOutputs, _: Now) -> None:
        if what.arm[0].stamp_ns == 1 * S:
            raise ZeroDivisionError

    guard = Guard(lambda _: out.send(outputs(2)), lambda _: None)
    out = Outgoing(node, guard, ROBOT, lambda _: None, look, lambda: Now(0, 0))
    try:
        end_s = time.monotonic() + 120.0
        while not out.publishers[0].get_subscription_count():
            executor.spin_once(timeout_sec=0.05)
            assert time.monotonic() < end_s
        out.send(outputs(1))
        out.send(outputs(3))
        while 3 not in seen:
            executor.spin_once(timeout_sec=0.05)
            assert time.monotonic() < end_s, seen
        assert seen == [2, 3]
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown()
