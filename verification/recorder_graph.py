# SPDX-License-Identifier: Apache-2.0
"""A robot and the episode recorder's node in a graph of their own, in time that is told."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import rclpy
from control_msgs.msg import JointTrajectoryControllerState
from numpy.typing import NDArray
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectoryPoint
from vla_msgs.action import RecordEpisode
from vla_msgs.msg import ExecutorStatus, PolicyStatus, RecorderStatus
from vla_msgs.srv import (
    DeleteLast,
    EditEpisode,
    FinishEpisode,
    GetEpisodeVideo,
    KeepLast,
    ListEpisodes,
)

from node_kit.messages import to_ns, to_time
from vla_recording.episodes import conversions
from vla_recording.episodes.node import EpisodeRecorderNode

DOMAIN = 101 + (os.getpid() + 60) % 100
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SENSOR = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
# Of the host's time: what proves that something hangs.
DEADLINE_S = 300.0
MS = 1_000_000
START_NS = 1_000_000 * MS
POLICY = "color_pick@1"
ROBOT_TEXT = """
robot: planar
base_frame: base
tip_frame: tip
arm:
  controller: arm_controller
  joints: [shoulder, elbow]
  limits:
    shoulder: {position: [-2.0, 2.0], velocity: 2.0, acceleration: 10.0, jerk: 100.0}
    elbow: {position: [-2.0, 2.0], velocity: 2.0, acceleration: 10.0, jerk: 100.0}
gripper: {controller: gripper_controller, joint: jaw, position: [0.0, 1.0], velocity: 2.0}
home: {shoulder: 0.0, elbow: 0.0, jaw: 0.0}
encoder: {ticks_per_turn: 4096}
"""
CONTRACT_TEXT = """
policy: {name: color_pick, options: {}}
observation:
  observation.images.front:
    {topic: front, type: sensor_msgs/msg/Image, max_age_s: 0.25, frozen_after_s: 0.5}
  observation.state:
    topic: joint_states
    type: sensor_msgs/msg/JointState
    field: position
    joints: [jaw, elbow, shoulder]
    units: deg
    max_age_s: 0.2
action: {joints: [shoulder, elbow, jaw], units: deg}
"""
FRONT, STATE = "observation.images.front", "observation.state"
JOINTS = ["shoulder", "elbow", "jaw"]


def picture(number: int, height: int = 64, width: int = 96) -> NDArray[np.uint8]:
    """Return a picture unlike that of any other number."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x + 3 * number, y * 2, (x + y) // 2 + 5 * number], -1).astype(np.uint8)


def posture(t_s: float) -> NDArray[np.float64]:
    """Return where the joints are commanded, rad."""
    return np.array([np.sin(t_s), 0.5 * np.cos(0.7 * t_s), 0.5 + 0.3 * np.sin(2.0 * t_s)])


class RecordedRobot(Node):
    """An arm and a camera, and the time, which passes when it is told to."""

    def __init__(self) -> None:
        super().__init__("robot")
        self.time = self.create_publisher(Clock, "/clock", 10)
        self.joints = self.create_publisher(JointState, "joint_states", SENSOR)
        self.front = self.create_publisher(Image, "front", SENSOR)
        kind = JointTrajectoryControllerState
        self.arm = self.create_publisher(kind, "arm_controller/controller_state", 10)
        self.jaw = self.create_publisher(kind, "gripper_controller/controller_state", 10)
        self.executor_status = self.create_publisher(
            ExecutorStatus, "arm/executor_status", LATCHED
        )
        self.policy = self.create_publisher(PolicyStatus, "vla_policy_node/status", LATCHED)
        self.record = ActionClient(self, RecordEpisode, "episode_recorder/record_episode")
        self.finish = self.create_client(FinishEpisode, "episode_recorder/finish")
        self.edit = self.create_client(EditEpisode, "episode_recorder/edit")
        self.keep_last = self.create_client(KeepLast, "episode_recorder/keep_last")
        self.delete_last = self.create_client(DeleteLast, "episode_recorder/delete_last")
        self.list = self.create_client(ListEpisodes, "episode_recorder/list_episodes")
        self.video = self.create_client(GetEpisodeVideo, "episode_recorder/get_episode_video")
        self.status, self.dealt_with_ns = RecorderStatus(), 0
        self.create_subscription(Header, "clock_acknowledgement", self._on_acknowledged, 10)
        self.create_subscription(
            RecorderStatus, "episode_recorder/status", self._on_status, LATCHED
        )
        self.now_ns, self.frame, self.camera = START_NS, 0, True

    def _on_status(self, msg: RecorderStatus) -> None:
        self.status = msg

    def _on_acknowledged(self, msg: Header) -> None:
        self.dealt_with_ns = to_ns(msg.stamp)

    def tell(self) -> None:
        """Say where joints and command are now, and every other time what the camera sees."""
        stamp, t_s = Header(stamp=to_time(self.now_ns)), (self.now_ns - START_NS) * 1e-9
        where = list(map(float, posture(t_s)))
        self.joints.publish(JointState(header=stamp, name=JOINTS, position=where))
        for publisher, joints, part in (
            (self.arm, JOINTS[:2], where[:2]),
            (self.jaw, JOINTS[2:], where[2:]),
        ):
            msg = JointTrajectoryControllerState(header=stamp, joint_names=joints)
            msg.reference = JointTrajectoryPoint(positions=part)
            publisher.publish(msg)
        self.frame += 1
        if self.camera and self.frame % 2 == 0:
            image = Image(header=stamp, height=64, width=96, encoding="rgb8", step=288)
            image.data = picture(self.frame).tobytes()
            self.front.publish(image)


