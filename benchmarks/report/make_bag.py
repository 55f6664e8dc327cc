# SPDX-License-Identifier: Apache-2.0
"""Write a long recording to measure `smoothness report` with.

python benchmarks/report/make_bag.py OUT [--minutes 10] [--rate 1000] [--joints 7]

One topic of controller states and one of joint states, MCAP: minimum-jerk movements to and fro
with rests between them, encoders of 4096 ticks on the joint states.
"""

import argparse
import struct
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STATE = "control_msgs/msg/JointTrajectoryControllerState"
JOINTS = "sensor_msgs/msg/JointState"
START_NS = 1_790_000_000_000_000_000
STEP = 2.0 * np.pi / 4096


def reach(t):
    """Return a minimum-jerk movement of 0.5 rad there and back every 6 s."""
    s = np.clip((t % 6.0) / 1.5, 0.0, 1.0) - np.clip((t % 6.0 - 3.0) / 1.5, 0.0, 1.0)
    return 0.5 * s**3 * (10.0 - 15.0 * s + 6.0 * s**2)


def _string(text):
    raw = text.encode() + b"\0"
    return struct.pack("<I", len(raw)) + raw


def _pad(data, size):
    # Counts from behind the encapsulation's 4 bytes.
    return data + b"\0" * (-(len(data) - 4) % size)


def _names(data, names):
    data = _pad(data, 4) + struct.pack("<I", len(names))
    for name in names:
        data = _pad(data, 4) + _string(name)
    return data


def _values(data, values):
    data = _pad(data, 4) + struct.pack("<I", len(values))
    return _pad(data, 8) + np.asarray(values, "<f8").tobytes() if len(values) else data


def _header(ns):
    return b"\0\1\0\0" + struct.pack("<iI", ns // 10**9, ns % 10**9) + _string("")


def _point(data, positions, elapsed_ns):
    data = _values(data, positions)
    for _ in range(3):
        data = _values(data, [])
    return _pad(data, 4) + struct.pack("<iI", elapsed_ns // 10**9, elapsed_ns % 10**9)


def controller_state(ns, elapsed_ns, names, reference, feedback):
    data = _names(_header(ns), names)
    for values in (reference, feedback, reference - feedback, []):
        data = _point(data, values, elapsed_ns)
    data = _names(data, [])
    for _ in range(4):
        for _ in range(3):
            data = _pad(data, 4) + struct.pack("<I", 0)
        data = _pad(data, 4) + struct.pack("<iI", 0, 0)
    return data


def joint_state(ns, names, positions):
    data = _values(_names(_header(ns), names), positions)
    return _values(_values(data, []), [])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--joints", type=int, default=7)
    given = parser.parse_args()
    store = get_typestore(Stores.ROS2_JAZZY)
    from rosbags.typesys import get_types_from_msg

    layout = "std_msgs/Header header\nstring[] joint_names\n"
    point = "trajectory_msgs/JointTrajectoryPoint"
    many = "trajectory_msgs/MultiDOFJointTrajectoryPoint"
    fields = ("reference", "feedback", "error", "output")
    layout += "".join(f"{point} {field}\n" for field in fields)
    layout += "string[] multi_dof_joint_names\n"
    layout += "".join(f"{many} multi_dof_{field}\n" for field in fields)
    store.register(get_types_from_msg(layout, STATE))
    names = [f"joint_{j + 1}" for j in range(given.joints)]
    shares = np.linspace(1.0, 0.4, given.joints)
    with Writer(given.out, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        state = writer.add_connection("/arm_controller/controller_state", STATE, typestore=store)
        joints = writer.add_connection("/joint_states", JOINTS, typestore=store)
        for k in range(round(given.minutes * 60.0 * given.rate)):
            t, elapsed = k / given.rate, k * 10**9 // given.rate
            ns = START_NS + elapsed
            wanted = reach(t) * shares
            measured = np.round(reach(max(t - 0.03, 0.0)) * shares / STEP) * STEP
            data = controller_state(ns, elapsed, names, wanted, measured)
            writer.write(state, ns, data)
            writer.write(joints, ns + 20_000, joint_state(ns, names, measured))


if __name__ == "__main__":
    main()
