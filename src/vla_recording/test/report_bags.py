# SPDX-License-Identifier: Apache-2.0
"""Recordings to report on, written as rosbag2 writes them."""

import json

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from vla_recording.report import command, layouts
from vla_recording.report.layouts import CONTROLLER_STATE, JOINT_STATE

MS = 1_000_000
SECOND = 1000 * MS
T0 = 1_790_000_000 * SECOND
STEP = 2.0 * np.pi / 4096
NEWEST, JAZZY, LATE_HUMBLE, EARLY_HUMBLE = layouts.typestores()
STORAGE = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
PNG = b"\x89PNG\r\n"


class Bag:
    """Writes a recording, message by message."""

    def __init__(self, path, *, storage="mcap", store=JAZZY, compressed=False):
        self.path, self.store = path, store
        self.writer = Writer(path, version=9, storage_plugin=STORAGE[storage])
        if compressed:
            self.writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self.topics = {}

    def __enter__(self):
        self.writer.open()
        return self

    def __exit__(self, *exception):
        self.writer.close()

    def make(self, kind, /, **fields):
        return self.store.types[kind](**fields)

    def time(self, kind, ns):
        return self.make(
            f"builtin_interfaces/msg/{kind}", sec=int(ns // SECOND), nanosec=int(ns % SECOND)
        )

    def header(self, ns):
        return self.make("std_msgs/msg/Header", stamp=self.time("Time", ns), frame_id="")

    def write(self, topic, kind, received_ns, message):
        data = self.store.serialize_cdr(message, kind)
        self.write_raw(topic, kind, received_ns, data)

    def write_raw(self, topic, kind, received_ns, data):
        if topic not in self.topics:
            self.topics[topic] = self.writer.add_connection(topic, kind, typestore=self.store)
        self.writer.write(self.topics[topic], int(received_ns), data)

    def joints(self, ns, names, position, *, velocity=(), topic="/joint_states", received=None):
        message = self.make(
            JOINT_STATE,
            header=self.header(ns),
            name=list(names),
            position=np.array(position, dtype=float),
            velocity=np.array(velocity, dtype=float),
            effort=np.zeros(0),
        )
        self.write(topic, JOINT_STATE, ns if received is None else received, message)

    def point(self, p, v=(), elapsed=0):
        return self.make(
            "trajectory_msgs/msg/JointTrajectoryPoint",
            positions=np.array(p, dtype=float),
            velocities=np.array(v, dtype=float),
            accelerations=np.zeros(0),
            effort=np.zeros(0),
            time_from_start=self.time("Duration", elapsed),
        )

    def controller(self, ns, names, wanted, actual, *, velocity=(), elapsed=0):
        empty = self.make(
            "trajectory_msgs/msg/MultiDOFJointTrajectoryPoint",
            transforms=[],
            velocities=[],
            accelerations=[],
            time_from_start=self.time("Duration", 0),
        )
        known = {
            "reference": self.point(wanted, velocity, elapsed),
            "desired": self.point(wanted, velocity, elapsed),
            "feedback": self.point(actual),
            "actual": self.point(actual),
            "header": self.header(ns),
            "joint_names": list(names),
            "multi_dof_joint_names": [],
            "speed_scaling_factor": 1.0,
        }
        fields = self.store.get_msgdef(CONTROLLER_STATE).fields
        values = {
            name: known.get(name, empty if name.startswith("multi") else self.point([]))
            for name, _ in fields
        }
        topic = "/arm_controller/controller_state"
        self.write(topic, CONTROLLER_STATE, ns, self.make(CONTROLLER_STATE, **values))


def reach(t, start=1.0, duration=1.5):
    """A minimum-jerk movement of 0.5 rad."""
    s = np.clip((t - start) / duration, 0.0, 1.0)
    return 0.5 * s**3 * (10.0 - 15.0 * s + 6.0 * s**2)


# At either end; the estimate is the mean over 30 ms.
PEAK_JERK = 0.5 * 60.0 / 1.5**3 * (1.0 - 6.0 * 0.01 + 6.0 * 0.02**2 / 3.0)
NAMES = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")


def both(bag, seconds=4.0, rate=100):
    """Controller states and joint states of a reach."""
    for k in range(round(seconds * rate)):
        t = k / rate
        wanted = reach(t) * np.array([1.0, -1.0, 0.5, 0.0, 0.2])
        measured = np.round(reach(t - 0.03) * np.array([1.0, -1.0, 0.5, 0.0, 0.2]) / STEP) * STEP
        ns = T0 + k * SECOND // rate
        bag.controller(ns, NAMES, wanted, measured, elapsed=k * SECOND // rate)
        bag.joints(ns, (*NAMES, "gripper"), [*measured, 0.1])


def run(capsys, *arguments, picture=False):
    """Run the command, by default without a picture: it takes most of the time.

    Returns:
        Exit code, standard output and standard error.
    """
    words = [*map(str, arguments), *([] if picture else ["--no-picture"])]
    code = command.main(["report", *words])
    out, err = capsys.readouterr()
    return code, out, err


def record(out):
    """Return the JSON, which may hold no NaN."""
    text = (out / "report.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))


def streams(out):
    return {(s["topic"], s["source"]): s for s in record(out)["streams"]}


def write_robot_file(path):
    """Write a robot file whose limits the reach keeps."""
    limits = "".join(
        f"    {name}: {{position: [-1.7, 1.7], velocity: 2.0, acceleration: 10.0, jerk: 100.0}}\n"
        for name in NAMES
    )
    home = ", ".join(f"{name}: 0.0" for name in (*NAMES, "gripper"))
    path.write_text(
        "robot: arm\nbase_frame: base\ntip_frame: tip\n"
        f"arm:\n  controller: arm_controller\n  joints: [{', '.join(NAMES)}]\n  limits:\n{limits}"
        "gripper: {controller: g, joint: gripper, position: [-0.2, 1.7], velocity: 2.5}\n"
        f"home: {{{home}}}\nencoder: {{ticks_per_turn: 4096}}\n",
        encoding="utf-8",
    )
    return path
