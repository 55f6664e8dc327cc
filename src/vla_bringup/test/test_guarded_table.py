# SPDX-License-Identifier: Apache-2.0
"""In the launched graph, a policy that wants to hit the table is stopped before."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from vla_msgs.msg import MonitorStatus

from vla_contract.clearance import ArmClearances
from vla_contract.robot import load_robot
from vla_contract.workspace import load_workspace

PATIENT_S = 240.0
# The shoulder forward, the elbow open: the hand would go through the table in front of the base.
DOWN = [0.0, 0.9, 0.0, -2.0, 0.0, 1.57, 0.785, 0.02]

# This folder is no package: its conftest is found by its path.
_SPEC = importlib.util.spec_from_file_location(
    "launched_graph", Path(__file__).with_name("conftest.py")
)
_CONFTEST = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_CONFTEST)


class Observer(Node):
    """What a person sees of the arm, and the word that sets it off."""

    def __init__(self, context: Context, controller: str) -> None:
        super().__init__("observer", context=context)
        self.monitor: MonitorStatus | None = None
        self.led: list[list[float]] = []
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(
            MonitorStatus, "smoothness_monitor/state", self._on_monitor, latched
        )
        state = JointTrajectoryControllerState
        self.create_subscription(state, f"{controller}/controller_state", self._on_arm, 100)
        self.say = self.create_publisher(String, "vla_policy_node/instruction", 10)

    def _on_monitor(self, msg):
        self.monitor = msg

    def _on_arm(self, msg):
        self.led.append(list(msg.reference.positions))

    def at_rest(self):
        newest = np.array(self.led[-20:])
        return len(newest) == 20 and np.ptp(newest, axis=0).max() < 1e-9


def contract(robot) -> str:
    joints = [*robot.limits.joint_names, robot.gripper.joint]
    of_joints = {"joints": joints, "units": "rad"}
    options = {"joints": joints, "goals": [DOWN], "speed": [0.6] * 7 + [0.05]}
    state = {
        "topic": "joint_states",
        "type": "sensor_msgs/msg/JointState",
        "field": "position",
        "max_age_s": 0.2,
        **of_joints,
    }
    return json.dumps(
        {
            "policy": {"name": "wander", "options": options},
            "observation": {"observation.state": state},
            "action": of_joints,
        }
    )


@pytest.mark.timeout(900)
def test_a_policy_that_wants_to_hit_the_table_is_stopped_before(share, domain, tmp_path):
    """The plan that would is refused and named, and the arm ends at rest above the table."""
    folder = share / "config" / "robots" / "panda"
    robot = load_robot(folder / "robot.yaml")
    space = load_workspace(folder / "workspace.yaml", robot.limits.joint_names)
    path = tmp_path / "down.yaml"
    path.write_text(contract(robot), encoding="utf-8")
    context = Context()
    rclpy.init(context=context)
    graph = _CONFTEST.LaunchedGraph(
        share / "launch" / "sim.launch.py",
        tmp_path / "launch.log",
        robot="panda",
        contract_file=str(path),
        real_time_factor="0.0",
    )
    executor = SingleThreadedExecutor(context=context)
    observer = Observer(context, robot.arm_controller)
    executor.add_node(observer)

    def until(condition):
        ends = time.monotonic() + PATIENT_S
        while not condition():
            assert graph.process.poll() is None, graph.log.read_text()
            assert time.monotonic() < ends, f"{observer.monitor}\n{graph.log.read_text()}"
            executor.spin_once(timeout_sec=0.1)

    try:
        until(lambda: observer.monitor is not None and observer.monitor.permit)
        until(lambda: observer.say.get_subscription_count() > 0)
        observer.say.publish(String(data="down"))
        until(lambda: "workspace" in observer.monitor.last_rejection)
        until(observer.at_rest)
    finally:
        graph.stop()
        executor.shutdown()
        observer.destroy_node()
        rclpy.try_shutdown(context=context)
    assert "to the table" in observer.monitor.last_rejection
    assert observer.monitor.state == MonitorStatus.READY
    assert list(observer.monitor.causes) == []
    way = np.array(observer.led)
    assert np.ptp(way, axis=0).max() > 0.3, "the arm has moved"
    clear = ArmClearances(space).of(way)
    assert clear.min() >= space.margin, "and came nowhere nearer than the margin"
