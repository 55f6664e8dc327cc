# SPDX-License-Identifier: Apache-2.0
"""The monitor's node among a controller, encoders and a policy, in simulated time: for tests."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from control_msgs.action import FollowJointTrajectory
from control_msgs.msg import JointTrajectoryControllerState
from controller_manager_msgs.msg import ControllerManagerActivity, NamedLifecycleState
from controller_manager_msgs.srv import SwitchController
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rcl_interfaces.srv import GetParameters
from rclpy.action import ActionServer, GoalResponse
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock as ClockMsg
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import MonitorStatus

from node_kit import qos
from node_kit.messages import to_ns, to_time, trajectory_from, trajectory_to
from smooth_motion import Chunk, Plan, overlap, track
from smooth_motion.messages import Trajectory
from smoothness_monitor.node import SmoothnessMonitor
from vla_contract.robot import load_robot

Array = NDArray[np.float64]

CONFIG = Path(__file__).resolve().parents[1] / "config"
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

    def __init__(self, states: QoSProfile = RELIABLE) -> None:
        """Begin at home, at rest."""
        super().__init__("surroundings")
        self._cycle_ns = START_NS
        self.robot = load_robot(FILES["robot_file"])
        self.names = self.robot.limits.joint_names
        self.running = Plan.hold(self.names, self.robot.home_position, self.time_ns())
        self.stands: Array = self.robot.home_position
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

    def _on_parameters(self, values: dict[str, Any], request: Any, response: Any) -> Any:
        """As rclcpp does: one name that is not declared, and nothing is answered."""
        self.asked.append(list(request.names))
        if all(name in values for name in request.names):
            response.values = [
                Parameter(name, value=values[name]).to_parameter_msg().value
                for name in request.names
            ]
        return response

    def time_ns(self) -> int:
        """Return the time that it tells."""
        return self._cycle_ns

    def _tell_the_time(self) -> None:
        self.tell(self._cycle_ns)

    def tell(self, now_ns: int) -> None:
        """Tell a time."""
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

    def _on_switch(self, request: Any, response: Any) -> Any:
        response.ok = True
        if "arm_controller" in request.deactivate_controllers:
            self.active = False
        if "arm_controller" in request.activate_controllers:
            self.active = True
            self.running = Plan.hold(self.names, self.stands, self.time_ns())
        self._tell()
        return response

    def _on_goal(self, goal: Any) -> GoalResponse:
        if self.refuses_goals:
            return GoalResponse.REJECT
        self._run(goal.trajectory)
        return GoalResponse.ACCEPT

    def _execute(self, handle: Any) -> FollowJointTrajectory.Result:
        handle.succeed()
        return FollowJointTrajectory.Result()

    def _on_plan(self, msg: JointTrajectory) -> None:
        if not self.deaf:
            self.received.append(msg)
            self._run(msg)

    def _run(self, msg: JointTrajectory) -> None:
        self.running = trajectory_from(msg).plan()

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

    def _publish_joints(self, position: Array) -> None:
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
        """Send a plan, as a policy does."""
        self.plans.publish(trajectory_to(Trajectory.of(plan)))

    @property
    def newest(self) -> MonitorStatus:
        """What the monitor said last."""
        return self.states[-1] if self.states else MonitorStatus()


class MonitorGraph:
    """The monitor and its surroundings in one executor."""

    def __init__(self, latch_folder: Path, states: QoSProfile = RELIABLE) -> None:
        """Bring both up; `states` is the quality of service of what the controllers tell."""
        latch = ["-p", f"latch_folder:={latch_folder}"]
        simulated = ["-p", "use_sim_time:=true"]
        rclpy.init(args=["--ros-args", *PARAMETERS, *latch, *simulated], domain_id=DOMAIN)
        self.executor = SingleThreadedExecutor()
        self.monitor, self.around = SmoothnessMonitor(), Surroundings(states)
        self.executor.add_node(self.monitor)
        self.executor.add_node(self.around)

    def until(self, condition: Callable[[], Any], seconds: float = 120.0) -> None:
        """Let both work until a condition holds, for so many seconds of the host."""
        end = time.monotonic() + seconds
        while not condition():
            newest = self.around.newest
            told = (newest.state, newest.causes, newest.waiting_for, newest.last_rejection)
            assert time.monotonic() < end, told
            self.executor.spin_once(timeout_sec=0.05)

    def call(self, client: Any) -> Any:
        """Return the answer of a service without arguments."""
        self.until(client.service_is_ready)
        future = client.call_async(Trigger.Request())
        self.until(future.done)
        return future.result()

    def close(self) -> None:
        """End both."""
        self.executor.shutdown()
        self.monitor.destroy_node()
        self.around.destroy_node()
        rclpy.shutdown()

    def move(self) -> None:
        """Set the arm in motion."""
        own = self.around
        own.send(own.plan())
        self.until(lambda: own.received)
        self.until(lambda: np.abs(own.running.sample(own.time_ns()).velocity).max() > 0.3)
