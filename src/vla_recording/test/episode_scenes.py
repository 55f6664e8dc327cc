# SPDX-License-Identifier: Apache-2.0
"""An arm that moves before a camera, as messages, and a recorder that hears them."""

from pathlib import Path

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectoryPoint
from vla_msgs.msg import ExecutorStatus, PolicyStatus

from node_kit.messages import to_time
from verification.recorder_graph import (
    CONTRACT_TEXT,
    JOINTS,
    MS,
    POLICY,
    ROBOT_TEXT,
    START_NS,
    picture,
    posture,
)
from vla_recording.black_box.definitions import definition
from vla_recording.black_box.writer import Topic
from vla_recording.episodes.reading import load_sources
from vla_recording.episodes.recorder import EpisodeGoal, EpisodeRecorder, RecorderSettings
from vla_recording.episodes.store import EpisodeFolder

WALL_NS = 1_700_000_000_000 * MS
GOAL = EpisodeGoal("put the red cube in the bin", "Ada", fps=20)


class Scene:
    """Publishes what an arm and a camera would, to a recorder, in time that is told.

    What is set on it goes wrong from then on.
    """

    def __init__(self, root: Path, **settings):
        sources = load_sources(CONTRACT_TEXT, ROBOT_TEXT)
        files = [
            ("/episode_recorder/contract_file", CONTRACT_TEXT),
            ("/episode_recorder/robot_file", ROBOT_TEXT),
        ]
        self.folder = EpisodeFolder(root)
        self.folder.make()
        self.recorder = EpisodeRecorder(
            self.folder, sources, files, RecorderSettings(**{"wait_s": 0.5, **settings})
        )
        for name, kind in sources.topics.items():
            latched = kind.startswith("vla_msgs")
            told = Topic(kind, definition(kind))
            self.recorder.add_topic(f"/{name}", told, name, latched=latched)
        self.now_ns, self.count, self.frame = START_NS, 0, 0
        self.camera = self.joints = self.command = True
        self.frozen_picture = self.frozen_joints = self.resting = False
        self.closing = 0.0  # what the jaw is commanded further, rad
        self.pressing = 0.0  # likewise the arm
        self.moved_s = 0.0
        self.held = np.zeros(3)
        self.stamp_offset_ns = {"front": 0, "joint_states": 0}
        self.ended = []
        self.heard = []
        self.hold(POLICY)
        self.publish("vla_policy_node/status", PolicyStatus(policy_id=POLICY, instruction="wave"))

    def publish(self, name, msg) -> None:
        data = serialize_message(msg)
        self.heard.append((name, msg, self.now_ns))
        self.recorder.hear(f"/{name}", data, self.now_ns, self.now_ns)

    def hold(self, source: str) -> None:
        """Let somebody hold the arm."""
        self.publish("arm/executor_status", ExecutorStatus(holder=source))

    def step(self) -> None:
        """Let 10 ms pass: joints and command each time, a picture every 30 ms."""
        self.now_ns += 10 * MS
        self.count += 1
        if not self.resting:
            self.moved_s = (self.now_ns - START_NS) * 1e-9
        t_s = self.moved_s
        if not self.frozen_joints:
            self.held = posture(t_s if self.resting else t_s - 0.02)
        if self.joints:
            stamp = to_time(self.now_ns - 2 * MS + self.stamp_offset_ns["joint_states"])
            self.publish(
                "joint_states",
                JointState(header=Header(stamp=stamp), name=JOINTS, position=list(self.held)),
            )
        if self.command:
            self.publish_command("arm_controller", JOINTS[:2], posture(t_s)[:2] + self.pressing)
            self.publish_command("gripper_controller", JOINTS[2:], posture(t_s)[2:] + self.closing)
        if self.camera and self.count % 3 == 0:
            if not self.frozen_picture:
                self.frame += 1
            self.publish_picture()
        self.ended += self.recorder.tick(self.now_ns)

    def publish_command(self, controller, joints, positions) -> None:
        msg = JointTrajectoryControllerState(joint_names=joints)
        msg.header.stamp = to_time(self.now_ns)
        msg.reference = JointTrajectoryPoint(positions=list(map(float, positions)))
        self.publish(f"{controller}/controller_state", msg)

    def publish_picture(self) -> None:
        pixels = picture(self.frame)
        stamp = to_time(self.now_ns - 25 * MS + self.stamp_offset_ns["front"])
        msg = Image(header=Header(stamp=stamp), height=64, width=96, encoding="rgb8", step=288)
        msg.data = pixels.tobytes()
        self.publish("front", msg)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 100)):
            self.step()

    def begin(self, goal: EpisodeGoal = GOAL) -> None:
        """Begin an episode; it has, as everything here, some time to find its inputs."""
        self.run(0.2)
        assert self.recorder.begin(goal, self.now_ns, WALL_NS) == ""
        self.step()

    def finished(self):
        """Wait for the bag of the episode that has ended, and return what is said of it."""
        for recording in [*self.recorder._closing, self.recorder.current]:
            if recording is not None and recording.over:
                assert recording.bag.done.wait(60.0)
        self.ended += self.recorder.tick(self.now_ns)
        assert len(self.ended) == 1, self.ended
        return self.ended.pop()
