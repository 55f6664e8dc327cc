# SPDX-License-Identifier: Apache-2.0
"""Write a long recording to measure `smoothness report` with.

python benchmarks/report/make_bag.py OUT [--minutes 10] [--rate 1000] [--joints 7]

One topic of controller states and one of joint states, MCAP: minimum-jerk movements to and fro
with rests between them, encoders of 4096 ticks on the joint states.
"""

import argparse
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from vla_recording.report.layouts import CONTROLLER_STATE, JOINT_STATE, typestores

START_NS = 1_790_000_000_000_000_000
STEP = 2.0 * np.pi / 4096
NOTHING = np.zeros(0)
STORE = typestores()[1]  # as Jazzy has it


def message(name, *values):
    return STORE.types[name](*values)


def time(name, ns):
    return message(f"builtin_interfaces/msg/{name}", *divmod(ns, 10**9))


def header(ns):
    return message("std_msgs/msg/Header", time("Time", ns), "")


def reach(t):
    """Return a minimum-jerk movement of 0.5 rad there and back every 6 s."""
    s = np.clip((t % 6.0) / 1.5, 0.0, 1.0) - np.clip((t % 6.0 - 3.0) / 1.5, 0.0, 1.0)
    return 0.5 * s**3 * (10.0 - 15.0 * s + 6.0 * s**2)


def controller_state(ns, elapsed_ns, names, reference, feedback):
    since, zero = time("Duration", elapsed_ns), time("Duration", 0)
    point = "trajectory_msgs/msg/JointTrajectoryPoint"
    points = [
        message(point, values, NOTHING, NOTHING, NOTHING, since)
        for values in (reference, feedback, reference - feedback, NOTHING)
    ]
    many = message("trajectory_msgs/msg/MultiDOFJointTrajectoryPoint", [], [], [], zero)
    state = message(CONTROLLER_STATE, header(ns), names, *points, [], *[many] * 4)
    return STORE.serialize_cdr(state, CONTROLLER_STATE)


def joint_state(ns, names, positions):
    state = message(JOINT_STATE, header(ns), names, positions, NOTHING, NOTHING)
    return STORE.serialize_cdr(state, JOINT_STATE)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--joints", type=int, default=7)
    given = parser.parse_args()
    names = [f"joint_{j + 1}" for j in range(given.joints)]
    shares = np.linspace(1.0, 0.4, given.joints)
    with Writer(given.out, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        state, joints = (
            writer.add_connection(topic, name, typestore=STORE)
            for topic, name in (
                ("/arm_controller/controller_state", CONTROLLER_STATE),
                ("/joint_states", JOINT_STATE),
            )
        )
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
