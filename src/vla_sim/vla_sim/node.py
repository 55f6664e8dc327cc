# SPDX-License-Identifier: Apache-2.0
"""The simulation as a ROS node: it stands where ros2_control and the cameras stand."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import TaskState
from vla_msgs.srv import ResetScene

from node_kit import qos
from node_kit.declare import declare
from node_kit.messages import to_time
from node_kit.parameters import ParameterError
from node_kit.run import run
from vla_contract.robot import RobotConfigError, load_robot
from vla_sim import convert
from vla_sim.action import TrajectoryActionServer
from vla_sim.controller_node import ControllerNode
from vla_sim.core.command_age import CommandAge
from vla_sim.core.grid import Divider
from vla_sim.core.simulation import Simulation
from vla_sim.core.trajectory_controller import CycleOutcome, TrajectoryController
from vla_sim.params import PHYSICS_RATE_HZ, SimParameters
from vla_sim.timekeeper import Timekeeper
from vla_sim.workers import CameraWorker, ControlWorker, Picture
from vla_sim.world import CAMERAS, RenderError, World, WorldError

TASK_RATE_HZ = 10.0
WARNING_PERIOD_NS = 5_000_000_000
# Simulated time begins here: far enough from zero, which means "no time yet" to many a node and
# "start now" to a controller.
START_NS = 1_000_000_000_000


class SimulationNode(Node):
    """The simulated robot: joints, controllers, cameras and the task's ground truth.

    Raises:
        ParameterError: A parameter is missing or wrong.
        RobotConfigError: The robot file is.
        WorldError: The robot file is of a robot that this world does not have.
        RenderError: No picture can be drawn on this machine.
    """

    def __init__(self) -> None:
        super().__init__("vla_sim")
        self.failed = False
        self._workers: list[ControlWorker | CameraWorker] = []
        self._warned_ns: dict[str, int] = {}
        self._now_ns = START_NS
        parameters = declare(self, SimParameters)
        robot = load_robot(parameters.robot_file)
        self._frame = robot.base_frame
        self._seed = parameters.seed
        self._lock = threading.Lock()  # held for every use of the world and the controllers
        self._world = World(
            Path(parameters.robot_file), seed=self._seed, randomise=parameters.randomise
        )
        period_ns = 1_000_000_000 // parameters.controller_rate_hz
        self._simulation = Simulation(
            self._world,
            robot.limits.joint_names,
            robot.gripper.joint,
            period_ns=period_ns,
            steps_per_tick=PHYSICS_RATE_HZ // parameters.controller_rate_hz,
            allow_trajectory_replacement=parameters.allow_trajectory_replacement,
        )
        self._age = CommandAge()
        self._max_age_s = parameters.max_command_age_s
        self.companions: list[ControllerNode] = []
        self._camera_due = Divider(parameters.camera_rate_hz)
        self._task_due = Divider(TASK_RATE_HZ)

        self._joint_states = self.create_publisher(JointState, "joint_states", qos.EACH)
        self._joints = JointState(name=list(self._world.joint_names))
        self._joints.header.frame_id = self._frame
        self._task_state = self.create_publisher(TaskState, "~/task_state", qos.NEWEST)
        self._publish_arm = self._serve(robot.arm_controller, self._simulation.arm)
        self._publish_gripper = self._serve(robot.gripper.controller, self._simulation.gripper)
        self._goals = TrajectoryActionServer(
            self, robot.arm_controller, self._simulation.arm, self._lock, lambda: self._now_ns
        )
        self.create_service(ResetScene, "~/reset", self._on_reset)

        size = (parameters.image_width, parameters.image_height)
        self._images = {}
        for camera in CAMERAS:
            topic = f"{camera}_camera"
            image = self.create_publisher(Image, f"{topic}/image_raw", qos.IMAGE)
            info = self.create_publisher(CameraInfo, f"{topic}/camera_info", qos.IMAGE)
            self._images[camera] = (image, info, self._world.camera(camera, *size))
        self._cameras = CameraWorker(
            self._world, CAMERAS, size, self._publish_image, self._on_failure
        )
        self._workers.append(self._cameras)
        try:
            self._cameras.start_drawing()
            self._timekeeper = Timekeeper(
                self, parameters, START_NS, period_ns, self._tick, self._on_failure
            )
            self._workers.append(self._timekeeper.worker)
            self._timekeeper.worker.start()
            self.get_logger().info(
                f"simulating {robot.name}, scene {self._seed}, controllers at "
                f"{parameters.controller_rate_hz} Hz, cameras {size[0]}x{size[1]} at "
                f"{parameters.camera_rate_hz:g} Hz"
            )
        except BaseException:  # an interrupt too: nothing must draw while the process ends
            self._end_workers()
            raise

    def destroy_node(self) -> None:
        """End the threads, the controllers and the node."""
        self._end_workers()
        for controller in self.companions:
            controller.destroy_node()
        super().destroy_node()

    def _end_workers(self) -> None:
        for worker in reversed(self._workers):
            worker.stop()

    # -- set-up -----------------------------------------------------------------------------------

    def _serve(
        self, name: str, controller: TrajectoryController
    ) -> Callable[[CycleOutcome], None]:
        """Subscribe to a controller's trajectories.

        Returns:
            What publishes the controller's state. It fills one message again and again, because
            making one takes longer than a control cycle.
        """
        joint_names = controller.config.joint_names
        publisher = self.create_publisher(
            JointTrajectoryControllerState, f"{name}/controller_state", qos.EACH
        )
        state = JointTrajectoryControllerState(
            joint_names=list(joint_names), speed_scaling_factor=1.0
        )

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

        def publish(cycle: CycleOutcome) -> None:
            convert.fill_controller_state(state, cycle.state)
            publisher.publish(state)
            if cycle.warning:
                self._warn(f"{name}: {cycle.warning}")

        take: Callable[..., None] = on_trajectory
        if not hasattr(Subscription, "CallbackType"):
            # Humble's rclpy does not tell when a message was sent.
            take = partial(on_trajectory, info={})
        topic = f"{name}/joint_trajectory"
        self.create_subscription(JointTrajectory, topic, take, qos.TRAJECTORY)
        self.companions.append(ControllerNode(name, self.get_namespace(), controller, self._lock))
        return publish

    # -- the control thread -----------------------------------------------------------------------

    def _tick(self, tick_ns: int) -> None:
        snapshot = objects = None
        with self._lock:
            self._now_ns = tick_ns
            # Both are of the tick's time, so they come before the physics moves on.
            if self._camera_due.due(tick_ns):
                snapshot = self._world.snapshot()
            if self._task_due.due(tick_ns):
                objects = self._world.objects()
            tick = self._simulation.tick(tick_ns)
            self._age.ticked(time.time_ns(), tick_ns)
            seed = self._seed
        # Before what is stamped with it, so that nobody hears from the future.
        self._timekeeper.announce(tick_ns)
        convert.fill_joints(self._joints, tick)
        self._joint_states.publish(self._joints)
        self._publish_arm(tick.arm)
        self._publish_gripper(tick.gripper)
        self._goals.report(tick.arm)
        if objects is not None:
            self._task_state.publish(convert.from_objects(tick_ns, self._frame, seed, objects))
        if snapshot is not None:
            self._cameras.offer(tick_ns, snapshot)
        if tick.not_finite:
            self._warn(
                f"the command of {', '.join(tick.not_finite)} is not finite; "
                "the servo keeps its last target"
            )

    # -- the camera thread ------------------------------------------------------------------------

    def _publish_image(self, camera: str, stamp_ns: int, picture: Picture) -> None:
        image, info, model = self._images[camera]
        header = Header(stamp=to_time(stamp_ns), frame_id=f"{camera}_camera_optical_frame")
        image.publish(convert.from_image(header, picture))
        info.publish(convert.from_camera(header, model))

    # -- the executor's thread --------------------------------------------------------------------

    def _on_reset(
        self, request: ResetScene.Request, response: ResetScene.Response
    ) -> ResetScene.Response:
        with self._lock:
            moving = self._simulation.moving()
            if not moving:
                self._world.reset_scene(request.seed)
                self._seed = request.seed
        response.success = not moving
        response.message = f"the arm is in motion: {moving}" if moving else ""
        return response

    # -- any thread -------------------------------------------------------------------------------

    def _on_failure(self, error: Exception) -> None:
        if self.context.ok():  # else it is the shutdown that pulled the publishers away
            self.failed = True
            self.get_logger().fatal(f"simulation ended: {type(error).__name__}: {error}")
            rclpy.try_shutdown()

    def _warn(self, text: str) -> None:
        now_ns = time.monotonic_ns()
        if now_ns - self._warned_ns.get(text, -WARNING_PERIOD_NS) >= WARNING_PERIOD_NS:
            self._warned_ns[text] = now_ns
            self.get_logger().warning(text)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to end.

    Returns:
        0 after a shutdown, 1 after a failure, 2 when the configuration is wrong.
    """
    errors = (ParameterError, RobotConfigError, WorldError, RenderError)
    return run("vla_sim", SimulationNode, errors, args)


if __name__ == "__main__":
    sys.exit(main())
