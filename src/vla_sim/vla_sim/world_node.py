# SPDX-License-Identifier: Apache-2.0
"""The simulated world as a ROS node, without what moves the arm in it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import rclpy
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from vla_msgs.msg import TaskState
from vla_msgs.srv import ResetScene

from node_kit import qos
from node_kit.declare import declare
from node_kit.messages import to_time
from vla_contract.robot import Robot, load_robot
from vla_sim import convert
from vla_sim.controller_node import ControllerNode
from vla_sim.core.grid import Divider
from vla_sim.core.simulation import Tick
from vla_sim.params import SimParameters
from vla_sim.timekeeper import LEAD_NS, Timekeeper
from vla_sim.workers import CameraWorker, ControlWorker, Picture
from vla_sim.world import CAMERAS, World

TASK_RATE_HZ = 10.0
WARNING_PERIOD_NS = 5_000_000_000
# Simulated time begins here: far enough from zero, which means "no time yet" to many a node and
# "start now" to a controller.
START_NS = 1_000_000_000_000


class WorldNode(Node):
    """The simulated world in its own time: cameras, the task's ground truth, the scene's reset.

    Who moves the arm in it is another's: `_connect`, `_advance` and `_moving`.

    Raises:
        ParameterError: A parameter is missing or wrong.
        RobotConfigError: The robot file is.
        WorldError: The robot file is of a robot that this world does not have.
        RenderError: No picture can be drawn on this machine.
    """

    parameters: type[SimParameters] = SimParameters
    lead_ns = LEAD_NS

    def __init__(self) -> None:
        super().__init__("vla_sim")
        self.failed = False
        self._workers: list[ControlWorker | CameraWorker] = []
        self._warned_ns: dict[str, int] = {}
        self._now_ns = START_NS
        parameters = declare(self, self.parameters)
        robot = load_robot(parameters.robot_file)
        self._frame = robot.base_frame
        self._seed = parameters.seed
        self._lock = threading.Lock()  # held for every use of the world and the controllers
        self._world = World(
            Path(parameters.robot_file),
            seed=self._seed,
            randomise=parameters.randomise,
            timestep_s=1.0 / parameters.physics_rate_hz,
        )
        period_ns = 1_000_000_000 // parameters.controller_rate_hz
        self.companions: list[ControllerNode] = []
        self._camera_due = Divider(parameters.camera_rate_hz)
        self._task_due = Divider(TASK_RATE_HZ)
        self._task_state = self.create_publisher(TaskState, "~/task_state", qos.NEWEST)
        self._connect(parameters, robot, period_ns)
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
                self,
                parameters,
                START_NS,
                period_ns,
                self._tick,
                self._on_failure,
                self.lead_ns,
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

    # -- who moves the arm ------------------------------------------------------------------------

    def _connect(self, parameters: SimParameters, robot: Robot, period_ns: int) -> None:
        """Put what moves the arm between the graph and the world."""
        raise NotImplementedError

    def _advance(self, tick_ns: int) -> Tick | None:
        """Let the world reach the next tick; return what is to be told of this one."""
        raise NotImplementedError

    def _moving(self) -> str:
        """Return in words why the arm counts as moving; empty when it is at rest."""
        raise NotImplementedError

    def _tell(self, tick: Tick | None) -> None:
        """Publish what a tick brought about."""

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
            tick = self._advance(tick_ns)
            seed = self._seed
        # Before what is stamped with it, so that nobody hears from the future.
        self._timekeeper.announce(tick_ns)
        self._tell(tick)
        if objects is not None:
            self._task_state.publish(convert.from_objects(tick_ns, self._frame, seed, objects))
        if snapshot is not None:
            self._cameras.offer(tick_ns, snapshot)

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
            moving = self._moving()
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
