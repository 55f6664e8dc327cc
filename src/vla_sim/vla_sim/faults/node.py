# SPDX-License-Identifier: Apache-2.0
"""A node between the others' topics that does what a fault file says.

The launch file remaps the monitor's topics to those of this node. What it passes on is built anew
from what the monitor reads; everything else in the messages is lost.
"""

from __future__ import annotations

import heapq
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.messages import (
    controller_state_from,
    controller_state_to,
    joint_states_from,
    joint_states_to,
    trajectory_from,
    trajectory_to,
)
from node_kit.run import run
from smooth_motion import Point
from smooth_motion.messages import Trajectory
from vla_contract.robot import Robot, RobotConfigError, load_robot
from vla_sim.faults.operations import FaultError, Link
from vla_sim.faults.processes import siblings
from vla_sim.faults.schedule import (
    Fault,
    Intrusion,
    ProcessFault,
    StreamFault,
    load_schedule,
)

TICK_S = 0.002
INTRUSION_S = 0.5


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


class FaultNode(Node):
    """Passes messages on, until something is to go wrong."""

    def __init__(self) -> None:
        """Read the fault file and connect.

        Raises:
            FaultError: The fault file cannot be used, or a parameter is missing.
            RobotConfigError: The robot file cannot be used.
        """
        super().__init__("faults")
        robot = load_robot(self._path("robot_file", "Path of the robot file."))
        self._pending = sorted(
            load_schedule(self._path("faults_file", "Path of the fault file.")),
            key=lambda fault: fault.at_s,
        )
        self._home = robot.home_position
        self._names = robot.limits.joint_names
        self._random = np.random.default_rng(0)
        self._motion = MotionClock(self)
        self._began_ns: int | None = None
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._links: dict[str, Link] = {}
        self._connect(robot)
        self.create_timer(TICK_S, self._on_tick, clock=self._motion.timers)

    def _path(self, name: str, doc: str) -> str:
        descriptor = ParameterDescriptor(description=doc, read_only=True)
        value = self.declare_parameter(name, "", descriptor).value
        if not value:
            raise FaultError(f"parameter {name}: not set; give a path")
        return str(value)

    def _connect(self, robot: Robot) -> None:
        arm = robot.arm_controller
        self._pass("joint_states", JointState, "joint_states", "~/joint_states", qos.ALL_SENSED)
        self._pass(
            "controller_state",
            JointTrajectoryControllerState,
            f"{arm}/controller_state",
            "~/controller_state",
            qos.ALL_SENSED,
        )
        self._pass("plans", JointTrajectory, "arm/plan", "~/plans", qos.TRAJECTORY)
        self._pass(
            "commands",
            JointTrajectory,
            "~/commands",
            f"{arm}/joint_trajectory",
            qos.TRAJECTORY,
        )

    def _pass(self, stream: str, kind: Any, source: str, target: str, profile: Any) -> None:
        from_msg, to_msg = {
            JointState: (joint_states_from, joint_states_to),
            JointTrajectoryControllerState: (
                controller_state_from,
                controller_state_to,
            ),
            JointTrajectory: (trajectory_from, trajectory_to),
        }[kind]
        publisher = self.create_publisher(kind, target, profile)
        link = self._links[stream] = Link()

        def on_message(msg: Any) -> None:
            if stream == "commands" and self._began_ns is None:
                self._began_ns = self._now_ns()
                self.get_logger().info("the arm is commanded; faults are counted from here")
            now_ns = self._now_ns()
            if link.operations:
                passed = link.carry(from_msg(msg), now_ns)
                passed = [(later_ns, to_msg(changed)) for later_ns, changed in passed]
            else:
                passed = [(0, msg)]
            # What is due comes first, or this would overtake it.
            self._deliver(now_ns)
            for due_ns, each in link.due(passed, now_ns):
                self._at(due_ns, lambda each=each: publisher.publish(each))  # type: ignore[misc]
            self._deliver(now_ns)

        self.create_subscription(kind, source, on_message, profile)

    def _now_ns(self) -> int:
        return self._motion.now().steady_ns

    def _at(self, due_ns: int, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._later, (due_ns, self._count, what))

    def _after(self, delay_ns: int, what: Callable[[], None]) -> None:
        self._at(self._now_ns() + delay_ns, what)

    def _deliver(self, now_ns: int) -> None:
        while self._later and self._later[0][0] <= now_ns:
            heapq.heappop(self._later)[2]()

    def _on_tick(self) -> None:
        now_ns = self._now_ns()
        self._deliver(now_ns)
        if self._began_ns is not None:
            since_ns = now_ns - self._began_ns
            while self._pending and since_ns >= _ns(self._pending[0].at_s):
                self._start(self._pending.pop(0))
        self._motion.acknowledge()

    def _start(self, fault: Fault) -> None:
        self.get_logger().warning(f"fault: {fault}")
        if isinstance(fault, StreamFault):
            fault.operation.start(self._now_ns(), self._random)
            operations = self._links[fault.stream].operations
            operations.append(fault.operation)
            self._after(_ns(fault.for_s), lambda: operations.remove(fault.operation))
        elif isinstance(fault, Intrusion):
            self._intrude(fault)
        else:
            self._signal(fault)

    def _signal(self, fault: ProcessFault) -> None:
        found = siblings(fault.node)
        if not found:
            self.get_logger().error(f"no process of {fault.node} was started together with this")
        for process in found:
            os.kill(process, fault.signal)

    def _intrude(self, fault: Intrusion) -> None:
        # On the monitor's own topic, so that its publishers are two.
        publisher = self.create_publisher(JointTrajectory, "~/commands", qos.TRAJECTORY)
        until_ns = self._now_ns() + _ns(fault.for_s)
        self._intrude_again(fault, publisher, until_ns)

    def _intrude_again(self, fault: Intrusion, publisher: Publisher, until_ns: int) -> None:
        if self._now_ns() >= until_ns:
            self.destroy_publisher(publisher)
            return
        goal = self._home + self._random.uniform(-0.3, 0.3, self._home.size)
        point = Point(_ns(INTRUSION_S), goal.tolist(), [], [])
        publisher.publish(trajectory_to(Trajectory(0, self._names, (point,))))
        self._after(
            max(_ns(fault.every_s), 1),
            lambda: self._intrude_again(fault, publisher, until_ns),
        )


def main() -> int:
    """Run the node; return 2 if its configuration cannot be used."""
    return run("faults", FaultNode, (FaultError, RobotConfigError))


if __name__ == "__main__":
    sys.exit(main())
