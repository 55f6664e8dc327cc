# SPDX-License-Identifier: Apache-2.0
"""The simulation as a ROS node: it stands where ros2_control and the cameras stand."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from node_kit import qos
from node_kit.parameters import ParameterError
from node_kit.run import run
from vla_contract.robot import Robot, RobotConfigError
from vla_sim import convert
from vla_sim.action import TrajectoryActionServer
from vla_sim.controller_node import ControllerNode, state_publisher
from vla_sim.core.command_age import CommandAge
from vla_sim.core.simulation import SimulatedJoints, Simulation, Tick
from vla_sim.core.trajectory_controller import CycleOutcome, TrajectoryController
from vla_sim.params import SimParameters
from vla_sim.world import RenderError, WorldError
from vla_sim.world_node import WorldNode


class SimulationNode(WorldNode):
    """The simulated robot with its controllers, where ros2_control stands."""

    def _connect(self, parameters: SimParameters, robot: Robot, period_ns: int) -> None:
        self._simulation = Simulation(
            self._plant(parameters, robot),
            robot.limits.joint_names,
            robot.gripper.joint,
            period_ns=period_ns,
            steps_per_tick=parameters.physics_rate_hz // parameters.controller_rate_hz,
            allow_trajectory_replacement=parameters.allow_trajectory_replacement,
        )
        self._age = CommandAge()
        self._max_age_s = parameters.max_command_age_s
        self._joint_states = self.create_publisher(JointState, "joint_states", qos.EACH)
        self._joints = JointState(name=list(self._world.joint_names))
        self._joints.header.frame_id = self._frame
        self._publish_arm = self._serve(robot.arm_controller, self._simulation.arm)
        self._publish_gripper = self._serve(robot.gripper.controller, self._simulation.gripper)
        self._goals = TrajectoryActionServer(
            self, robot.arm_controller, self._simulation.arm, self._lock, lambda: self._now_ns
        )

    def _plant(self, parameters: SimParameters, robot: Robot) -> SimulatedJoints:
        """Return the joints behind the controllers: those of the world's arm."""
        return self._world

    def _advance(self, tick_ns: int) -> Tick:
        tick = self._simulation.tick(tick_ns)
        self._age.ticked(time.time_ns(), tick_ns)
        return tick

    def _moving(self) -> str:
        return self._simulation.moving()

    def _tell(self, tick: Tick | None) -> None:
        assert tick is not None
        convert.fill_joints(self._joints, tick)
        self._joint_states.publish(self._joints)
        self._publish_arm(tick.arm)
        self._publish_gripper(tick.gripper)
        self._goals.report(tick.arm)
        if tick.not_finite:
            self._warn(
                f"the command of {', '.join(tick.not_finite)} is not finite; "
                "the servo keeps its last target"
            )

    def _serve(
        self, name: str, controller: TrajectoryController
    ) -> Callable[[CycleOutcome], None]:
        """Subscribe to a controller's trajectories; return what publishes its state."""

        def on_trajectory(msg: JointTrajectory, info: dict[str, Any]) -> None:
            # Middleware that does not stamp says 0.
            sent_ns = int(info.get("source_timestamp", 0))
            with self._lock:
                age_s = self._age.age_ns(sent_ns) / 1e9 if sent_ns > 0 else 0.0
            if not (age_s <= self._max_age_s):
                self._warn(
                    f"{name}: dropped a trajectory that was held back for {age_s:.3f} s on its "
                    f"way; max_command_age_s is {self._max_age_s:g} s"
                )
                return
            trajectory = convert.to_trajectory(msg)
            with self._lock:
                rejection = controller.receive(trajectory, self._now_ns)
            if rejection is not None:
                self.get_logger().error(f"{name}: rejected: the trajectory {rejection.detail}")

        take: Callable[..., None] = on_trajectory
        if not hasattr(Subscription, "CallbackType"):
            # Humble's rclpy does not tell when a message was sent.
            take = partial(on_trajectory, info={})
        topic = f"{name}/joint_trajectory"
        self.create_subscription(JointTrajectory, topic, take, qos.TRAJECTORY)
        self.companions.append(ControllerNode(name, self.get_namespace(), controller, self._lock))
        return state_publisher(self, name, controller, self._warn)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to end.

    Returns:
        0 after a shutdown, 1 after a failure, 2 when the configuration is wrong.
    """
    errors = (ParameterError, RobotConfigError, WorldError, RenderError)
    return run("vla_sim", SimulationNode, errors, args)


if __name__ == "__main__":
    sys.exit(main())
