# SPDX-License-Identifier: Apache-2.0
"""Controllers without a simulation: they stand where ros2_control stands.

Where there is no ros2_control they command an arm through its driver's topics, as
joint_state_topic_hardware_interface does, or a mock that is at once where it is commanded.
In simulated time the simulation waits for each of their cycles.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.declare import declare
from node_kit.messages import to_time
from node_kit.parameters import ParameterError, parameter
from node_kit.run import run
from vla_contract.robot import Robot, RobotConfigError, load_robot
from vla_sim import convert
from vla_sim.action import TrajectoryActionServer
from vla_sim.controller_node import ControllerNode, state_publisher
from vla_sim.core.simulation import Simulation
from vla_sim.core.trajectory import FloatArray
from vla_sim.core.trajectory_controller import CycleOutcome, TrajectoryController

_WARNING_PERIOD_S = 5.0
_MOST_JOINTS = 64


@dataclass(frozen=True)
class ControllersParameters:
    """All parameters are read once, at the start."""

    robot_file: str = parameter("", "Robot file: joints, limits, controllers.", required=True)
    hardware: str = parameter(
        "mock",
        "mock: every command is reached at once. topic_based: a driver hears joint_commands and "
        "publishes joint_states_raw; the controllers begin once it has.",
        choices=("mock", "topic_based"),
    )
    controller_rate_hz: int = parameter(100, "Rate of the controllers.", "Hz", 20, 500)


class CommandedJoints:
    """The joints behind the controllers: a mock, or what a driver last told of them."""

    def __init__(self, robot: Robot, mock: bool) -> None:
        """Begin at home for a mock, else nowhere."""
        self.joint_names = (*robot.limits.joint_names, robot.gripper.joint)
        self._mock = mock
        home = np.array([robot.home[name] for name in self.joint_names])
        self._position = home if mock else np.full(len(home), np.nan)
        self._velocity = np.zeros(len(home))
        self.commanded = self._position.copy()

    @property
    def known(self) -> bool:
        """Return whether every joint has been heard of."""
        return bool(np.all(np.isfinite(self._position)))

    def hear(self, msg: JointState) -> None:
        """Take over what a driver read; what is not whole and finite is left out."""
        if not (len(msg.name) <= _MOST_JOINTS and len(msg.position) == len(msg.name)):
            return
        positions = dict(zip(msg.name, msg.position, strict=True))
        given = [positions.get(name, np.nan) for name in self.joint_names]
        if not np.all(np.isfinite(given)):
            return
        self._position = np.array(given)
        if len(msg.velocity) == len(msg.name):
            velocities = dict(zip(msg.name, msg.velocity, strict=True))
            speeds = np.array([velocities[name] for name in self.joint_names])
            if np.all(np.isfinite(speeds)):
                self._velocity = speeds

    def joint_readings(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return position (N,) rad, velocity (N,) rad/s and no effort (N,)."""
        return self._position.copy(), self._velocity.copy(), np.zeros(len(self._position))

    def command(self, position: FloatArray) -> None:
        """Take the position targets (N,), rad."""
        self.commanded = position.copy()

    def step(self, n: int) -> None:
        """Let a mock reach what it was commanded."""
        if self._mock:
            self._position = self.commanded.copy()


