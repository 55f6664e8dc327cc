# SPDX-License-Identifier: Apache-2.0
"""Latency and CPU of embedded_ros2 beside real rclpy or raw Zenoh, in one run, as ratios.

    python benchmarks/transport.py                                   # beside raw Zenoh
    python benchmarks/transport.py --ros-setup /opt/ros/jazzy/setup.bash   # beside real rclpy

Two processes exchange messages over the loopback interface: a JointState of six joints goes to and
fro, and images of 640x480 rgb8 go one way at 30 Hz. Both sides of the comparison run the same
file, alternating, so that whatever else the machine does falls on both. Then images again, with
three processes beside that do nothing but compute; what counts there is that none is lost.
`--write` puts the figures into docs/measurements/embedded_ros2_measured.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time

JOINTS = 6
WIDTH, HEIGHT, RATE_HZ = 640, 480, 30
BUSY = 3
# image p50 and JointState p50, embedded_ros2 over rclpy
GOALS = {"image": 1.0, "joint_state": 1.5}


class Rclpy:
    """The messages as a node sends and receives them, with whichever rclpy there is."""

    def __init__(self, name):
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from sensor_msgs.msg import Image, JointState

        rclpy.init(args=[])
        self.rclpy, self.node = rclpy, rclpy.create_node(name)
        self.executor = SingleThreadedExecutor()  # as rclpy.spin has it
        self.executor.add_node(self.node)
        self.types = {"image": Image, "joint_state": JointState}
        data = bytes(range(256)) * (WIDTH * HEIGHT * 3 // 256)
        self.image = Image(width=WIDTH, height=HEIGHT, encoding="rgb8", step=WIDTH * 3, data=data)
        self.joint_state = JointState(
            name=[f"joint_{i}" for i in range(JOINTS)],
            position=[0.1] * JOINTS,
            velocity=[0.2] * JOINTS,
        )

    def publisher(self, kind, topic):
        message = getattr(self, kind)
        publisher = self.node.create_publisher(self.types[kind], topic, 10)

        def publish(stamp_ns):
            stamp = message.header.stamp
            stamp.sec, stamp.nanosec = divmod(stamp_ns, 10**9)
            publisher.publish(message)

        publish.ready = lambda: publisher.get_subscription_count() > 0
        return publish

    def subscribe(self, kind, topic, callback):
        def receive(message):
            stamp = message.header.stamp
            callback(stamp.sec * 10**9 + stamp.nanosec)

        self.node.create_subscription(self.types[kind], topic, receive, 10)

    def spin(self, until_s, done=lambda: False):
        while not done() and (left_s := until_s - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=min(left_s, 0.1))

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        self.rclpy.shutdown()


class RawZenoh:
    """Bytes of the same size over Zenoh, no types and no executor: the floor."""

    def __init__(self, name):
        import queue

        import zenoh

        from embedded_ros2.session import open_session

        self.zenoh, self.session, self.queue = zenoh, open_session(), queue.SimpleQueue()
        self.prefix = f"raw/{os.environ['ROS_DOMAIN_ID']}/"
        self.sizes = {"image": WIDTH * HEIGHT * 3, "joint_state": 200}

    def publisher(self, kind, topic):
        publisher = self.session.declare_publisher(
            self.prefix + topic, congestion_control=self.zenoh.CongestionControl.BLOCK
        )
        rest = bytes(self.sizes[kind])

        def publish(stamp_ns):
            publisher.put(stamp_ns.to_bytes(8, "little") + rest)

        publish.ready = lambda: publisher.matching_status.matching
        return publish

    def subscribe(self, kind, topic, callback):
        handler = self.zenoh.handlers.Callback(
            lambda sample: self.queue.put((callback, sample)), indirect=False
        )
        self.subscriber = self.session.declare_subscriber(self.prefix + topic, handler)

    def spin(self, until_s, done=lambda: False):
        import queue

        while not done() and (left_s := until_s - time.monotonic()) > 0:
            try:
                callback, sample = self.queue.get(timeout=min(left_s, 0.1))
            except queue.Empty:
                continue
            callback(int.from_bytes(sample.payload.to_bytes()[:8], "little"))

    def close(self):
        self.session.close()


def echo(side, seconds):
    """Send every JointState back until a second has passed without one."""
    publish = side.publisher("joint_state", "back")
    state = {"seen_s": None, "cpu_s": 0.0, "count": 0}

    def receive(stamp_ns):
        publish(stamp_ns)
        if state["seen_s"] is None:
            state["cpu_s"] = -time.process_time()
        state["seen_s"] = time.monotonic()
        state["count"] += 1

    side.subscribe("joint_state", "forth", receive)
    print("ready", flush=True)
    side.spin(
        time.monotonic() + seconds + 30,
        lambda: state["seen_s"] is not None and time.monotonic() > state["seen_s"] + 1.0,
    )
    cpu_s = state["cpu_s"] + time.process_time()
    return {"cpu_us": 1e6 * cpu_s / state["count"]}


def ping(side, seconds):
    """Send the next JointState when the last is back."""
    publish = side.publisher("joint_state", "forth")
    times_us, returned = [], []

    def receive(stamp_ns):
        now_ns = time.monotonic_ns()
        times_us.append((now_ns - stamp_ns) / 1e3)
        returned.append(stamp_ns)

    side.subscribe("joint_state", "back", receive)
    _wait_for(side, publish)
    started_s, cpu_s, sent = time.monotonic(), time.process_time(), 0
    while time.monotonic() < started_s + seconds:
        returned.clear()
        publish(time.monotonic_ns())
        sent += 1
        side.spin(time.monotonic() + 1.0, lambda: bool(returned))
    cpu_s = time.process_time() - cpu_s
    return {**_spread(times_us[len(times_us) // 10 :]), "cpu_us": 1e6 * cpu_s / sent}


def camera(side, seconds):
    """Publish images at 30 Hz."""
    publish = side.publisher("image", "image")
    print("ready", flush=True)
    _wait_for(side, publish)
    side.spin(time.monotonic() + 0.5)
    cpu_s, next_s, count = time.process_time(), time.monotonic(), int(seconds * RATE_HZ)
    for _ in range(count):
        publish(time.monotonic_ns())
        next_s += 1 / RATE_HZ
        time.sleep(max(0.0, next_s - time.monotonic()))
    cpu_s = time.process_time() - cpu_s
    side.spin(time.monotonic() + 2.0)  # what is under way still arrives
    return {"cpu_us": 1e6 * cpu_s / count}


def viewer(side, seconds):
    """Receive them."""
    times_us, count = [], int(seconds * RATE_HZ)
    side.subscribe(
        "image", "image", lambda stamp_ns: times_us.append((time.monotonic_ns() - stamp_ns) / 1e3)
    )
    cpu_s = time.process_time()
    side.spin(time.monotonic() + seconds + 20.0, lambda: len(times_us) >= count)
    cpu_s = time.process_time() - cpu_s
    result = {**_spread(times_us), "cpu_us": 1e6 * cpu_s / max(1, len(times_us))}
    return {**result, "lost": count - len(times_us), "sent": count}


def _wait_for(side, publish):
    deadline_s = time.monotonic() + 20
    while not publish.ready():
        if time.monotonic() > deadline_s:
            sys.exit("the other process does not appear")
        side.spin(time.monotonic() + 0.05)
    side.spin(time.monotonic() + 0.5)


def _spread(times_us):
    if not times_us:
        return {"p50_us": float("nan"), "p99_us": float("nan")}
    ordered = sorted(times_us)
    return {
        "p50_us": statistics.median(ordered),
        "p99_us": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
    }


ROLES = {role.__name__: role for role in (echo, ping, camera, viewer)}


def _work(side, role, seconds):
    made = {"rclpy": Rclpy, "raw": RawZenoh}[side](role)
    result = ROLES[role](made, seconds)
    made.close()
    print(json.dumps(result), flush=True)


def _start(side, role, seconds, setup):
    command = [sys.executable, os.path.abspath(__file__), "--side", side, "--role", role]
    command += ["--seconds", str(seconds)]
    if setup:
        command[0] = "python3"
        command = ["bash", "-c", f"source {shlex.quote(setup)} && exec {shlex.join(command)}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _measure(first, second, side, seconds, setup):
    """Return the results of two roles; the second starts when the first is ready."""
    one = _start(side, first, seconds, setup)
    assert one.stdout.readline().strip() == "ready"
    other = _start(side, second, seconds, setup)
    results = []
    for process in (one, other):
        text, _ = process.communicate(timeout=seconds + 90)
        if process.returncode:
            sys.exit(f"{side}: {first} or {second} failed")
        results.append(json.loads(text))
    return results


def _busy():
    return [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]


def _median(rounds, *path):
    values = []
    for item in rounds:
        for key in path:
            item = item[key]
        values.append(item)
    return statistics.median(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ros-setup", help="setup file of a real ROS 2 with rclpy")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements on each side")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    parser.add_argument("--side", choices=["rclpy", "raw"], help=argparse.SUPPRESS)
    parser.add_argument("--role", choices=list(ROLES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        _work(options.side, options.role, options.seconds)
        return 0
    import pages  # not what the processes that are measured would load

    os.environ.setdefault("ROS_DOMAIN_ID", "77")
    setup = options.ros_setup
    sides = {"embedded_ros2": ("rclpy", None)}
    other = "rclpy" if setup else "raw Zenoh"
    sides[other] = ("rclpy", setup) if setup else ("raw", None)

    load = [os.getloadavg()[0]]
    joint, image, busy = ({name: [] for name in sides} for _ in range(3))
    for _ in range(options.rounds):
        for name, (side, source) in sides.items():
            joint[name].append(_measure("echo", "ping", side, options.seconds, source))
            image[name].append(_measure("camera", "viewer", side, options.seconds, source))
    hogs = _busy()
    try:
        for name, (side, source) in sides.items():
            busy[name].append(_measure("camera", "viewer", side, options.seconds, source))
    finally:
        for hog in hogs:
            hog.kill()
    load.append(os.getloadavg()[0])
    run = (
        f"Medians of {options.rounds} rounds of {options.seconds:g} s, alternating; load average "
        f"{load[0]:.1f} at the start, {load[1]:.1f} at the end, on {os.cpu_count()} CPUs."
    )

    rows = [
        ("JointState, there and back, p50, us", joint, (1, "p50_us")),
        ("JointState, there and back, p99, us", joint, (1, "p99_us")),
        ("  CPU of who asks, us each", joint, (1, "cpu_us")),
        ("  CPU of who answers, us each", joint, (0, "cpu_us")),
        ("image, one way, p50, us", image, (1, "p50_us")),
        ("image, one way, p99, us", image, (1, "p99_us")),
        ("  CPU of the publisher, us each", image, (0, "cpu_us")),
        ("  CPU of the subscriber, us each", image, (1, "cpu_us")),
        ("image beside busy processes, p50, us", busy, (1, "p50_us")),
    ]
    ratios, cells = {}, []
    for title, rounds, path in rows:
        mine, theirs = (_median(rounds[name], *path) for name in sides)
        ratios[title] = mine / theirs
        cells.append((title, f"{mine:.0f}", f"{theirs:.0f}", f"{mine / theirs:.2f}"))
    lost, sent = (
        [sum(r[1][key] for r in busy[n]) + sum(r[1][key] for r in image[n]) for n in sides]
        for key in ("lost", "sent")
    )
    of = [f"{one} of {all_}" for one, all_ in zip(lost, sent, strict=True)]
    cells.append(("images lost, idle and busy", *of, ""))
    figures = pages.table(("", "embedded_ros2", other, "ratio"), cells)
    print(f"{run}\n\n{figures}")
    if options.write:
        page = pages.DOCS / "embedded_ros2_measured.md"
        pages.fill(page, {"transport": f"{run}\n\n{figures}"})
    if not setup:
        return 0
    met = (
        ratios[rows[0][0]] <= GOALS["joint_state"]
        and ratios[rows[4][0]] <= GOALS["image"]
        and lost[0] == 0
    )
    print(
        f"\ngoals (JointState <= {GOALS['joint_state']}, image <= {GOALS['image']}, none lost): "
        f"{'met' if met else 'NOT met'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
