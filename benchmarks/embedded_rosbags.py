# SPDX-License-Identifier: Apache-2.0
"""embedded_ros2's message code beside rosbags', in one run, as ratios.

    python benchmarks/embedded_rosbags.py [--write]

Both encode and decode CDR, read definitions and compute type hashes (RIHS01). Every round times
both, in turns, so that whatever else the machine does falls on both; a ratio is that of one round.
`--write` puts the figures into docs/measurements/embedded_ros2_rosbags.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pages
from rosbags_definitions import definitions, features, rosbags_store, twin

from embedded_ros2.interfaces import cdr, parse, registry
from embedded_ros2.interfaces.classes import message_class

ROUNDS, ROUND_S = 21, 0.02
JOINTS = [f"joint_{number}" for number in range(6)]


def _stamped(message: Any) -> Any:
    message.header.stamp.sec, message.header.stamp.nanosec = 1_700_000_000, 123_456_789
    message.header.frame_id = "base_link"
    return message


def _trajectory_point(rng: np.random.Generator) -> Any:
    point = message_class("trajectory_msgs/msg/JointTrajectoryPoint")
    return point(
        positions=rng.random(6), velocities=rng.random(6), accelerations=rng.random(6)
    )  # fmt: skip


def samples() -> dict[str, Any]:
    """Return the messages that are timed, by what the table calls them."""
    rng = np.random.default_rng(0)
    joint_state = message_class("sensor_msgs/msg/JointState")(
        name=JOINTS, position=rng.random(6), velocity=rng.random(6), effort=rng.random(6)
    )
    image = message_class("sensor_msgs/msg/Image")(
        width=640, height=480, encoding="rgb8", step=640 * 3, data=rng.bytes(640 * 480 * 3)
    )
    trajectory = message_class("trajectory_msgs/msg/JointTrajectory")(
        joint_names=JOINTS, points=[_trajectory_point(rng) for _ in range(50)]
    )
    imu = message_class("sensor_msgs/msg/Imu")(orientation_covariance=rng.random(9))
    state = message_class("control_msgs/msg/JointTrajectoryControllerState")(joint_names=JOINTS)
    for part in ("reference", "feedback", "error", "output"):
        setattr(state, part, _trajectory_point(rng))
    transforms = message_class("tf2_msgs/msg/TFMessage")()
    for number in range(10):
        transform = _stamped(message_class("geometry_msgs/msg/TransformStamped")())
        transform.child_frame_id = f"link_{number}"
        transforms.transforms.append(transform)
    return {
        "JointState, 6 joints": _stamped(joint_state),
        "Imu": _stamped(imu),
        "Image, 640 x 480 rgb8": _stamped(image),
        "JointTrajectory, 50 points of 6 joints": _stamped(trajectory),
        "JointTrajectoryControllerState (nested)": _stamped(state),
        "TFMessage, 10 transforms (nested)": transforms,
    }


def reader_of_all(name: str) -> Callable[[Any], None]:
    """Return a function that asks for every field of a message."""
    lines: list[str] = ["def function(m):"]

    def walk(structure: parse.Structure, value: str, depth: int) -> None:
        for field in structure.fields:
            lines.append("    " * depth + f"{value}{depth}_ = {value}.{field.name}")
            if field.type.is_primitive:
                continue
            inner = registry.structure(field.type.base)
            if field.type.shape == parse.SINGLE:
                walk(inner, f"{value}{depth}_", depth)
            else:
                lines.append("    " * depth + f"for e{depth} in {value}{depth}_:")
                lines.append("    " * (depth + 1) + "pass")
                walk(inner, f"e{depth}", depth + 1)

    walk(registry.structure(name), "m", 1)
    names: dict[str, Any] = {}
    exec("\n".join(lines), names)
    return names["function"]


def time_of(call: Callable[[], object], count: int) -> float:
    """Return the seconds that one call takes, over `count` of them."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def compare(ours: Callable[[], object], theirs: Callable[[], object]) -> list[str]:
    """Time both in turns; return the cells: ours, theirs (us), ratio and its quartiles."""
    counts = []
    for call in (ours, theirs):
        for _ in range(200):  # a layout that stays gets a reader of its own
            call()
        counts.append(max(3, round(ROUND_S / time_of(call, 20))))
    pairs = []
    for number in range(ROUNDS):
        if number % 2:
            second = time_of(theirs, counts[1])
            pairs.append((time_of(ours, counts[0]), second))
        else:
            pairs.append((time_of(ours, counts[0]), time_of(theirs, counts[1])))
    ratios = [mine / other for mine, other in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    times = [statistics.median(each) * 1e6 for each in zip(*pairs, strict=True)]
    return [*(f"{value:.3g}" for value in times), f"{middle:.2f} ({low:.2f} to {high:.2f})"]


def timed(store: Any) -> list[list[str]]:
    """Return the rows of the table of messages."""
    rows = []
    for title, message in samples().items():
        name, cls = message._structure.name, type(message)
        other = twin(message, store)
        payload = bytes(store.serialize_cdr(other, name))
        assert payload.startswith(bytes(cdr.serialize(message)))
        read_all = reader_of_all(name)

        def encode(message: Any = message) -> object:
            return cdr.serialize(message)

        def encode_theirs(other: Any = other, name: str = name) -> object:
            return store.serialize_cdr(other, name)

        def decode(payload: bytes = payload, cls: Any = cls) -> Any:
            return cdr.deserialize(payload, cls)

        def decode_theirs(payload: bytes = payload, name: str = name) -> Any:
            return store.deserialize_cdr(payload, name)

        rows.append([title, "encode", *compare(encode, encode_theirs)])
        rows.append(["", "decode", *compare(decode, decode_theirs)])
        rows.append(
            [
                "",
                "decode, read all fields",
                *compare(
                    lambda read=read_all, get=decode: read(get()),
                    lambda read=read_all, get=decode_theirs: read(get()),
                ),
            ]
        )
    return [*rows, changing(store), made(store)]


def changing(store: Any) -> list[str]:
    """Time the decoding of a stream in which no two messages in a row have one layout."""
    message = samples()["JointState, 6 joints"]
    payloads = []
    for number in range(64):
        message.header.frame_id = "x" * (1 + 4 * number)
        payloads.append(bytes(cdr.serialize(message)))
    # Of so many lengths at most eight get a reader of their own.
    cls, name = type(message), message._structure.name

    def all_of(decode: Callable[[bytes], object]) -> Callable[[], object]:
        return lambda: [decode(payload) for payload in payloads]

    cells = compare(
        all_of(lambda payload: cdr.deserialize(payload, cls)),
        all_of(lambda payload: store.deserialize_cdr(payload, name)),
    )
    cells[:2] = [f"{float(cell) / len(payloads):.3g}" for cell in cells[:2]]
    return ["JointState, each of another length", "decode", *cells]


def made(store: Any) -> list[str]:
    """Time what a node that publishes does: make a message of lists of numbers, and encode it."""
    joint_state = message_class("sensor_msgs/msg/JointState")
    header, stamp = message_class("std_msgs/msg/Header"), message_class(
        "builtin_interfaces/msg/Time"
    )  # fmt: skip
    their_state = store.types["sensor_msgs/msg/JointState"]
    their_header = store.types["std_msgs/msg/Header"]
    their_stamp = store.types["builtin_interfaces/msg/Time"]
    values = [0.1 * number for number in range(6)]

    def ours() -> object:
        message = joint_state(
            header=header(stamp=stamp(sec=1, nanosec=2), frame_id="base_link"),
            name=JOINTS, position=values, velocity=values,
        )  # fmt: skip
        return cdr.serialize(message)

    def theirs() -> object:
        message = their_state(
            header=their_header(stamp=their_stamp(sec=1, nanosec=2), frame_id="base_link"),
            name=JOINTS, position=np.array(values), velocity=np.array(values), effort=np.array([]),
        )  # fmt: skip
        return store.serialize_cdr(message, "sensor_msgs/msg/JointState")

    return ["JointState, 6 joints", "make of lists and encode", *compare(ours, theirs)]


# What a process pays before its first message.
COLD = {
    "embedded_ros2": """
from embedded_ros2.interfaces import cdr, hashes
from embedded_ros2.interfaces.classes import message_class
for name in NAMES:
    hashes.type_hash(name)
    cls = message_class(name)
    cdr.deserialize(bytes(cdr.serialize(cls())), cls)
""",
    "rosbags, its own types": """
from rosbags.typesys import Stores, get_typestore
store = get_typestore(Stores.ROS2_JAZZY)
for name in NAMES:
    store.hash_rihs01(name)
    store.get_msgdef(name)
""",
    "rosbags, types read from `.msg`": """
import sys
from rosbags.typesys import Stores, get_typestore, get_types_from_msg
store, types = get_typestore(Stores.EMPTY), {}
for name, text in TEXTS.items():
    types.update(get_types_from_msg(text, name))
store.register(types)
for name in NAMES:
    store.hash_rihs01(name)
    store.get_msgdef(name)
""",
}
COLD_NAMES = [
    "sensor_msgs/msg/JointState",
    "sensor_msgs/msg/Image",
    "trajectory_msgs/msg/JointTrajectory",
    "diagnostic_msgs/msg/DiagnosticArray",
]


def _texts(names: list[str]) -> dict[str, str]:
    """Return the definitions of messages and of all that they hold."""
    found: dict[str, str] = {}
    for name in names:
        inner = [f.type.base for f in registry.structure(name).fields if not f.type.is_primitive]
        found |= {name: "\n".join(registry.definition(name)) + "\n", **_texts(inner)}
    return found


def cold(rounds: int = 11) -> list[list[str]]:
    """Return the rows of what a fresh process pays for four types, in time and memory."""
    measure = (
        "import time; import numpy\n"
        "def memory(): return int(open('/proc/self/statm').read().split()[1]) * 4\n"
        "before = memory()\n"
        f"NAMES, TEXTS = {COLD_NAMES!r}, {_texts(COLD_NAMES)!r}\n"
        "start = time.perf_counter()\nBODY\n"
        "print(time.perf_counter() - start, memory() - before)"
    )
    results: dict[str, list[tuple[float, float]]] = {title: [] for title in COLD}
    for _ in range(rounds):
        for title, body in COLD.items():
            done = subprocess.run(
                [sys.executable, "-c", measure.replace("BODY", body)],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            seconds, kilobytes = map(float, done.stdout.split())
            results[title].append((seconds, kilobytes))
    first = results["embedded_ros2"]
    rows = []
    for title, found in results.items():
        ratio = statistics.median(
            mine[0] / other[0] for mine, other in zip(first, found, strict=True)
        )
        rows.append([
            title,
            f"{statistics.median(each[0] for each in found) * 1e3:.0f}",
            f"{statistics.median(each[1] for each in found) / 1024:.1f}",
            f"{ratio:.2f}",
        ])  # fmt: skip
    return rows


def main() -> None:
    """Compare, print, and write the page if that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--write", action="store_true", help="fill in the page of the docs")
    write = parser.parse_args().write
    load = os.getloadavg()[0]
    store, every = rosbags_store()
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("embedded_ros2", "rosbags")
    )
    rows = timed(store)
    blocks = {
        "run": f"{versions}; {pages.machine()}; load average {load:.1f} at the start, "
        f"{os.getloadavg()[0]:.1f} at the end; {ROUNDS} rounds.",
        "messages": pages.table(
            ("message", "", "embedded_ros2, us", "rosbags, us", "ratio (quartiles)"), rows
        ),
        "definitions": pages.table(("", "embedded_ros2", "rosbags"), definitions(store, every)),
        "features": pages.table(("line", "read as", "embedded_ros2", "rosbags"), features()),
        "cold": pages.table(("", "time, ms", "memory, MB", "ratio of times"), cold()),
    }
    for name, content in blocks.items():
        print(f"{name}\n{content}\n")
    if write:
        pages.fill(pages.DOCS / "embedded_ros2_rosbags.md", blocks)


if __name__ == "__main__":
    main()