class RecorderGraph:
    """Robot and recorder in one process; simulated time waits for both."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.robot, self.recorder = RecordedRobot(), EpisodeRecorderNode()
        self.executor = SingleThreadedExecutor()
        for node in (self.robot, self.recorder):
            self.executor.add_node(node)

    def until(self, condition: Callable[[], Any], what: str = "") -> None:
        """Let both work until a condition holds; time stands meanwhile."""
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, f"{what}: {self.robot.status}"
            self.executor.spin_once(timeout_sec=0.05)

    def step(self) -> None:
        """Let 20 ms pass."""
        robot, recorder = self.robot, self.recorder
        robot.now_ns += 20 * MS
        now_ns = robot.now_ns
        robot.time.publish(Clock(clock=to_time(now_ns)))
        self.until(lambda: recorder.get_clock().now().nanoseconds >= now_ns, "the time")
        robot.tell()
        inputs = recorder._recorder.inputs
        newest = inputs._newest
        self.until(
            lambda: (
                newest.get("observation.state", 0) >= now_ns
                or recorder._recorder.inputs is not inputs
            ),
            "joints",
        )

    def run(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds * 50)):
            self.step()

    def step_until(self, condition: Callable[[], Any], what: str = "") -> None:
        """Let time pass until a condition holds."""
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, f"{what}: {self.robot.status}"
            self.step()
            if self.recorder._conversions.count:
                # It needs the processor that steps without a pause would take.
                time.sleep(0.02)

    def call(self, client: Any, request: Any) -> Any:
        """Call a service and return its answer."""
        self.until(client.service_is_ready, client.srv_name)
        future = client.call_async(request)
        self.until(future.done, client.srv_name)
        return future.result()

    def begin(self, **goal: Any) -> tuple[Any, list[Any]]:
        """Send a goal and step until it is recorded; return its handle and the feedback."""
        self.until(self.robot.record.server_is_ready, "the action")
        feedback: list[Any] = []
        asked = RecordEpisode.Goal(**{"task": "wave", "operator_name": "Ada", "fps": 10, **goal})
        future = self.robot.record.send_goal_async(asked, lambda m: feedback.append(m.feedback))
        self.until(future.done, "the goal")
        return future.result(), feedback

    def recording(self) -> bool:
        """Say whether an episode is recorded."""
        return self.recorder._recorder.current is not None

    def result(self, handle: Any) -> Any:
        """Wait for the result of a goal and return it."""
        future = handle.get_result_async()
        self.until(future.done, "the result")
        return future.result().result


@contextlib.contextmanager
def recorded_graph(tmp_path: Path) -> Iterator[RecorderGraph]:
    """Run one whose inputs are all there."""
    for name, text in (("contract.yaml", CONTRACT_TEXT), ("robot.yaml", ROBOT_TEXT)):
        (tmp_path / name).write_text(text)
    given = {
        "folder": tmp_path / "recorded",
        "contract_file": tmp_path / "contract.yaml",
        "robot_file": tmp_path / "robot.yaml",
        "pictures": "image",
        "use_sim_time": "true",
    }
    words = [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]
    rclpy.init(args=["--ros-args", *words], domain_id=DOMAIN)
    graph = RecorderGraph(tmp_path / "recorded")
    try:
        graph.robot.executor_status.publish(ExecutorStatus(holder=POLICY))
        graph.robot.policy.publish(PolicyStatus(policy_id=POLICY, instruction="wave"))
        heard = {f"/{name}" for name in graph.recorder._recorder.sources.topics}

        def ready() -> bool:
            return heard <= graph.recorder._topics._heard

        graph.until(ready, "subscriptions")
        graph.step_until(
            lambda: (
                not graph.recorder._recorder.inputs.problems(graph.robot.now_ns)
                and graph.recorder._recorder.inputs.policy_id == POLICY
                and graph.recorder._recorder.inputs.holder == POLICY
            ),
            "inputs",
        )
        # Where others keep the processors busy, a conversion as nice as on a robot would wait.
        with mock.patch.object(conversions, "NICENESS", 0):
            yield graph
    finally:
        graph.executor.shutdown()
        graph.robot.destroy_node()
        graph.recorder.destroy_node()
        rclpy.shutdown()