class EmulatedControllers(Node):
    """An arm's and a gripper's controller.

    Raises:
        ParameterError: A parameter is missing or wrong.
        RobotConfigError: The robot file is.
    """

    def __init__(self) -> None:
        super().__init__("emulated_controllers")
        parameters = declare(self, ControllersParameters)
        self._robot = load_robot(parameters.robot_file)
        mock = parameters.hardware == "mock"
        self._lock = threading.Lock()
        self._joints = CommandedJoints(self._robot, mock)
        self._warned_s: dict[str, float] = {}
        self._now_ns = 0
        self.companions: list[ControllerNode] = []
        self._commands = None
        if not mock:
            self._commands = self.create_publisher(JointState, "joint_commands", qos.TRAJECTORY)
            heard = self.create_subscription(
                JointState, "joint_states_raw", self._joints.hear, qos.ALL_SENSED
            )
            # Controllers that begin earlier would hold the arm at NaN.
            self.get_logger().info(f"waiting for a driver on {heard.topic_name}")
            while not self._joints.known:
                rclpy.spin_once(self, timeout_sec=0.1)
        period_ns = 1_000_000_000 // parameters.controller_rate_hz
        self._simulation = Simulation(
            self._joints,
            self._robot.limits.joint_names,
            self._robot.gripper.joint,
            period_ns=period_ns,
            steps_per_tick=1,
        )
        self._states = self.create_publisher(JointState, "joint_states", qos.EACH)
        self._message = JointState(name=list(self._joints.joint_names))
        self._publish_arm = self._serve(self._robot.arm_controller, self._simulation.arm)
        self._publish_gripper = self._serve(
            self._robot.gripper.controller, self._simulation.gripper
        )
        self._goals = TrajectoryActionServer(
            self,
            self._robot.arm_controller,
            self._simulation.arm,
            self._lock,
            lambda: self.get_clock().now().nanoseconds,
        )
        self._motion = MotionClock(self)
        self.create_timer(period_ns * 1e-9, self._on_period, clock=self._motion.timers)
        self.get_logger().info(
            f"controllers of {self._robot.name} at {parameters.controller_rate_hz} Hz, hardware "
            f"{parameters.hardware}"
        )

    def destroy_node(self) -> None:
        """End the controllers' nodes and this one."""
        for controller in self.companions:
            controller.destroy_node()
        super().destroy_node()

    def _serve(
        self, name: str, controller: TrajectoryController
    ) -> Callable[[CycleOutcome], None]:
        """Subscribe to a controller's trajectories; return what publishes its state."""

        def on_trajectory(msg: JointTrajectory) -> None:
            trajectory = convert.to_trajectory(msg)
            now_ns = self.get_clock().now().nanoseconds
            with self._lock:
                rejection = controller.receive(trajectory, now_ns)
            if rejection is not None:
                self.get_logger().error(f"{name}: rejected: the trajectory {rejection.detail}")

        self.create_subscription(
            JointTrajectory, f"{name}/joint_trajectory", on_trajectory, qos.TRAJECTORY
        )
        self.companions.append(ControllerNode(name, self.get_namespace(), controller, self._lock))
        return state_publisher(self, name, controller, self._warn)

    def _on_period(self) -> None:
        self._tick()
        self._motion.acknowledge()

    def _tick(self) -> None:
        now_ns = self.get_clock().now().nanoseconds
        if now_ns <= self._now_ns:
            # A clock that was set back: no controller runs backwards.
            return
        self._now_ns = now_ns
        with self._lock:
            tick = self._simulation.tick(now_ns)
        convert.fill_joints(self._message, tick)
        self._states.publish(self._message)
        if self._commands is not None:
            command = JointState(
                name=list(self._joints.joint_names), position=self._joints.commanded.tolist()
            )
            command.header.stamp = to_time(now_ns)
            self._commands.publish(command)
        self._publish_arm(tick.arm)
        self._publish_gripper(tick.gripper)
        self._goals.report(tick.arm)
        if tick.not_finite:
            self._warn(f"the command of {', '.join(tick.not_finite)} is not finite")

    def _warn(self, text: str) -> None:
        now_s = time.monotonic()
        if now_s - self._warned_s.get(text, -_WARNING_PERIOD_S) >= _WARNING_PERIOD_S:
            self._warned_s[text] = now_s
            self.get_logger().warning(text)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to end.

    Returns:
        0 after a shutdown, 2 when the configuration is wrong.
    """
    errors = (ParameterError, RobotConfigError)
    return run("emulated_controllers", EmulatedControllers, errors, args)


if __name__ == "__main__":
    sys.exit(main())
