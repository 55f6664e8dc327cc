# SPDX-License-Identifier: Apache-2.0
"""Start and stop a graph of two nodes again and again, and let a big one run: what is left behind?

    python benchmarks/embedded_lifecycle.py --cycles 1000 --minutes 10 --launches 20

A cycle starts a talker and a listener in processes of their own, waits until the listener has
heard something, and interrupts both (every tenth time the talker is killed instead). In the end
no process, and so no socket, and no orphaned file in /dev/shm may be left. The graph has a router
of its own, which must go with it. Then two processes exchange 20 topics at 100 Hz and two cameras
at 30 Hz while the memory of both is watched. In the first minute the receiver stalls now and
then, so that its queues have been full before memory is compared: it keeps freed blocks for the
next image, so a first stall later on would look like growth. At last the simulated SO-101 is
launched again and again, until its monitor is READY (in a virtual environment of `make setup`).
`--write` puts the figures into
docs/measurements/embedded_ros2_measured.md.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

TOPICS, RATE_HZ, CAMERAS, CAMERA_HZ = 20, 100.0, 2, 30.0
STARTUP_S = 5.0
END_S = 10.0  # an end that takes longer is a hang
IDLE_S = 12.0  # the router leaves after 5 s without company
MARK = "EMBEDDED_LIFECYCLE_BENCHMARK"
STALL_S, STALL_EVERY_S, STALLS = 1.5, 10.0, 6
# Pages that are touched late, such as caches that fill up; a leak of 1 byte a message shows.
ALLOWED_GROWTH = 0.05


def talker(options):
    """Count aloud."""
    import rclpy
    from std_msgs.msg import Int64

    rclpy.init(args=[])
    node = rclpy.create_node("talker")
    publisher = node.create_publisher(Int64, "count", 10)
    numbers = iter(range(10**9))
    node.create_timer(0.02, lambda: publisher.publish(Int64(data=next(numbers))))
    _spin(rclpy, node)


def listener(options):
    """Say that something came."""
    import rclpy
    from std_msgs.msg import Int64

    rclpy.init(args=[])
    node = rclpy.create_node("listener")
    said = []

    def hear(message):
        if not said:
            said.append(print("heard", flush=True))

    node.create_subscription(Int64, "count", hear, 10)
    _spin(rclpy, node)


def source(options):
    """Publish everything of the big graph."""
    import rclpy
    from sensor_msgs.msg import Image, JointState

    rclpy.init(args=[])
    node = rclpy.create_node("source")
    joints = JointState(name=["joint"] * 6, position=[0.1] * 6, velocity=[0.2] * 6)
    image = Image(width=640, height=480, encoding="rgb8", step=1920, data=bytes(640 * 480 * 3))
    states = [node.create_publisher(JointState, f"state_{i}", 10) for i in range(TOPICS)]
    cameras = [node.create_publisher(Image, f"camera_{i}", 10) for i in range(CAMERAS)]
    node.create_timer(1 / RATE_HZ, lambda: [publisher.publish(joints) for publisher in states])
    node.create_timer(1 / CAMERA_HZ, lambda: [publisher.publish(image) for publisher in cameras])
    _spin(rclpy, node)


def sink(options):
    """Receive it, and say every ten seconds how much came."""
    import rclpy
    from sensor_msgs.msg import Image, JointState

    rclpy.init(args=[])
    node = rclpy.create_node("sink")
    counts = {JointState: 0, Image: 0}

    def count(message):
        counts[type(message)] += 1

    for i in range(TOPICS):
        node.create_subscription(JointState, f"state_{i}", count, 10)
    for i in range(CAMERAS):
        node.create_subscription(Image, f"camera_{i}", count, 10)
    node.create_timer(10.0, lambda: print(*counts.values(), flush=True))
    stalls = iter([STALL_S] * STALLS)
    node.create_timer(STALL_EVERY_S, lambda: time.sleep(next(stalls, 0.0)))
    _spin(rclpy, node)


def watcher(options):
    """Say when the monitor of the simulated arm becomes READY."""
    import rclpy
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from vla_msgs.msg import MonitorStatus

    rclpy.init(args=[])
    node = rclpy.create_node("watcher")
    seen = []

    def see(state):
        if state.state == MonitorStatus.READY and not seen:
            seen.append(print("ready", flush=True))

    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(MonitorStatus, "/smoothness_monitor/state", see, qos)
    print("watching", flush=True)
    _spin(rclpy, node)


def _spin(rclpy, node):
    from rclpy.executors import ExternalShutdownException

    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)
    node.destroy_node()
    rclpy.try_shutdown()


ROLES = {role.__name__: role for role in (talker, listener, source, sink, watcher)}


def _free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def _start(role):
    return subprocess.Popen(
        [sys.executable, os.path.abspath(__file__), "--role", role],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, MARK: str(os.getpid())},
    )


def _stop(process, number):
    """Return how long the end took; None for a hang."""
    started_s = time.monotonic()
    process.send_signal(number)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None
    return time.monotonic() - started_s


def _left_behind():
    """Return the living processes that this benchmark has started, the router included."""
    found = []
    mark = f"{MARK}={os.getpid()}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def _orphans():
    """Return the files of shared memory that no process uses: whoever does holds a lock."""
    found = set()
    for path in Path("/dev/shm").glob("*.zenoh"):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.add(path.name)
        except OSError:
            continue
    return found


def cycles(options):
    """Start and stop; return whether nothing is left, and the figures in words."""
    before, ends, hangs, silent = _orphans(), [], 0, 0
    started_s = time.monotonic()
    for cycle in range(options.cycles):
        heard, talks = _start("listener"), _start("talker")
        if heard.stdout.readline().strip() != "heard":
            silent += 1
        kill = cycle % 10 == 9
        for process, number in (
            (talks, signal.SIGKILL if kill else signal.SIGINT),
            (heard, signal.SIGTERM if cycle % 2 else signal.SIGINT),
        ):
            end_s = _stop(process, number)
            process.stdout.close()
            if end_s is None:
                hangs += 1
            else:
                ends.append(end_s)
        if (cycle + 1) % 50 == 0:
            print(f"{cycle + 1} cycles, {hangs} hangs", file=sys.stderr, flush=True)
    took_s = time.monotonic() - started_s
    deadline_s = time.monotonic() + IDLE_S
    while _left_behind() and time.monotonic() < deadline_s:
        time.sleep(0.5)
    left = _left_behind()
    orphans = _orphans() - before
    ends.sort()
    words = (
        f"{options.cycles} cycles in {took_s:.0f} s: {silent} without a message, {hangs} hangs; "
        f"an end took {statistics.median(ends):.2f} s (median), {ends[-1]:.2f} s (longest); "
        f"left behind: {len(left)} processes (and their sockets), "
        f"{len(orphans)} files in /dev/shm."
    )
    for line in left:
        print(f"  {line}")
    return not (hangs or silent or left or orphans), words


def _resident_kib(process):
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):  # not Zenoh's shared memory, which has a fixed size
            return int(line.split()[1])
    return 0


def endurance(options):
    """Run the big graph; return whether the memory of both stays flat, and the figures."""
    receives = _start("sink")
    sends = _start("source")
    samples, counts = [], []
    end_s = time.monotonic() + options.minutes * 60
    while time.monotonic() < end_s:
        counts.append([int(word) for word in receives.stdout.readline().split()])
        samples.append((_resident_kib(sends), _resident_kib(receives)))
    stopped = [_stop(process, signal.SIGINT) for process in (sends, receives)]
    third = max(1, len(samples) // 3)
    flat = True
    elapsed_s = 10.0 * len(counts)
    words = (
        f"{options.minutes:g} minutes: {counts[-1][0] / elapsed_s / TOPICS:.1f} Hz on each of "
        f"{TOPICS} topics, {counts[-1][1] / elapsed_s / CAMERAS:.1f} Hz on each of {CAMERAS} "
        "cameras; memory in the second third and in the last"
    )
    for index, name in enumerate(("publisher", "receiver")):
        early = statistics.median(sample[index] for sample in samples[third : 2 * third])
        late = statistics.median(sample[index] for sample in samples[-third:])
        flat = flat and late <= early * (1 + ALLOWED_GROWTH)
        words += f", {name}: {early / 1024:.1f} and {late / 1024:.1f} MiB"
    return flat and None not in stopped, f"{words}."


def startup(options):
    """Launch the simulated arm; return whether it starts in time, and the figures in words."""
    command = Path(sys.executable).with_name("embedded-ros2")
    took_s, ended = [], True
    for _ in range(options.launches):
        watches = _start("watcher")
        assert watches.stdout.readline().strip() == "watching"
        started_s = time.monotonic()
        launched = subprocess.Popen(
            [command, "launch", "vla_bringup", "so101_sim.launch.py"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, MARK: str(os.getpid())},
        )
        assert watches.stdout.readline().strip() == "ready"
        took_s.append(time.monotonic() - started_s)
        for process in (launched, watches):
            ended = _stop(process, signal.SIGINT) is not None and ended
    took_s.sort()
    words = (
        f"{options.launches} launches of so101_sim.launch.py until its monitor was READY: "
        f"{statistics.median(took_s):.2f} s (median), {took_s[-1]:.2f} s (longest)."
    )
    return ended and statistics.median(took_s) <= STARTUP_S, words


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--launches", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    parser.add_argument("--role", choices=list(ROLES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        ROLES[options.role](options)
        return 0
    os.environ.setdefault("ROS_DOMAIN_ID", "78")
    os.environ["ZENOH_CONFIG_OVERRIDE"] = f'connect/endpoints=["tcp/localhost:{_free_port()}"]'
    load = [os.getloadavg()[0]]
    passed, blocks = True, {}
    for name, wanted, check in (
        ("cycles", options.cycles, cycles),
        ("endurance", options.minutes, endurance),
        ("startup", options.launches, startup),
    ):
        if wanted:
            good, blocks[name] = check(options)
            load.append(os.getloadavg()[0])
            blocks[name] += f" Load average {load[-2]:.1f} before, {load[-1]:.1f} after."
            print(f"{blocks[name]} {'passed' if good else 'FAILED'}", flush=True)
            passed = passed and good
    if options.write:
        import pages  # not what the processes that are measured would load

        pages.fill(pages.DOCS / "embedded_ros2_measured.md", blocks)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
