# SPDX-License-Identifier: Apache-2.0
"""In the launched graph, an action brings the arm to a pose and home: executor, gate and all.

The second test does so through libfranka's wire, where franky-sim and pylibfranka are installed.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from std_srvs.srv import Trigger
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
        self.stop = self.create_client(Trigger, "smoothness_monitor/stop")

    def _hear(self, kind, topic, name, qos):
        self.create_subscription(kind, topic, lambda msg: setattr(self, name, msg), qos)

    def _on_arm(self, msg):
        self.led.append(list(msg.reference.positions))

    def send(self, **words):
        return self.mover.send_goal_async(
            MoveTo.Goal(**words),
            feedback_callback=lambda told: self.phases.add(told.feedback.phase),
        )


class Driven:
    """A launched Panda with a motion planner, and who asks it for moves.

    Attributes:
        robot: Its robot file.
        space: Its workspace file.
        graph: What was launched.
        client: Who asks.
        joints: Names of the arm's joints, as a goal has them.
    """

    def __init__(self, share: Path, folder: Path, launch_file: str, **arguments: str) -> None:
        """Launch it, as fast as the host can.

        Args:
            share: Of vla_bringup.
            folder: For what it writes.
            launch_file: Its name.
            **arguments: Its own.
        """
        of_robot = share / "config" / "robots" / "panda"
        self.robot = load_robot(of_robot / "robot.yaml")
        self.space = load_workspace(of_robot / "workspace.yaml", self.robot.limits.joint_names)
        self.joints = list(self.robot.limits.joint_names)
        self._context = Context()
        rclpy.init(context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self.client = Client(self._context, self.robot.arm_controller)
        self._executor.add_node(self.client)
        self.graph = _CONFTEST.LaunchedGraph(
            share / "launch" / launch_file,
            folder / "launch.log",
            motion_planner="straight",
            contract_file=str(resting_contract(of_robot / "robot.yaml", folder / "resting")),
            black_box=str(folder / "bags"),
            real_time_factor="0.0",
            **arguments,
        )

    def until(self, condition):
        """Wait for a condition, while the graph runs."""
        ends = time.monotonic() + PATIENT_S
        while not condition():
            assert self.graph.process.poll() is None, self.graph.log.read_text()
            assert time.monotonic() < ends, f"{self.client.monitor}\n{self.graph.log.read_text()}"
            self._executor.spin_once(timeout_sec=0.1)

    def ready(self):
        """Wait until moves can be asked for."""
        self.until(lambda: self.client.monitor is not None and self.client.monitor.permit)
        self.until(lambda: self.client.led and self.client.executor_status is not None)
        self.until(self.client.mover.server_is_ready)

    def begun(self, **words):
        """Return the handle of a goal that was accepted."""
        asked = self.client.send(**words)
        self.until(asked.done)
        assert asked.result().accepted
        return asked.result()

    def ended(self, handle):
        """Return status and result of a goal, once it has ended."""
        asked = handle.get_result_async()
        self.until(asked.done)
        return asked.result().status, asked.result().result

    def close(self):
        """End all of it, the graph as Ctrl-C does."""
        self.graph.stop()
        self._executor.shutdown()
        self.client.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def peak(self):
        """Return the largest share of its jerk limit that a joint was commanded."""
        told = self.client.monitor
        return (np.array(told.command_jerk_peak) / np.array(told.jerk_limit)).max()


@contextmanager
def driven(share: Path, folder: Path, launch_file: str, **arguments: str) -> Iterator[Driven]:
    """Give a launched Panda that can be asked for moves."""
    arm = Driven(share, folder, launch_file, **arguments)
    try:
        arm.ready()
        yield arm
    finally:
        arm.close()


@pytest.mark.timeout(900)
def test_the_arm_is_brought_to_a_pose_and_home_through_the_gate(share, domain, tmp_path):
    with driven(share, tmp_path, "sim.launch.py", robot="panda", home_when_done="true") as arm:
        client, until, begun, ended = arm.client, arm.until, arm.begun, arm.ended
        status, result = ended(begun(joint_names=arm.joints, positions=AWAY, speed=1.0))
        assert (status, result.reason) == (
            GoalStatus.STATUS_SUCCEEDED,
            MoveTo.Result.REACHED,
        ), f"{result.message}\n{arm.graph.log.read_text()}"
        assert list(result.shape) == [2, 7]
        assert client.led[-1] == pytest.approx(AWAY, abs=3e-3)
        status, result = ended(begun(joint_names=arm.joints, positions=DOWN))
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
        assert client.led[-1] == pytest.approx(arm.robot.home_position, abs=3e-3)
        until(lambda: client.executor_status.holder == "")
        # A policy that is done is brought home, wherever it has left the arm.
        status, result = ended(begun(joint_names=["panda_joint1"], positions=[0.3], speed=1.0))
        assert result.reason == MoveTo.Result.REACHED, result.message
        until(lambda: client.executor_status.holder == "")
        client.policy.publish(ActionChunk(done=True))
        until(lambda: client.executor_status.holder == "motion_planner")
        until(lambda: client.executor_status.holder == "")
        assert client.led[-1] == pytest.approx(arm.robot.home_position, abs=3e-3)
    assert client.monitor.state == MonitorStatus.READY
    assert client.monitor.last_rejection == ""
    assert arm.peak() <= 1.001
    clear = ArmClearances(arm.space).of(np.array(client.led))
    assert clear.min() >= arm.space.margin


@pytest.mark.timeout(1200)
def test_behind_libfranka_s_wire_the_arm_moves_stops_in_motion_and_ends_with_its_graph(
    share, domain, tmp_path
):
    """The simulated arm there ends a motion by itself where the published limits say so."""
    for package in ("pylibfranka", "franky_sim"):
        pytest.importorskip(package, reason="needs franky-sim and pylibfranka, of PyPI")
    with driven(share, tmp_path, "panda.launch.py", hardware="fake_fci") as arm:
        first = arm.joints[0]
        _, result = arm.ended(arm.begun(joint_names=[first], positions=[0.1], speed=1.0))
        assert result.reason == MoveTo.Result.REACHED, result.message
        assert arm.client.led[-1][0] == pytest.approx(0.1, abs=3e-3)
        there = arm.begun(joint_names=[first], positions=[2.0], speed=1.0)
        arm.until(lambda: arm.client.led[-1][0] > 0.2)
        stopped = arm.client.stop.call_async(Trigger.Request())
        arm.until(stopped.done)
        assert stopped.result().success, stopped.result().message
        _, result = arm.ended(there)
        assert result.reason != MoveTo.Result.REACHED
        arm.until(lambda: arm.client.monitor.state == MonitorStatus.STOPPED_LATCHED)
        arm.until(lambda: np.ptp(np.array(arm.client.led[-200:]), axis=0).max() < 1e-9)
        assert 0.2 < arm.client.led[-1][0] < 1.9, "it rests on its way"
        assert arm.client.monitor.rung == MonitorStatus.RUNG_BRAKE
        assert arm.peak() <= 1.001
    said = arm.graph.log.read_text()
    assert arm.graph.process.returncode == 0, said
    assert "ended the motion" not in said
    assert "Traceback" not in said
