# SPDX-License-Identifier: Apache-2.0
"""In the launched graph, an action brings the arm to a pose and home: executor, gate and all."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from action_msgs.msg import GoalStatus
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from vla_msgs.action import MoveTo
from vla_msgs.msg import ActionChunk, ExecutorStatus, MonitorStatus

from vla_bringup.resting import resting_contract
from vla_contract.clearance import ArmClearances
from vla_contract.robot import load_robot
from vla_contract.workspace import load_workspace

PATIENT_S = 240.0
AWAY = [0.9, -0.4, 0.3, -2.0, 0.2, 1.7, 0.4]
# The hand through the table in front of the base.
DOWN = [0.0, 0.9, 0.0, -2.0, 0.0, 1.57, 0.785]

# This folder is no package: its conftest is found by its path.
_SPEC = importlib.util.spec_from_file_location(
    "launched_graph", Path(__file__).with_name("conftest.py")
)
_CONFTEST = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_CONFTEST)


class Client(Node):
    """Asks for moves, and sees what comes of them."""

    def __init__(self, context: Context, controller: str) -> None:
        super().__init__("client", context=context)
        self.monitor: MonitorStatus | None = None
        self.executor_status: ExecutorStatus | None = None
        self.led: list[list[float]] = []
        self.phases: set[int] = set()
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._hear(MonitorStatus, "smoothness_monitor/state", "monitor", latched)
        self._hear(ExecutorStatus, "arm/executor_status", "executor_status", latched)
        state = JointTrajectoryControllerState
        self.create_subscription(state, f"{controller}/controller_state", self._on_arm, 100)
        self.policy = self.create_publisher(ActionChunk, "vla_policy_node/action_chunk", 10)
        self.mover = ActionClient(self, MoveTo, "motion_planner/move_to")

    def _hear(self, kind, topic, name, qos):
        self.create_subscription(kind, topic, lambda msg: setattr(self, name, msg), qos)

    def _on_arm(self, msg):
        self.led.append(list(msg.reference.positions))

    def send(self, **words):
        return self.mover.send_goal_async(
            MoveTo.Goal(**words),
            feedback_callback=lambda told: self.phases.add(told.feedback.phase),
        )


@pytest.mark.timeout(900)
def test_the_arm_is_brought_to_a_pose_and_home_through_the_gate(share, domain, tmp_path):
    folder = share / "config" / "robots" / "panda"
    robot = load_robot(folder / "robot.yaml")
    space = load_workspace(folder / "workspace.yaml", robot.limits.joint_names)
    context = Context()
    rclpy.init(context=context)
    graph = _CONFTEST.LaunchedGraph(
        share / "launch" / "sim.launch.py",
        tmp_path / "launch.log",
        robot="panda",
        motion_planner="straight",
        home_when_done="true",
        contract_file=str(resting_contract(folder / "robot.yaml", tmp_path / "resting")),
        black_box=str(tmp_path / "bags"),
        real_time_factor="0.0",
    )
    executor = SingleThreadedExecutor(context=context)
    client = Client(context, robot.arm_controller)
    executor.add_node(client)

    def until(condition):
        ends = time.monotonic() + PATIENT_S
        while not condition():
            assert graph.process.poll() is None, graph.log.read_text()
            assert time.monotonic() < ends, f"{client.monitor}\n{graph.log.read_text()}"
            executor.spin_once(timeout_sec=0.1)

    def begun(**words):
        asked = client.send(**words)
        until(asked.done)
        assert asked.result().accepted
        return asked.result()

    def ended(handle):
        asked = handle.get_result_async()
        until(asked.done)
        return asked.result().status, asked.result().result

    joints = {"joint_names": list(robot.limits.joint_names)}
    try:
        until(lambda: client.monitor is not None and client.monitor.permit)
        until(lambda: client.led and client.executor_status is not None)
        until(client.mover.server_is_ready)
        status, result = ended(begun(**joints, positions=AWAY, speed=1.0))
        assert (status, result.reason) == (
            GoalStatus.STATUS_SUCCEEDED,
            MoveTo.Result.REACHED,
        ), f"{result.message}\n{graph.log.read_text()}"
        assert list(result.shape) == [2, 7]
        assert client.led[-1] == pytest.approx(AWAY, abs=3e-3)
        status, result = ended(begun(**joints, positions=DOWN))
        assert (status, result.reason) == (GoalStatus.STATUS_ABORTED, MoveTo.Result.NO_PATH)
        assert "to the table" in result.message
        status, result = ended(begun(named="nowhere"))
        assert (status, result.reason) == (GoalStatus.STATUS_ABORTED, MoveTo.Result.REFUSED)
        # One that is on its way is cancelled, another that comes meanwhile is refused.
        client.phases.clear()
        slow = begun(named="home", speed=0.2)
        until(lambda: MoveTo.Feedback.MOVING in client.phases)
        _, refused = ended(begun(named="home"))
        assert refused.reason == MoveTo.Result.REFUSED
        assert "another goal is carried out" in refused.message
        slow.cancel_goal_async()
        status, result = ended(slow)
        assert (status, result.reason) == (GoalStatus.STATUS_CANCELED, MoveTo.Result.CANCELED)
        status, result = ended(begun(named="home", speed=1.0))
        assert result.reason == MoveTo.Result.REACHED, result.message
        assert client.led[-1] == pytest.approx(robot.home_position, abs=3e-3)
        until(lambda: client.executor_status.holder == "")
        # A policy that is done is brought home, wherever it has left the arm.
        status, result = ended(begun(joint_names=["panda_joint1"], positions=[0.3], speed=1.0))
        assert result.reason == MoveTo.Result.REACHED, result.message
        until(lambda: client.executor_status.holder == "")
        client.policy.publish(ActionChunk(done=True))
        until(lambda: client.executor_status.holder == "motion_planner")
        until(lambda: client.executor_status.holder == "")
        assert client.led[-1] == pytest.approx(robot.home_position, abs=3e-3)
    finally:
        graph.stop()
        executor.shutdown()
        client.destroy_node()
        rclpy.try_shutdown(context=context)
    assert client.monitor.state == MonitorStatus.READY
    assert client.monitor.last_rejection == ""
    peak = np.array(client.monitor.command_jerk_peak) / np.array(client.monitor.jerk_limit)
    assert peak.max() <= 1.001
    clear = ArmClearances(space).of(np.array(client.led))
    assert clear.min() >= space.margin
